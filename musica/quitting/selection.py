"""What selective inference saves and what it costs, found from what every iteration gave.

NumPy and SciPy, no model. F faces, K iterations: ``errors`` (F, K) are true errors, NMEs as a
fraction (``metrics.nme``); ``estimates`` (F, K) are the model's own, on the scale of
``losses.l1_error``; ``multiply_adds`` (K,) is what a face has cost after each iteration
(``MuSiCa.multiply_adds``).

Reference: ``METHOD.md`` sections 8 and 9. The paper gives no thresholds and the release uses none,
so all choices here are this port's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Curve:
    """A trade-off: P settings, and the means over the faces that each leads to.

    Attributes:
        settings: (P,) ascending stop thresholds, prices or numbers of iterations.
        errors: (P,) NME, a fraction.
        multiply_adds: (P,) multiply-adds of a face.
        iterations: (P,) iterations of a face.
        thresholds: (P, K - 1) stop thresholds, where every iteration has its own.
    """

    settings: np.ndarray
    errors: np.ndarray
    multiply_adds: np.ndarray
    iterations: np.ndarray
    thresholds: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Roc:
    """How well the last estimate tells failures: P ascending fail thresholds and their rates.

    Attributes:
        thresholds: (P,) fail thresholds.
        detected: (P,) share of the failures whose estimate is above.
        false_alarms: (P,) share of the other faces whose estimate is above.
    """

    thresholds: np.ndarray
    detected: np.ndarray
    false_alarms: np.ndarray

    @property
    def area(self) -> float:
        """Area under ``detected`` over ``false_alarms``: 1 is perfect, 0.5 is chance."""
        return float(np.trapezoid(self.detected[::-1], self.false_alarms[::-1]))


def stopping_iterations(
    estimates: np.ndarray, stop_threshold: float | Sequence[float]
) -> np.ndarray:
    """The iteration, 0 to K - 1, whose landmarks each face gets: (F,) int.

    It is the first whose estimate is below the threshold, one for all or one for each iteration
    but the last, else the last, as in ``FaceAligner``.
    """
    stops = np.ones(np.shape(estimates), bool)
    stops[:, :-1] = np.asarray(estimates)[:, :-1] < stop_threshold
    return stops.argmax(axis=1)


def curve(errors: np.ndarray, estimates: np.ndarray, multiply_adds: Sequence[int]) -> Curve:
    """The trade-off over all stop thresholds that differ in effect, K at least 2.

    The first never stops a face, the last stops every face at once; errors are not monotone.
    """
    errors = np.asarray(errors, np.float64)
    # A face has stopped by iteration k once the threshold is above its lowest estimate so far.
    lowest = np.minimum.accumulate(estimates[:, :-1], axis=1)
    values, places = np.unique(lowest, return_inverse=True)

    def means(amounts):
        """The mean of an (F, K) amount: every threshold passed takes faces one iteration back."""
        changes = np.bincount(places.ravel(), (amounts[:, :-1] - amounts[:, 1:]).ravel())
        totals = np.concatenate([[0.0], np.cumsum(changes)])
        return amounts[:, -1].mean() + totals / len(amounts)

    costs = np.broadcast_to(np.asarray(multiply_adds, np.float64), errors.shape)
    counts = np.broadcast_to(np.arange(1.0, errors.shape[1] + 1), errors.shape)
    return Curve(_between(values), means(errors), means(costs), means(counts))


def per_iteration_curve(
    errors: np.ndarray, estimates: np.ndarray, multiply_adds: Sequence[int], count: int = 300
) -> Curve:
    """The trade-off where every iteration has a stop threshold of its own, K at least 2.

    An estimate that leaves an error of 0.05 to be expected after every iteration promises less
    after the first than after the second, which has less left to gain. For each price of a
    multiply-add, from the last iteration but one back to the first, the threshold is the one by
    which error + price * cost becomes least.

    Args:
        errors: (F, K) errors.
        estimates: (F, K) estimates.
        multiply_adds: (K,) costs, ascending.
        count: how many prices, from 0 to where every face takes the first iteration.
    """
    errors, costs = np.asarray(errors, np.float64), np.asarray(multiply_adds, np.float64)
    rows, last = np.arange(len(errors)), errors.shape[1] - 1
    dearest = 2 * np.ptp(errors) / np.diff(costs).min()
    prices = np.concatenate([[0.0], np.geomspace(dearest / 1e5, dearest, count)])
    points, thresholds = [], []
    for price in prices:
        total = errors + price * costs
        chosen, bounds = np.full(len(errors), last), np.empty(last)
        for k in reversed(range(last)):
            worse = total[:, k] - total[rows, chosen]  # of stopping here
            bounds[k] = _best_bound(estimates[:, k], worse) if price else -np.inf
            chosen[estimates[:, k] < bounds[k]] = k
        points.append((errors[rows, chosen].mean(), costs[chosen].mean(), 1 + chosen.mean()))
        thresholds.append(bounds)
    means = np.array(points).T
    return Curve(prices, means[0], means[1], means[2], np.array(thresholds))


def _best_bound(values: np.ndarray, losses: np.ndarray) -> float:
    """The bound for which the losses of the values below it add up to the least."""
    distinct, places = np.unique(values, return_inverse=True)
    sums = np.concatenate([[0.0], np.cumsum(np.bincount(places, losses))])
    return float(_between(distinct)[np.argmin(sums)])


def fixed_curve(errors: np.ndarray, multiply_adds: Sequence[int]) -> Curve:
    """The trade-off without any choice: every face runs 1, 2, ... K iterations."""
    counts = np.arange(1.0, len(multiply_adds) + 1)
    return Curve(counts, np.mean(errors, axis=0), np.asarray(multiply_adds, np.float64), counts)


def oracle_curve(errors: np.ndarray, multiply_adds: Sequence[int], count: int = 500) -> Curve:
    """The best trade-off there is: what one who knows each face's true errors would choose.

    For each price of a multiply-add, every face takes the iteration where error + price * cost is
    least; no choice of iterations is below this lower convex envelope.

    Args:
        errors: (F, K) errors.
        multiply_adds: (K,) costs, ascending.
        count: about how many prices, from 0 to where every face takes the first iteration.
    """
    errors, costs = np.asarray(errors, np.float64), np.asarray(multiply_adds, np.float64)
    early, late = np.triu_indices(len(costs), 1)
    # At these prices, two iterations are worth the same to a face.
    worth = (errors[:, early] - errors[:, late]) / (costs[late] - costs[early])
    prices = np.unique(np.quantile(np.maximum(worth, 0), np.linspace(0, 1, count)))
    prices = np.concatenate([[0.0], prices, 2 * prices[-1:]])
    rows = np.arange(len(errors))
    points = []
    for price in prices:
        chosen = np.argmin(errors + price * costs, axis=1)
        means = (errors[rows, chosen].mean(), costs[chosen].mean(), 1 + chosen.mean())
        points.append(means)
    return Curve(prices, *np.array(points).T)


def realignment_curve(
    errors: np.ndarray, estimates: np.ndarray, multiply_adds: np.ndarray, iterations: np.ndarray
) -> Curve:
    """The trade-off over all thresholds above which faces are aligned again.

    At the first threshold all are, at the last none.

    Args:
        errors: (F, 2) of a face as found at first, and if it is aligned again.
        estimates: (F,) as found at first.
        multiply_adds: (F, 2) costs of a face, first and altogether.
        iterations: (F, 2) iterations of a face, first and altogether.
    """
    values, places = np.unique(estimates, return_inverse=True)

    def means(amounts):
        """The mean of an (F, 2) amount: every threshold passed spares faces the second time."""
        changes = np.bincount(places, amounts[:, 0] - amounts[:, 1])
        totals = np.concatenate([[0.0], np.cumsum(changes)])
        return amounts[:, 1].mean() + totals / len(amounts)

    return Curve(_between(values), *map(means, (errors, multiply_adds, iterations)))


def choose_realign_threshold(trade_off: Curve, allowed_increase: float) -> float:
    """The threshold above which faces are aligned again.

    It saves most while the mean error is above the least by no more than a share (0.02 is 2 %).

    Args:
        trade_off: from ``realignment_curve``.
        allowed_increase: at least 0.
    """
    limit = (1 + allowed_increase) * trade_off.errors.min()
    return float(trade_off.settings[cheapest(trade_off, limit)])


def cheapest(trade_off: Curve, limit: float) -> int:
    """The position on a curve with the fewest multiply-adds whose mean error is within a limit."""
    return int(np.argmin(np.where(trade_off.errors <= limit, trade_off.multiply_adds, np.inf)))


def choose_stop_threshold(trade_off: Curve, allowed_increase: float) -> float | list[float]:
    """T_s: saves most while the mean error rises by no more than a share (0.02 is 2 %).

    Args:
        trade_off: from ``curve`` or ``per_iteration_curve``, which gives a threshold for each
            iteration but the last.
        allowed_increase: relative to running all iterations, at least 0.
    """
    chosen = cheapest(trade_off, (1 + allowed_increase) * trade_off.errors[0])
    if trade_off.thresholds is None:
        return float(trade_off.settings[chosen])
    return trade_off.thresholds[chosen].tolist()


def roc(last_estimates: np.ndarray, failed: np.ndarray) -> Roc:
    """Detection of failures by the last estimate, over all fail thresholds.

    Args:
        last_estimates: (F,) estimates after the last iteration.
        failed: (F,) bool, whose error is too large; some are and some are not.
    """
    thresholds = _between(np.unique(last_estimates))
    rates = []
    for kind in (failed, ~failed):
        sorted_estimates = np.sort(last_estimates[kind])
        below = np.searchsorted(sorted_estimates, thresholds, side="right")
        rates.append(1 - below / len(sorted_estimates))
    return Roc(thresholds, *rates)


def choose_fail_threshold(detection: Roc, failure_share: float) -> float:
    """T_f: maximises F1, the harmonic mean of the failures' recall and the flags' precision.

    Failures are rare. A rule that weighs only rates, such as Youden's J, would flag many good faces
    for each failure.

    Args:
        detection: from ``roc``.
        failure_share: share of all faces that failed; F1 depends on it.
    """
    found = failure_share * detection.detected
    flagged = found + (1 - failure_share) * detection.false_alarms
    return float(detection.thresholds[np.argmax(2 * found / (flagged + failure_share))])


def _between(values: np.ndarray) -> np.ndarray:
    """Thresholds around V distinct ascending values: below all, between each two, above all."""
    ends = np.nextafter(values[[0, -1]], [-np.inf, np.inf])
    return np.concatenate([ends[:1], (values[:-1] + values[1:]) / 2, ends[1:]])
