"""What ``musica.benchmark`` measures."""

from dataclasses import dataclass

from musica.benchmarks.peers import PEERS
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option
from musica.training.augment import AugmentConfig

# The ways to run a model, by their names on the command line.
WAYS = {
    "litert": "LiteRT",
    "tensorflow": "TensorFlow",
    "xla": "TensorFlow, XLA",
    "eager": "TensorFlow, eager",
}


@dataclass(frozen=True)
class BenchmarkConfig(AugmentConfig, AnnotatedFolders):
    """Keys of the command."""

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
