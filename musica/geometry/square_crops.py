"""The square crop of a face, for models with ``area`` preprocessing.

The crop is a square of the image with the box's centre in its middle, turned upright on demand.
Crop coordinates count from the crop's corner: pixel i covers i to i + 1. A point of the crop
divided by 2^l is therefore the same point on level l, and a landmark lies on the same feature at
every box size. Boxes are x0, y0, x1, y1 with inclusive pixel corners; landmarks are (y, x).

PORT: the release's crop has the box's aspect, and its matrix lacks the half-pixel term
(``geometry.crops``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import cos, floor, radians, sin

import numpy as np

from musica.errors import InputError
from musica.geometry.crops import (
    BOX_SIZE,
    MARGIN,
    MAX_REGION_PIXELS,
    check_box,
    transform_points,
)


@dataclass(frozen=True)
class SquareCrop:
    """Where the square crop of a face lies in its image.

    Attributes:
        centre: (x, y) of the square's centre in the image, counted from the image's corner.
        side: the square's side in image pixels.
        size: the crop's side in crop pixels.
        roll: degrees by which the image is turned to make the face upright.
    """

    centre: tuple[float, float]
    side: float
    size: int
    roll: float = 0.0

    @property
    def scale(self) -> float:
        """Crop pixels of an image pixel."""
        return self.size / self.side

    @cached_property
    def image_to_crop(self) -> np.ndarray:
        """(3, 3) float64 on (x, y, 1), from pixel indices of the image to crop coordinates."""
        across, down = self.scale * cos(radians(self.roll)), self.scale * sin(radians(self.roll))
        x, y = (coordinate - 0.5 for coordinate in self.centre)
        half = self.size / 2
        return np.array(
            [
                [across, -down, half - across * x + down * y],
                [down, across, half - down * x - across * y],
                [0.0, 0.0, 1.0],
            ]
        )

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Maps (..., 2) image points (y, x) into the crop."""
        return transform_points(self.image_to_crop, points)

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Maps (..., 2) crop points (y, x) back into the image."""
        centred = (points - self.size / 2) / self.scale
        if self.roll:
            # The inverse of a rotation is its transpose.
            centred = centred @ (self.image_to_crop[1::-1, 1::-1] / self.scale)
        x, y = self.centre
        return centred + np.array([y - 0.5, x - 0.5])

    def initial_shape(self, reference_shape: np.ndarray) -> np.ndarray:
        """Places the (N, 2) reference shape in the middle: (N, 2) float64 crop points (y, x).

        PORT: the release places it at the box's corner, which favours two sides of a box that is
        too large.
        """
        shape = np.asarray(reference_shape, np.float64)
        return shape - (shape.min(axis=0) + shape.max(axis=0)) / 2 + self.size / 2


def crop_size(box_size: int = BOX_SIZE, margin: float = MARGIN, levels: int = 3) -> int:
    """The crop's side in crop pixels: every one of its levels has whole pixels."""
    unit = 2 ** (levels - 1)
    return unit * -(-round(box_size * (1 + 2 * margin)) // unit)


def square_crop(
    box: Sequence[float] | np.ndarray,
    margin: float = MARGIN,
    box_size: int = BOX_SIZE,
    levels: int = 3,
) -> SquareCrop:
    """The crop of an upright face box.

    Its corners are whole pixels of the image.

    Args:
        box: (4,) in image pixels.
        margin: share of the box's longer side on each side of it.
        box_size: the box's longer side in crop pixels.
        levels: levels of the pyramid.

    Raises:
        InputError: the box is not four finite numbers, or is empty or too large.
    """
    (x, y), longer = _middle_and_side(box)
    size = crop_size(box_size, margin, levels)
    side = max(round(longer * size / box_size), 1)
    left, top = floor(x - side / 2 + 0.5), floor(y - side / 2 + 0.5)
    return SquareCrop((left + side / 2, top + side / 2), side, size)


def turned_square_crop(
    box: Sequence[float] | np.ndarray,
    roll: float,
    margin: float = MARGIN,
    box_size: int = BOX_SIZE,
    levels: int = 3,
) -> SquareCrop:
    """The crop of an upright box in the image turned about its first pixel by ``roll`` degrees.

    Args:
        box: (4,) in the turned image, as ``geometry.upright`` makes it.
        roll: degrees.
        margin: as for ``square_crop``.
        box_size: as for ``square_crop``.
        levels: as for ``square_crop``.

    Raises:
        InputError: as ``square_crop``; or the roll is not finite.
    """
    (x, y), longer = _middle_and_side(box)
    if not np.isfinite(roll):
        raise InputError(f"roll must be a number of degrees, not {roll}")
    size = crop_size(box_size, margin, levels)
    across, down = cos(radians(roll)), sin(radians(roll))
    x, y = x - 0.5, y - 0.5
    centre = (across * x + down * y + 0.5, across * y - down * x + 0.5)
    return SquareCrop(centre, longer * size / box_size, size, roll)


def _middle_and_side(box: Sequence[float] | np.ndarray) -> tuple[tuple[float, float], float]:
    """The box's centre (x, y), counted from the image's corner, and its longer side."""
    x0, y0, x1, y1 = check_box(box).tolist()
    longer = max(x1 - x0, y1 - y0) + 1
    if (2 * longer) ** 2 > MAX_REGION_PIXELS:
        raise InputError(f"the box {[x0, y0, x1, y1]} is too large")
    return ((x0 + x1 + 1) / 2, (y0 + y1 + 1) / 2), longer
