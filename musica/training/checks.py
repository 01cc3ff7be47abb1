"""Checks of a training configuration that its types cannot make."""

import sys
from dataclasses import fields
from math import inf
from pathlib import Path

import keras

from musica.cli.config import require
from musica.errors import InputError
from musica.models import losses
from musica.training import strategy
from musica.training.augment import AugmentConfig
from musica.training.configuration import TrainConfig
from musica.training.face_crops import PREPROCESSING

# The smallest and the largest value of keys.
RANGES = {
    "batch_size": (1, inf),
    "max_steps": (1, inf),
    "num_epochs": (1, inf),
    "checkpoint_steps": (1, inf),
    "hidden_size": (1, inf),
    "keep_checkpoints": (0, inf),
    "workers": (0, inf),
    "cache_gigabytes": (0, inf),
    "learning_rate_warmup_steps": (0, inf),
    "learning_rate_decay_steps": (1, inf),
    "learning_rate_decay_factor": (0, inf),
    "initial_learning_rate": (0, inf),
    "adam_epsilon": (0, inf),
    "error_weight": (0, inf),
    "average_decay": (0, 1),
    "patch_dropout": (0, 1),
    "held_out_share": (0, 1),
    "seed": (0, 2**32 - 1),
}


def check(config: TrainConfig) -> None:
    """Checks a configuration before any work is done.

    Raises:
        InputError: a value cannot be used.
    """
    require(config, "train_dir", "image_dir", "train_filenames")
    choices = {
        "model": ("musica", "mdm"),
        "preprocessing": (*PREPROCESSING, "mdm"),
        "loss": tuple(losses.LOSSES),
        "learning_rate_schedule": ("staircase", "cosine"),
        "strategy": strategy.STRATEGIES,
        "precision": ("float32", "mixed_bfloat16"),
    }
    for key, allowed in choices.items():
        if getattr(config, key) not in allowed:
            raise InputError(f"{key} must be {' or '.join(allowed)}, not {getattr(config, key)!r}")
    for key, (smallest, largest) in RANGES.items():
        value = getattr(config, key)
        if value is not None and not smallest <= value <= largest:
            limits = f"at least {smallest}" if largest == inf else f"{smallest} to {largest}"
            raise InputError(f"{key} must be {limits}, not {value}")
    if config.preprocessing == "mdm":
        if config.model != "mdm":
            raise InputError("preprocessing mdm belongs to model mdm")
        _tell_of_augmentation(config)
    if config.recurrent_bits is not None:
        if not 2 <= config.recurrent_bits <= 8:
            raise InputError(f"recurrent_bits must be 2 to 8, not {config.recurrent_bits}")
        if config.model == "mdm":
            raise InputError("recurrent_bits belongs to model musica")
    if config.echo < 1 or config.batch_size % config.echo:
        raise InputError(f"echo must divide batch_size {config.batch_size}, not {config.echo}")
    if config.echo > 1 and config.strategy != "none":
        raise InputError("echo needs strategy none")
    _check_weights("train_weights", config.train_weights, len(config.train_filenames))
    iterations = 4 if config.model == "mdm" else len(config.levels)
    _check_weights("iteration_weights", config.iteration_weights, iterations)
    if config.initializer != "release":
        try:
            keras.initializers.get(config.initializer)
        except ValueError as error:
            raise InputError(f"initializer: Keras has none named {config.initializer!r}") from error


def tell_of_release(folder: Path) -> None:
    """Says on stderr that a run's folder holds a checkpoint of the release, which is left alone."""
    names = sorted({path.name.split(".meta")[0] for path in folder.glob("model.ckpt-*[0-9].meta")})
    names = names or sorted(path.name for path in folder.glob("model.ckpt-*[0-9]"))
    if names:
        print(
            f"{folder} holds the release's {names[-1]}, from which this training does not go on: "
            "convert it with musica-convert_checkpoint, and name the result as "
            "pretrained_model_checkpoint_path",
            file=sys.stderr,
        )


def _tell_of_augmentation(config: TrainConfig) -> None:
    """Says on stderr which keys MDM's own augmentation does not use."""
    own = [field for field in fields(AugmentConfig) if field.name != "mirror_probability"]
    given = [field.name for field in own if getattr(config, field.name) != field.default]
    if given:
        print(f"preprocessing mdm does not use {', '.join(given)}", file=sys.stderr)


def _check_weights(key: str, weights: list[float], count: int) -> None:
    """Checks weights that may be left out."""
    if weights and (len(weights) != count or min(weights) < 0 or max(weights) == 0):
        raise InputError(f"{key} must be {count} numbers from 0 on, not all 0, not {weights}")
