"""The reference shape: the mean face, relative to its box's top-left corner.

``METHOD.md`` section 1; release function ``build_reference_shape_per_pose_by_files``.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from musica.errors import InputError
from musica.geometry.crops import BOX_SIZE, MIN_BOX_SIDE

# Of MDM's reference shape, in crop pixels.
MDM_DIAGONAL = 200.0


def reference_shape(
    landmarks: Iterable[np.ndarray],
    boxes: Iterable[np.ndarray],
    box_size: int = BOX_SIZE,
    preprocessing: str = "area",
) -> np.ndarray:
    """Averages the faces after their boxes are moved to the origin and scaled to one size.

    Boxes are not rounded; small ones are left out. For a model with ``release`` preprocessing the
    sides are x1 - x0 and y1 - y0, and boxes with x1 - x0 of 10 px or less are small. For ``area``
    the sides are x1 - x0 + 1 and y1 - y0 + 1, and boxes with either of 10 px or less are small.

    Args:
        landmarks: for each face (N, 2), (y, x) image pixels.
        boxes: for each face (4,) x0, y0, x1, y1, inclusive corners.
        box_size: the longer side of each box after scaling, in crop pixels.
        preprocessing: the preprocessing of the model that gets the shape.

    Returns:
        (N, 2) float64, (y, x) crop pixels from the box's top-left corner.

    Raises:
        InputError: all boxes are small, or the faces do not all have N points.
    """
    faces = []
    for points, box in zip(landmarks, boxes, strict=True):
        points, box = np.asarray(points, np.float64), np.asarray(box, np.float64)
        sides = box[2:] - box[:2]
        decisive = sides[0]
        if preprocessing == "area":
            # PORT: the sides count both corners, as in all other places, and both must be long.
            sides = sides + 1
            decisive = min(sides)
        if decisive <= MIN_BOX_SIDE:
            continue
        # PORT: one factor for both axes; the release distorts boxes beyond 4:1.
        faces.append((points - box[1::-1]) * box_size / max(sides))
    if not faces:
        raise InputError(f"no face is left: all boxes have {MIN_BOX_SIDE} px or less")
    return _mean(faces)


def diagonal_shape(landmarks: Sequence[np.ndarray]) -> np.ndarray:
    """The reference shape of MDM: the mean of the faces as they lie in their images, rescaled.

    Args:
        landmarks: for each face (N, 2), (y, x) image pixels.

    Returns:
        (N, 2) float64, (y, x), whose tight box has a diagonal of 200 pixels.

    Raises:
        InputError: the faces do not all have N points.
    """
    mean = _mean(landmarks)
    return mean * (MDM_DIAGONAL / np.hypot(*np.ptp(mean, axis=0)))


def _mean(faces: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of faces (N, 2)."""
    import menpo.shape

    if len({len(face) for face in faces}) > 1:
        raise InputError("the faces do not all have the same number of landmarks")
    return menpo.shape.mean_pointcloud([menpo.shape.PointCloud(face) for face in faces]).points
