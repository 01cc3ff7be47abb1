"""The pyramid of one face, computed fast and only where patches look (``method.md`` section 1).

The release resizes (bilinear), blurs (Gaussian) and subsamples. Seen from the image, a level is a
grid of points, each a weighted mean of what lies around it; at every level the weights have nearly
the width of Pillow's triangle filter. So Pillow, which has it in compiled code, computes any part
of any level straight from the image. ``preprocess`` is the exact way.
"""

import numpy as np
from PIL import Image

from musica.geometry import Crop, image_window

# One grey level in one pixel of a crop makes ten times this; rounding makes less.
CONSTANT_DEVIATION = 255e-6
# Mean and deviation are taken from every so-many-th row and column of the crop.
STATISTICS_STEP = 4


class LazyPyramid:
    """The pyramid of a crop, approximately.

    PORT: the levels' filter is a triangle's, pixels are rounded to grey levels, mean and deviation
    are those of one pixel in sixteen.

    Args:
        image: (H, W, 3) or grey (H, W) uint8.
        crop: from ``geometry.crop_of_box``.

    Raises:
        InputError: the array is no image, or the crop lies wholly outside it.
    """

    def __init__(self, image: np.ndarray, crop: Crop):
        window, (top, left) = image_window(image, crop.region)
        columns, rows = crop.region[2:] - crop.region[:2] + 1
        self._channels = window.shape[2]
        if window.shape[:2] != (rows, columns):
            inside = window
            window = np.zeros((rows, columns, self._channels), np.uint8)
            window[-top : len(inside) - top, -left : inside.shape[1] - left] = inside
        self._image = Image.fromarray(window if self._channels == 3 else window[..., 0])
        self._crop = crop
        self._shift = crop.turned[:2, 2]
        if not np.array_equal(crop.turned[:2, :2], np.eye(2)):
            self._turn()
        sample = self._sample()
        self._mean, deviation = np.float32(sample.mean()), float(sample.std())
        self._scale = np.float32(1 / deviation if deviation > CONSTANT_DEVIATION else 0)

    def patches(self, level: int, centres: np.ndarray, size: int) -> np.ndarray:
        """Cuts patches as ``PatchExtractor`` does.

        Args:
            level: of the pyramid.
            centres: (M, 2) float, (y, x) pixels of that level.
            size: side p of a patch in pixels.

        Returns:
            (M, p, p, 3) float32, normalised, zeros where nothing is copied.
        """
        sides = np.array([-(-side // 2**level) for side in self._crop.shape])
        starts = np.nan_to_num(centres - size // 2).clip(-size, sides).astype(int)
        first, last = starts.min(axis=0), starts.max(axis=0) + size
        top, left = np.maximum(first, 1)  # row 0 and column 0 are never copied
        bottom, right = np.minimum(last, sides)
        pixels = np.zeros((*(last - first), self._channels), np.float32)
        if top < bottom and left < right:
            part = self._part(level, top, left, bottom, right)
            inside = (
                slice(top - first[0], bottom - first[0]),
                slice(left - first[1], right - first[1]),
            )
            pixels[inside] = (part - self._mean) * self._scale
        patches = np.empty((len(centres), size, size, 3), np.float32)
        for patch, (row, column) in zip(patches, (starts - first).tolist(), strict=True):
            patch[:] = pixels[row : row + size, column : column + size]
        return patches

    def _turn(self) -> None:
        """Turns the window upright (step 3)."""
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # Pillow's centres are at i + 1/2
        back = half @ np.linalg.inv(self._crop.turned) @ np.linalg.inv(half)
        self._image = self._image.transform(
            self._crop.turned_shape[::-1],
            Image.Transform.AFFINE,
            tuple(back[:2].ravel()),
            Image.Resampling.BILINEAR,
        )
        self._shift = np.zeros(2)

    def _sample(self) -> np.ndarray:
        """Pixels of the crop on a grid, (rows, columns[, C]) uint8."""
        step, scale = STATISTICS_STEP, self._crop.scale
        shift_x, shift_y = self._shift
        rows, columns = (-(-(side - step // 2) // step) for side in self._crop.shape)
        offset = (step // 2 + 0.5 - step / 2) / scale
        affine = (step / scale, 0, offset - shift_x, 0, step / scale, offset - shift_y)
        bilinear = Image.Resampling.BILINEAR
        return np.asarray(
            self._image.transform((columns, rows), Image.Transform.AFFINE, affine, bilinear)
        )

    def _part(self, level: int, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """Some rows and columns of a level, not normalised: (rows, columns, C) uint8."""
        y0, y1 = self._span(0, level, top, bottom)
        x0, x1 = self._span(1, level, left, right)
        size = (int(right - left), int(bottom - top))
        part = self._image.resize(size, Image.Resampling.BILINEAR, (x0, y0, x1, y1))
        return np.asarray(part).reshape(*size[::-1], self._channels)

    def _span(self, axis: int, level: int, first: int, end: int) -> tuple[float, float]:
        """The stretch of the window that some rows or columns of a level cover.

        At the far end of the crop it is cut off at the window's edge.
        """
        crop = self._crop
        spacing, side = 1.0, crop.shape[axis]
        for _ in range(level):  # method.md section 1, step 7
            spacing *= (side - 1) / (side / 2 - 1)
            side = -(-side // 2)
        edges = np.array([first - 0.5, end - 0.5]) * spacing
        start, stop = (edges + 0.5) / crop.scale - self._shift[1 - axis]
        return max(float(start), 0.0), min(float(stop), float(self._image.size[1 - axis]))
