"""Mean faces: the shipped model's, and an approximate one with the points of WFLW."""

import json
import zipfile

import numpy as np
from scipy.interpolate import CubicSpline

from musica.geometry.landmarks import IBUG_68
from musica.models.lite_model import DESCRIPTION
from musica.models.loading import model_path

# How far a mouth is opened to make room for its numbers, and how thick a brow is; in heights of the
# face.
OPENING, BROW = 0.075, 0.035


def mean_face_68(opening: float = 0.0) -> np.ndarray:
    """The shipped model's reference shape, made symmetric.

    Args:
        opening: how far the mouth is opened, in heights of the face.

    Returns:
        (68, 2), (y, x) crop pixels from the corner of the box.
    """
    with zipfile.ZipFile(model_path()) as archive:
        shape = np.array(json.loads(archive.read(DESCRIPTION))["reference_shape"])
    mirrored = shape[list(IBUG_68.mirror)]
    mirrored[:, 1] = 2 * shape[:, 1].mean() - mirrored[:, 1]
    shape = (shape + mirrored) / 2
    lips = {55: 0.6, 59: 0.6, 56: 1, 57: 1, 58: 1, 65: 1, 66: 1, 67: 1}
    for index, share in lips.items():
        shape[index, 0] += share * opening * np.ptp(shape[:, 0])
    return shape


def mean_face_98() -> np.ndarray:
    """An approximate mean face of WFLW: the 68 points, and WFLW's further points between them.

    Its nose, its mouth and the upper edges of its brows are the 68 points' own. The jaw and the
    eyelids get more points, on a smooth curve; the brows get lower edges; pupils are the middles of
    the eyes.

    Returns:
        (98, 2), (y, x).
    """
    face = mean_face_68(OPENING)
    brow = BROW * np.ptp(face[:, 0])
    right_eye, left_eye = _eyelids(face[36:42]), _eyelids(face[42:48])
    # From the inner to the outer end in the right brow, the other way round in the left one.
    right_brow = face[[21, 20, 19, 18]] + np.outer([1, 1, 0.9, 0.7], [brow, 0])
    left_brow = face[[25, 24, 23, 22]] + np.outer([0.7, 0.9, 1, 1], [brow, 0])
    return np.concatenate(
        [
            _along(face[:17], np.arange(33) / 2),
            *(face[17:22], right_brow),
            *(face[22:27], left_brow),
            face[27:36],
            *(right_eye, left_eye),
            face[48:68],
            [right_eye.mean(axis=0), left_eye.mean(axis=0)],
        ]
    )


def _eyelids(eye: np.ndarray) -> np.ndarray:
    """Eight points of an eye from its six: each lid has one more, in its middle."""
    upper, lower = _along(eye[:4], [0, 1, 1.5, 2]), _along(eye[[3, 4, 5, 0]], [0, 1, 1.5, 2])
    return np.concatenate([upper, lower])


def _along(points: np.ndarray, places: np.ndarray | list[float]) -> np.ndarray:
    """Points on the smooth curve through (K, 2) points; 1.5 is between the second and third."""
    return CubicSpline(np.arange(len(points)), points)(places)
