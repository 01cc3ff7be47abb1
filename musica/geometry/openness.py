"""How far eyes and mouth are open, from landmarks."""

from typing import NamedTuple

import numpy as np

from musica.geometry.landmarks import SCHEMES


class Openness(NamedTuple):
    """Heights of openings over their widths: 0 is shut; rolling and scaling change nothing.

    Attributes:
        left_eye: of the person's left eye, the mean height between the lids over the distance of
            the corners; some 0.3 when it is open.
        right_eye: of the person's right eye.
        mouth: the mean height between the lips over the distance of the inner corners of the mouth.
    """

    left_eye: float
    right_eye: float
    mouth: float


def openness(landmarks: np.ndarray) -> Openness | None:
    """How far eyes and mouth are open.

    Args:
        landmarks: (N, 2), (y, x) image pixels.

    Returns:
        The ratios; None if no scheme has N points, a landmark is not finite, or the corners of an
        opening coincide (a ratio is not finite).
    """
    scheme = SCHEMES.get(len(landmarks))
    if scheme is None or not np.isfinite(landmarks).all():
        return None
    right, left = scheme.eyes
    contours = [landmarks[list(part)] for part in (left, right, scheme.parts["inner mouth"])]
    with np.errstate(all="ignore"):
        ratios = [_height(contour) / _width(contour) for contour in contours]
    return Openness(*map(float, ratios)) if np.isfinite(ratios).all() else None


def _width(contour: np.ndarray) -> np.floating:
    """The distance of the corners of an opening; ``contour`` as for ``_height``."""
    return np.linalg.norm(contour[len(contour) // 2] - contour[0])


def _height(contour: np.ndarray) -> np.floating:
    """The mean height of an opening.

    Args:
        contour: (P, 2), P even, from a corner along one lid or lip to the other corner, and back.
    """
    half = len(contour) // 2
    return np.linalg.norm(contour[1:half] - contour[:half:-1], axis=1).mean()
