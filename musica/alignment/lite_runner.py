"""Runs an exported model with LiteRT."""

from collections.abc import Sequence

import numpy as np

from musica.models.iteration import (
    IterationResult,
    IterationState,
    displacement_at,
    landmarks_from,
    points_at,
)
from musica.models.lite_model import LiteModel
from musica.preprocessing.preprocessor import Pyramid


class LiteRunner:
    """A ``Runner`` of a ``LiteModel``; of a level only the patches are normalised.

    Args:
        model: the exported model.
    """

    def __init__(self, model: LiteModel):
        self._model = model
        self._patch_indices = [np.array(points) for points in model.settings.patch_indices]

    def iterate(
        self, k: int, pyramids: Sequence[Pyramid], initial: np.ndarray, state: IterationState
    ) -> IterationResult:
        """As ``Runner.iterate``."""
        levels, size = self._model.settings.levels, self._model.settings.patch_size
        displacement = displacement_at(state, levels, k)
        points = points_at(initial, displacement, levels[k])
        centres = points.take(self._patch_indices[k], axis=1)
        patches = np.empty((*centres.shape[:2], size, size, 3), np.float32)
        for own, pyramid, around in zip(patches, pyramids, centres, strict=True):
            own[:] = pyramid.patches(levels[k], around, size)
        outputs = self._model.step(k, patches, state.hidden)
        displacement = displacement + outputs["displacement"]
        landmarks = landmarks_from(initial, displacement, levels[k])
        state = IterationState(displacement, outputs["hidden"])
        return IterationResult(state, landmarks, outputs["error"], outputs.get("gain"))
