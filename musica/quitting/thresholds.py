"""Choosing thresholds on recorded faces: how much effort is spent, and when a face failed.

The paper gives no thresholds and the release uses none, so all choices here are this port's.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from musica.quitting.curves import Curve, between, cheapest

# How much the mean NME of all iterations may rise, as a share of it; None: no face stops early.
EFFORTS: dict[str, float | None] = {"low": 0.05, "balanced": 0.02, "full": None}
# The share of good faces that may be flagged as failures.
MOST_FALSE_ALARMS = 0.02


@dataclass(frozen=True)
class Effort:
    """A named setting of the stop rule, and the means over the faces to which it leads.

    Attributes:
        name: a key of ``EFFORTS``.
        threshold: the score below which a face stops; None: no face stops early.
        nme: NME, a fraction.
        iterations: iterations of a face.
        multiply_adds: multiply-adds of a face.
    """

    name: str
    threshold: float | None
    nme: float
    iterations: float
    multiply_adds: float

    def as_values(self) -> dict[str, Any]:
        """The effort as JSON values."""
        return asdict(self)


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


def choose_efforts(curve: Curve) -> tuple[Effort, ...]:
    """Chooses the setting of each effort that saves most while the mean NME rises by no more.

    Args:
        curve: from ``rule_curve``; its first setting stops no face.
    """
    efforts = []
    for name, increase in EFFORTS.items():
        place = 0 if increase is None else cheapest(curve, (1 + increase) * curve.errors[0])
        means = (curve.errors[place], curve.iterations[place], curve.multiply_adds[place])
        threshold = None if increase is None else float(curve.settings[place])
        efforts.append(Effort(name, threshold, *map(float, means)))
    return tuple(efforts)


def roc(last_estimates: np.ndarray, failed: np.ndarray) -> Roc:
    """Detection of failures by the last estimate, over all fail thresholds.

    Args:
        last_estimates: (F,) estimates after the last iteration.
        failed: (F,) bool, whose error is too large; some are and some are not.
    """
    thresholds = between(np.unique(last_estimates))
    rates = []
    for kind in (failed, ~failed):
        sorted_estimates = np.sort(last_estimates[kind])
        below = np.searchsorted(sorted_estimates, thresholds, side="right")
        rates.append(1 - below / len(sorted_estimates))
    return Roc(thresholds, *rates)


def choose_fail_threshold(detection: Roc) -> float:
    """T_f: detects as many failures as false alarms allow, with as few false alarms as that needs.

    Failures are rare, so a rule that weighs errors by their number would detect hardly any.

    Args:
        detection: from ``roc``.
    """
    allowed = detection.false_alarms <= MOST_FALSE_ALARMS
    most = detection.detected[allowed].max()
    return float(detection.thresholds[allowed & (detection.detected == most)][-1])
