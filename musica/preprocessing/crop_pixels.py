"""The pixels of a crop before it is resized, upright: cells of the image's pixels.

Places are counted in turned pixels (``geometry.Crop``), shifted: what ``shift`` (y, x) says is
added to them. Cells are squares of ``stride`` pixels, the first begins at zero. A cell is the sum
or mean of some of its pixels if ``averaged``, otherwise its first pixel.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from musica.geometry.crops import Crop, image_window


@dataclass(frozen=True, eq=False)
class Cells:
    """Sums over cells.

    Attributes:
        sums: (rows, 3, columns), black outside the image.
        count: how many pixels are summed in each.
    """

    sums: np.ndarray
    count: int


class UprightPixels:
    """Those of a crop that is not turned. Averaged cells are sums of four or nine pixels.

    Args:
        image: (H, W, 3) or grey (H, W) uint8.
        crop: from ``geometry.crop_of_box``.

    Raises:
        InputError: the array is no image, or the crop lies wholly outside it.
    """

    def __init__(self, image: np.ndarray, crop: Crop):
        self._window, _ = image_window(image, crop.region)
        image = np.asarray(image)
        self._image = (
            np.broadcast_to(image[..., None], (*image.shape, 3)) if image.ndim == 2 else image
        )
        (x0, y0, x1, y1), (shift_x, shift_y) = crop.region.tolist(), crop.turned[:2, 2].tolist()
        self._pixel_count = (x1 - x0 + 1) * (y1 - y0 + 1)
        self.shift = y0 - shift_y, x0 - shift_x

    def statistics(self, step: int) -> tuple[float, float]:
        """Mean and deviation of the crop, of every so-many-th row and column."""
        mean, deviation = _statistics(self._window, step)
        share = self._window.shape[0] * self._window.shape[1] / self._pixel_count
        return share * mean, (share * (deviation**2 + (1 - share) * mean**2)) ** 0.5

    def cells(self, top, left, bottom, right, stride: int, averaged: bool) -> Cells:
        """The cells from one row and column to another."""
        y, x = max(top, 0), max(left, 0)
        pixels = self._image[
            y * stride : max(bottom, 0) * stride, x * stride : max(right, 0) * stride
        ]
        offsets, dtype = (0,), pixels.dtype
        if averaged:
            offsets, dtype = _seen(stride), np.promote_types(pixels.dtype, np.uint16)
            pixels = _sums([pixels[offset::stride] for offset in offsets], dtype)
        else:
            pixels = pixels[::stride]
        sums = np.zeros((bottom - top, 3, right - left), dtype)
        inside = sums[y - top :, :, x - left :]
        for offset in offsets:
            part = pixels[:, offset::stride].transpose(0, 2, 1)
            inside[: part.shape[0], :, : part.shape[2]] += part
        return Cells(sums, len(offsets) ** 2)

    def cell_moments(self, stride: int, averaged: bool) -> tuple[float, float]:
        """Mean and variance of the places of the pixels that the first cell consists of."""
        if not averaged:
            return 0.0, 0.0
        places = _seen(stride)
        mean = sum(places) / len(places)
        return mean, sum((place - mean) ** 2 for place in places) / len(places)


def _sums(parts: list[np.ndarray], dtype) -> np.ndarray:
    """The sum of arrays of which all but the first may have less rows."""
    total = parts[0].astype(dtype)
    for part in parts[1:]:
        total[: len(part)] += part
    return total


def _seen(stride: int) -> tuple[int, ...]:
    """The rows, and columns, of an averaged cell whose pixels are summed."""
    return (0, (stride + 1) // 2) if stride < 4 else (0, round(stride / 3), round(stride * 2 / 3))


class TurnedPixels:
    """Those of a crop that is turned. Averaged cells are interpolated between means.

    Args and errors: as for ``UprightPixels``.
    """

    shift = 0.0, 0.0

    def __init__(self, image: np.ndarray, crop: Crop):
        window, start = image_window(image, crop.region)
        self._step = step = max(1, int(1 / crop.scale))  # no finer than the crop
        first = min(step // 2, min(window.shape[:2]) - 1)
        window = window[first::step, first::step]
        self._means = {1: Image.fromarray(window if window.shape[2] == 3 else window[..., 0])}
        self._turned_shape = crop.turned_shape
        # From turned pixels to those, both counted from their corners, as Pillow does.
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        self._back = (half @ np.linalg.inv(crop.turned) @ np.linalg.inv(half))[:2]
        self._back[:, 2] += np.add(start[::-1], (step - 1) / 2 - first)
        self._back /= step

    def statistics(self, step: int) -> tuple[float, float]:
        """Mean and deviation of the crop, of every so-many-th row and column."""
        rows, columns = (-(-side // step) for side in self._turned_shape)
        return _statistics(self._turned(1, 0, 0, rows, columns, step), 1)

    def cells(self, top, left, bottom, right, stride: int, averaged: bool) -> Cells:
        """The cells from one row and column to another."""
        pixels = self._turned(
            max(1, stride // self._step) if averaged else 1, top, left, bottom, right, stride
        )
        pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
        return Cells(np.ascontiguousarray(pixels.transpose(0, 2, 1)), 1)

    def cell_moments(self, stride: int, averaged: bool) -> tuple[float, float]:
        """Mean place in the first cell, and the variance: of its mean and of its interpolation."""
        return (stride - 1) / 2, (stride**2 - 1) / 4 if averaged else 0.0

    def _turned(self, averaged, top, left, bottom, right, stride) -> np.ndarray:
        """Cells that see means of so many by so many pixels: (rows, columns, C) uint8."""
        if averaged not in self._means:
            self._means[averaged] = self._means[1].reduce(averaged)
        corner = self._back @ [left * stride, top * stride, 1]
        back = np.column_stack([self._back[:, :2] * stride, corner]) / averaged
        shape = bottom - top, right - left
        picture = self._means[averaged].transform(
            shape[::-1], Image.Transform.AFFINE, tuple(back.ravel()), Image.Resampling.BILINEAR
        )
        return np.asarray(picture).reshape(*shape, -1)


def _statistics(pixels: np.ndarray, step: int) -> tuple[float, float]:
    """Mean and deviation of every so-many-th row and column, together with the next."""
    if min(pixels.shape[:2]) < 2:
        pixels = pixels.repeat(2, axis=0).repeat(2, axis=1)
    # Interpolated pixels vary less than the image's; the means of neighbours about as much.
    pairs = np.add(pixels[:-1:step, :-1:step], pixels[1::step, 1::step], dtype=np.float32).ravel()
    mean = float(pairs.sum()) / pairs.size
    pairs -= mean
    return mean / 2, (float(np.square(pairs).sum()) / pairs.size) ** 0.5 / 2
