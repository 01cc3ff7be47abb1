"""The pyramid of one face, computed fast and only where patches look (``method.md`` section 1).

The release shifts, resizes (bilinear), blurs (Gaussian) and subsamples. Seen from the image, each
pixel of a level is a mean of the pixels around it, weighted by rows and by columns alike. Here the
weights are a trapezoid of the same variance, so that a patch is the product of a block of cells of
the image with two small matrices. ``preprocess`` is the exact way.
"""

from math import ceil, sqrt

import numpy as np

from musica.crop_pixels import TurnedPixels, UprightPixels
from musica.geometry import Crop

# One grey level in one pixel of a crop makes more; rounding makes less.
CONSTANT_DEVIATION = 255e-6
# Mean and deviation are taken from every so-many-th row and column of the crop.
STATISTICS_STEP = 4
# Variances, of an interpolation on average, of one half-way, and of what makes a level out of the
# finer one, a Gaussian and an interpolation.
INTERPOLATION, HALF_WAY, LEVEL = 1 / 6, 1 / 4, (2 / 3) ** 2 + 1 / 6
# Cells are not wider than this share of what a pixel of the level sees.
CELL = 0.8
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
        cells, axes = self._axes(level)
        sides = np.array([axis.side for axis in axes])
        spacing = np.array([axis.spacing for axis in axes])
        starts = np.fmin(np.fmax(centres - size // 2, -size), sides).astype(np.intp)
        places = starts * spacing + [axis.offset for axis in axes]
        reach = max(axis.reach for axis in axes)
        first = np.floor(places).astype(np.intp) - (ceil(reach) - 1)
        side = ceil(reach) + ceil((size - 1) * spacing.max() + reach)
        pixels = (places - first)[:, :, None] + np.arange(size) * spacing[:, None]
        pixels, index = pixels.astype(np.float32), np.arange(side, dtype=np.float32)
        rows = axes[0].weights(pixels[:, 0, :, None] - index)
        columns = axes[1].weights(pixels[:, 1, None] - index[:, None])
        if starts.min() < 1 or (starts + size > sides).any():
            index = starts[:, :, None] + np.arange(size)
            copied = (index > 0) & (index < sides[:, None])  # as of the release's patches
            rows *= copied[:, 0, :, None]
            columns *= copied[:, 1, None]
        blocks, count = self._blocks(first, side, cells)
        rows *= np.float32(self._scale / (count * axes[0].top * axes[1].top))
        patches = np.zeros((len(first), size, PLANES * size), np.float32)
        blocks = (blocks @ columns).reshape(-1, side, 3 * size)
        np.matmul(rows, blocks, out=patches[:, :, : 3 * size])
        return patches.reshape(-1, size, PLANES, size)

    def _blocks(self, first: np.ndarray, side: int, cells: tuple) -> tuple[np.ndarray, int]:
        """Cuts blocks of cells and subtracts the mean.

        Args:
            first: (M, 2) int, (y, x) of the blocks' first cells.
            side: of the blocks.
            cells: their stride and whether they are averaged.

        Returns:
            (M, side * 3, side) float32: rows and planes, columns; and how many pixels are summed
            in a cell.
        """
        corner = first.min(axis=0)
        (top, left), (bottom, right) = corner.tolist(), (first.max(axis=0) + side).tolist()
        cells = self._pixels.cells(top, left, bottom, right, *cells)
        row, plane, column = cells.sums.strides
        every_block = np.ndarray(
            (bottom - top - side + 1, right - left - side + 1, side, 3, side),
            cells.sums.dtype,
            cells.sums,
            strides=(row, column, row, plane, column),
        )
        y, x = (first - corner).T
        mean = np.float32(self._mean * cells.count)
        blocks = np.subtract(every_block[y, x], mean, dtype=np.float32)
        return blocks.reshape(-1, side * 3, side), cells.count

    def _axes(self, level: int) -> tuple[tuple[int, bool], list["_Axis"]]:
        """The cells that a level is made of (stride, averaged), and how its axes lie among them."""
        pixel = 1 / self._crop.scale
        axes = []
        for side, shift in zip(self._crop.shape, self._pixels.shift, strict=True):
            spacing, variance = pixel, INTERPOLATION + (HALF_WAY if shift % 1 else 0.0)
            for finer in range(level):  # method.md section 1, step 7
                spacing *= (side - 1) / (side / 2 - 1)
                side = -(-side // 2)
                variance += LEVEL * (pixel * 2**finer) ** 2
            axes.append((side, spacing, pixel / 2 - 0.5 + shift, variance))
        narrowest = min(axis[3] for axis in axes)
        stride = max(1, int(CELL * max(sqrt(6 * narrowest), min(axis[1] for axis in axes))))
        mean, blur = self._pixels.cell_moments(stride, True)
        averaged = stride > 1 and narrowest > blur + stride**2 * INTERPOLATION / 2
        if not averaged:
            mean, blur = self._pixels.cell_moments(stride, False)
        return (stride, averaged), [
            _Axis(side, spacing / stride, (offset - mean) / stride, (variance - blur) / stride**2)
            for side, spacing, offset, variance in axes
        ]


class _Axis:
    """How a level's rows or columns lie among the cells.

    Args:
        side: how many they are.
        spacing, offset: number i lies at cell ``i * spacing + offset``.
        variance: of the weights; they are not narrower than an interpolation's.

    Attributes:
        top, reach: width of the trapezoid's top, and half that of its base, which is wider by two
            cells: wherever it lies, the weights have the same sum.
    """

    def __init__(self, side: int, spacing: float, offset: float, variance: float):
        self.side, self.spacing, self.offset = side, spacing, offset
        self.top = sqrt(max(12 * variance - 1, 1.0))
        self.reach = (self.top + 1) / 2

    def weights(self, distances: np.ndarray) -> np.ndarray:
        """``top`` times the weights of cells so far from a centre, float32, in place."""
        np.abs(distances, out=distances)
        np.subtract(np.float32(self.reach), distances, out=distances)
        return np.clip(distances, 0, 1, out=distances)
