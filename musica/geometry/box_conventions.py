"""Where the boxes of common face detectors lie, relative to the one the model wants.

That is the tight box of the landmarks: from the brows to the chin, from one end of the jaw to the
other. Detectors draw theirs higher or lower, larger or smaller.
"""

from dataclasses import dataclass

import numpy as np

from musica.errors import InputError
from musica.geometry.crops import check_box


@dataclass(frozen=True)
class BoxConvention:
    """How the tight box of the landmarks lies in a detector's box.

    Attributes:
        down: how far its centre lies below the detector's, as a share of the detector's height.
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


# Medians over annotated faces; experiments/box_conventions measures them, and how far single faces
# lie from them. BlazeFace: its models for short distances, of 128 and 256 pixels.
CONVENTIONS = {
    "landmarks": BoxConvention(),
    "blazeface": BoxConvention(0.046, 0.937, 0.924),
    "dlib": BoxConvention(0.082, 0.963, 0.952),
    "haar": BoxConvention(0.167, 0.879, 0.866),
    "mtcnn": BoxConvention(0.138, 1.064, 0.787),
}


def to_landmark_box(box: np.ndarray, convention: str) -> np.ndarray:
    """Maps a box to the one the model wants.

    Args:
        box: (4,) x0, y0, x1, y1 in image pixels, inclusive corners.
        convention: whose box it is, a key of ``CONVENTIONS``.

    Raises:
        InputError: the convention is unknown, or the box is not four finite numbers.
    """
    return CONVENTIONS[check_convention(convention)].to_landmark_box(box)


def check_convention(name: str) -> str:
    """Returns the name of a convention unchanged.

    Raises:
        InputError: there is none of that name.
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
