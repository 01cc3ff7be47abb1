"""From a face box to the crop that the model sees, and back, as the release computes it.

``METHOD.md`` section 1; release functions ``preprocess_image_with_roll``, ``my_round``,
``crop_bbs_from_image`` and ``correct_image_roll``. A box is (x0, y0, x1, y1), inclusive pixel
corners; matrices act on (x, y, 1); landmark arrays are (y, x), 0-based.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, floor, sqrt, trunc

import numpy as np

from musica.errors import InputError

BOX_SIZE = 142
MARGIN = 0.3
MIN_BOX_SIDE = 10
# A corner of a box that is farther away is a mistake.
MAX_COORDINATE = 1e6
# A narrower crop cannot hold a face, and a region with more pixels is not from a photograph.
MIN_CROP_SIDE = 8
MAX_REGION_PIXELS = 300_000_000


def round_half_away(values: np.ndarray) -> np.ndarray:
    """Rounds to integers, halves away from zero (release: ``my_round``)."""
    values = np.asarray(values, np.float64)
    return (np.sign(values) * np.floor(np.abs(values) + 0.5)).astype(np.int64)


@dataclass(frozen=True)
class Crop:
    """Where a face's crop lies in its image.

    Attributes:
        region: (4,) int, x0 y0 x1 y1 of the margin box, inclusive; may lie outside the image.
        turned: (3, 3) float64, region pixels -> turned pixels (the upright turn and its shift).
        turned_shape: rows and columns of the turned region.
        scale: turned pixels -> crop pixels.
        shape: rows and columns of the crop.
        image_to_crop: (3, 3) float64, T of section 1.
        origin: (2,) int, (y, x) of the scaled box's corner: the reference shape's origin.
    """

    region: np.ndarray
    turned: np.ndarray
    turned_shape: tuple[int, int]
    scale: float
    shape: tuple[int, int]
    image_to_crop: np.ndarray
    origin: np.ndarray

    @classmethod
    def of(
        cls,
        region: np.ndarray,
        turned: np.ndarray,
        turned_shape: tuple[int, int],
        scale: float,
        corner: Sequence[float] | np.ndarray,
    ) -> "Crop":
        """Completes a crop; ``corner`` is the box's corner in turned pixels, (y, x)."""
        rows, columns = turned_shape
        translation = np.eye(3)
        translation[:2, 2] = -region[:2]
        return cls(
            region=region,
            turned=turned,
            turned_shape=turned_shape,
            scale=float(scale),
            shape=(round(rows * scale), round(columns * scale)),
            image_to_crop=np.diag([scale, scale, 1.0]) @ turned @ translation,
            origin=round_half_away(np.array(corner) * scale),
        )

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Maps (..., 2) image points (y, x) into the crop."""
        return transform_points(self.image_to_crop, points)

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Maps (..., 2) crop points (y, x) back into the image."""
        return transform_points(np.linalg.inv(self.image_to_crop), points)

    def initial_shape(self, reference_shape: np.ndarray) -> np.ndarray:
        """Places the (N, 2) reference shape at the box: (N, 2) float64 crop pixels (y, x)."""
        return np.asarray(reference_shape, np.float64) + self.origin


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Applies a (3, 3) affine matrix on (x, y, 1) to (..., 2) points stored as (y, x)."""
    return points @ matrix[1::-1, 1::-1].T + matrix[1::-1, 2]


def rotation(roll: float) -> np.ndarray:
    """(3, 3) rotation on (x, y, 1) about the origin by ``roll`` degrees (step 3)."""
    angle = np.deg2rad(roll)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def margin_region(box: Sequence[float] | np.ndarray, margin: float = MARGIN) -> np.ndarray:
    """Rounds a box and adds the margin on each side: (4,) int, inclusive (steps 1 and 2).

    Raises:
        InputError: the box is not four finite numbers, or is empty.
    """
    x0, y0, x1, y1 = rounded_box(box)
    across, down = margin * (x1 - x0 + 1), margin * (y1 - y0 + 1)
    return np.array([_rounded(side) for side in (x0 - across, y0 - down, x1 + across, y1 + down)])


def rounded_box(box: Sequence[float] | np.ndarray) -> list[int]:
    """Checks a box and rounds its corners half away from zero.

    Raises:
        InputError: the box is not four finite numbers, or is empty.
    """
    corners = check_box(box).tolist()
    rounded = [_rounded(corner) for corner in corners]
    _check_sides(rounded, corners)
    return rounded


def _rounded(value: float) -> int:
    """``round_half_away`` of one number, for which an array would be slow."""
    return int(copysign(floor(abs(value) + 0.5), value))


def check_box(box: Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns a box as (4,) float64.

    Raises:
        InputError: it is not four finite numbers, one is beyond a million, or the box is empty.
    """
    try:
        numbers = np.asarray(box, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"a box is four numbers x0 y0 x1 y1, not {box!r}") from error
    corners = numbers.tolist()
    if numbers.shape != (4,) or not all(abs(corner) <= MAX_COORDINATE for corner in corners):
        raise InputError(f"a box is four finite numbers x0 y0 x1 y1, not {corners}")
    _check_sides(corners, corners)
    return numbers


def _check_sides(corners: Sequence[float], given: Sequence[float]) -> None:
    """Raises InputError if a box is empty; ``given`` are its corners as the user knows them."""
    x0, y0, x1, y1 = corners
    if x1 <= x0 or y1 <= y0:
        raise InputError(f"the box {given} is empty (needs x0 < x1 and y0 < y1)")


def crop_of_box(
    box: Sequence[float] | np.ndarray,
    margin: float = MARGIN,
    box_size: int = BOX_SIZE,
    roll: float = 0.0,
) -> Crop:
    """Computes the crop of a face box (``METHOD.md`` section 1, steps 1-5).

    Args:
        box: (4,) x0, y0, x1, y1 in image pixels, inclusive corners.
        margin: share of the box's side added on each side.
        box_size: the box's longer side in crop pixels.
        roll: degrees by which the region is turned upright.

    Raises:
        InputError: the box is not four finite numbers, or is empty, too large or too narrow; or
            the roll is not finite.
    """
    x0, y0, x1, y1 = corners = rounded_box(box)
    region = margin_region(corners, margin)
    left, top, right, bottom = region.tolist()
    box_width, box_height = x1 - x0 + 1, y1 - y0 + 1
    columns, rows = right - left + 1, bottom - top + 1
    if not np.isfinite(roll):
        raise InputError(f"roll must be a number of degrees, not {roll}")

    turn = rotation(roll)
    cosine, sine = turn[:2, 0].tolist()
    turned_columns = int(rows * abs(sine) + columns * abs(cosine))
    turned_rows = int(rows * abs(cosine) + columns * abs(sine))
    if max(columns * rows, turned_columns * turned_rows) > MAX_REGION_PIXELS:
        raise InputError(f"the box {corners} is too large")
    # The middle of the new size is an integer division, the middle of the old one a true half: an
    # odd region moves by half a pixel even without a turn.
    middle_x, middle_y = turned_columns // 2, turned_rows // 2
    turn[:2, 2] = [middle_x, middle_y] - turn[:2, :2] @ [columns / 2, rows / 2]

    # The order of these float64 operations decides a corner for some sizes; keep it.
    aspect = (box_width / box_height) ** float(np.cos(2 * np.deg2rad(roll)))
    new_width = sqrt(box_width * box_height * aspect)
    new_height = box_width * box_height / new_width
    first_x, first_y = trunc(middle_x - new_width / 2), trunc(middle_y - new_height / 2)
    last_x, last_y = trunc(middle_x + new_width / 2), trunc(middle_y + new_height / 2)
    scale = box_size / max(last_x - first_x + 1, last_y - first_y + 1)
    if min(turned_columns, turned_rows) * scale < MIN_CROP_SIDE:
        raise InputError(f"the box {corners} is too narrow")
    return Crop.of(region, turn, (turned_rows, turned_columns), scale, (first_y, first_x))


def bounding_box(points: np.ndarray) -> np.ndarray:
    """The tight box x0, y0, x1, y1 of (N, 2) points (y, x)."""
    (y0, x0), (y1, x1) = points.min(axis=0), points.max(axis=0)
    return np.array([x0, y0, x1, y1])


def image_window(image: np.ndarray, region: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """The part of an image that lies in a region, a view.

    Args:
        image: (H, W, 3) or grey (H, W).
        region: (4,) int, x0 y0 x1 y1, inclusive; may reach outside the image.

    Returns:
        (h, w, C), C = 1 for a grey image, and the (y, x) of the region's corner in it: 0, or
        negative where the region begins outside the image.

    Raises:
        InputError: the array is not an image, or the region lies wholly outside it.
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or image.size == 0:
        raise InputError(f"an image is an (H, W) or (H, W, 3) array, not {image.shape}")
    if image.dtype.kind not in "buif":
        raise InputError(f"an image is an array of numbers, not of {image.dtype}")
    x0, y0, x1, y1 = (int(corner) for corner in region)
    if x1 < 0 or y1 < 0 or x0 >= image.shape[1] or y0 >= image.shape[0]:
        raise InputError("the box lies outside the image")
    window = image[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1]
    return window.reshape(*window.shape[:2], -1), (min(y0, 0), min(x0, 0))
