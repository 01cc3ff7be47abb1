import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_faces import write_faces, write_list

from musica.cli.config import load
from musica.errors import InputError
from musica.models.mdm import MDM
from musica.models.musica import MuSiCa
from musica.training import building, checks, trainer
from musica.training.callbacks import AveragedWeights, Checkpoints, StopOnBadLoss
from musica.training.cascade_training import CascadeTraining
from musica.training.configuration import TrainConfig
from musica.training.optimizer import Adam

STEPS, CHECKPOINT_STEPS = 7, 3


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The keys of a run of 7 steps of 4 faces, with checkpoints after steps 3, 6 and 7."""
    folder = tmp_path_factory.mktemp("faces")
    keys = write_faces(folder, 9)
    return {
        **keys,
        "eval_filenames": [write_list(folder / "eval.txt", *(f"face{i}.png" for i in range(5)))],
        "landmark_count": 68,
        "patch_indices": [30, 36, 45],
        "levels": [1, 0],
        "patch_size": 10,
        "hidden_size": 16,
        "box_size": 40,
        "initializer": "lecun_normal",
        "mirror_probability": 0.5,
        "batch_size": 4,
        "max_steps": STEPS,
        "checkpoint_steps": CHECKPOINT_STEPS,
        "learning_rate_decay_steps": 5,
        "workers": 1,
    }


class Recorder(keras.callbacks.Callback):
    """Keeps the weights after every step, those at the start first."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def _record(self):
        self.weights.append([weight.numpy() for weight in self.model.trainable_variables])

    def on_train_begin(self, logs=None):
        self._record()

    def on_train_batch_end(self, batch, logs=None):
        self._record()


@pytest.fixture(scope="module")
def uninterrupted(tiny, tmp_path_factory):
    """A complete run: its folder and the weights after every step."""
    folder = tmp_path_factory.mktemp("run")
    recorder, summaries = Recorder(), trainer.summaries
    config = TrainConfig(**tiny, train_dir=str(folder), tensorboard_dir=str(folder / "tensorboard"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "summaries", lambda *given: [*summaries(*given), recorder])
        assert trainer.train_and_evaluate(config) == folder / "model.keras"
    return folder, recorder.weights


def history(folder):
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{key: float(value) for key, value in row.items() if value != "NA"} for row in rows]


def checkpoints(folder):
    return sorted(path.name for path in (folder / "checkpoints").glob("*.index"))


def averaged(weights, start=None):
    """The averages of ``METHOD.md`` section 6 over the weights of consecutive steps."""
    average = list(start or weights[0])
    for step, current in enumerate(weights[1:], start=1):
        decay = min(0.9999, (1 + step) / (10 + step))
        average = [
            decay * a + (1 - decay) * value for a, value in zip(average, current, strict=True)
        ]
    return average


def assert_close(first, second, tolerance=1e-5):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_the_saved_model_has_averaged_weights(uninterrupted):
    folder, weights = uninterrupted
    assert len(weights) == STEPS + 1
    model = keras.models.load_model(folder / "model.keras")
    assert isinstance(model, MuSiCa) and model.settings.box_size == 40
    assert np.shape(model.settings.reference_shape) == (68, 2)
    assert_close([weight.numpy() for weight in model.trainable_variables], averaged(weights), 1e-6)
    gap = [np.abs(a - b).max() for a, b in zip(averaged(weights), weights[-1], strict=True)]
    assert max(gap) > 1e-4  # the averages are not the weights themselves


def test_history_has_every_iteration(uninterrupted):
    rows = history(uninterrupted[0])
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    names = [f"{name}_{k}" for name in ("loss", "nme") for k in range(2)]
    expected = {"epoch", "loss", "val_loss", *names, *(f"val_{name}" for name in names)}
    assert set(rows[0]) == expected
    for row in rows:
        assert all(np.isfinite(value) for value in row.values())
        for prefix in ("", "val_"):
            total = sum(row[f"{prefix}loss_{k}"] for k in range(2))
            np.testing.assert_allclose(row[f"{prefix}loss"], total, rtol=1e-5)
    assert rows[0]["val_loss"] != rows[1]["val_loss"]


def test_the_run_has_its_files(uninterrupted):
    folder, _ = uninterrupted
    assert checkpoints(folder) == [f"ckpt-{step}.index" for step in (3, 6, 7)]
    saved = json.loads((folder / "config.json").read_text())
    assert saved["max_steps"] == STEPS and saved["train_dir"] == str(folder)


def test_validation_uses_the_averages(uninterrupted, tiny):
    """The last epoch's validation is what the saved model gets on the validation faces."""
    folder, _ = uninterrupted
    config = TrainConfig(**tiny)
    model = keras.models.load_model(folder / "model.keras")
    training = CascadeTraining(model, "l1", 0.05)
    training.compile(optimizer=Adam(0.0))
    strategy = tf.distribute.get_strategy()
    with trainer.validation_batches(config, model, strategy) as data:
        found = training.evaluate(data, return_dict=True, verbose=0)
    last = history(folder)[-1]
    for name, value in found.items():
        np.testing.assert_allclose(last[f"val_{name}"], value, rtol=1e-4)


def test_tensorboard_has_curves_pictures_and_histograms(uninterrupted):
    folder, _ = uninterrupted
    plugins = {}
    for path in (folder / "tensorboard").rglob("*tfevents*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                plugins.setdefault(value.metadata.plugin_data.plugin_name, set()).add(value.tag)
    assert plugins["images"] >= {"level_0", "level_1"}
    histograms = {f"{name}_{k}" for name in ("error", "estimate") for k in range(2)}
    assert plugins["histograms"] >= histograms
    assert any("kernel" in tag for tag in plugins["histograms"])
    curves = {"epoch_loss", "epoch_learning_rate", *(f"epoch_loss_{k}" for k in range(2))}
    assert plugins["scalars"] >= curves


KILLED_RUN = """
import json, os, signal, sys
import keras
from musica.training import building, trainer
from musica.train import TrainConfig

class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == 5:
            os.kill(os.getpid(), signal.SIGKILL)

trainer.summaries = lambda *given: [Kill()]
trainer.train_and_evaluate(TrainConfig(**json.loads(sys.argv[1])))
"""


def subprocess_run(arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(Path(trainer.__file__).parents[2])}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, **options
    )


def test_a_killed_run_resumes_as_if_nothing_had_happened(uninterrupted, tiny, tmp_path):
    keys = {**tiny, "train_dir": str(tmp_path)}
    killed = subprocess_run(["-c", KILLED_RUN, json.dumps(keys)])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert checkpoints(tmp_path) == ["ckpt-3.index"]
    assert not (tmp_path / "model.keras").exists()

    path = trainer.train_and_evaluate(TrainConfig(**keys))
    folder, _ = uninterrupted
    for row, expected in zip(history(tmp_path), history(folder), strict=True):
        np.testing.assert_allclose(list(row.values()), list(expected.values()), rtol=1e-5)
    models = [keras.models.load_model(file) for file in (path, folder / "model.keras")]
    assert_close(*([weight.numpy() for weight in model.weights] for model in models))


def test_checkpoints_of_the_release_are_named(tmp_path, capsys):
    checks.tell_of_release(tmp_path)
    assert capsys.readouterr().err == ""
    (tmp_path / "model.ckpt-21300").touch()
    (tmp_path / "model.ckpt-21300.meta").touch()
    checks.tell_of_release(tmp_path)
    assert "holds the release's model.ckpt-21300, from which" in capsys.readouterr().err


def test_a_finished_run_is_not_trained_further(uninterrupted, tiny, tmp_path, capsys):
    folder = shutil.copytree(uninterrupted[0], tmp_path / "copy")
    before = history(folder)
    path = trainer.train_and_evaluate(TrainConfig(**tiny, train_dir=str(folder)))
    assert "after 7 steps" in capsys.readouterr().out
    assert history(folder) == before
    first, again = (keras.models.load_model(f) for f in (uninterrupted[0] / "model.keras", path))
    assert_close([w.numpy() for w in first.weights], [w.numpy() for w in again.weights], 0)


@pytest.mark.parametrize("change", [{"hidden_size": 8}, {"levels": [0]}])
def test_another_models_checkpoint_is_refused(change, uninterrupted, tiny, tmp_path):
    folder = shutil.copytree(uninterrupted[0], tmp_path / "copy")
    with pytest.raises(InputError, match="cannot be resumed"):
        trainer.train_and_evaluate(TrainConfig(**{**tiny, **change}, train_dir=str(folder)))


def test_the_decay_of_the_averages_warms_up():
    generator = np.random.default_rng(0)
    weights = [[generator.normal(size=(2, 3)).astype("float32")] for _ in range(5)]
    variable = keras.Variable(weights[0][0])
    optimizer = SimpleNamespace(iterations=keras.Variable(0, dtype="int64"))
    averages = AveragedWeights([variable], optimizer, 0.9999)
    for step, (value,) in enumerate(weights[1:], start=1):
        variable.assign(value)
        optimizer.iterations.assign(step)
        averages.on_train_batch_end(step)
    assert_close([averages.averages[0].numpy()], averaged(weights), 1e-6)

    averages.on_test_begin()
    assert_close([variable.numpy()], averaged(weights), 1e-6)
    averages.on_test_end()
    assert_close([variable.numpy()], weights[-1], 0)


def test_the_decay_of_the_averages_is_limited():
    variable = keras.Variable(0.0)
    optimizer = SimpleNamespace(iterations=keras.Variable(1000, dtype="int64"))
    averages = AveragedWeights([variable], optimizer, 0.75)
    variable.assign(4.0)
    averages.on_train_batch_end(0)
    np.testing.assert_allclose(averages.averages[0].numpy(), 1.0, rtol=1e-6)


def test_old_checkpoints_are_removed_if_asked(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = Adam(0.1)
    optimizer.build(model.trainable_variables)
    averages = AveragedWeights(model.trainable_variables, optimizer, 0.9)
    callback = Checkpoints(tmp_path / "checkpoints", model, optimizer, averages, keep=2)
    for step in (1, 2, 3):
        optimizer.iterations.assign(step)
        callback.on_epoch_end(step)
    assert checkpoints(tmp_path) == ["ckpt-2.index", "ckpt-3.index"]


def test_a_diverging_run_ends_before_its_checkpoint(tiny, tmp_path):
    keys = {**tiny, "levels": [0], "eval_filenames": [], "initial_learning_rate": 1e30}
    with pytest.raises(InputError, match=r"the loss is not finite at step [23];"):
        trainer.train_and_evaluate(TrainConfig(**keys, train_dir=str(tmp_path)))
    assert checkpoints(tmp_path) == [] and not (tmp_path / "model.keras").exists()


def test_an_unreadable_image_ends_the_run_in_one_line(tiny, tmp_path):
    write_faces(tmp_path, 1)
    (tmp_path / "face0.png").write_bytes(b"not an image")
    keys = {**tiny, "train_filenames": [str(tmp_path / "list.txt")], "image_dir": str(tmp_path)}
    keys = {**keys, "levels": [0], "eval_filenames": []}
    config = TrainConfig(**keys, train_dir=str(tmp_path / "run"))
    with pytest.raises(InputError, match=r"^face0\.png: .*not a readable image$"):
        trainer.train_and_evaluate(config)


def test_weights_that_are_not_finite_end_the_run():
    variable = keras.Variable([1.0, 2.0])
    callback = StopOnBadLoss()
    callback.set_model(
        SimpleNamespace(trainable_variables=[variable], optimizer=SimpleNamespace(iterations=6))
    )
    callback.on_epoch_end(0)
    variable.assign([1.0, np.inf])
    with pytest.raises(InputError, match="weights are not finite at step 6"):
        callback.on_epoch_end(0)


def test_mdm_trains_a_step_without_a_standard_output(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    keys = {**tiny, "model": "mdm", "loss": "normalised_rmse", "patch_size": 14, "max_steps": 1}
    config = TrainConfig(**{**keys, "eval_filenames": []}, train_dir=str(tmp_path))
    model = keras.models.load_model(trainer.train_and_evaluate(config))
    assert isinstance(model, MDM)
    (row,) = history(tmp_path)
    assert set(row) == {"epoch", "loss", *(f"{n}_{k}" for n in ("loss", "nme") for k in range(4))}


def test_what_is_saved_is_exact_whatever_was_trained_in(tiny, tmp_path):
    keys = {**tiny, "precision": "mixed_bfloat16", "patch_dropout": 0.5, "max_steps": 1}
    config = TrainConfig(**{**keys, "eval_filenames": []}, train_dir=str(tmp_path))
    model = keras.models.load_model(trainer.train_and_evaluate(config))
    assert {layer.compute_dtype for layer in model._flatten_layers()} == {"float32"}


def test_recurrent_weights_are_saved_as_they_were_rounded(tiny, tmp_path):
    keys = {**tiny, "recurrent_bits": 3, "patch_dropout": 0.5, "echo": 2, "max_steps": 2}
    path = trainer.train_and_evaluate(TrainConfig(**keys, train_dir=str(tmp_path)))
    model = keras.models.load_model(path)
    for step in model.steps:
        kernel = step.recurrent.kernel.numpy()
        assert max(len(np.unique(unit)) for unit in kernel.T) <= 7
        assert len(np.unique(step.head.kernel.numpy())) > 100


def test_training_starts_from_a_pretrained_model(uninterrupted, tiny):
    path = str(uninterrupted[0] / "model.keras")
    pretrained = keras.models.load_model(path)
    config = TrainConfig(**tiny, pretrained_model_checkpoint_path=path)
    model = building.build_model(config, [])
    assert_close([w.numpy() for w in model.weights], [w.numpy() for w in pretrained.weights], 0)
    assert (
        model.settings.reference_shape == pretrained.settings.reference_shape
    )  # which its weights were made for
    with pytest.raises(InputError, match="do not fit"):
        building.build_model(dataclasses.replace(config, hidden_size=8), [])
    fitted = MuSiCa.from_config({**pretrained.get_config(), "predicts_gain": True})
    fitted.save(uninterrupted[0] / "fitted.keras")
    fitted_path = str(uninterrupted[0] / "fitted.keras")
    model = building.build_model(
        dataclasses.replace(config, pretrained_model_checkpoint_path=fitted_path), []
    )
    assert not model.predicts_gain
    assert_close(model.steps[0].head.get_weights(), fitted.steps[0].head.get_weights(), 0)
    absent = dataclasses.replace(config, pretrained_model_checkpoint_path="absent.keras")
    with pytest.raises(InputError, match=r"absent\.keras"):
        building.build_model(absent, [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train_dir", ""),
        ("image_dir", ""),
        ("train_filenames", []),
        ("model", "muscia"),
        ("loss", "l2"),
        ("preprocessing", "sharp"),
        ("workers", -1),
        ("cache_gigabytes", -1.0),
        ("train_weights", [1.0, 2.0]),
        ("train_weights", [0.0]),
        ("iteration_weights", [1.0, -1.0]),
        ("iteration_weights", [1.0]),
        ("recurrent_bits", 1),
        ("learning_rate_warmup_steps", STEPS),
        ("learning_rate_schedule", "linear"),
        ("initializer", "absent"),
        ("batch_size", 0),
        ("max_steps", 0),
        ("num_epochs", 0),
        ("seed", -1),
        ("seed", 2**32),
        ("learning_rate_decay_steps", 0),
        ("initial_learning_rate", -1.0),
        ("initial_learning_rate", float("nan")),
        ("average_decay", 2.0),
        ("patch_dropout", 2.0),
        ("held_out_share", 1.5),
        ("checkpoint_steps", 0),
        ("echo", 3),
        ("precision", "float16"),
        ("keep_checkpoints", -1),
        ("hidden_size", 0),
        ("patch_size", 4),
        ("patch_indices", [68]),
        ("levels", [-1]),
    ],
)
def test_bad_values_are_named(key, value, tiny, tmp_path):
    keys = {**tiny, "train_dir": str(tmp_path), key: value}
    with pytest.raises(InputError, match=key):
        trainer.train_and_evaluate(TrainConfig(**keys))


def test_patch_count_picks_the_schemes_points(tiny):
    config = TrainConfig(**{**tiny, "patch_indices": None, "patch_count": 17})
    assert building.patch_indices(config) == tuple(range(0, 68, 4))
    with pytest.raises(InputError, match="patch_count"):
        building.patch_indices(dataclasses.replace(config, patch_count=5))


def test_lists_and_iterations_have_weights(tiny, tmp_path):
    """Of two lists, one is never drawn: its unreadable image does not matter."""
    keys = {**tiny, **write_faces(tmp_path, 3), "preprocessing": "area", "max_steps": 1}
    (tmp_path / "face2.png").write_bytes(b"not an image")
    names = [
        write_list(tmp_path / "good.txt", "face0.png", "face1.png"),
        write_list(tmp_path / "bad.txt", "face2.png"),
    ]
    keys = {**keys, "train_filenames": names, "eval_filenames": [], "checkpoint_steps": 1}
    config = TrainConfig(
        **keys, train_dir=str(tmp_path), train_weights=[1.5, 0], iteration_weights=[0.5, 2]
    )
    trainer.train_and_evaluate(config)
    (row,) = history(tmp_path)
    np.testing.assert_allclose(row["loss"], 0.5 * row["loss_0"] + 2 * row["loss_1"], rtol=1e-5)


def test_patch_indices_may_differ_between_iterations(tmp_path):
    path = tmp_path / "train.json"
    for indices in ([30, 36], [[30, 36], [8]]):
        path.write_text(json.dumps({"patch_indices": indices}))
        assert building.patch_indices(load(TrainConfig, str(path))) == indices
    path.write_text(json.dumps({"patch_indices": [[30], "eye"]}))
    with pytest.raises(InputError, match="patch_indices"):
        load(TrainConfig, str(path))


def test_num_epochs_limits_the_run(tiny):
    config = TrainConfig(**{**tiny, "num_epochs": 3, "max_steps": 100})
    assert trainer.run_length(config, faces=9) == 6  # 2 whole batches of 4, three times
    assert trainer.run_length(config, faces=3) == 3
    assert trainer.run_length(dataclasses.replace(config, max_steps=5), faces=9) == 5
    assert trainer.run_length(dataclasses.replace(config, num_epochs=None), faces=9) == 100


@pytest.mark.parametrize(
    ("done", "total", "first", "end", "steps"),
    [
        (0, 9, 0, 3, 3),
        (0, 7, 0, 3, 3),  # 3, 3 and 1 steps
        (0, 2, 0, 1, 2),
        (3, 7, 1, 3, 3),  # resumed
        (7, 12, 3, 5, 3),  # a finished run goes on: 3 and 2 steps
        (2, 7, 1, 3, 3),
    ],
)
def test_epochs_end_in_checkpoints(done, total, first, end, steps, tiny):
    expected = {"initial_epoch": first, "epochs": end, "steps_per_epoch": steps}
    assert trainer.epochs(TrainConfig(**tiny), done, total) == expected


def test_the_rate_falls_to_zero_in_the_run_however_it_is_limited(tiny, tmp_path, monkeypatch):
    own = {"num_epochs": 1, "learning_rate_schedule": "cosine", "eval_filenames": []}
    rates = []

    class Rates(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    monkeypatch.setattr(trainer, "summaries", lambda *given: [Rates()])
    trainer.train_and_evaluate(TrainConfig(**{**tiny, **own}, train_dir=str(tmp_path)))
    assert rates == pytest.approx([5e-4, 0], abs=1e-6)  # 9 faces fill two batches


def test_learning_rates(tiny):
    config = TrainConfig(**{**tiny, "learning_rate_decay_steps": 10, "max_steps": 40})
    stairs = building.learning_rate(config, 40)
    for step, rate in ((0, 1e-3), (9, 1e-3), (10, 1e-4), (25, 1e-5)):
        np.testing.assert_allclose(stairs(step), rate, rtol=1e-5)
    config = dataclasses.replace(config, learning_rate_schedule="cosine")
    cosine = building.learning_rate(config, 40)
    for step, rate in ((0, 1e-3), (20, 5e-4), (40, 0)):
        np.testing.assert_allclose(cosine(step), rate, atol=1e-9)
    warm = building.learning_rate(dataclasses.replace(config, learning_rate_warmup_steps=20), 40)
    for step, rate in ((0, 1e-4), (10, 5.5e-4), (20, 1e-3), (30, 5e-4), (40, 0)):
        np.testing.assert_allclose(warm(step), rate, atol=1e-9)


def test_the_command_says_a_bad_list_in_one_line(tmp_path):
    names = write_list(tmp_path / "list.txt", "absent.png")
    keys = {"train_dir": "run", "image_dir": ".", "train_filenames": names}
    (tmp_path / "train.json").write_text(json.dumps(keys))
    arguments = ["-m", "musica.train", "--config=train.json", "--train_filenames=absent.txt"]
    done = subprocess_run(arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and "absent.txt" in line
