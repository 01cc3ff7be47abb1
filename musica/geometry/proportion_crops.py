"""The crop of MDM: the box with a margin, cut at the image's border, at the reference shape's size.

``METHOD.md`` section 11; MDM's ``load_image`` and ``align_reference_shape``, by menpo's arithmetic.
A box is (x0, y0, x1, y1), whose sides are x1 - x0 and y1 - y0 here; landmark arrays are (y, x).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musica.errors import InputError
from musica.geometry.crops import MIN_CROP_SIDE, bounding_box, check_box

# Only boxes of less than a pixel make larger crops.
MAX_CROP_PIXELS = 20_000_000


@dataclass(frozen=True)
class ProportionCrop:
    """Where the crop of a face lies in its image.

    Attributes:
        first: (2,) int, (y, x) of its first pixel in the image.
        sides: (2,) int, rows and columns of the part of the image.
        factors: (2,) crop pixels per image pixel, for (y, x): the first and the last pixel stay.
        shape: rows and columns of the crop.
        box: (4,) of the face in the image.
    """

    first: np.ndarray
    sides: np.ndarray
    factors: np.ndarray
    shape: tuple[int, int]
    box: np.ndarray

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Maps (..., 2) image points (y, x) into the crop."""
        return (points - self.first) * self.factors

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Maps (..., 2) crop points (y, x) back into the image."""
        return points / self.factors + self.first

    def initial_shape(self, reference_shape: np.ndarray) -> np.ndarray:
        """The (N, 2) reference shape, aligned to the box: (N, 2) float64 crop pixels."""
        return self.to_crop(aligned_to_box(reference_shape, self.box))


def diagonal(box: np.ndarray) -> float:
    """The length of a box's diagonal."""
    return float(np.hypot(*(box[2:] - box[:2])))


def aligned_to_box(reference_shape: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Moves (N, 2) points so that their tight box has a box's centre and diagonal."""
    points, own = np.asarray(reference_shape, np.float64), bounding_box(reference_shape)
    centre, target = ((b[:2] + b[2:])[::-1] / 2 for b in (own, box))
    return (points - centre) * (diagonal(box) / diagonal(own)) + target


def proportion_crop(
    box: Sequence[float] | np.ndarray,
    scale: float,
    margin: float,
    image_shape: tuple[int, ...] | None = None,
) -> ProportionCrop:
    """Computes the crop of a face box.

    Args:
        box: (4,) in image pixels.
        scale: crop pixels per image pixel, about.
        margin: share of the box's shorter side added on each side.
        image_shape: rows and columns of the image, at whose border the crop is cut; None: none.

    Raises:
        InputError: the box is not four finite numbers, is empty or too narrow, or lies outside the
            image.
    """
    corners = check_box(box)
    reach = margin * (corners[2:] - corners[:2]).min()
    first, last = np.floor(corners[1::-1] - reach), np.ceil(corners[:1:-1] + reach)
    if image_shape is not None:
        first, last = (np.clip(point, 0, image_shape[:2]) for point in (first, last))
    sides = (last - first).astype(int)
    if sides.min() < 1:
        raise InputError("the box lies outside the image")
    rows, columns = np.ceil(scale * sides).astype(int).tolist()
    narrow = sides.min() < 2 or scale * sides.min() < MIN_CROP_SIDE
    if narrow or rows * columns > MAX_CROP_PIXELS:
        raise InputError(f"the box {corners.tolist()} is too narrow")
    factors = (scale * sides - 1) / (sides - 1)
    return ProportionCrop(first.astype(int), sides, factors, (rows, columns), corners)
