"""When a face stops: the rule, written once.

After each iteration but the last, a face has a score. It stops after the first iteration whose
score is below a threshold. The score is the estimated error, as in the paper, or the gain that is
still to be had per multiply-add (``musica.quitting.gain``), whose threshold is a price.

Reference: ``METHOD.md`` section 8. PORT: the release always runs every iteration.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musica.errors import InputError
from musica.models.settings import STOP_SCORES, is_number


@dataclass(frozen=True)
class StopRule:
    """Tells which faces stop.

    Attributes:
        score: what is decided on, ``estimate`` or ``gain``.
        thresholds: for each iteration but the last, the score below which a face stops.

    Raises:
        InputError: there is no such score.
    """

    score: str
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.score not in STOP_SCORES:
            raise InputError(f"faces stop by {' or '.join(STOP_SCORES)}, not by {self.score!r}")

    @classmethod
    def of(
        cls, threshold: float | Sequence[float] | None, iterations: int, score: str = "estimate"
    ) -> "StopRule":
        """Makes a rule.

        Args:
            threshold: one for all iterations, or one for each but the last; None stops no face.
            iterations: K.
            score: what is decided on.

        Raises:
            InputError: there are neither 1 nor K - 1 thresholds, or one is no number.
        """
        values = np.ravel(-np.inf if threshold is None else threshold).tolist()
        if len(values) not in (1, iterations - 1) or not all(map(is_number, values)):
            raise InputError(f"stop_threshold must be one or {iterations - 1} numbers")
        return cls(score, tuple(values if len(values) > 1 else values * (iterations - 1)))

    def stops(self, k: int, errors: np.ndarray, gains: np.ndarray | None) -> np.ndarray:
        """Tells which faces stop after iteration k: (B,) bool.

        Args:
            k: the iteration, from 0; after the last, every face stops.
            errors: (B,) estimated errors.
            gains: (B,) predicted gains, or None if the model predicts none.

        Raises:
            InputError: the rule decides on gains, and the model predicts none.
        """
        if k == len(self.thresholds):
            return np.ones(len(errors), bool)
        scores = errors if self.score == "estimate" else gains
        if scores is None:
            raise InputError("the model predicts no gain, on which its faces are to stop")
        # In float32, a threshold just above a score would be equal to it.
        return scores < np.float64(self.thresholds[k])
