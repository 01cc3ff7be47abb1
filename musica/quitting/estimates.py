"""How well a model's estimates predict the true errors, and the NME that an estimate stands for.

F faces, K iterations: ``errors`` (F, K) are true errors, NMEs as a fraction (``metrics.nme``);
``estimates`` (F, K) are the model's own, on the scale of ``losses.l1_error``.

Reference: ``METHOD.md`` section 8. The paper has no calibration; this one is ours.
"""

import warnings
from collections.abc import Sequence

import numpy as np

MAX_KNOTS = 32
# A knot that fewer faces share would follow their noise.
FACES_PER_KNOT = 10


def correlation(errors: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each iteration, (K,); NaN where one of the two is constant."""
    first, second = (values - values.mean(axis=0) for values in (errors, estimates))
    scale = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    # Rounding leaves a constant with a deviation above zero.
    varies = (np.ptp(errors, axis=0) > 0) & (np.ptp(estimates, axis=0) > 0)
    return (first * second).sum(axis=0) / np.where(varies, scale, np.nan)


def rank_correlation(errors: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each iteration, (K,); NaN where one of the two is constant."""
    from scipy.stats import ConstantInputWarning, spearmanr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        columns = zip(np.transpose(errors), np.transpose(estimates), strict=True)
        return np.array([spearmanr(*pair).statistic for pair in columns])


def calibration_knots(errors: np.ndarray, estimates: np.ndarray) -> list[list[float]]:
    """The expected error as an increasing function of the estimate, for one iteration.

    Faces are grouped by their estimates into groups of equal size, and isotonic regression
    (pool adjacent violators) merges groups until their mean errors increase.

    Args:
        errors: (F,) errors.
        estimates: (F,) estimates.

    Returns:
        Estimates and errors of at most ``MAX_KNOTS`` knots, both strictly increasing, for
        ``np.interp``: linear between the knots, constant beyond them.
    """
    from scipy.optimize import isotonic_regression  # slow to import, and --help does without

    count = int(np.clip(len(estimates) // FACES_PER_KNOT, 1, MAX_KNOTS))
    edges = np.quantile(estimates, np.linspace(0, 1, count + 1)[1:-1])
    groups = np.searchsorted(edges, estimates)  # equal estimates share a group
    _, groups, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    fit = isotonic_regression(np.bincount(groups, errors) / sizes, weights=sizes)
    starts = fit.blocks[:-1]
    merged = np.add.reduceat(np.bincount(groups, estimates), starts) / fit.weights
    return [merged.tolist(), fit.x[starts].tolist()]


def landmark_profile(point_errors: np.ndarray) -> list[list[float]]:
    """The mean error of every landmark over the mean of all landmarks, for each iteration.

    Args:
        point_errors: (F, K, N) errors of the landmarks, fractions as NMEs.

    Returns:
        K lists of N shares, whose mean is 1.
    """
    means = point_errors.mean(axis=0)
    return (means / np.maximum(means.mean(axis=1, keepdims=True), 1e-12)).tolist()


def threshold_for(nme: float, calibration: Sequence[Sequence[Sequence[float]]]) -> float | None:
    """The stop threshold below which the expected NME of a face is below ``nme``.

    Iterations are calibrated apart but share one threshold: the strictest of those that can stop.

    Args:
        nme: a fraction.
        calibration: for each iteration, the knots of ``calibration_knots``.

    Returns:
        The threshold, or None if the knots of one of these iterations do not reach ``nme``.
    """
    found = [
        np.interp(nme, errors, estimates, left=np.nan, right=np.nan)
        for estimates, errors in calibration[:-1]
    ]
    return float(min(found)) if np.isfinite(found).all() else None
