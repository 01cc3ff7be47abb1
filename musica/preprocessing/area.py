"""The antialiased pyramid of our own models; a level is made when an iteration looks at it.

OpenCV samples the square crop bilinearly at twice a level's resolution and averages 2x2 samples.
So a large region is touched only where it is sampled. Outside the image its border is repeated.
The levels are normalised by the mean and the deviation of the coarsest one.

PORT: the release resizes the crop once without antialiasing, fills with zeros outside the image,
and makes each level from the finer one (``preprocessing.release_pyramid``).
"""

from math import ceil, floor, sqrt

import cv2
import numpy as np

from musica.errors import InputError
from musica.geometry.square_crops import SquareCrop
from musica.preprocessing.patches import INSIDE, cut_patches

# A crop with a smaller deviation is flat and becomes zeros.
CONSTANT_DEVIATION = 0.25
# A square with a side of more than so many crops is thinned out before it is resized.
FAR_LARGER = 8


class AreaPyramid:
    """The levels of one face.

    Args:
        image: (H, W, 3) or grey (H, W) uint8.
        crop: where the face lies.
        levels: number of levels.

    Raises:
        InputError: the crop lies wholly outside the image.
    """

    def __init__(self, image: np.ndarray, crop: SquareCrop, levels: int = 3):
        self._square = _turned(image, crop) if crop.roll else _cut(image, crop)
        self._size = crop.size
        self._rasters: dict[int, np.ndarray] = {}
        self._levels: dict[int, np.ndarray] = {}
        coarsest = self.pixels(levels - 1)
        mean, deviation = _mean_and_deviation(coarsest)
        scale = 1 / deviation if deviation > CONSTANT_DEVIATION else 0.0
        self._mean, self._scale = np.float32(mean), np.float32(scale)

    def pixels(self, level: int) -> np.ndarray:
        """A level as it is: (S, S, 3) or grey (S, S) uint8, S = size / 2^level."""
        if level not in self._levels:
            size = self._size >> level
            if len(self._square) < 2 * size:
                self._levels[level] = self._raster(size)
            else:
                fine = self._raster(2 * size)
                self._levels[level] = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
        return self._levels[level]

    def level(self, level: int) -> np.ndarray:
        """A level less the mean, over the deviation: (S, S, C) float32, C = 1 for a grey face."""
        pixels = self.pixels(level)
        return self._normalised(pixels.reshape(*pixels.shape[:2], -1))

    def patches(self, level: int, centres: np.ndarray, size: int) -> np.ndarray:
        """As ``Pyramid.patches``; only the pixels of patches are normalised."""
        pixels = self.pixels(level)
        patches, copied = cut_patches(pixels.reshape(*pixels.shape[:2], -1), centres, size)
        patches = self._normalised(patches)
        return patches if copied is INSIDE else patches * copied

    def _normalised(self, pixels: np.ndarray) -> np.ndarray:
        """The same shape, float32."""
        values = np.subtract(pixels, self._mean, dtype=np.float32)
        values *= self._scale
        return values

    def _raster(self, size: int) -> np.ndarray:
        """The square, sampled bilinearly at half-pixel centres."""
        if len(self._square) == size:
            return self._square
        if size not in self._rasters:
            self._rasters[size] = cv2.resize(
                self._square, (size, size), interpolation=cv2.INTER_LINEAR
            )
        return self._rasters[size]


def _mean_and_deviation(pixels: np.ndarray) -> tuple[float, float]:
    """Of all values; OpenCV adds up those of each channel, in float64."""
    means, deviations = (values.ravel().tolist() for values in cv2.meanStdDev(pixels))
    mean = sum(means) / len(means)
    squares = [own**2 + (of - mean) ** 2 for of, own in zip(means, deviations, strict=True)]
    return mean, sqrt(sum(squares) / len(squares))


def _cut(image: np.ndarray, crop: SquareCrop) -> np.ndarray:
    """The upright square of an image; its border is repeated outside.

    Of a far larger square than the crop, evenly spaced rows and columns are taken.
    """
    side = int(crop.side)
    left, top = (round(middle - side / 2) for middle in crop.centre)
    window = _window(image, left, top, left + side, top + side)
    height, width = image.shape[:2]
    if side > FAR_LARGER * crop.size:
        count = FAR_LARGER // 2 * crop.size
        places = ((np.arange(count) + 0.5) * (side / count)).astype(int)
        rows, columns = (top + places).clip(0, height - 1), (left + places).clip(0, width - 1)
        return image[rows[:, None], columns]
    if window.shape[:2] == (side, side):
        return window
    return cv2.copyMakeBorder(
        window,
        max(-top, 0),
        max(top + side - height, 0),
        max(-left, 0),
        max(left + side - width, 0),
        cv2.BORDER_REPLICATE,
    )


def _turned(image: np.ndarray, crop: SquareCrop) -> np.ndarray:
    """The square turned upright, at twice the crop's resolution where the image has as much."""
    matrix = crop.image_to_crop
    reach = np.abs(matrix[0, :2]).sum() / crop.scale * crop.side / 2 + 2
    (x, y), size = crop.centre, min(ceil(crop.side), 2 * crop.size)
    left, top = max(floor(x - reach), 0), max(floor(y - reach), 0)
    window = _window(image, left, top, ceil(x + reach), ceil(y + reach))
    shrink = min(1.0, size / crop.side)
    height, width = window.shape[:2]
    if shrink < 1:
        sides = max(1, round(width * shrink)), max(1, round(height * shrink))
        window = cv2.resize(window, sides, interpolation=cv2.INTER_LINEAR)
    # From pixel indices of the turned square, by coordinates from the corner, to the window's.
    to_corners = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    to_crop = np.diag([crop.size / size, crop.size / size, 1.0])
    shrunk = np.diag([window.shape[1] / width, window.shape[0] / height, 1.0])
    to_window = np.array([[1, 0, 0.5 - left], [0, 1, 0.5 - top], [0, 0, 1]])
    back = np.linalg.inv(to_corners) @ shrunk @ to_window @ np.linalg.inv(matrix)
    return cv2.warpAffine(
        window,
        (back @ to_crop @ to_corners)[:2],
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _window(image: np.ndarray, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """A view of the part of the image between corners, the last ones excluded.

    Raises:
        InputError: there is no such part.
    """
    window = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if not window.size:
        raise InputError("the box lies outside the image")
    return window
