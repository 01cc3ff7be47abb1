"""The reference shape: the mean face, relative to its box's top-left corner.

``METHOD.md`` section 1; release function ``build_reference_shape_per_pose_by_files``.
"""

from collections.abc import Iterable

import numpy as np

from musica.errors import InputError
from musica.geometry.crops import BOX_SIZE, MIN_BOX_SIDE


def reference_shape(
    landmarks: Iterable[np.ndarray], boxes: Iterable[np.ndarray], box_size: int = BOX_SIZE
) -> np.ndarray:
    """Averages the faces after their boxes are moved to the origin and scaled to one size.

    Boxes with a side of 10 px or less are skipped. Boxes are not rounded.

    Args:
        landmarks: for each face (N, 2), (y, x) image pixels.
        boxes: for each face (4,) x0, y0, x1, y1, inclusive corners.
        box_size: the longer side of each box after scaling, in crop pixels.

    Returns:
        (N, 2) float64, (y, x) crop pixels from the box's top-left corner.

    Raises:
        InputError: every box was skipped, or the faces differ in their number of points.
    """
    import menpo.shape

    faces = []
    for points, box in zip(landmarks, boxes, strict=True):
        points, box = np.asarray(points, np.float64), np.asarray(box, np.float64)
        sides = box[2:] - box[:2] + 1
        if min(sides) <= MIN_BOX_SIDE:
            continue
        # PORT: one factor for both axes; the release distorts boxes beyond 4:1.
        faces.append(menpo.shape.PointCloud((points - box[1::-1]) * box_size / max(sides)))
    if not faces:
        raise InputError(f"no face has a box of more than {MIN_BOX_SIDE} px on each side")
    if len({face.n_points for face in faces}) > 1:
        raise InputError("the faces do not all have the same number of landmarks")
    return menpo.shape.mean_pointcloud(faces).points
