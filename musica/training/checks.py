"""Checks of a training configuration that its types cannot make."""

import sys
from pathlib import Path

import keras

from musica.cli.config import require
from musica.errors import InputError
from musica.models import losses
from musica.training import strategy
from musica.training.configuration import TrainConfig
from musica.training.face_crops import PREPROCESSING

AT_LEAST = {
    "batch_size": 1,
    "max_steps": 1,
    "num_epochs": 1,
    "checkpoint_steps": 1,
    "hidden_size": 1,
    "keep_checkpoints": 0,
    "workers": 0,
    "cache_gigabytes": 0,
    "learning_rate_warmup_steps": 0,
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
    for key, smallest in AT_LEAST.items():
        value = getattr(config, key)
        if value is not None and value < smallest:
            raise InputError(f"{key} must be at least {smallest}")
    if config.preprocessing == "mdm" and config.model != "mdm":
        raise InputError("preprocessing mdm belongs to model mdm")
    if config.recurrent_bits is not None:
        if not 2 <= config.recurrent_bits <= 8:
            raise InputError(f"recurrent_bits must be 2 to 8, not {config.recurrent_bits}")
        if config.model == "mdm":
            raise InputError("recurrent_bits belongs to model musica")
    if config.echo < 1 or config.batch_size % config.echo:
        raise InputError(f"echo must divide batch_size {config.batch_size}, not {config.echo}")
    if config.echo > 1 and config.strategy != "none":
        raise InputError("echo needs strategy none")
    if config.learning_rate_warmup_steps >= config.max_steps:
        raise InputError("learning_rate_warmup_steps must be less than max_steps")
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


def _check_weights(key: str, weights: list[float], count: int) -> None:
    """Checks weights that may be left out."""
    if weights and (len(weights) != count or min(weights) < 0 or max(weights) == 0):
        raise InputError(f"{key} must be {count} numbers from 0 on, not all 0, not {weights}")
