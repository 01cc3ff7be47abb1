"""Makes the model that a training starts from out of an earlier one.

    python experiments/shipped/start.py --train_config=experiments/shipped/train68.json \
        --model=musica68.keras

The new model has the configuration's landmarks, levels and patch points. Its iterations take the
encoder, the attention, the hidden state and the stop predictor of the earlier model's iterations on
the same levels. Patches that the earlier model has not start with small random weights. A model of
98 points takes over a model of 68: landmarks of the same place or, where there is none, the mean of
those beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musica.cli import command, config
from musica.cli.config import option, require
from musica.errors import InputError
from musica.files import writing
from musica.training.configuration import TrainConfig

# Deviation of the weights of new patches.
SMALL = 0.01
# The landmarks of the 68 points that lie at, or around, each of the 98.
TWINS_98: dict[int, tuple[int, ...]] = {
    **{2 * i: (i,) for i in range(17)},  # the jaw, and its points in between
    **{2 * i + 1: (i, i + 1) for i in range(16)},
    **{33 + i: (17 + i,) for i in range(5)},  # the brows' upper edges, then the lower ones
    **{42 + i: (22 + i,) for i in range(5)},
    **{38 + i: (21 - i,) for i in range(4)},
    **{47 + i: (25 - i,) for i in range(4)},
    **{51 + i: (27 + i,) for i in range(9)},  # the nose
    **dict(zip((60, 61, 63, 64, 65, 67), ((i,) for i in range(36, 42)), strict=True)),
    **dict(zip((68, 69, 71, 72, 73, 75), ((i,) for i in range(42, 48)), strict=True)),
    **{62: (37, 38), 66: (40, 41), 70: (43, 44), 74: (46, 47)},  # the lids' middles
    **{76 + i: (48 + i,) for i in range(20)},  # the mouth
    **{96: tuple(range(36, 42)), 97: tuple(range(42, 48))},  # the pupils
}


@dataclass(frozen=True)
class StartConfig:
    """Keys of the script."""

    train_config: str = option("", "the training's JSON; names the file to write", path=True)
    model: str = option("", "the earlier model (.keras)", path=True)
    seed: int = option(0, "decides the weights of new patches")


def start(settings: StartConfig) -> None:
    """Makes the model and writes it where the training expects it."""
    require(settings, "train_config", "model")
    training = config.load(TrainConfig, settings.train_config)
    require(training, "pretrained_model_checkpoint_path")
    command.import_tensorflow()
    from musica.models.loading import load_keras_model
    from musica.models.musica import MuSiCa
    from musica.training.building import patch_indices

    old = load_keras_model(settings.model)
    if not isinstance(old, MuSiCa):
        raise InputError(f"{settings.model}: not a MuSiCa model")
    twins = twins_of(training.landmark_count, old.settings.landmark_count)
    same_scheme = training.landmark_count == old.settings.landmark_count
    new = MuSiCa(
        training.landmark_count,
        patch_indices(training),
        levels=training.levels,
        preprocessing=training.preprocessing,
        # That of other landmarks is computed from the training's faces.
        reference_shape=old.settings.reference_shape if same_scheme else None,
        box_size=training.box_size,
        margin=training.margin,
    )
    rng = np.random.default_rng(settings.seed)
    sources = source_iterations(new.settings.levels, old.settings.levels)
    old_patches, new_patches = old.settings.patch_indices, new.settings.patch_indices
    for k, source in enumerate(sources):
        give(old.steps[source], new.steps[k], old_patches[source], new_patches[k], twins, rng)
    path = Path(training.pretrained_model_checkpoint_path)
    with writing.replacing(path) as temporary:
        new.save(temporary)
    total = new.multiply_adds[-1] / 1e6
    print(f"wrote {path}: iterations from {sources}, {total:.1f} M multiply-adds")


def twins_of(count: int, old_count: int) -> dict[int, tuple[int, ...]]:
    """The earlier model's landmarks at or around each landmark of the new one.

    Raises:
        InputError: the two schemes are neither the same nor 98 from 68 points.
    """
    if count == old_count:
        return {i: (i,) for i in range(count)}
    if (count, old_count) != (98, 68):
        raise InputError(f"a model of {count} points cannot start from one of {old_count}")
    return TWINS_98


def source_iterations(levels: Sequence[int], old_levels: Sequence[int]) -> list[int]:
    """For each new iteration the next earlier one on its level, or the last where none is left.

    Raises:
        InputError: the earlier model has no iteration on some level.
    """
    left = {level: [k for k, old in enumerate(old_levels) if old == level] for level in levels}
    if not all(left.values()):
        raise InputError(f"the earlier model looks at levels {list(old_levels)} only")
    return [left[level].pop(0) if len(left[level]) > 1 else left[level][0] for level in levels]


def give(
    old,
    new,
    old_patches: Sequence[int],
    new_patches: Sequence[int],
    twins: dict[int, tuple[int, ...]],
    rng: np.random.Generator,
) -> None:
    """Gives the weights of an iteration to another one.

    Args:
        old: a ``layers.CascadeStep``.
        new: a ``layers.CascadeStep`` with encoder and hidden state of the same size.
        old_patches: the landmarks of the old patches.
        new_patches: the landmarks of the new patches.
        twins: from ``twins_of``.
        rng: where the weights of new patches come from.
    """
    from musica.training import building

    for part in ("encoder", "attention", "stop_predictor"):
        getattr(new, part).set_weights(building.weights_without_gain(getattr(old, part)))
    kernel, bias = old.recurrent.get_weights()
    size = old.encoder.feature_size
    blocks = []
    for patch in new_patches:
        twin, *others = twins[patch]
        if twin in old_patches and not others:
            first = old_patches.index(twin) * size
            blocks.append(kernel[first : first + size])
        else:
            blocks.append(rng.normal(0, SMALL, (size, kernel.shape[1])))
    new.recurrent.set_weights([np.concatenate([*blocks, kernel[len(old_patches) * size :]]), bias])
    kernel, bias = (
        array.reshape(*array.shape[:-1], old.landmark_count, 2) for array in old.head.get_weights()
    )
    heads = [
        np.stack([array[..., list(twins[i]), :].mean(axis=-2) for i in sorted(twins)], axis=-2)
        for array in (kernel, bias)
    ]
    new.head.set_weights([array.reshape(*array.shape[:-2], -1) for array in heads])


if __name__ == "__main__":
    command.run(StartConfig, start, __doc__)
