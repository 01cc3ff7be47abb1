"""The pyramid of one face, computed fast and only where patches look (``METHOD.md`` section 1).

The release shifts, resizes (bilinear), blurs (Gaussian) and subsamples. Seen from the image, each
pixel of a level is a mean of the pixels around it, weighted by rows and by columns alike. Here the
weights are a trapezoid of the same variance, so that a patch is the product of a block of cells of
the image with two small matrices. ``preprocess`` is the exact way.
"""

from math import ceil, sqrt

import numpy as np

from musica.geometry.crops import Crop
from musica.preprocessing.crop_pixels import TurnedPixels, UprightPixels

# One grey level in one pixel of a crop makes more; rounding makes less.
CONSTANT_DEVIATION = 255e-6
# Mean and deviation are taken from every so-many-th row and column of the crop.
STATISTICS_STEP = 4
# Variances, of an interpolation on average, of one half-way, and of what makes a level out of the
# finer one, a Gaussian and an interpolation.
INTERPOLATION, HALF_WAY, LEVEL = 1 / 6, 1 / 4, (2 / 3) ** 2 + 1 / 6
# Cells are not wider than this share of what a pixel of the level sees.
CELL = 0.77
# Rows of a whole level that are computed together: BLAS takes threads for larger products.
STRIP = 8
# Red, green, blue and an empty one: kernels of 8 bits are quicker with four.
PLANES = 4


class LazyPyramid:
    """The pyramid of a crop, approximately.

    PORT: the levels' filter is a trapezoid of the same variance; of a wide one's cells four
    or nine pixels each are seen; mean and deviation are those of one pixel in sixteen.

    Args:
        image: (H, W, 3) or grey (H, W) uint8.
        crop: from ``geometry.crop_of_box``.

    Raises:
        InputError: the array is no image, or the crop lies wholly outside it.
    """

    def __init__(self, image: np.ndarray, crop: Crop):
        upright = crop.turned[0, 0] == 1
        self._pixels = (UprightPixels if upright else TurnedPixels)(image, crop)
        self._crop = crop
        step = max(1, round(STATISTICS_STEP / crop.scale))
        self._mean, deviation = self._pixels.statistics(step)
        self._scale = 1 / deviation if deviation > CONSTANT_DEVIATION else 0.0
        self._levels: dict[int, np.ndarray] = {}

    def patches(self, level: int, centres: np.ndarray, size: int) -> np.ndarray:
        """Cuts patches as ``PatchExtractor`` does.

        Args:
            level: of the pyramid.
            centres: (M, 2) float, (y, x) pixels of that level.
            size: side p of a patch in pixels.

        Returns:
            (M, p, 4, p) float32: rows, planes (red, green, blue and zeros), columns; normalised,
            zeros where nothing is copied.
        """
        height, width = sides = self._sides(level)
        starts = np.fmin(np.fmax(centres - size // 2, -size), sides).astype(np.intp)
        y, x = starts.T
        # A level that has fewer pixels than its patches is computed as a whole, and once.
        if height * width <= len(centres) * size**2:
            if level not in self._levels:
                self._levels[level] = self._whole(level, size)
            return _windows(self._levels[level], y + size, x + size, (size, size))
        patches = self._parts(level, y, x, (size, size))
        if starts.min() < 1 or (starts + size > sides).any():
            index = starts[:, :, None] + np.arange(size)
            copied = (index > 0) & (index < np.array(sides)[:, None])
            patches *= copied[:, 0, :, None, None] & copied[:, 1, None, None]
        return patches

    def _sides(self, level: int) -> tuple[int, int]:
        """Rows and columns of a level."""
        height, width = self._crop.shape
        return -(-height // 2**level), -(-width // 2**level)

    def _whole(self, level: int, margin: int) -> np.ndarray:
        """A level with a margin of zeros: (rows, 4, columns); what is never copied is zero."""
        height, width = self._sides(level)
        strips = np.arange(0, height, STRIP)
        pixels = self._parts(level, strips, np.zeros(1, np.intp), (STRIP, width))
        pixels = pixels.reshape(-1, PLANES, width)
        result = np.zeros((height + 2 * margin, PLANES, width + 2 * margin), np.float32)
        inside = result[margin : margin + height, :, margin : margin + width]
        inside[1:, :, 1:] = pixels[1:height, :, 1:]
        return result

    def _parts(self, level: int, y: np.ndarray, x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Computes parts of a level.

        Args:
            level: of the pyramid.
            y: (M,) int, the parts' first rows.
            x: (M,) int, their first columns; or (1,), one for all.
            size: rows and columns of a part.

        Returns:
            (M, rows, 4, columns) float32, normalised.
        """
        (stride, averaged), (vertical, horizontal) = self._axes(level)
        top, y, rows = vertical.cells(y, size[0])
        left, x, columns = horizontal.cells(x, size[1])
        height, width = vertical.block(size[0]), horizontal.block(size[1])
        rows = vertical.weights(rows[:, :, None] - np.arange(height, dtype=np.float32))
        columns = horizontal.weights(columns[:, None] - np.arange(width, dtype=np.float32)[:, None])
        bottom, right = top + int(y.max()) + height, left + int(x.max()) + width
        cells = self._pixels.cells(top, left, bottom, right, stride, averaged)
        mean = np.float32(self._mean * cells.count)
        blocks = np.subtract(_windows(cells.sums, y, x, (height, width)), mean, dtype=np.float32)
        rows *= np.float32(self._scale / (cells.count * vertical.top * horizontal.top))
        blocks = blocks.reshape(-1, height * 3, width) @ columns
        blocks = blocks.reshape(-1, height, 3 * size[1])
        parts = np.zeros((len(blocks), size[0], PLANES * size[1]), np.float32)
        np.matmul(rows, blocks, out=parts[:, :, : 3 * size[1]])
        return parts.reshape(-1, size[0], PLANES, size[1])

    def _axes(self, level: int) -> tuple[tuple[int, bool], list["_Axis"]]:
        """The cells that a level is made of (stride, averaged), and how its axes lie among them."""
        pixel = 1 / self._crop.scale
        axes = []
        for side, shift in zip(self._crop.shape, self._pixels.shift, strict=True):
            spacing, variance = pixel, INTERPOLATION + (HALF_WAY if shift % 1 else 0.0)
            for finer in range(level):  # METHOD.md section 1, step 7
                spacing *= (side - 1) / (side / 2 - 1)
                side = -(-side // 2)
                variance += LEVEL * (pixel * 2**finer) ** 2
            axes.append((spacing, pixel / 2 - 0.5 + shift, variance))
        spacing, _, variance = map(min, zip(*axes, strict=True))
        stride = max(1, int(CELL * max(sqrt(6 * variance), spacing)))
        # Cells are not averaged where their interpolation alone makes as wide a filter.
        averaged = stride > 1 and variance > stride**2 * INTERPOLATION + stride**2 / 16
        mean, blur = self._pixels.cell_moments(stride, averaged)
        return (stride, averaged), [
            _Axis(spacing / stride, (offset - mean) / stride, (variance - blur) / stride**2)
            for spacing, offset, variance in axes
        ]


class _Axis:
    """How a level's rows or columns lie among the cells.

    Args:
        spacing, offset: number i lies at cell ``i * spacing + offset``.
        variance: of the weights; they are not narrower than an interpolation's.

    Attributes:
        top, reach: width of the trapezoid's top, and half that of its base, which is wider by two
            cells: wherever it lies, the weights have the same sum.
    """

    def __init__(self, spacing: float, offset: float, variance: float):
        self.spacing, self.offset = spacing, offset
        self.top = sqrt(max(12 * variance - 1, 1.0))
        self.reach = (self.top + 1) / 2

    def cells(self, starts: np.ndarray, length: int) -> tuple[int, np.ndarray, np.ndarray]:
        """Which cells are seen by parts of so many rows or columns.

        Args:
            starts: (M,) int, the parts' first rows or columns.
            length: how many they have.

        Returns:
            The first of all cells; (M,) int, each part's first, counted from there; and
            (M, length) float32, how far its rows or columns lie behind that, counted in cells.
        """
        places = starts * self.spacing + self.offset
        first = np.floor(places - self.reach).astype(np.intp) + 1
        lowest = int(first.min())
        places = (places - first).astype(np.float32)[:, None]
        centres = places + np.arange(length, dtype=np.float32) * np.float32(self.spacing)
        return lowest, first - lowest, centres

    def block(self, length: int) -> int:
        """How many cells so many rows or columns see."""
        return ceil((length - 1) * self.spacing + 2 * self.reach)

    def weights(self, distances: np.ndarray) -> np.ndarray:
        """``top`` times the weights of cells so far from a centre, float32, in place."""
        np.abs(distances, out=distances)
        np.subtract(np.float32(self.reach), distances, out=distances)
        return np.clip(distances, 0, 1, out=distances)


def _windows(pixels: np.ndarray, y: np.ndarray, x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Windows of (rows, planes, columns) that start at (M,) y and x: (M, rows, planes, columns)."""
    (rows, planes, columns), (row, plane, column) = pixels.shape, pixels.strides
    windows = np.ndarray(
        (rows - size[0] + 1, columns - size[1] + 1, size[0], planes, size[1]),
        pixels.dtype,
        pixels,
        strides=(row, column, row, plane, column),
    )
    return windows[y, x]
