"""Errors of estimated landmarks, for evaluation (``METHOD.md`` section 12; the release's script).

NumPy, float64. Landmarks are (N, 2) of one face or (F, N, 2) of F faces, (y, x) pixels; the errors
of faces are fractions of a normaliser, not per cent.
"""

from dataclasses import dataclass

import numpy as np

from musica.errors import InputError
from musica.geometry.landmarks import Scheme, scheme_for

NORMALISERS = {
    "ocular": "distance of the outer eye corners",
    "pupil": "distance of the means of the eye points",
    "box": "square root of the box's area",
    "diagonal": "diagonal of the box",
}
BOX_NORMALISERS = ("box", "diagonal")
ALL_POINTS, WITHOUT_JAW = "all points", "without jaw"
PRECISION_THRESHOLD = 0.08


@dataclass(frozen=True)
class DatasetErrors:
    """The errors of a data set's F faces, which are printed, listed and drawn.

    Attributes:
        desc: the name of the data set or method.
        names: the faces' names.
        groups: group of points -> (F,) errors, as from ``group_errors``.
        estimates: (F,) estimated errors, NaN where a face has none.
        estimated: (F, N, 2) landmarks, for pictures.
        truth: (F, N, 2) true landmarks.
        image_dir: folder of the faces' images; empty: no pictures.
    """

    desc: str
    names: list[str]
    groups: dict[str, np.ndarray]
    estimates: np.ndarray
    estimated: np.ndarray
    truth: np.ndarray
    image_dir: str = ""

    @property
    def faces(self) -> np.ndarray:
        """(F,) error of each face over all its points."""
        return self.groups[ALL_POINTS]


def normalising_distance(
    truth: np.ndarray, normaliser: str = "ocular", box: np.ndarray | None = None
) -> np.ndarray:
    """The distance that errors are divided by.

    Args:
        truth: (..., N, 2) true landmarks.
        normaliser: a key of ``NORMALISERS``. The eyes are those of the scheme with N points: with
            98 points "pupil" takes the means of 60-67 and 68-75, not the pupils 96 and 97.
        box: (..., 4) x0, y0, x1, y1 for "box" and "diagonal", whose sides are x1 - x0 and y1 - y0;
            None takes the tight box of the true landmarks.

    Returns:
        (...) float64, pixels.

    Raises:
        InputError: unknown normaliser, a distance of zero, or no scheme has N points.
    """
    truth = np.asarray(truth, np.float64)
    if normaliser not in NORMALISERS:
        known = ", ".join(NORMALISERS)
        raise InputError(f"no normaliser is called {normaliser!r} (known: {known})")
    if normaliser in BOX_NORMALISERS:
        sides = np.ptp(truth, axis=-2) if box is None else np.subtract(box[..., 2:], box[..., :2])
        square = normaliser == "box"
        distance = np.sqrt(np.prod(sides, axis=-1)) if square else np.linalg.norm(sides, axis=-1)
    else:
        scheme = scheme_for(truth.shape[-2])
        eyes = scheme.eyes if normaliser == "pupil" else [[corner] for corner in scheme.eye_corners]
        first, second = (truth[..., list(eye), :].mean(axis=-2) for eye in eyes)
        distance = np.linalg.norm(first - second, axis=-1)
    if not (distance > 0).all():
        raise InputError(f"the {NORMALISERS[normaliser]} is zero: nothing to divide errors by")
    return distance


def describe_normaliser(normaliser: str, landmark_count: int, given_box: bool = False) -> str:
    """The divisor of the errors in words: its points, or its box.

    Args:
        normaliser: a key of ``NORMALISERS``.
        landmark_count: number of landmarks N.
        given_box: whether boxes are given; otherwise they are tight around the true landmarks.
    """
    words = NORMALISERS[normaliser]
    if normaliser in BOX_NORMALISERS:
        return f"{words} ({'rect_dir' if given_box else 'tight box of the true points'})"
    scheme = scheme_for(landmark_count)
    if normaliser == "ocular":
        first, second = scheme.eye_corners
    else:
        first, second = (f"{eye[0]}-{eye[-1]}" for eye in scheme.eyes)
    return f"{words} ({first}, {second})"


def point_errors(estimated: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Euclidean distance of each estimated point to its true one: (..., N) pixels."""
    return np.linalg.norm(np.subtract(estimated, truth, dtype=np.float64), axis=-1)


def contour_errors(estimated: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each estimated point to the true contour it belongs to, and its weight.

    A contour is the polyline through true landmarks; a point that slides along it costs nothing.
    Release: ``contour_distance``.

    Args:
        estimated: (..., N, 2) landmarks.
        truth: (..., N, 2) true landmarks.

    Returns:
        (..., N) distances in pixels, and (..., N) weights, with which the mean over points is the
        mean over contours weighted by length: a contour's length / its number of points, 0 for
        points on no contour (the pupils).
    """
    # PORT: distances to the segments are exact, where the release drew whole pixels and took
    # a distance transform; lengths are those of the true contours, where it took the estimated
    # ones; pupils do not count, where it gave them a mean iris' circumference.
    estimated, truth = np.asarray(estimated, np.float64), np.asarray(truth, np.float64)
    distances, weights = np.zeros(truth.shape[:-1]), np.zeros(truth.shape[:-1])
    for contour in scheme_for(truth.shape[-2]).contours:
        points = list(contour.points)
        line = truth[..., points + points[:1] if contour.closed else points, :]
        length = np.linalg.norm(np.diff(line, axis=-2), axis=-1).sum(axis=-1, keepdims=True)
        distances[..., points] = _distance_to_line(estimated[..., points, :], line)
        # A contour shrunk to a point still counts in the mean of its own part.
        weights[..., points] = np.maximum(length, np.finfo(np.float64).eps) / len(points)
    return distances, weights


def _distance_to_line(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distance of (..., P, 2) points to the polyline through (..., S + 1, 2) vertices: (..., P)."""
    steps = np.diff(line, axis=-2)[..., None, :, :]
    offsets = points[..., :, None, :] - line[..., None, :-1, :]
    squared = np.maximum((steps**2).sum(axis=-1), np.finfo(np.float64).tiny)
    along = np.clip((offsets * steps).sum(axis=-1) / squared, 0.0, 1.0)
    return np.linalg.norm(offsets - along[..., None] * steps, axis=-1).min(axis=-1)


def nme(
    estimated: np.ndarray,
    truth: np.ndarray,
    normaliser: str = "ocular",
    box: np.ndarray | None = None,
) -> np.ndarray:
    """Normalised mean error of faces: mean distance of the points / normaliser.

    Args:
        estimated: (..., N, 2) landmarks.
        truth: (..., N, 2) true landmarks.
        normaliser: as ``normalising_distance``.
        box: as ``normalising_distance``.

    Returns:
        (...) float64, a fraction.

    Raises:
        InputError: as ``normalising_distance``.
    """
    distance = normalising_distance(truth, normaliser, box)
    return point_errors(estimated, truth).mean(axis=-1) / distance


def groups_of(scheme: Scheme) -> dict[str, tuple[int, ...]]:
    """The groups of points that get an error of their own: all, all but the jaw, each part."""
    jaw = set(scheme.parts["jaw"])
    everything = tuple(range(scheme.count))
    without_jaw = tuple(point for point in everything if point not in jaw)
    return {ALL_POINTS: everything, WITHOUT_JAW: without_jaw, **scheme.parts}


def group_errors(
    estimated: np.ndarray,
    truth: np.ndarray,
    normaliser: str = "ocular",
    box: np.ndarray | None = None,
    to_contour: bool = False,
) -> dict[str, np.ndarray]:
    """Errors of faces over all their points, without the jaw, and per facial part.

    Args:
        estimated: (..., N, 2) landmarks.
        truth: (..., N, 2) true landmarks.
        normaliser: as ``normalising_distance``.
        box: as ``normalising_distance``.
        to_contour: measure to the true contour instead of to the true point.

    Returns:
        Group -> (...) float64, a fraction; of ``ALL_POINTS`` it is the face's NME (or its contour
        error). A group on no contour has no contour error and is left out.

    Raises:
        InputError: as ``normalising_distance``.
    """
    # PORT: parts are the scheme's own, averaged over all their points; the release used the
    # 68-point table for 98 points, and only the first and last index of each part.
    if to_contour:
        errors, weights = contour_errors(estimated, truth)
    else:
        errors = point_errors(estimated, truth)
        weights = np.ones_like(errors)
    errors = errors / normalising_distance(truth, normaliser, box)[..., None]
    result = {}
    for name, group in groups_of(scheme_for(errors.shape[-1])).items():
        share = weights[..., list(group)]
        if share.any():
            result[name] = (errors[..., list(group)] * share).sum(axis=-1) / share.sum(axis=-1)
    return result


def failure_rate(errors: np.ndarray, threshold: float) -> float:
    """FR@t: share of the (F,) errors above the threshold."""
    return float(np.mean(np.asarray(errors) > threshold))


def area_under_curve(errors: np.ndarray, threshold: float) -> float:
    """AUC@t: exact area under the cumulative error curve of (F,) errors from 0 to t, over t."""
    return float(np.mean(np.maximum(0.0, threshold - np.asarray(errors, np.float64))) / threshold)


def cumulative_errors(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CED: the sorted (F,) errors x, and (F,) the share of faces with an error <= x."""
    errors = np.sort(np.asarray(errors, np.float64))
    return errors, np.searchsorted(errors, errors, side="right") / len(errors)


def lowest_estimates(estimates: np.ndarray, share: float) -> np.ndarray:
    """Indices of the share of faces with the lowest estimated errors, lowest first.

    Args:
        estimates: (F,) estimated errors; NaN (none) is never kept.
        share: of all F faces, 0 to 1; rounded to whole faces, at least one.
    """
    count = max(1, round(share * len(estimates)))
    return np.argsort(estimates, kind="stable")[: min(count, np.isfinite(estimates).sum())]


def precision_recall(
    errors: np.ndarray, estimates: np.ndarray, threshold: float = PRECISION_THRESHOLD
) -> tuple[np.ndarray, np.ndarray]:
    """Precision against recall, where the faces with the lowest estimated errors are kept.

    Args:
        errors: (F,) errors.
        estimates: (F,) estimated errors; a face with NaN (none) is never kept.
        threshold: a face is good with an error below it.

    Returns:
        Recall, the share of all faces kept, and precision, the share of these that are good: one
        value for each estimate at which to stop keeping.
    """
    # PORT: the release left this curve empty.
    order = lowest_estimates(estimates, 1.0)
    good = np.cumsum(np.asarray(errors)[order] < threshold)
    kept = np.arange(1, len(order) + 1)
    # Faces with equal estimates are kept or dropped together.
    last = np.diff(np.asarray(estimates)[order], append=np.inf) > 0
    return kept[last] / len(errors), good[last] / kept[last]
