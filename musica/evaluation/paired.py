"""How sure it is that one method is better than another one on the same faces."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

DRAWS, SEED = 1000, 0
# The interval's ends, in percent of the draws.
INTERVAL = 2.5, 97.5


class Ratio(NamedTuple):
    """A ratio, and the ends of its interval of 95 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def error_ratio(sets: Sequence[np.ndarray]) -> Ratio:
    """The mean error of one method over that of another one; of several sets the geometric mean.

    The interval comes from a bootstrap: each set's faces are drawn again and again from its own. It
    tells what other faces like these would change, not what another training would.

    Args:
        sets: for each set of faces, (F, 2) positive errors: of the other method, of the one.
    """
    rng = np.random.default_rng(SEED)
    logarithms = np.mean([_draws(np.asarray(errors), rng) for errors in sets], axis=0)
    low, high = np.percentile(logarithms[1:], INTERVAL)
    return Ratio(*np.exp([logarithms[0], low, high]).tolist())


def _draws(errors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Logarithms of the ratio of (F, 2) errors: of all faces, then of each draw."""
    count = len(errors)
    draws = (errors[rng.integers(0, count, count)].mean(axis=0) for _ in range(DRAWS))
    other, one = np.log([errors.mean(axis=0), *draws]).T
    return one - other
