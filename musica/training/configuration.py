"""The configuration of a training run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from musica.cli import release_keys
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option
from musica.geometry.crops import BOX_SIZE, MARGIN
from musica.training.augment import AugmentConfig
from musica.training.dataset import CACHE_GIGABYTES


@dataclass(frozen=True)
class TrainConfig(AugmentConfig, AnnotatedFolders):
    """Everything a training run depends on; the defaults are the release's (WFLW, 98 points)."""

    IGNORED_KEYS: ClassVar[Mapping[str, str]] = release_keys.TRAIN

    train_dir: str = option("", "folder of the run: checkpoints, history, model.keras", path=True)
    train_filenames: list[str] = option([], "lists of training images", path=True)
    train_weights: list[float] = option(
        [], "how often each list's faces are drawn in an epoch, fractions allowed (default: once)"
    )
    held_out_share: float = option(0.0, "share of the training faces left out, for calibration")
    eval_filenames: list[str] = option([], "lists of validation images", path=True)
    reference_shape_path: str = option("", "reference shape (default: computed)", path=True)
    pretrained_model_checkpoint_path: str = option("", "model.keras to start from", path=True)
    tensorboard_dir: str = option("", "folder for TensorBoard (default: none)", path=True)

    model: str = option("musica", "musica or mdm")
    landmark_count: int = option(98, "number of landmarks")
    patch_indices: list[int] | list[list[int]] | None = option(
        None, "patch points, or a list of them for each iteration (default: the scheme's)"
    )
    patch_count: int | None = option(None, "picks the scheme's patch points by their number")
    levels: list[int] = option([2, 1, 0], "pyramid level of each iteration")
    patch_size: int = option(14, "side of a patch in pixels")
    hidden_size: int = option(512, "size of the hidden state")
    use_attention: bool = option(True, "local patch attention")
    patch_dropout: float = option(0.0, "share of the patches that are not seen in training")
    recurrent_bits: int | None = option(
        None, "bits that the recurrent weights are rounded to, 2 to 8; None: not rounded"
    )
    initializer: str = option("release", "release, or the name of a Keras initializer")
    box_size: int = option(BOX_SIZE, "the box's longer side in crop pixels")
    margin: float = option(MARGIN, "margin of the crop, as a share of the box's sides")
    preprocessing: str = option(
        "release", "release, area (antialiased squares), or mdm (MDM as published)"
    )

    loss: str = option("l1", "l1, normalised_rmse, or nme (MDM's)", any_case=True)
    error_weight: float = option(0.05, "weight of the error estimate's loss")
    iteration_weights: list[float] = option(
        [], "weights of the iterations' losses (default: 1 each)"
    )
    initial_learning_rate: float = option(
        1e-3, "learning rate of the first step, or after the warm-up"
    )
    learning_rate_schedule: str = option("staircase", "staircase or cosine (down to 0)")
    learning_rate_warmup_steps: int = option(
        0, "cosine: steps in which the rate rises from a tenth"
    )
    learning_rate_decay_factor: float = option(0.1, "staircase: factor of each stair")
    learning_rate_decay_steps: int = option(15000, "staircase: steps of each stair")
    adam_epsilon: float = option(1e-8, "Adam's epsilon")
    average_decay: float = option(0.9999, "largest decay of the averaged weights")
    precision: str = option("float32", "float32, or mixed_bfloat16: quicker where the CPU has it")
    batch_size: int = option(128, "faces per step")
    echo: int = option(1, "in how many successive steps a prepared face is used")
    workers: int | None = option(
        None, "processes that prepare faces, 0 or 1: this one does (default: one for each core)"
    )
    cache_gigabytes: float = option(CACHE_GIGABYTES, "memory for images that were read")
    max_steps: int = option(100000, "steps of the run")
    num_epochs: int | None = option(
        None, "largest number of epochs, each as many whole batches as the training faces fill"
    )
    checkpoint_steps: int = option(300, "steps between checkpoints and validations")
    keep_checkpoints: int = option(0, "checkpoints that are kept; 0 keeps all")
    seed: int = option(0, "decides weights, order and augmentation")
    strategy: str = option(
        "none", "none, mirrored (all GPUs here) or multi_worker (machines that TF_CONFIG names)"
    )
