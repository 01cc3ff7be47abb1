"""Maps the boxes of common face detectors to the box that the model wants.

The model wants the tight box of the landmarks: from the brows to the chin, from one end of the jaw
to the other. Detectors draw their boxes higher or lower, larger or smaller.
"""

from dataclasses import dataclass

import numpy as np

from musica.errors import InputError
from musica.geometry.crops import check_box


@dataclass(frozen=True)
class BoxConvention:
    """How the tight box of the landmarks lies in a detector's box.

    Attributes:
        down: distance of its centre below the detector's centre, as a share of the detector's
            height.
        width: its width as a multiple of the detector's.
        height: its height as a multiple of the detector's.
    """

    down: float = 0.0
    width: float = 1.0
    height: float = 1.0

    def to_landmark_box(self, box: np.ndarray) -> np.ndarray:
        """Maps a detector's box x0, y0, x1, y1 to the tight box of the landmarks, (4,) float64.

        Raises:
            InputError: the box is not four finite numbers.
        """
        corners = check_box(box).reshape(2, 2)
        sides = corners[1] - corners[0]
        centre = corners.mean(axis=0)
        centre[1] += self.down * sides[1]
        half = sides * [self.width, self.height] / 2
        return np.concatenate([centre - half, centre + half])


# Medians over annotated faces; experiments/box_conventions measures them and their spread.
# BlazeFace: its models for short distances, of 128 and 256 pixels.
CONVENTIONS = {
    "landmarks": BoxConvention(),
    "blazeface": BoxConvention(0.046, 0.937, 0.924),
    "dlib": BoxConvention(0.082, 0.963, 0.952),
    "haar": BoxConvention(0.167, 0.879, 0.866),
    "mtcnn": BoxConvention(0.138, 1.064, 0.787),
}


def to_landmark_box(box: np.ndarray, convention: str) -> np.ndarray:
    """Maps a box to the tight box of the landmarks.

    Args:
        box: (4,) x0, y0, x1, y1 in image pixels, inclusive corners.
        convention: the detector that drew the box, a key of ``CONVENTIONS``.

    Returns:
        (4,) float64.

    Raises:
        InputError: the convention is unknown, or the box is not four finite numbers.
    """
    return CONVENTIONS[check_convention(convention)].to_landmark_box(box)


def check_convention(name: str) -> str:
    """Returns the name of a convention unchanged.

    Raises:
        InputError: the name is unknown.
    """
    if name not in CONVENTIONS:
        raise InputError(f"box_convention {name!r} is unknown (known: {', '.join(CONVENTIONS)})")
    return name


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of a box, (4,), with (F, 4) others: (F,)."""
    corners = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    intersection = (corners[1] - corners[0]).clip(min=0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return intersection / ((box[2:] - box[:2]).prod() + areas - intersection)
