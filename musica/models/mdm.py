"""MDM, the baseline: the Mnemonic Descent Method (CVPR 2016) from the same layers."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from musica.layers import CascadeStep
from musica.models.iteration import IterationResult, IterationState, landmarks_from
from musica.models.musica import release_initializer
from musica.models.settings import ModelSettings


@keras.saving.register_keras_serializable("musica")
class MDM(keras.Model):
    """One scale, one step repeated: all weights are shared between iterations.

    Args:
        landmark_count: N.
        patch_indices: landmarks around which patches are cut; all if None.
        iterations: number of times the step runs.
        patch_size: side of a patch in pixels.
        hidden_size: H.
        kernel_initializer: Keras initializer of all kernels; the release's if None.
        reference_shape: (N, 2) mean face, (y, x) crop pixels, or None.
        preprocessing: ``mdm`` as published, or ``release`` as MuSiCa's.

    Inputs, a dict: ``pyramid``, a list whose first entry is the (B, H', W', 3) float32 image;
    ``initial`` (B, N, 2) float32, (y, x) pixels.

    Outputs, a dict of lists with one entry per iteration: ``landmarks`` (B, N, 2) and ``hidden``
    (B, H). There is no error estimate.

    Reference: ``METHOD.md`` section 11.
    """

    def __init__(
        self,
        landmark_count: int = 68,
        patch_indices: Sequence[int] | None = None,
        iterations: int = 4,
        patch_size: int = 30,
        hidden_size: int = 512,
        kernel_initializer: Any = None,
        reference_shape: Sequence[Sequence[float]] | None = None,
        preprocessing: str = "release",
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # coordinates stay exact
        if patch_indices is None:
            patch_indices = range(landmark_count)
        # An MDM never quits.
        self.settings = ModelSettings(
            landmark_count,
            patch_indices,  # type: ignore[arg-type]  # it makes tuples of what it gets
            (0,) * iterations,
            patch_size,
            hidden_size,
            preprocessing,
            reference_shape=reference_shape,  # type: ignore[arg-type]
        )
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or release_initializer()
        )
        self.step = CascadeStep(
            landmark_count,
            len(self.settings.patch_indices[0]),
            patch_size,
            hidden_size=hidden_size,
            use_attention=False,
            predicts_error=False,
            kernel_initializer=self.kernel_initializer.clone(),
            name="step",
            dtype=self.dtype_policy,
        )
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Creates all weights; they depend on the arguments alone."""
        self.step.build()
        self.built = True

    def call(self, inputs: dict[str, Any]) -> dict[str, list]:
        """Runs all iterations; inputs and outputs as in the class description."""
        image = inputs["pyramid"][0]
        initial = ops.convert_to_tensor(inputs["initial"])
        hidden = ops.zeros((ops.shape(initial)[0], self.settings.hidden_size), initial.dtype)
        state = IterationState(ops.zeros_like(initial), hidden)
        outputs: dict[str, list] = {"landmarks": [], "hidden": []}
        for k in range(len(self.settings.levels)):
            result = self.iterate(k, image, initial, state)
            state = result.state
            outputs["landmarks"].append(result.landmarks)
            outputs["hidden"].append(state.hidden)
        return outputs

    def iterate(self, k: int, image: Any, initial: Any, state: IterationState) -> IterationResult:
        """Runs one iteration; as ``MuSiCa.iterate``, but all errors are NaN."""
        landmarks = landmarks_from(initial, state.displacement, 0)
        centres = ops.take(landmarks, self.settings.patch_indices[k], axis=1)
        moved, hidden, _, _ = self.step(image, centres, state.hidden)
        displacement = state.displacement + moved
        errors = ops.full((ops.shape(initial)[0],), float("nan"), initial.dtype)
        landmarks = landmarks_from(initial, displacement, 0)
        return IterationResult(IterationState(displacement, hidden), landmarks, errors)

    @property
    def multiply_adds(self) -> list[int]:
        """Multiply-adds for one face after each iteration."""
        return [(k + 1) * self.step.multiply_adds for k in range(len(self.settings.levels))]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        settings = self.settings.as_values()
        return {
            **super().get_config(),
            "landmark_count": settings["landmark_count"],
            "patch_indices": settings["patch_indices"][0],
            "iterations": len(settings["levels"]),
            "patch_size": settings["patch_size"],
            "hidden_size": settings["hidden_size"],
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "reference_shape": settings["reference_shape"],
            "preprocessing": settings["preprocessing"],
        }
