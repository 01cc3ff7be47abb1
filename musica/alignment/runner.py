"""The protocol of runners, which compute a model's iterations for prepared faces."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from musica.models.iteration import IterationResult, IterationState
from musica.preprocessing.preprocessor import Pyramid


class Runner(Protocol):
    """Computes iterations. Threads may share a runner."""

    def iterate(
        self, k: int, pyramids: Sequence[Pyramid], initial: np.ndarray, state: IterationState
    ) -> IterationResult:
        """Runs iteration k of B faces.

        Args:
            k: which iteration, from 0.
            pyramids: B pyramids from the model's preprocessor.
            initial: (B, N, 2) float32 initial landmarks, (y, x) level-0 pixels.
            state: from the iteration before, NumPy arrays.

        Returns:
            NumPy arrays.
        """
