"""The state between iterations, and the coordinate arithmetic (``METHOD.md`` section 4).

Written once, for NumPy arrays and for tensors alike. B faces, N landmarks, hidden size H.
"""

from typing import Any, NamedTuple


class IterationState(NamedTuple):
    """The state that an iteration hands to the next one.

    Attributes:
        displacement: (B, N, 2) float32 from the initial landmarks, in pixels of its level.
        hidden: (B, H) float32.
    """

    displacement: Any
    hidden: Any


class IterationResult(NamedTuple):
    """The results of an iteration.

    Attributes:
        state: for the next iteration.
        landmarks: (B, N, 2) float32, (y, x) level-0 pixels.
        errors: (B,) float32 estimated errors.
        gains: (B,) float32 predicted gains (``musica.quitting.gain``); None without such a unit.
    """

    state: IterationState
    landmarks: Any
    errors: Any
    gains: Any = None


def displacement_at(state: IterationState, levels: tuple[int, ...], k: int) -> Any:
    """The displacement before iteration k in pixels of its level: (B, N, 2)."""
    previous = levels[k - 1] if k else levels[k]
    return state.displacement * 2.0 ** (previous - levels[k])


def points_at(initial: Any, displacement: Any, level: int) -> Any:
    """The current landmarks in pixels of a level: (B, N, 2); ``initial`` in level-0 pixels."""
    return initial / 2.0**level + displacement


def landmarks_from(initial: Any, displacement: Any, level: int) -> Any:
    """The current landmarks in level-0 pixels: (B, N, 2); the displacement in pixels of a level."""
    return initial + displacement * 2.0**level
