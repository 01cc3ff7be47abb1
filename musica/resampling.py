"""Resampling of one axis: which pixels an output pixel reads, with which weights.

Copying, shifting, resizing, blurring and subsampling (``method.md`` section 1, steps 2-4 and 7) are
linear and act on one axis at a time.
"""

from functools import lru_cache

import numpy as np

# One grey level in one pixel of a crop makes ten times this; rounding makes less.
CONSTANT_DEVIATION = 1e-6
PYRAMID_SIGMA = 2 / 3  # menpo's gaussian_pyramid with downscale 2
PYRAMID_TRUNCATE = 4.0  # scipy's default: the kernel ends after so many deviations


def linear_taps(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two pixels around fractional positions and their weights: (..., 2) each."""
    lower = np.floor(positions).astype(np.int32)  # the index type of a sparse matrix
    weight = positions - lower
    return np.stack([lower, lower + 1], axis=-1), np.stack([1 - weight, weight], axis=-1)


def resize_taps(length: int, scale: float, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear resize of an axis: half-pixel centres, clamped edges, no antialiasing.

    Args:
        length: of the axis.
        scale: output pixels per pixel.
        outputs: (n,) the output pixels wanted.

    Returns:
        (n, 2) pixels and (n, 2) weights.
    """
    taps, weights = linear_taps((outputs + 0.5) / scale - 0.5)
    return taps.clip(0, length - 1), weights


def crop_taps(
    start: int, length: int, shift: float, scale: float, outputs: np.ndarray, image_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """What pixels of an upright crop read along one axis of the image (steps 2-4).

    Args:
        start: where the crop's region begins in the image.
        length: of the region.
        shift: by which the turn, even by nothing, moves the region's pixels.
        scale: crop pixels per region pixel.
        outputs: (n,) the crop pixels wanted.
        image_length: of the axis of the image.

    Returns:
        (n, 4) image pixels and (n, 4) weights, 0 where the region or the image ends.
    """
    taps, weights = resize_taps(length, scale, outputs)
    shifted, shift_weights = linear_taps(taps - shift)  # (n, 2, 2)
    weights = weights[..., None] * shift_weights
    column = shifted + start
    inside = (shifted >= 0) & (shifted < length) & (column >= 0) & (column < image_length)
    weights = np.where(inside, weights, 0)
    column = column.clip(0, image_length - 1)
    return column.reshape(len(outputs), -1), weights.reshape(len(outputs), -1)


@lru_cache(maxsize=1024)
def level_matrix(length: int, levels: int = 1) -> np.ndarray:
    """Dense matrix from an axis of a pyramid level to one that is so many levels coarser (step 7).

    Returns:
        (n, length) float64, read-only: it is shared.
    """
    if levels == 0:
        matrix = np.eye(length)
    else:
        finer = level_matrix(length, levels - 1)
        matrix = _next_level(len(finer)) @ finer
    matrix.flags.writeable = False
    return matrix


def _next_level(length: int) -> np.ndarray:
    """Dense matrix from an axis of a level to the same axis of the next one."""
    radius = int(PYRAMID_TRUNCATE * PYRAMID_SIGMA + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / PYRAMID_SIGMA) ** 2)
    # Reflected edges: rows of the identity beyond its ends are those before them again.
    reflected = np.pad(np.eye(length), ((radius, radius), (0, 0)), mode="symmetric")
    blurred = sum(
        weight * reflected[start : start + length]
        for start, weight in enumerate(kernel / kernel.sum())
    )
    half = length / 2
    taps, weights = linear_taps(np.arange(np.ceil(half)) * (length - 1) / (half - 1))
    return (blurred[taps.clip(0, length - 1)] * weights[..., None]).sum(axis=1)
