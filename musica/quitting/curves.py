"""Trade-offs between error and cost, and what a rule makes of them: its knowledge.

F faces, K iterations: ``errors`` (F, K) are true errors, NMEs as a fraction (``metrics.nme``);
``scores`` (F, K - 1) are what a stop rule decides on; ``multiply_adds`` (K,) is what a face has
cost after each iteration (``MuSiCa.multiply_adds``). K is at least 2.

Reference: ``METHOD.md`` sections 8 and 9. The paper measures no trade-off: this is the port's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Curve:
    """A trade-off: P settings, and the means over the faces to which each leads.

    Attributes:
        settings: (P,) ascending thresholds, prices or numbers of iterations.
        errors: (P,) NME, a fraction.
        multiply_adds: (P,) multiply-adds of a face.
        iterations: (P,) iterations of a face.
    """

    settings: np.ndarray
    errors: np.ndarray
    multiply_adds: np.ndarray
    iterations: np.ndarray


def rule_curve(errors: np.ndarray, scores: np.ndarray, multiply_adds: Sequence[int]) -> Curve:
    """The trade-off of a stop rule with one threshold, over all thresholds that differ in effect.

    The first never stops a face, the last stops every face at once; errors are not monotone.
    """
    errors = np.asarray(errors, np.float64)
    # A face has stopped by iteration k once the threshold is above its lowest score so far.
    lowest = np.minimum.accumulate(scores, axis=1)
    values, places = np.unique(lowest, return_inverse=True)

    def means(amounts: np.ndarray) -> np.ndarray:
        """The mean of an (F, K) amount: every threshold passed takes faces one iteration back."""
        changes = np.bincount(places.ravel(), (amounts[:, :-1] - amounts[:, 1:]).ravel())
        totals = np.concatenate([[0.0], np.cumsum(changes)])
        return amounts[:, -1].mean() + totals / len(amounts)

    costs = np.broadcast_to(np.asarray(multiply_adds, np.float64), errors.shape)
    counts = np.broadcast_to(np.arange(1.0, errors.shape[1] + 1), errors.shape)
    return Curve(between(values), means(errors), means(costs), means(counts))


def fixed_curve(errors: np.ndarray, multiply_adds: Sequence[int]) -> Curve:
    """The trade-off without a rule: every face runs 1, 2, ... K iterations."""
    counts = np.arange(1.0, len(multiply_adds) + 1)
    return Curve(counts, np.mean(errors, axis=0), np.asarray(multiply_adds, np.float64), counts)


def oracle_curve(errors: np.ndarray, multiply_adds: Sequence[int], count: int = 500) -> Curve:
    """The best trade-off there is: a rule that knows each face's true errors.

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
        points.append((errors[rows, chosen].mean(), costs[chosen].mean(), 1 + chosen.mean()))
    return Curve(prices, *np.array(points).T)


def knowledge(curve: Curve, fixed: Curve, oracle: Curve) -> float:
    """How much a rule knows: 0 as little as without a rule, 1 as much as the oracle.

    It is the area between the lower convex hull of the fixed points and the rule's curve, over the
    area between that hull and the oracle's curve. A rule that is worse than chance is below 0.

    Returns:
        The ratio; 0 if the oracle gains nothing either.
    """
    ends = fixed.multiply_adds[0], fixed.multiply_adds[-1]
    hull = _area(*_lower_hull(fixed.multiply_adds, fixed.errors), *ends)
    own, best = (hull - _area(c.multiply_adds, c.errors, *ends) for c in (curve, oracle))
    return float(own / best) if best > 0 else 0.0


def cheapest(curve: Curve, limit: float) -> int:
    """The position on a curve with the fewest multiply-adds whose mean error is within a limit."""
    return int(np.argmin(np.where(curve.errors <= limit, curve.multiply_adds, np.inf)))


def between(values: np.ndarray) -> np.ndarray:
    """Thresholds around V distinct ascending values: below all, between each two, above all."""
    ends = np.nextafter(values[[0, -1]], [-np.inf, np.inf])
    return np.concatenate([ends[:1], (values[:-1] + values[1:]) / 2, ends[1:]])


def _area(costs: np.ndarray, errors: np.ndarray, start: float, end: float) -> float:
    """The area below a curve from one cost to another; beyond its ends the curve is constant."""
    order = np.argsort(costs, kind="stable")
    costs, errors = costs[order], errors[order]
    costs = np.concatenate([[start], costs, [end]])
    errors = np.concatenate([errors[:1], errors, errors[-1:]])
    return float(np.trapezoid(errors, costs))


def _lower_hull(costs: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points of the lower convex hull; costs ascend."""
    kept: list[int] = []
    for new in range(len(costs)):
        while len(kept) > 1:
            first, last = kept[-2:]
            slope = (errors[new] - errors[first]) / (costs[new] - costs[first])
            if errors[last] < errors[first] + slope * (costs[last] - costs[first]):
                break
            kept.pop()
        kept.append(new)
    return costs[kept], errors[kept]
