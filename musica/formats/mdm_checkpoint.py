"""Checkpoints of MDM, as its authors published them (``METHOD.md`` section 11)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from musica.errors import InputError
from musica.formats.checkpoint_variables import Variables, assign, check_layers, read_sizes

if TYPE_CHECKING:
    from musica.models.mdm import MDM

PATCH_SIZE = 30
ITERATIONS = 4
FILTERS = 32
CONVOLUTIONS = ["convnet/conv_1", "convnet/conv_2"]
RECURRENT, HEAD = "rnn/FC", "rnn/pred"


def is_mdm(variables: Variables) -> bool:
    """Whether the variables have the names of MDM's."""
    return any(name.startswith(("convnet/", "rnn/")) for name in variables)


def build_mdm(
    variables: Variables,
    patch_indices: Sequence[int] | None = None,
    levels: Sequence[int] | None = None,
    patch_size: int = PATCH_SIZE,
    reference_shape: Any = None,
) -> "MDM":
    """Builds an MDM and gives it the checkpoint's weights.

    Args:
        variables: as ``checkpoint_variables.read_checkpoint`` returns them.
        patch_indices: landmarks around which patches are cut; None: all.
        levels: a 0 for each iteration, all of which share their weights; None: four.
        patch_size: side of a patch in pixels.
        reference_shape: (N, 2) mean face, (y, x) crop pixels, or None.

    Raises:
        InputError: a variable is missing or has the wrong shape, or another argument does not fit.
    """
    from musica.models.mdm import MDM

    check_layers(variables, [*CONVOLUTIONS, RECURRENT, HEAD])
    sizes = read_sizes(variables, CONVOLUTIONS[0], RECURRENT, HEAD, patch_size, estimates=0)
    if sizes.filters != FILTERS:
        raise InputError(f"MDM's convolutions have {FILTERS} filters, not {sizes.filters}")
    wanted = sizes.landmark_count if patch_indices is None else len(patch_indices)
    if wanted != sizes.patch_count:
        raise InputError(
            f"the checkpoint has {sizes.patch_count} patches of {patch_size} pixels, not {wanted}; "
            "give --patch_indices or --patch_size"
        )
    if levels is not None and any(levels):
        raise InputError(f"MDM has level 0 alone, not {list(levels)}")
    model = MDM(
        sizes.landmark_count,
        patch_indices,
        iterations=ITERATIONS if levels is None else len(levels),
        patch_size=patch_size,
        hidden_size=sizes.hidden_size,
        reference_shape=reference_shape,
        preprocessing="mdm",
    )
    for layer, name in zip(model.step.encoder.convolutions, CONVOLUTIONS, strict=True):
        assign(layer, name, variables)
    assign(model.step.recurrent, RECURRENT, variables)
    assign(model.step.head, HEAD, variables)
    return model
