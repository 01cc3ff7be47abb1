"""Every experiment runs on a stand-in for its data set, laid out by the preparation scripts."""

import dataclasses
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tiny
import tiny_faces
from PIL import Image

from musica.alignment.aligner import FaceAligner
from musica.benchmarks.compare import CompareConfig, compare
from musica.cli import config
from musica.errors import InputError
from musica.evaluation import metrics
from musica.evaluation.evaluate import EvaluateConfig, evaluate
from musica.files import annotated_faces, image_files, landmark_files, writing
from musica.jobs.inference import InferenceConfig, infer
from musica.models.loading import load_keras_model, model_path
from musica.models.mdm import MDM
from musica.models.musica import MuSiCa
from musica.training import building, trainer
from musica.training.configuration import TrainConfig

ROOT = Path(__file__).parents[2]
prepare_wflw, prepare_300w = map(importlib.import_module, ("prepare_wflw", "prepare_300w"))

# Millions of multiply-adds after each iteration, and of weights: the table of METHOD.md section 9.
# The ablations and MDM's weights are not in it.
COSTS = {
    "wflw_98_49": ([23.32, 46.64, 69.96], 20.59),
    "wflw_98_98": ([46.27, 92.55, 138.82], 39.85),
    "300w_68_68": ([32.19, 64.38, 96.57], 27.97),
    "300w_68_34": ([16.26, 32.52, 48.78], 14.60),
    "300w_68_17": ([8.30, 16.59, 24.89], 7.91),
    "ablation_no_attention": ([20.11, 40.21, 60.32], 20.39),
    "ablation_no_pyramid": ([23.32, 46.64, 69.96], 20.59),
    "mdm_300w": ([216.85, 433.70, 650.56, 867.41], 80.56),
}
CLASSES = {"train": TrainConfig, "inference": InferenceConfig, "evaluate": EvaluateConfig}
TRAIN, TEST = ["afw/1.png", "helen/trainset/1.png"], ["lfpw/testset/1.png", "ibug/1.png"]
BOX = np.array([10.0, 10.0, 70.0, 70.0])
PRIVATE = ["300W/01_Indoor/1.png", "300W/02_Outdoor/2.png"]


def load(folder, name, **overrides):
    return config.load(CLASSES[name.split("_")[0]], str(folder / f"{name}.json"), overrides)


def write_face(path, seed, count):
    points = tiny_faces.landmarks(seed, count)
    image_files.write_image(path, Image.fromarray(tiny_faces.blobs(tiny_faces.SIZE, points)))
    return points


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Copies of the experiments, and both data sets where these expect them."""
    root = tmp_path_factory.mktemp("root")
    for name in COSTS:
        shutil.copytree(ROOT / "experiments" / name, root / "experiments" / name)
    for seed, name in enumerate(TRAIN + TEST + PRIVATE):
        path = root / "300w" / name
        landmark_files.write_landmarks(path.with_suffix(".pts"), write_face(path, seed, 68))
        found = re.sub("300W/0._.*door", "300w", name)  # as MDM's folder of boxes
        landmark_files.write_box((root / "bbs" / found).with_suffix(".pts"), BOX)
    for split in ("train", "test"):
        lines = []
        for seed in range(2):
            name = f"{split}{seed}.png"
            points = write_face(root / "images" / name, seed, 98)[:, ::-1].ravel()
            numbers = " ".join(f"{value:.3f}" for value in points)
            lines.append(f"{numbers} 10 10 70 70 1 1 1 1 1 1 {name}")
        path = root / "annotations" / f"list_98pt_rect_attr_{split}.txt"
        writing.write_text(path, "\n".join(lines))
    prepare_300w.prepare(
        prepare_300w.Config300W(
            source=str(root / "300w"),
            output=str(root / "data/300w"),
            boxes="folder",
            bb_root=str(root / "bbs"),
        )
    )
    prepare_wflw.prepare(
        prepare_wflw.WflwConfig(
            image_dir=str(root / "images"),
            annotation_dir=str(root / "annotations"),
            output=str(root / "data/wflw"),
            boxes="official",
        )
    )
    return root


def test_the_release_is_the_defaults():
    found = load(ROOT / "experiments/wflw_98_49", "train")
    places = ("train_dir", "image_dir", "bb_root", "train_filenames", "eval_filenames")
    own = {key: getattr(found, key) for key in places}
    # The published checkpoint is that of step 21,300; 49 is the scheme's default.
    assert found == TrainConfig(**own, max_steps=21300, patch_count=49)


@pytest.mark.parametrize("name", COSTS)
def test_cost_is_the_published_one(name):
    settings = load(ROOT / "experiments" / name, "train", initializer="zeros")
    points = tiny_faces.landmarks(0, settings.landmark_count)
    face = SimpleNamespace(landmarks=points, box=np.array([0, 0, 99, 99]))
    model = building.build_model(settings, [face])
    multiply_adds, weights = COSTS[name]
    np.testing.assert_allclose(np.divide(model.multiply_adds, 1e6), multiply_adds, atol=0.005)
    np.testing.assert_allclose(model.count_params() / 1e6, weights, atol=0.005)


@pytest.mark.parametrize("name", COSTS)
def test_stages_fit_together(name):
    folder = ROOT / "experiments" / name
    train = load(folder, "train")
    tests = sorted(path.stem.removeprefix("inference") for path in folder.glob("inference*.json"))
    assert tests
    for suffix in tests:
        inference, evaluation = (load(folder, f"{kind}{suffix}") for kind in list(CLASSES)[1:])
        (entry,) = evaluation.Data
        assert inference.checkpoint_file == f"{train.train_dir}/model.keras"
        assert inference.landmark_count == entry.flm_count == train.landmark_count
        assert inference.image_dir == entry.gt_dir == entry.image_dir == train.image_dir
        assert inference.bb_root == train.bb_root
        assert inference.eval_filenames not in train.train_filenames
        assert inference.resDir == entry.estimated_dir


def test_only_what_is_studied_differs():
    release = load(ROOT / "experiments/wflw_98_49", "train")
    for name, change in (
        ("wflw_98_98", {"patch_count": 98}),
        ("ablation_no_attention", {"use_attention": False}),
        ("ablation_no_pyramid", {"levels": [0, 0, 0]}),
    ):
        found = load(ROOT / "experiments" / name, "train")
        change |= {"train_dir": found.train_dir, "keep_checkpoints": 2}
        assert found == dataclasses.replace(release, **change)
    musica, mdm = (load(ROOT / "experiments" / n, "train") for n in ("300w_68_68", "mdm_300w"))
    assert musica.train_filenames == mdm.train_filenames
    assert musica.max_steps * musica.batch_size == mdm.max_steps * mdm.batch_size


@pytest.fixture
def eager():
    """Compiling the models would take most of the time."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions")
@pytest.mark.parametrize("name", COSTS)
def test_experiment_runs(name, root, eager, capsys):
    folder = root / "experiments" / name
    trainer.train_and_evaluate(
        load(folder, "train", hidden_size=8, batch_size=2, max_steps=1, initializer="he_normal")
    )
    for path in sorted(folder.glob("inference*.json")):
        assert not infer(load(folder, path.stem))
        evaluation = path.stem.replace("inference", "evaluate")
        assert not evaluate(load(folder, evaluation, dump_output_files=False, output_dir=""))
        assert "(published)" in capsys.readouterr().out


def test_models_are_compared_on_the_same_faces(root, tmp_path):
    """One table; the early quitter, of which every face is good enough, has two rows."""
    shape = tiny_faces.landmarks(0) * 3
    arguments = {"patch_indices": [30, 36], "hidden_size": 8, "reference_shape": shape}
    models = {
        "musica": tiny.randomise(MuSiCa(68, **arguments, stop_threshold=100.0)),
        "mdm": tiny.randomise(MDM(68, **arguments)),
    }
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
    data = root / "data/300w"
    (data / "bb/ibug/1.pts").rename(data / "bb/ibug/2.pts")
    command = [sys.executable, "-m", "musica.compare", f"--output={tmp_path}/table.md"]
    command += [f"--image_dir={data}/images", f"--bb_root={data}/bb", "--failure_threshold=0.5"]
    command += [f"--models={tmp_path}/musica.keras,{tmp_path}/mdm.keras"]
    command += [f"--eval_filenames={data}/lists/300w_common.txt,{data}/lists/300w_full.txt"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    assert run.returncode == 1 and "skipped ibug/1.png" in run.stderr, run.stderr
    table = (tmp_path / "table.md").read_text()
    assert run.stdout.startswith(table)
    header, _, *rows = [
        line.strip("| ").split(" | ") for line in table.split("\n\n")[0].split("\n")
    ]
    found = [dict(zip(header, row, strict=True)) for row in rows]
    names = [row["model"].removeprefix(f"{tmp_path.parent.name}/{tmp_path.name}/") for row in found]
    assert names == ["musica", "musica, quitting early", "mdm"]
    assert [row["iterations"] for row in found] == ["3.00", "1.00", "4.00"]
    costs = [models["musica"].multiply_adds[i] for i in (2, 0)] + models["mdm"].multiply_adds[3:]
    assert [row["M multiply-adds"] for row in found] == [f"{cost / 1e6:.2f}" for cost in costs]
    (face,) = annotated_faces.read_faces(
        [data / "lists/300w_common.txt"], data / "images", None, data / "bb"
    )
    nmes = []
    for row, (name, count) in zip(found, (("musica", 3), ("musica", 1), ("mdm", 4)), strict=True):
        aligned = FaceAligner(models[name]).align(face.image, face.box, iterations=count)
        nme = 100 * metrics.nme(aligned.landmarks, face.landmarks)
        nmes.append(nme)
        for measured in ("300w_common", "300w_full"):  # whose other face has no box
            np.testing.assert_allclose(float(row[f"{measured}: NME, %"]), nme, rtol=1e-3)
            assert row[f"{measured}: FR@0.5, %"] == ("100.00" if nme > 50 else "0.00")
        assert float(row["ms per face"]) > 0
    for row, nme in zip(found[1:], nmes[1:], strict=True):
        ratio = f"{nme / nmes[0]:.3f}"
        ratio = f"{ratio} ({ratio} to {ratio})"  # of a single face
        expected = f"{row['model']}, NME over that of {found[0]['model']}: 300w_common {ratio}, "
        assert f"{expected}300w_full {ratio}, all {ratio}.\n" in table


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "models is missing"),
        ({"models": ["a.tflite"]}, r"\.keras"),
        ({"eval_filenames": ["a/list.txt", "b/list.txt"]}, "same name"),
        ({"normalization": "eyes"}, "'eyes' is unknown"),
        ({"failure_threshold": 0.0}, "above 0"),
    ],
)
def test_comparisons_that_cannot_be(keys, message):
    needed = {"models": ["a.keras"], "image_dir": ".", "eval_filenames": ["list.txt"]}
    with pytest.raises(InputError, match=message):
        compare(CompareConfig(**({**needed, **keys} if keys else {})))


def test_the_shipped_model_is_a_start_for_the_configuration_that_the_readme_names():
    configured = config.load(TrainConfig, str(ROOT / "experiments/shipped/train68_fifth.json"))
    start = str(model_path(runner="keras"))
    configured = dataclasses.replace(configured, pretrained_model_checkpoint_path=start)
    model = building.build_model(configured, faces=[])
    shipped = load_keras_model(start)
    np.testing.assert_array_equal(model.steps[-1].head.kernel, shipped.steps[-1].head.kernel)
