"""Speed of training: of the augmented input by number of workers, and of a training step."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import numpy as np

from musica.benchmarks.configuration import BenchmarkConfig
from musica.benchmarks.faces import read_faces
from musica.errors import InputError
from musica.geometry.landmarks import scheme_for
from musica.geometry.reference_shape import reference_shape
from musica.models import losses
from musica.models.musica import MuSiCa
from musica.training.batches import Batches
from musica.training.cascade_training import CascadeTraining
from musica.training.dataset import FaceSamples
from musica.training.face_crops import PREPROCESSING
from musica.training.optimizer import Adam

# Every number of workers is measured in turn so often, so that all meet the same machine.
TURNS = 5


def measure(config: BenchmarkConfig) -> list[str]:
    """Measures faces per second of the input alone and of the training step alone.

    Args:
        config: the configuration.

    Returns:
        The lines of a table: medians, and their ratios to that of the first number of workers.

    Raises:
        InputError: a face or a key cannot be used.
    """
    if not config.workers or min(config.workers) < 0:
        raise InputError("workers must be numbers from 0 on")
    rates = _input_rates(config)
    training = _training_rate(config)
    lines = ["| what | workers | faces/s | ratio |", "|---|---|---|---|"]
    for workers, rate in zip(config.workers, rates, strict=True):
        what = f"augmented input alone, {config.preprocessing}, batch {config.batch_size}"
        lines.append(f"| {what} | {workers} | {rate:.0f} | {rate / rates[0]:.2f} |")
    size = f"{config.landmark_count} landmarks, {config.patch_count} patches"
    what = f"training step alone, {size}, batch {config.batch_size}"
    return [*lines, f"| {what} | | {training:.0f} | {training / rates[0]:.2f} |"]


def _input_rates(config: BenchmarkConfig) -> list[float]:
    """Faces per second that the augmented input delivers, for each number of workers."""
    samples = _samples(config)
    with ExitStack() as stack:
        sources = [
            stack.enter_context(
                Batches(samples, config.batch_size, range(config.steps), workers=workers)
            )
            for workers in config.workers
        ]
        return _rates([partial(_pass, source) for source in sources], config)


def _pass(batches: Batches) -> None:
    """Takes all batches as a training does; nothing is left to be prepared afterwards."""
    for _ in batches.dataset():
        pass


def _rates(runs: list[Callable[[], object]], config: BenchmarkConfig) -> list[float]:
    """Faces per second of runs of ``steps`` batches, medians of turns after a first one."""
    seconds: list[list[float]] = []
    for _ in range(1 + TURNS):  # a training, too, reads an image only once
        seconds.append([])
        for run in runs:
            start = time.perf_counter()
            run()
            seconds[-1].append(time.perf_counter() - start)
    return (config.steps * config.batch_size / np.median(seconds[1:], axis=0)).tolist()


def _samples(config: BenchmarkConfig) -> FaceSamples:
    """The augmented faces."""
    faces = read_faces(config)
    reference = reference_shape([face.landmarks for face in faces], [face.box for face in faces])
    return FaceSamples(faces, reference, config, config.seed, preprocessing=config.preprocessing)


def _training_rate(config: BenchmarkConfig) -> float:
    """Faces per second that a training step handles, its input in memory."""
    patches = scheme_for(config.landmark_count).patch_indices[config.patch_count]
    training = CascadeTraining(MuSiCa(config.landmark_count, patches), "l1", losses.ERROR_WEIGHT)
    training.compile(optimizer=Adam(), jit_compile=False)
    rng = np.random.default_rng(config.seed)
    crops = PREPROCESSING[config.preprocessing]()
    sides = [crops.side(level) for level in range(crops.levels)]
    pyramid = tuple(
        rng.standard_normal((config.batch_size, side, side, 3), dtype=np.float32) for side in sides
    )
    initial = rng.uniform(50, 180, (config.batch_size, config.landmark_count, 2))
    inputs = {"pyramid": pyramid, "initial": initial.astype(np.float32)}
    truth = initial.astype(np.float32) + 5

    def steps() -> None:
        for _ in range(config.steps):
            training.train_on_batch(inputs, truth)

    return _rates([steps], config)[0]
