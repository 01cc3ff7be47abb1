"""Crops of rolled faces, turned upright.

A face's upright frame is the image turned about its origin until the face is upright; a box in that
frame is an upright box. Rolls are the degrees by which the image is turned, as for
``geometry.crop_of_box``; landmark arrays are (y, x), boxes x0, y0, x1, y1.

Reference: ``METHOD.md`` section 1, step 3.
"""

from math import atan2, degrees

import numpy as np

from musica.errors import InputError
from musica.geometry import crops
from musica.geometry.crops import Crop, bounding_box, rotation, transform_points


def roll_of(landmarks: np.ndarray, reference_shape: np.ndarray) -> float:
    """The roll that makes a face upright, -180 to 180.

    It undoes the rotation of the similarity that maps the reference shape onto the landmarks with
    the least squares (Procrustes analysis, in closed form). All landmarks count.

    Args:
        landmarks: (N, 2) image pixels.
        reference_shape: (N, 2) mean face.
    """
    # The landmarks' mean drops out, since the centred reference shape sums up to zero.
    centred = reference_shape - reference_shape.sum(axis=0) / len(reference_shape)
    (y_y, y_x), (x_y, x_x) = (centred.T @ landmarks).tolist()
    return degrees(atan2(y_x - x_y, x_x + y_y))


def upright_box(landmarks: np.ndarray, roll: float) -> np.ndarray:
    """The tight box, in the upright frame, of (N, 2) landmarks."""
    return bounding_box(transform_points(rotation(roll), landmarks))


def upright_box_in(box: np.ndarray, reference_shape: np.ndarray, roll: float) -> np.ndarray:
    """The upright box of a rolled mean face that fills a box of the image.

    The tight box of that face in the image has the centre and the area of the given box.

    Args:
        box: (4,) in the image.
        reference_shape: (N, 2) mean face.
        roll: degrees by which the image is turned to make the face upright.
    """
    rolled = transform_points(rotation(-roll), reference_shape)
    own, wanted = bounding_box(rolled).reshape(2, 2), np.reshape(box, (2, 2))
    scale = np.sqrt(np.prod(wanted[1] - wanted[0]) / np.prod(own[1] - own[0]))
    shift = wanted.mean(axis=0) - scale * own.mean(axis=0)
    return upright_box(scale * rolled + shift[::-1], roll)


def upright_crop(
    box: np.ndarray,
    roll: float,
    margin: float = crops.MARGIN,
    box_size: int = crops.BOX_SIZE,
) -> Crop:
    """The crop of a box in the upright frame, with the margin of an upright face.

    PORT: the release cuts the margin box out of the image and turns it, so the corners of a turned
    crop are black, and at 45 degrees the box is a square of the same area. A portrait with a light
    background had twice the error in such a crop.

    Args:
        box: (4,) in the upright frame.
        roll: degrees by which the image is turned.
        margin: share of the box's side added on each side.
        box_size: the box's longer side in crop pixels.

    Raises:
        InputError: the box is not four finite numbers, or is empty, too large or too narrow.
    """
    # The limits of a box in the image hold here too.
    crops.crop_of_box(box - np.tile(box[:2], 2), margin, box_size)
    sides = box[2:] - box[:2] + 1
    scale = box_size / sides.max()
    columns, rows = np.ceil(sides * (1 + 2 * margin)).astype(int).tolist()
    matrix = rotation(roll)
    centre = (matrix[:2, :2].T @ (box[:2] + box[2:])) / 2  # in the image
    half = np.abs(matrix[:2, :2].T) @ [columns / 2, rows / 2]
    if not np.abs(centre).max() + half.max() < crops.MAX_COORDINATE:
        raise InputError(f"the box around {centre.tolist()} is too far away")
    # One more pixel on each side, from which the turn interpolates.
    region = np.concatenate([np.floor(centre - half) - 1, np.ceil(centre + half) + 1]).astype(int)
    matrix[:2, 2] = np.array([columns - 1, rows - 1]) / 2 - matrix[:2, :2] @ (centre - region[:2])
    corner = (np.array([rows, columns]) - sides[::-1]) / 2
    return Crop.of(region, matrix, (rows, columns), scale, corner)
