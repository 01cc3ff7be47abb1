"""Aligns faces again that were found badly, turned upright.

A face whose estimate asks for it is aligned from a crop that is turned upright by the roll of its
landmarks. A model that knows upright faces only does not find the roll: with ``turn``, the face
also starts from two turned crops, for some iterations, and the best by its estimate tells the roll.
Only faces that ask cost anything, and what they cost is counted.

Reference: ``METHOD.md`` section 1, step 3: the release is told the roll. PORT: here it is found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from musica.errors import InputError
from musica.geometry import upright

# After so many iterations the estimates tell the right start from the wrong one.
START_ITERATIONS = 2
# Faces that are rolled by less, in degrees, gain nothing: so are those of the training.
MIN_ROLL = 30.0
# Models underestimate their errors on rolled faces: an upright result is the better one even if its
# estimate is this many times as high.
TRUSTED = 1.2


@dataclass(frozen=True)
class Realignment:
    """Who is aligned again, and how.

    Attributes:
        threshold: those whose estimate is above.
        turn: degrees by which they are turned to either side for a start; 0: there are no such
            starts, the roll is that of the landmarks found at first.
    """

    threshold: float
    turn: float


def realign(
    aligner, faces: Sequence, found: list, settings: Realignment, run: Callable[..., list]
) -> list:
    """Returns the faces as found, or as found again where that is better.

    Args:
        aligner: the ``FaceAligner``.
        faces: the ``PreparedFace`` of each; one without its image is not aligned again.
        found: the ``Face`` of each.
        settings: who is aligned again.
        run: aligns prepared faces; with ``iterations``, by exactly so many.
    """
    asking = [
        index
        for index, face in enumerate(found)
        if face.error_estimate > settings.threshold and faces[index].image is not None
    ]
    candidates = {index: [found[index]] for index in asking}
    for index, start in _starts(aligner, faces, asking, settings.turn, run):
        candidates[index].append(start)
    turned = {}
    for index, mine in candidates.items():
        best = min(mine, key=_estimate)
        face = _turned_by(aligner, faces[index], best.landmarks, best is found[index])
        if face is not None:
            turned[index] = face
    again = dict(zip(turned, run(list(turned.values())), strict=True))
    results = list(found)
    for index, runs in candidates.items():
        runs += [again[index]] if index in again else []
        results[index] = replace(
            _better(found[index], again.get(index, found[index])),
            iterations=sum(face.iterations for face in runs),
            multiply_adds=sum(face.multiply_adds for face in runs),
        )
    return results


def _estimate(face) -> float:
    """By which one is better than another."""
    return face.error_estimate


def _better(first, again):
    """Which of the results of two alignments is kept."""
    return again if again.error_estimate < TRUSTED * first.error_estimate else first


def _starts(aligner, faces: Sequence, asking: Sequence[int], turn: float, run: Callable):
    """The faces as found in a few iterations from turned crops: pairs of index and ``Face``."""
    owners, starts = [], []
    for index in asking:
        face = faces[index]
        for roll in (face.roll - turn, face.roll + turn) if turn else ():
            start = _prepared(aligner, face, roll)
            if start is not None:
                owners.append(index)
                starts.append(start)
    iterations = min(START_ITERATIONS, len(aligner.model.levels))
    return zip(owners, run(starts, iterations=iterations), strict=True)


def _turned_by(aligner, face, landmarks: np.ndarray, first: bool):
    """The face turned by the roll of landmarks; None if those found first need no turn."""
    if not np.isfinite(landmarks).all():
        return None
    roll = upright.roll_of(landmarks, aligner.reference_shape)
    if first and abs((roll - face.roll + 180) % 360 - 180) < MIN_ROLL:
        return None
    return _prepared(aligner, face, roll)


def _prepared(aligner, face, roll: float):
    """The face prepared in a turned crop; None if there is no such crop.

    The crop's box is what the given box stands for. It may be inexact, but so are the landmarks of
    a rolled face: with their tight box the errors were larger, with noisy boxes as large.
    """
    model = aligner.model
    try:
        box = upright.upright_box_in(face.box, aligner.reference_shape, roll)
        crop = upright.upright_crop(box, roll, model.margin, model.box_size)
        return aligner.prepare_crop(face.image, crop)
    except InputError:  # the turned box is too narrow, say
        return None
