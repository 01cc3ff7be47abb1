"""Speed of the training: of the augmented input, and of a training step."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from musica.benchmarks.benchmark import BenchmarkConfig


def measure(config: "BenchmarkConfig") -> list[str]:
    """Faces per second of either alone, the whole machine to itself, and their ratio.

    Args:
        config: a ``benchmark.BenchmarkConfig``.

    Returns:
        The lines of a table.
    """
    pipeline = _pipeline_rate(config)
    training = _training_rate(config)
    size = f"{config.landmark_count} landmarks, {config.patch_count} patches"
    return [
        "| what | faces/s |",
        "|---|---|",
        f"| augmented input alone, batch {config.batch_size} | {pipeline:.0f} |",
        f"| training step alone, {size}, batch {config.batch_size} | {training:.0f} |",
        f"input / training step: {pipeline / training:.2f}",
    ]


def _rate(run: Callable[[], object], config: "BenchmarkConfig") -> float:
    """Faces per second of ``run``, which handles a batch, on average over the measured steps."""
    for _ in range(1 + config.steps // 3):
        run()
    seconds = []
    for _ in range(config.steps):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return config.batch_size / float(np.mean(seconds))


def _pipeline_rate(config: "BenchmarkConfig") -> float:
    """Faces per second that the augmented input delivers."""
    from musica.benchmarks.benchmark import read_faces
    from musica.geometry import reference_shape
    from musica.training import dataset

    faces = read_faces(config)
    reference = reference_shape.reference_shape(
        [face.landmarks for face in faces], [face.box for face in faces]
    )
    samples = dataset.FaceSamples(faces, reference, config, config.seed)
    for face in faces:  # a training run, too, decodes each image once
        samples.load(face)
    batches = iter(dataset.batches(samples, config.batch_size, 0, 2 * config.steps + 10))
    return _rate(lambda: next(batches), config)


def _training_rate(config: "BenchmarkConfig") -> float:
    """Faces per second that a training step handles, its input in memory."""
    from musica.geometry.crops import BOX_SIZE, MARGIN
    from musica.geometry.landmarks import scheme_for
    from musica.models import losses
    from musica.models.musica import MuSiCa
    from musica.training import dataset
    from musica.training.cascade_training import CascadeTraining
    from musica.training.optimizer import Adam

    patches = scheme_for(config.landmark_count).patch_indices[config.patch_count]
    training = CascadeTraining(MuSiCa(config.landmark_count, patches), "l1", losses.ERROR_WEIGHT)
    training.compile(optimizer=Adam(), jit_compile=False)
    rng = np.random.default_rng(config.seed)
    sizes = [dataset.padded_size(level, BOX_SIZE, MARGIN) for level in range(3)]
    shapes = [(config.batch_size, size, size, 3) for size in sizes]
    pyramid = tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    initial = rng.uniform(50, 180, (config.batch_size, config.landmark_count, 2))
    inputs = {"pyramid": pyramid, "initial": initial.astype(np.float32)}
    truth = initial.astype(np.float32) + 5
    return _rate(lambda: training.train_on_batch(inputs, truth), config)
