"""Worker processes prepare the same batches as this process, and end with it."""

import os
import pickle
import signal
import subprocess
import sys
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tiny_faces import landmarks, write_faces

import musica
from musica.errors import InputError
from musica.files import annotated_faces
from musica.training.augment import AugmentConfig
from musica.training.batches import Batches, core_count
from musica.training.dataset import FaceSamples

SIZE = 4


def samples(folder):
    faces = annotated_faces.read_faces([folder / "list.txt"], folder)
    options = AugmentConfig(augment_probability=1)
    return FaceSamples(faces, landmarks(99, 5), options, seed=3, levels=2, box_size=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    write_faces(folder, 7, landmark_count=5)
    return folder


@pytest.fixture(scope="module")
def workers(folder):
    with Batches(samples(folder), SIZE, range(2, 12), workers=2) as batches:
        yield batches


def assert_same(batch, expected):
    for array, other in zip(batch, expected, strict=True):
        np.testing.assert_array_equal(array, other)


def test_workers_prepare_the_same_batches(folder, workers):
    """In order, from anywhere, and again: a batch depends on its place in the run alone."""
    here = Batches(samples(folder), SIZE, range(2, 12))
    for index in (*range(6), 9, 0, 1, 1, 8):
        assert_same(workers.batch(index), here.batch(index))


def test_batches_are_not_overwritten_by_later_ones(workers):
    first = workers.batch(0)
    copies = [array.copy() for array in first]
    for index in range(1, 10):
        workers.batch(index)
    assert_same(first, copies)


def test_two_datasets_of_the_same_workers_do_not_disturb_each_other(workers):
    """Keras reads a batch ahead of a distributed run, and starts again."""
    abandoned = iter(workers.dataset())
    next(abandoned)
    truths = [truth.numpy() for _, truth in workers.dataset()]
    assert len(truths) == 10
    for index, truth in enumerate(truths):
        np.testing.assert_array_equal(truth, workers.batch(index)[-1])


def test_echo_and_workers_go_together(folder):
    here = Batches(samples(folder), SIZE, range(1, 4), echo=2)
    with Batches(samples(folder), SIZE, range(1, 4), echo=2, workers=2) as batches:
        for index in range(3):
            assert_same(batches.batch(index), here.batch(index))


def test_a_bad_face_is_named_by_its_worker(folder, tmp_path):
    write_faces(tmp_path, 3, landmark_count=5)
    (tmp_path / "face1.png").write_bytes(b"not an image")
    with (
        pytest.raises(InputError, match=r"^face1\.png: .*not a readable image$"),
        Batches(samples(tmp_path), SIZE, range(2), workers=2) as batches,
    ):
        list(batches.dataset())


def test_a_killed_worker_ends_the_run_in_one_line(folder):
    others = active_children()
    with Batches(samples(folder), SIZE, range(100), workers=2) as batches:
        batches.batch(0)
        for process in set(active_children()) - set(others):
            process.kill()
        with pytest.raises(InputError, match="a process that prepares faces has ended"):
            for index in range(1, 100):
                batches.batch(index)


KILLED_PARENT = """
import os, pickle, signal, sys
from musica.training.face_workers import FaceWorkers

if __name__ == "__main__":
    samples = pickle.load(sys.stdin.buffer)
    workers = FaceWorkers(samples, [range(4)] * 10, 4, 2)
    workers.batch(0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_with_a_killed_parent(folder):
    """They hold its standard output open, which therefore ends only with the last of them."""
    environment = {**os.environ, "PYTHONPATH": str(Path(musica.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", KILLED_PARENT],
        input=pickle.dumps(samples(folder)),
        env=environment,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_workers_do_not_import_tensorflow():
    code = (
        "import sys, musica.training.face_workers; print({'tensorflow', 'keras'} & {*sys.modules})"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(musica.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.stdout.strip() == b"set()", done.stderr


def test_the_cores_are_counted():
    assert 1 <= core_count() <= os.cpu_count()


def test_a_dataset_has_one_static_shape(folder):
    inputs, truth = Batches(samples(folder), SIZE, range(1)).dataset().element_spec
    assert [spec.shape[1:].as_list() for spec in inputs["pyramid"]] == [[66, 66, 3], [33, 33, 3]]
    assert inputs["initial"].shape[1:] == truth.shape[1:] == tf.TensorShape((5, 2))
