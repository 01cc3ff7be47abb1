"""The configuration of a training run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from musica.cli import command, release_keys
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option
from musica.geometry.crops import BOX_SIZE, MARGIN
from musica.training.augment import AugmentConfig


@dataclass(frozen=True)
class TrainConfig(AugmentConfig, AnnotatedFolders):
    """Everything a training run depends on; the defaults are the release's (WFLW, 98 points)."""

    IGNORED_KEYS: ClassVar[Mapping[str, str]] = release_keys.TRAIN

    train_dir: str = option("", "folder of the run: checkpoints, history, model.keras", path=True)
    train_filenames: list[str] = option([], "lists of training images", path=True)
    held_out_share: float = option(0.0, "share of the training faces left out, for calibration")
    eval_filenames: list[str] = option([], "lists of validation images", path=True)
    reference_shape_path: str = option("", "reference shape (default: computed)", path=True)
    pretrained_model_checkpoint_path: str = option("", "model.keras to start from", path=True)
    tensorboard_dir: str = option("", "folder for TensorBoard (default: none)", path=True)

    model: str = option("musica", "musica or mdm")
    landmark_count: int = option(98, "number of landmarks")
    patch_indices: list[int] | None = option(None, "patch points (default: the scheme's)")
    patch_count: int | None = option(None, "picks the scheme's patch points by their number")
    levels: list[int] = option([2, 1, 0], "pyramid level of each iteration")
    patch_size: int = option(14, "side of a patch in pixels")
    hidden_size: int = option(512, "size of the hidden state")
    use_attention: bool = option(True, "local patch attention")
    patch_dropout: float = option(0.0, "share of the patches that are not seen in training")
    initializer: str = option("release", "release, or the name of a Keras initializer")
    box_size: int = option(BOX_SIZE, "the box's longer side in crop pixels")
    margin: float = option(MARGIN, "margin of the crop, as a share of the box's sides")

    loss: str = option("l1", "l1 or normalised_rmse", any_case=True)
    error_weight: float = option(0.05, "weight of the error estimate's loss")
    optimizer: str = option("adam", "adam is the one there is", any_case=True)
    initial_learning_rate: float = option(1e-3, "learning rate of the first step")
    learning_rate_schedule: str = option("staircase", "staircase or cosine (down to 0)")
    learning_rate_decay_factor: float = option(0.1, "staircase: factor of each stair")
    learning_rate_decay_steps: int = option(15000, "staircase: steps of each stair")
    adam_epsilon: float = option(1e-8, "Adam's epsilon")
    average_decay: float = option(0.9999, "largest decay of the averaged weights")
    precision: str = option("float32", "float32, or mixed_bfloat16: quicker where the CPU has it")
    batch_size: int = option(128, "faces per step")
    echo: int = option(1, "in how many successive steps a prepared face is used")
    max_steps: int = option(100000, "steps of the run")
    num_epochs: int | None = option(None, "at most so many passes over the training faces")
    checkpoint_steps: int = option(300, "steps between checkpoints and validations")
    keep_checkpoints: int = option(0, "checkpoints that are kept; 0 keeps all")
    seed: int = option(0, "decides weights, order and augmentation")
    strategy: str = option(
        "none", "none, mirrored (all GPUs here) or multi_worker (machines that TF_CONFIG names)"
    )


def train(config: TrainConfig) -> None:
    """Trains as configured; TensorFlow is imported here, not before."""
    command.import_tensorflow()
    from musica.training.trainer import train_and_evaluate

    train_and_evaluate(config)
