"""Patches around points, cut with NumPy as the layer ``PatchExtractor`` does with TensorFlow."""

from functools import lru_cache

import numpy as np

# Far outside any image, yet safe to convert to an integer.
FAR = 1e6
# Every pixel of every patch is copied.
INSIDE = np.ones((1, 1, 1, 1), bool)


def cut_patches(
    pixels: np.ndarray, centres: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts square patches out of an image, without interpolation.

    A patch starts at ``int(c - size // 2)`` on each axis, truncated toward zero. Row 0 and column 0
    are never copied (``METHOD.md`` section 2).

    Args:
        pixels: (H, W, C).
        centres: (M, 2) float, (y, x) pixels.
        size: side p of a patch.

    Returns:
        (M, p, p, C) of the image's dtype, and (M, p, p, 1) bool, or all of them True as (1, 1, 1,
        1): where it was copied.
    """
    height, width, channels = pixels.shape
    corners = centres - size // 2
    # The usual case. The ufuncs themselves take half the time of ``min`` and ``max``.
    lowest = np.minimum.reduce(corners, axis=None)
    if lowest >= 1 and np.maximum.reduce(corners, axis=None) < min(height, width) - size + 1:
        pixels = np.ascontiguousarray(pixels)
        # A view of the windows at all places. A window's row is one item, which is copied at once.
        row = _bytes(size * channels * pixels.itemsize)
        shape = (height - size + 1, width - size + 1, size)
        strides = (*pixels.strides[:2], pixels.strides[0])
        y, x = corners.astype(np.intp).T
        windows = np.ndarray(shape, row, pixels, strides=strides)[y, x]
        return windows.view(pixels.dtype).reshape(-1, size, size, channels), INSIDE
    # NaN is far outside, too.
    y, x = np.fmin(np.fmax(corners, -FAR), FAR).astype(np.intp).T
    offsets = np.arange(size)
    rows, columns = y[:, None] + offsets, x[:, None] + offsets
    copied = ((rows > 0) & (rows < height))[:, :, None] & ((columns > 0) & (columns < width))[
        :, None
    ]
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    return pixels[rows[:, :, None], columns[:, None]], copied[..., None]


@lru_cache
def _bytes(count: int) -> np.dtype:
    """The type of an item of so many bytes; NumPy takes microseconds to make one."""
    return np.dtype((np.void, count))
