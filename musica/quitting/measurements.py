"""Errors and estimates of annotated faces after each iteration, and the numbers that follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from musica.quitting import curves, estimates, thresholds

INCREASES = (0.01, 0.02, 0.05)
EXPECTED_NMES = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08)


@dataclass(frozen=True, eq=False)
class Measurements:
    """V views of faces after each of K iterations; a view is a face in one box.

    Attributes:
        errors: (V, K) NMEs, fractions.
        estimates: (V, K) the model's own, on the scale of ``losses.l1_error``.
        multiply_adds: (K,) of a face after each iteration.
        gains: (V, K - 1) predicted gains, or None if the model predicts none.
        point_errors: (V, K, N) errors of the landmarks, fractions like ``errors``, which are their
            means; None if they were not recorded.
    """

    errors: np.ndarray
    estimates: np.ndarray
    multiply_adds: Sequence[int]
    gains: np.ndarray | None = None
    point_errors: np.ndarray | None = None

    @property
    def score(self) -> str:
        """The score that the model's faces stop by: one of ``settings.STOP_SCORES``."""
        return "estimate" if self.gains is None else "gain"

    @cached_property
    def curves(self) -> dict[str, curves.Curve]:
        """The trade-offs: of a rule on the estimate, on the gain if there is one, fixed, oracle."""
        found = {
            "estimate": curves.rule_curve(self.errors, self.estimates[:, :-1], self.multiply_adds)
        }
        if self.gains is not None:
            found["gain"] = curves.rule_curve(self.errors, self.gains, self.multiply_adds)
        return {
            **found,
            "fixed": curves.fixed_curve(self.errors, self.multiply_adds),
            "oracle": curves.oracle_curve(self.errors, self.multiply_adds),
        }

    @property
    def knowledge(self) -> dict[str, float]:
        """``curves.knowledge`` of each trade-off."""
        fixed, oracle = self.curves["fixed"], self.curves["oracle"]
        return {name: curves.knowledge(curve, fixed, oracle) for name, curve in self.curves.items()}

    def savings(self, increase: float) -> dict[str, float]:
        """The share of multiply-adds that each trade-off saves where the NME rises by a share."""
        limit, whole = (1 + increase) * self.errors[:, -1].mean(), self.multiply_adds[-1]
        return {
            name: float(1 - curve.multiply_adds[curves.cheapest(curve, limit)] / whole)
            for name, curve in self.curves.items()
        }


def summarise(measured: Measurements, failure_nme: float) -> dict:
    """The numbers that are printed and go into calibration.json; NMEs are fractions.

    Args:
        measured: at least one view.
        failure_nme: a face with an NME above it counts as failed.
    """
    errors, own = measured.errors, measured.estimates
    knots = [estimates.calibration_knots(*pair) for pair in zip(errors.T, own.T, strict=True)]
    efforts = thresholds.choose_efforts(measured.curves[measured.score])
    points = measured.point_errors
    return {
        "views": len(errors),
        "nme": errors.mean(axis=0).tolist(),
        "multiply_adds": list(measured.multiply_adds),
        "correlation": _finite(estimates.correlation(errors, own)),
        "rank_correlation": _finite(estimates.rank_correlation(errors, own)),
        "knowledge": measured.knowledge,
        "savings_at_nme_increase": {
            str(increase): measured.savings(increase) for increase in INCREASES
        },
        "stop_score": measured.score,
        "efforts": [effort.as_values() for effort in efforts],
        **_failures(errors[:, -1], own[:, -1], failure_nme),
        "stop_threshold_for_nme": {
            str(nme): estimates.threshold_for(nme, knots) for nme in EXPECTED_NMES
        },
        "calibration": knots,
        "landmark_profile": None if points is None else estimates.landmark_profile(points),
    }


def _failures(errors: np.ndarray, last_estimates: np.ndarray, failure_nme: float) -> dict:
    """How well the last (V,) estimates tell failures; None where all or no faces failed."""
    failed = errors > failure_nme
    summary = {"failure_nme": failure_nme, "failures": int(failed.sum())}
    keys = ("failure_auc", "fail_threshold", "detected", "false_alarms")
    if failed.all() or not failed.any():
        return {**summary, **dict.fromkeys(keys)}
    detection = thresholds.roc(last_estimates, failed)
    threshold = thresholds.choose_fail_threshold(detection)
    flagged = last_estimates > threshold
    rates = (float(flagged[failed].mean()), float(flagged[~failed].mean()))
    return {**summary, **dict(zip(keys, (detection.area, threshold, *rates), strict=True))}


def _finite(values: np.ndarray) -> list[float | None]:
    """JSON has no NaN."""
    return [float(value) if np.isfinite(value) else None for value in values]
