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
        cut = [
            pyramid.patches(levels[k], around, size)
            for pyramid, around in zip(pyramids, centres, strict=True)
        ]
        outputs = self._model.step(k, _batch(cut), state.hidden)
        displacement = displacement + outputs["displacement"]
        landmarks = landmarks_from(initial, displacement, levels[k])
        state = IterationState(displacement, outputs["hidden"])
        return IterationResult(state, landmarks, outputs["error"], outputs.get("gain"))


def _batch(patches: list[np.ndarray]) -> np.ndarray:
    """The patches of B faces, each (M, p, p, C), as (B, M, p, p, 3); grey is repeated."""
    if len(patches) == 1 and patches[0].shape[-1] == 3:
        return patches[0][None]  # the usual case, without a copy
    batch = np.empty((len(patches), *patches[0].shape[:3], 3), np.float32)
    for own, values in zip(batch, patches, strict=True):
        own[:] = values
    return batch
