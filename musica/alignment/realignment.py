"""The second alignment of rolled faces, turned upright, and the choice of the result.

Models that have seen upright faces find a rolled face badly. They find its roll, though.

Reference: ``METHOD.md`` section 1: the release is told the roll. PORT: here it is found.
"""

from math import isnan

import numpy as np

from musica.alignment.face import Face, PreparedFace
from musica.geometry.upright import roll_of

# Faces that are rolled by less, in degrees, gain nothing: training has as much.
MIN_ROLL = 30.0
# Models underestimate their errors on rolled faces: an upright result is the better one even if its
# estimate is this many times as high.
TRUSTED = 1.2


def roll_to_undo(face: PreparedFace, found: Face, reference_shape: np.ndarray) -> float | None:
    """The roll of a face that is to be aligned again, degrees; None: it is not.

    Without an estimate, as of MDM, no second result could be told to be better.

    Args:
        face: the face as it was looked for.
        found: the face as it was found.
        reference_shape: (N, 2) mean face.
    """
    if face.image is None or face.box is None or isnan(found.error_estimate):
        return None
    roll = roll_of(found.landmarks, reference_shape)
    turn = (roll - face.roll + 180) % 360 - 180
    return roll if abs(turn) >= MIN_ROLL and np.isfinite(found.landmarks).all() else None


def better(first: Face, again: Face) -> Face:
    """The result of two alignments that is kept."""
    return again if again.error_estimate < TRUSTED * first.error_estimate else first
