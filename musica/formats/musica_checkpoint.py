"""Checkpoints of MuSiCa's 2021 release (``METHOD.md`` section 10).

The architecture follows from the variables' names and shapes. The patch points do not: they are
given, or those of the landmark scheme.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from musica.errors import InputError
from musica.formats.checkpoint_variables import (
    Sizes,
    Variables,
    assign,
    check_layers,
    read_sizes,
)
from musica.geometry.landmarks import SCHEMES

if TYPE_CHECKING:
    from musica.models.musica import MuSiCa

PATCH_SIZE = 14
# Pyramid levels by the number of iterations.
LEVELS = {2: [1, 0], 3: [2, 1, 0], 4: [2, 2, 1, 0]}


@dataclass(frozen=True)
class Architecture:
    """The sizes of a model, and how its variables are numbered."""

    sizes: Sizes
    iterations: int
    use_attention: bool


def build_musica(
    variables: Variables,
    patch_indices: Sequence[int] | None = None,
    levels: Sequence[int] | None = None,
    patch_size: int = PATCH_SIZE,
    reference_shape: Any = None,
) -> "MuSiCa":
    """Builds a MuSiCa model and gives it the checkpoint's weights.

    Args:
        variables: as ``checkpoint_variables.read_checkpoint`` returns them.
        patch_indices: landmarks around which patches are cut; None: the scheme's for N and M.
        levels: pyramid level of each iteration; None: the release's for so many iterations.
        patch_size: side of a patch in pixels.
        reference_shape: (N, 2) mean face, (y, x) crop pixels, or None.

    Raises:
        InputError: a variable is missing or has the wrong shape, or another argument does not fit.
    """
    from musica.models.musica import MuSiCa

    found = read_architecture(variables, patch_size)
    model = MuSiCa(
        found.sizes.landmark_count,
        _patch_indices(found.sizes, patch_indices),
        _levels(found.iterations, levels),
        patch_size,
        found.sizes.filters,
        found.sizes.hidden_size,
        found.use_attention,
        reference_shape=reference_shape,
    )
    for k, step in enumerate(model.steps):
        _assign_step(step, k, variables)
    return model


def read_architecture(variables: Variables, patch_size: int = PATCH_SIZE) -> Architecture:
    """Reads the architecture off the variables' names and shapes.

    Raises:
        InputError: a variable is missing, or the shapes are not those of the release's model.
    """
    iterations = math.ceil(_layer_count(variables, "Conv") / 2)
    dense_count = _layer_count(variables, "FC")
    dense_per_iteration = math.ceil(dense_count / iterations) if iterations else 0
    if dense_per_iteration not in (2, 3):
        raise InputError(
            f"{2 * iterations} convolutions go with {2 * iterations} or {3 * iterations} dense "
            f"layers, not with {dense_count}"
        )
    convolutions = [_name("Conv", index) for index in range(2 * iterations)]
    dense = [_name("FC", index) for index in range(dense_per_iteration * iterations)]
    check_layers(variables, convolutions + dense)
    recurrent, head = dense[dense_per_iteration - 2 : dense_per_iteration]
    sizes = read_sizes(variables, convolutions[0], recurrent, head, patch_size, estimates=1)
    return Architecture(sizes, iterations, use_attention=dense_per_iteration == 3)


def _patch_indices(sizes: Sizes, given: Sequence[int] | None) -> Sequence[int]:
    """Returns the given patch points, or the scheme's default for N and M.

    Raises:
        InputError: the points do not fit the checkpoint, or the scheme has no default.
    """
    count, patches = sizes.landmark_count, sizes.patch_count
    if given is None:
        defaults = SCHEMES[count].patch_indices if count in SCHEMES else {}
        if patches not in defaults:
            raise InputError(
                f"no default patch points for {count} landmarks and {patches} patches; "
                "give --patch_indices"
            )
        return defaults[patches]
    if len(given) != patches:
        raise InputError(f"{len(given)} patch_indices given, the checkpoint has {patches} patches")
    return given


def _levels(iterations: int, given: Sequence[int] | None) -> Sequence[int]:
    """Returns the given pyramid levels, or the release's for so many iterations.

    Raises:
        InputError: the levels do not fit the checkpoint, or the release has none.
    """
    levels = LEVELS.get(iterations) if given is None else given
    if levels is None:
        raise InputError(f"no default levels for {iterations} iterations; give --levels")
    if len(levels) != iterations:
        raise InputError(f"{len(levels)} levels given, the checkpoint has {iterations} iterations")
    return levels


def _assign_step(step: Any, k: int, variables: Variables) -> None:
    """Gives iteration k its weights; variables are numbered in the order of their creation."""
    dense = [step.recurrent] if step.attention is None else [step.attention.gate, step.recurrent]
    for index, layer in enumerate(step.encoder.convolutions):
        assign(layer, _name("Conv", 2 * k + index), variables)
    first = k * (len(dense) + 1)
    for index, layer in enumerate(dense):
        assign(layer, _name("FC", first + index), variables)
    head = _name("FC", first + len(dense))
    # The head's last unit is the error estimate, which here is a layer of its own.
    assign(step.head, head, variables, slice(None, -1))
    assign(step.stop_predictor.error, head, variables, slice(-1, None))


def _name(kind: str, index: int) -> str:
    """The name TensorFlow 1 gives the layer of a kind with that index: Conv, Conv_1, ..."""
    return f"{kind}_{index}" if index else kind


def _layer_count(variables: Variables, kind: str) -> int:
    """Counts the layers of a kind that have at least one variable."""
    layers = {name.split("/")[0] for name in variables}
    return sum(layer.split("_")[0] == kind for layer in layers)
