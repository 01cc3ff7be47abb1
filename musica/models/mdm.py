"""MDM, the baseline: the Mnemonic Descent Method (CVPR 2016) from the same layers."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from musica.geometry import crops
from musica.layers import CascadeStep
from musica.models.musica import check_patch_indices, check_reference_shape, release_initializer


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

    Inputs, a dict: ``pyramid``, a list whose first entry is the (B, H', W', 3) float32 image;
    ``initial`` (B, N, 2) float32, (y, x) pixels.

    Outputs, a dict of lists with one entry per iteration: ``landmarks`` (B, N, 2) and ``hidden``
    (B, H). There is no error estimate.

    Reference: ``method.md`` section 11.
    """

    # Settings that inference reads from every model; an MDM never quits.
    box_size = crops.BOX_SIZE
    margin = crops.MARGIN
    stop_threshold = fail_threshold = realign_threshold = calibration = None
    realign_turn = 0.0

    def __init__(
        self,
        landmark_count: int = 68,
        patch_indices: Sequence[int] | None = None,
        iterations: int = 4,
        patch_size: int = 30,
        hidden_size: int = 512,
        kernel_initializer: Any = None,
        reference_shape: Sequence[Sequence[float]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # coordinates stay exact
        self.landmark_count = landmark_count
        if patch_indices is None:
            patch_indices = range(landmark_count)
        self.patch_indices = check_patch_indices(patch_indices, landmark_count)
        self.iterations = iterations
        self.patch_size = patch_size
        self.hidden_size = hidden_size
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or release_initializer()
        )
        self.reference_shape = check_reference_shape(reference_shape, landmark_count)
        self.step = CascadeStep(
            landmark_count,
            len(self.patch_indices),
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
        hidden = ops.zeros((ops.shape(initial)[0], self.hidden_size), initial.dtype)
        state = {"displacement": ops.zeros_like(initial), "hidden": hidden}
        outputs: dict[str, list] = {"landmarks": [], "hidden": []}
        for k in range(self.iterations):
            state, landmarks, _ = self.iterate(k, image, initial, state)
            outputs["landmarks"].append(landmarks)
            outputs["hidden"].append(state["hidden"])
        return outputs

    def iterate(self, k: int, image: Any, initial: Any, state: dict[str, Any]) -> tuple:
        """Runs one iteration; all are alike. As ``MuSiCa.iterate``, but all errors are NaN."""
        landmarks = initial + state["displacement"]
        centres = ops.take(landmarks, self.patch_indices, axis=1)
        moved, hidden, _ = self.step(image, centres, state["hidden"])
        displacement = state["displacement"] + moved
        errors = ops.full((ops.shape(initial)[0],), float("nan"), initial.dtype)
        return {"displacement": displacement, "hidden": hidden}, initial + displacement, errors

    @property
    def levels(self) -> tuple[int, ...]:
        """The pyramid level of each iteration: the finest."""
        return (0,) * self.iterations

    @property
    def multiply_adds(self) -> list[int]:
        """Multiply-adds for one face after each iteration."""
        return [(k + 1) * self.step.multiply_adds for k in range(self.iterations)]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "landmark_count": self.landmark_count,
            "patch_indices": list(self.patch_indices),
            "iterations": self.iterations,
            "patch_size": self.patch_size,
            "hidden_size": self.hidden_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "reference_shape": self.reference_shape,
        }
