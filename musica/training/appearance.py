"""Random changes of an augmented face's pixels, seeded (``METHOD.md`` section 7).

Release functions: ``add_color_jetting``, ``add_occlusion``. Images are (H, W, 3) uint8.
"""

import numpy as np
from PIL import Image

from musica.geometry.crops import transform_points

# The lowest resolution at which a face is shown, as a share of that of its crop.
LOWEST_RESOLUTION = 0.25
# How often brighter one side of a face may be lit than the other, and the largest gamma.
BRIGHTER_SIDE = 3.0
LARGEST_GAMMA = 2.0


def coarsen(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shows (H, W, 3) uint8 as if it had been taken with fewer pixels, the same shape."""
    picture = Image.fromarray(image)
    share = rng.uniform(LOWEST_RESOLUTION, 1)
    small = picture.resize(
        [max(1, round(side * share)) for side in picture.size], Image.Resampling.BILINEAR
    )
    return np.asarray(small.resize(picture.size, Image.Resampling.BILINEAR))


def relight(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shows (H, W, 3) uint8 with another gamma and lit from one side."""
    gamma = LARGEST_GAMMA ** rng.uniform(-1, 1)
    direction, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, np.log(BRIGHTER_SIDE))
    y, x = (np.linspace(-0.5, 0.5, side) for side in image.shape[:2])
    log_light = np.add.outer(np.sin(direction) * y, np.cos(direction) * x) * strength
    table = 255 * (np.arange(256) / 255) ** gamma
    lit = table.astype(np.float32)[image] * np.exp(log_light)[..., None]
    return np.rint(lit.clip(0, 255)).astype(np.uint8)


def clip_colours(image: np.ndarray, rng: np.random.Generator, most: float = 0.4) -> np.ndarray:
    """Clips each channel's ends: below U(0, most) to 0, above U(1 - most, 1) to 1.

    Then (v - min) / max per channel, v in [0, 1]; here by a table of the 256 values.
    """
    values = np.arange(256) / 255
    tables = []
    for extrema in Image.fromarray(image).getextrema():
        low, high = rng.uniform(0, most), rng.uniform(1 - most, 1)
        clipped = np.where(values < low, 0, np.where(values > high, 1, values))
        smallest, largest = clipped[np.array(extrema)]
        # PORT: a channel that is all zero stays so; the release divides by zero.
        table = 255 * (clipped - smallest) / (largest or 1)
        tables.extend(np.rint(table.clip(0, 255)).astype(int).tolist())
    return np.asarray(Image.fromarray(image).point(tables))


def occlude(
    image: np.ndarray, canvas: np.ndarray, to_window: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Covers a random rectangle of the canvas with uniform noise.

    Args:
        image: (H, W, 3) uint8, the window of the canvas that was rendered.
        canvas: (2,) rows and columns of the canvas.
        to_window: (3, 3) from canvas to window pixels.
        rng: where the rectangle and the noise come from.

    Returns:
        (H, W, 3) uint8, a copy.
    """
    sides = rng.uniform(1, np.maximum(canvas / 2, 1))
    centre = rng.uniform(0, canvas)
    corners = np.stack([centre - sides / 2, centre + sides / 2])
    corners = np.rint(transform_points(to_window, corners)).astype(int)
    (top, left), (bottom, right) = np.maximum(corners, 0)
    image = image.copy()
    covered = image[top:bottom, left:right]
    covered[:] = rng.integers(0, 256, covered.shape, dtype=np.uint8)
    return image
