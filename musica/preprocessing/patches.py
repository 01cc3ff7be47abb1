"""Patches around points, cut with NumPy as the layer ``PatchExtractor`` does with TensorFlow."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# Far outside any image, yet safe to convert to an integer.
FAR = 1e6


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
    height, width = pixels.shape[:2]
    # NaN is far outside, too.
    starts = np.fmin(np.fmax(centres - size // 2, -FAR), FAR).astype(np.intp)
    y, x = starts[:, 0], starts[:, 1]
    if starts.min() > 0 and y.max() <= height - size and x.max() <= width - size:
        windows = sliding_window_view(pixels, (size, size), axis=(0, 1))
        return windows[y, x].transpose(0, 2, 3, 1), np.ones((1, 1, 1, 1), bool)
    offsets = np.arange(size)
    rows, columns = y[:, None] + offsets, x[:, None] + offsets
    copied = ((rows > 0) & (rows < height))[:, :, None] & ((columns > 0) & (columns < width))[
        :, None
    ]
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    return pixels[rows[:, :, None], columns[:, None]], copied[..., None]
