"""Two devices, or two worker processes on the loopback, train the model that one device trains."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_faces import write_faces

from musica.errors import InputError
from musica.training import strategy, trainer
from musica.training.configuration import TrainConfig

MIRRORED_RUN = """
import json, sys
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from musica.training import trainer
from musica.train import TrainConfig

trainer.train_and_evaluate(TrainConfig(**json.loads(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The keys of 5 steps of 4 faces, with checkpoints after steps 2, 4 and 5."""
    return {
        **write_faces(tmp_path_factory.mktemp("faces"), 5),
        "landmark_count": 68,
        "patch_indices": [30, 36, 45],
        "levels": [0],
        "patch_size": 10,
        "hidden_size": 16,
        "box_size": 40,
        "initializer": "lecun_normal",
        "batch_size": 4,
        "max_steps": 5,
        "checkpoint_steps": 2,
        "workers": 1,
    }


@pytest.fixture(scope="module")
def runs(keys, tmp_path_factory):
    """The folders of the same run on one device, on two, and by two workers from step 2 on."""
    folder = tmp_path_factory.mktemp("runs")
    keys = {**keys, "eval_filenames": keys["train_filenames"]}
    folders = {name: folder / name for name in strategy.STRATEGIES}
    mirrored_keys = {
        **keys,
        "strategy": "mirrored",
        "train_dir": str(folders["mirrored"]),
        "tensorboard_dir": str(folder / "tensorboard"),
    }
    processes = [started(["-c", MIRRORED_RUN, json.dumps(mirrored_keys)])]

    trainer.train_and_evaluate(TrainConfig(**keys, train_dir=str(folders["none"])))
    (folders["multi_worker"] / "checkpoints").mkdir(parents=True)
    for file in (folders["none"] / "checkpoints").glob("ckpt-2.*"):
        shutil.copy(file, folders["multi_worker"] / "checkpoints")
    state = folders["multi_worker"] / "checkpoints" / "checkpoint"
    state.write_text('model_checkpoint_path: "ckpt-2"\nall_model_checkpoint_paths: "ckpt-2"\n')
    (folder / "train.json").write_text(json.dumps({**keys, "train_dir": "multi_worker"}))
    arguments = ["-m", "musica.train", f"--config={folder}/train.json", "--strategy=multi_worker"]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    for index in range(2):
        task = {"type": "worker", "index": index}
        configuration = json.dumps({"cluster": cluster, "task": task})
        processes.append(started(arguments, TF_CONFIG=configuration))

    ends = [process.communicate(timeout=500) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], ends
    return folders, [output for output, _ in ends]


def started(arguments, **environment):
    path = {"PYTHONPATH": str(Path(trainer.__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, **path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def history(folder):
    with (folder / "history.csv").open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize(("name", "epochs_before"), [("mirrored", 0), ("multi_worker", 1)])
def test_the_result_is_that_of_one_device(name, epochs_before, runs):
    folders, _ = runs
    expected, found = (
        keras.models.load_model(folders[key] / "model.keras") for key in ("none", name)
    )
    for a, b in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    expected, found = history(folders["none"])[epochs_before:], history(folders[name])
    for row, expected_row in zip(found, expected, strict=True):
        assert row == pytest.approx(expected_row, rel=1e-4)
    files = {path.name for path in (folders[name] / "checkpoints").glob("*.index")}
    assert files == {f"ckpt-{step}.index" for step in (2, 4, 5)}


def test_the_first_worker_alone_reports(runs):
    _, (_, chief, other) = runs
    assert chief.startswith("training on 5 faces from step 2 to 5\n")
    assert chief.endswith(f"wrote {runs[0]['multi_worker']}/model.keras after 5 steps\n")
    assert other == ""


@pytest.mark.parametrize(
    ("worker", "local", "numbers"),
    [(0, 1, [0, 2, 4, 6]), (1, 1, [1, 3, 5, 7]), (0, 2, [0, 1, 4, 5]), (1, 2, [2, 3, 6, 7])],
)
def test_parts_of_two_workers(worker, local, numbers):
    assert strategy.own_parts(range(4 // local), 2 * local, local, worker) == numbers


def test_an_uneven_batch_is_refused():
    three = SimpleNamespace(num_replicas_in_sync=3)
    with (
        pytest.raises(InputError, match=r"batch_size 8 .* 3 replicas"),
        strategy.batches(three, None, 8),
    ):
        pass


def test_workers_without_a_shared_folder_are_refused():
    stub = SimpleNamespace(reduce=lambda how, value, axis: value / 2)  # the other is at step 0
    with pytest.raises(InputError, match="train_dir must be shared"):
        strategy.check_agreement(stub, 300)


def test_a_lost_worker_is_named():
    with pytest.raises(InputError, match="another worker"), strategy.lost_workers_named():
        raise tf.errors.UnavailableError(None, None, "the following tasks are unhealthy")


def test_workers_that_never_start_are_named_and_the_wait_can_be_interrupted():
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    task = {"type": "worker", "index": 1}
    code = (
        "import signal\n"
        "from musica.cli.interruption import interruptible\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # shells may have it ignored
        "with interruptible(True):\n"
        "    from musica.training import strategy\n"
        "    strategy.create('multi_worker')"
    )
    cluster = json.dumps({"cluster": {"worker": workers}, "task": task})
    process = started(["-c", code], TF_CONFIG=cluster)
    said = next(line for line in process.stderr if line.startswith("waiting for"))
    assert said.endswith(f"TF_CONFIG: {', '.join(workers)}\n")
    time.sleep(1)  # now it waits in TensorFlow
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize("value", [None, "{}", "no JSON", "[]", '{"cluster": {"worker": []}}'])
def test_a_bad_cluster_is_refused(value, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if value is not None:
        monkeypatch.setenv("TF_CONFIG", value)
    with pytest.raises(InputError, match="needs a valid TF_CONFIG"):
        strategy.create("multi_worker")


def test_an_unknown_strategy_is_refused(keys, tmp_path):
    with pytest.raises(InputError, match="strategy must be none or mirrored or multi_worker"):
        trainer.train_and_evaluate(TrainConfig(**keys, train_dir=str(tmp_path), strategy="tpu"))


@pytest.mark.parametrize(
    ("jobs", "task", "expected"),
    [
        (["worker"], ("worker", 0), True),
        (["worker"], ("worker", 1), False),
        (["chief", "worker"], ("chief", 0), True),
        (["chief", "worker"], ("worker", 0), False),
    ],
)
def test_the_chief(jobs, task, expected):
    cluster = SimpleNamespace(
        cluster_spec=lambda: SimpleNamespace(jobs=jobs), task_type=task[0], task_id=task[1]
    )
    assert strategy.is_chief(SimpleNamespace(cluster_resolver=cluster)) is expected
    assert strategy.is_chief(strategy.create("none"))
