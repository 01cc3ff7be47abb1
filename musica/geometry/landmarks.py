"""Landmark schemes as data: 68 points (iBUG) and 98 points (WFLW).

Source: ``METHOD.md`` section 12 for parts, eye corners and eye points, sections 4 and 7 for patch
points and the mirror order. Indices count from 0. "Left" and "right" are the person's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musica.errors import InputError


@dataclass(frozen=True)
class Contour:
    """A line through consecutive landmarks."""

    points: tuple[int, ...]
    closed: bool = False


@dataclass(frozen=True)
class Scheme:
    """The meaning of each landmark's number.

    Attributes:
        name: the scheme's name, ``"68"`` or ``"98"``.
        count: number of landmarks N.
        parts: facial part -> its landmark indices; together they cover every landmark once.
        contours: the lines of a drawn face.
        eye_corners: the two outer eye corners (inter-ocular normaliser).
        eyes: the points of each eye; their means are the pupils (inter-pupil normaliser).
        mirror: ``mirror[i]`` is the landmark that takes place ``i`` in the mirrored face.
        patch_indices: default patch points for every supported patch count M.
        default_patch_count: M unless another one is given.
    """

    name: str
    count: int
    parts: dict[str, tuple[int, ...]]
    contours: tuple[Contour, ...]
    eye_corners: tuple[int, int]
    eyes: tuple[tuple[int, ...], tuple[int, ...]]
    mirror: tuple[int, ...]
    patch_indices: dict[int, tuple[int, ...]]
    default_patch_count: int


def _span(first: int, last: int) -> tuple[int, ...]:
    """Indices from first to last, both included, in either direction."""
    step = 1 if last >= first else -1
    return tuple(range(first, last + step, step))


IBUG_68 = Scheme(
    name="68",
    count=68,
    parts={
        "jaw": _span(0, 16),
        "brows": _span(17, 26),
        "nose": _span(27, 35),
        "eyes": _span(36, 47),
        "outer mouth": _span(48, 59),
        "inner mouth": _span(60, 67),
    },
    contours=(
        Contour(_span(0, 16)),
        Contour(_span(17, 21)),
        Contour(_span(22, 26)),
        Contour(_span(27, 30)),
        Contour(_span(31, 35)),
        Contour(_span(36, 41), closed=True),
        Contour(_span(42, 47), closed=True),
        Contour(_span(48, 59), closed=True),
        Contour(_span(60, 67), closed=True),
    ),
    eye_corners=(36, 45),
    eyes=(_span(36, 41), _span(42, 47)),
    mirror=(
        *_span(16, 0),
        *_span(26, 17),
        *_span(27, 30),
        *_span(35, 31),
        *(45, 44, 43, 42, 47, 46),
        *(39, 38, 37, 36, 41, 40),
        *_span(54, 48),
        *_span(59, 55),
        *_span(64, 60),
        *(67, 66, 65),
    ),
    patch_indices={
        68: _span(0, 67),
        34: tuple(range(0, 68, 2)),
        19: (0, 4, 8, 12, 16, 17, 21, 22, 26, 36, 39, 42, 45, 31, 34, 48, 51, 54, 57),
        17: tuple(range(0, 68, 4)),
    },
    default_patch_count=34,
)

WFLW_98 = Scheme(
    name="98",
    count=98,
    parts={
        "jaw": _span(0, 32),
        "brows": _span(33, 50),
        "nose": _span(51, 59),
        "eyes": _span(60, 75),
        "outer mouth": _span(76, 87),
        "inner mouth": _span(88, 95),
        "pupils": (96, 97),
    },
    contours=(
        Contour(_span(0, 32)),
        Contour(_span(33, 41), closed=True),
        Contour(_span(42, 50), closed=True),
        Contour(_span(51, 54)),
        Contour(_span(55, 59)),
        Contour(_span(60, 67), closed=True),
        Contour(_span(68, 75), closed=True),
        Contour(_span(76, 87), closed=True),
        Contour(_span(88, 95), closed=True),
    ),
    eye_corners=(60, 72),
    eyes=(_span(60, 67), _span(68, 75)),
    mirror=(
        *_span(32, 0),
        *_span(46, 42),
        *_span(50, 47),
        *_span(37, 33),
        *_span(41, 38),
        *_span(51, 54),
        *_span(59, 55),
        *(72, 71, 70, 69, 68, 75, 74, 73),
        *(64, 63, 62, 61, 60, 67, 66, 65),
        *_span(82, 76),
        *_span(87, 83),
        *_span(92, 88),
        *_span(95, 93),
        *(97, 96),
    ),
    patch_indices={98: _span(0, 97), 49: tuple(range(0, 98, 2))},
    default_patch_count=49,
)

SCHEMES = {scheme.count: scheme for scheme in (IBUG_68, WFLW_98)}


def scheme_for(count: int) -> Scheme:
    """Returns the scheme with ``count`` landmarks.

    Raises:
        InputError: ``count`` is not the number of any scheme.
    """
    if count not in SCHEMES:
        known = ", ".join(str(known) for known in SCHEMES)
        raise InputError(f"no landmark scheme has {count} points (known: {known})")
    return SCHEMES[count]


def mirrored(points: np.ndarray, order: Sequence[int], columns: int) -> np.ndarray:
    """Mirrors the landmarks of a face with its image, and re-orders them.

    PORT: x' = W - 1 - x, with the pixels; the release and MDM use W - x, one pixel off.

    Args:
        points: (N, 2) (y, x) pixels.
        order: the scheme's mirror permutation.
        columns: W of the image.
    """
    y, x = points[list(order)].T
    return np.stack([y, columns - 1 - x], axis=1)
