"""The One Euro filter: little jitter while something is still, little lag while it moves.

G. Casiez, N. Roussel, D. Vogel, "1 EUR Filter: A Simple Speed-based Low-pass Filter for Noisy
Input in Interactive Systems", CHI 2012, algorithm 1.
"""

import numpy as np

from musica.errors import InputError

# Measured on landmarks in experiments/video; the unit is the longer side of their face's box.
MIN_CUTOFF = 1.0
BETA = 10.0
SPEED_CUTOFF = 1.0


class OneEuroFilter:
    """Smooths each number of an array over time.

    It is a low-pass filter of first order whose cut-off frequency rises with the speed. At constant
    speed the result lags behind by 1 / (2 pi cut-off) seconds.

    Args:
        min_cutoff: cut-off frequency at rest in Hz; lower: less jitter.
        beta: how much the cut-off frequency rises, in Hz for each unit per second of speed; higher:
            less lag.
        speed_cutoff: cut-off frequency of the filter that smooths the speed, in Hz.

    Raises:
        InputError: a cut-off is not above 0, or beta is below 0.

    Example:
        >>> smooth = OneEuroFilter()
        >>> for frame, landmarks in enumerate(track):
        ...     print(smooth(landmarks, frame / 25, unit=face_size))
    """

    def __init__(
        self,
        min_cutoff: float = MIN_CUTOFF,
        beta: float = BETA,
        speed_cutoff: float = SPEED_CUTOFF,
    ):
        if not (min_cutoff > 0 and speed_cutoff > 0 and beta >= 0):
            raise InputError("the filter needs cut-offs above 0 and a beta of at least 0")
        self.min_cutoff = min_cutoff
        self.beta = beta
        self.speed_cutoff = speed_cutoff
        self._seconds = 0.0
        self._values: np.ndarray | None = None
        self._speed = np.zeros(())

    def __call__(self, values: np.ndarray, seconds: float, unit: float = 1.0) -> np.ndarray:
        """Smooths the values of a moment.

        Args:
            values: an array, of the same shape in every call.
            seconds: the time of the values, later than in the last call.
            unit: the length that speeds are measured in. The size of the moving object makes the
                result independent of the resolution.

        Returns:
            float64 array of the same shape; the first values are returned unchanged.
        """
        values = np.array(values, np.float64)
        if self._values is None:
            self._speed = np.zeros_like(values)
        else:
            elapsed = max(seconds - self._seconds, 1e-6)
            speed = (values - self._values) / (elapsed * unit)
            self._speed = self._speed + _weight(self.speed_cutoff, elapsed) * (speed - self._speed)
            cutoff = self.min_cutoff + self.beta * np.abs(self._speed)
            values = self._values + _weight(cutoff, elapsed) * (values - self._values)
        self._seconds, self._values = seconds, values
        return values.copy()


def _weight(cutoff: float | np.ndarray, elapsed: float) -> float | np.ndarray:
    """The weight of a new value in a low-pass filter of first order, for cut-offs in Hz."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * elapsed))
