"""MuSiCa: the cascade of the paper, as a Keras model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from musica.geometry import crops
from musica.geometry.landmarks import scheme_for
from musica.layers import CascadeStep
from musica.models.iteration import (
    IterationResult,
    IterationState,
    displacement_at,
    landmarks_from,
    points_at,
)
from musica.models.settings import FORMER_KEYS, ModelSettings


def release_initializer() -> keras.initializers.Initializer:
    """The release's initializer of all kernels: truncated normal, stddev 0.01."""
    return keras.initializers.TruncatedNormal(stddev=0.01)


@keras.saving.register_keras_serializable("musica")
class MuSiCa(keras.Model):
    """Multi-scale cascade with local patch attention that predicts its own error.

    Every iteration k has a pyramid level and weights of its own; the hidden state is all that is
    handed on, besides the landmarks.

    Args:
        landmark_count: N.
        patch_indices: the M landmarks around which patches are cut, one list for all iterations or
            one for each; the scheme's default if None.
        levels: pyramid level of each iteration, e.g. (2, 1, 0); level l is 1/2^l of the crop.
        patch_size: side of a patch in pixels.
        filters: channels of the patch encoder's convolutions.
        hidden_size: H.
        use_attention: whether patches are weighted by the local attention.
        kernel_initializer: Keras initializer of all kernels; the release's if None.
        patch_dropout: share of the patches that are not seen in training.
        predicts_gain: whether the stop predictors but the last have a second output, the gain
            still to be had.
        preprocessing: how pixels are made; it and the following are not used by ``call``. They
            travel with the model, because inference needs them (``ModelSettings``).
        box_size: the box's longer side in crop pixels.
        margin: share of the box's side that the crop adds on each side.
        reference_shape: (N, 2) mean face, (y, x) crop pixels from the box's corner, or None.
        stop_threshold: T_s; one for all iterations, or one for each but the last; None never stops.
        stop_score: what efforts decide on.
        efforts: named settings of the stop rule.
        fail_threshold: T_f; None never fails.
        calibration: the NMEs that estimates stand for.
        landmark_profile: the shares of the landmarks in the NME.

    Attributes:
        settings: the model's ``ModelSettings``.

    Inputs, a dict:
        pyramid: list of (B, H_l, W_l, 3) float32 normalised levels, finest first, at least
            ``max(levels) + 1`` of them.
        initial: (B, N, 2) float32, (y, x) level-0 pixels.

    Outputs, a dict of lists with one entry per iteration:
        landmarks: (B, N, 2) float32, (y, x) level-0 pixels.
        errors: (B,) float32 estimated error, on the scale of ``losses.l1_error``.
        gains: (B,) float32 predicted gain (``musica.quitting.gain``), with ``predicts_gain`` alone;
            None after the last iteration.
        hidden: (B, H) float32 hidden state.

    Example:
        >>> model = MuSiCa(68, patch_indices=[30, 48])
        >>> pyramid = [keras.ops.zeros((1, size, size, 3)) for size in (228, 114, 57)]
        >>> outputs = model({"pyramid": pyramid, "initial": keras.ops.zeros((1, 68, 2))})
        >>> outputs["landmarks"][-1].shape
        TensorShape([1, 68, 2])

    PORT: the release's first return value doubles the displacement once too often; the landmarks
    here are its ``flm_prediction``.

    Reference: ``METHOD.md`` sections 3 and 4; release function ``model_conv3_pyramids``.
    """

    def __init__(
        self,
        landmark_count: int = 68,
        patch_indices: Sequence[int] | Sequence[Sequence[int]] | None = None,
        levels: Sequence[int] = (2, 1, 0),
        patch_size: int = 14,
        filters: int = 32,
        hidden_size: int = 512,
        use_attention: bool = True,
        kernel_initializer: Any = None,
        patch_dropout: float = 0.0,
        predicts_gain: bool = False,
        preprocessing: str = "release",
        box_size: int = crops.BOX_SIZE,
        margin: float = crops.MARGIN,
        reference_shape: Any = None,
        stop_threshold: float | Sequence[float] | None = None,
        stop_score: str = "estimate",
        efforts: Sequence[Mapping[str, Any]] = (),
        fail_threshold: float | None = None,
        calibration: Any = None,
        landmark_profile: Any = None,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)  # coordinates stay exact
        if patch_indices is None:
            scheme = scheme_for(landmark_count)
            patch_indices = scheme.patch_indices[scheme.default_patch_count]
        self.settings = ModelSettings(
            landmark_count,
            patch_indices,  # type: ignore[arg-type]  # it makes tuples of what it gets
            levels,  # type: ignore[arg-type]
            patch_size,
            hidden_size,
            preprocessing,
            box_size,
            margin,
            reference_shape,
            stop_threshold,  # type: ignore[arg-type]
            stop_score,
            efforts,  # type: ignore[arg-type]
            fail_threshold,
            calibration,
            landmark_profile,
        )
        self.filters = filters
        self.use_attention = bool(use_attention)
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or release_initializer()
        )
        self.patch_dropout = patch_dropout
        self.predicts_gain = bool(predicts_gain)
        self.steps = [
            CascadeStep(
                landmark_count,
                len(points),
                patch_size,
                filters,
                hidden_size,
                use_attention,
                kernel_initializer=self.kernel_initializer.clone(),
                patch_dropout=patch_dropout,
                predicts_gain=predicts_gain and k < len(self.settings.levels) - 1,
                name=f"step_{k}",
                dtype=self.dtype_policy,
            )
            for k, points in enumerate(self.settings.patch_indices)
        ]
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Creates all weights; they depend on the arguments alone."""
        for step in self.steps:
            step.build()
        self.built = True

    def call(self, inputs: dict[str, Any]) -> dict[str, list]:
        """Runs all iterations; inputs and outputs as in the class description."""
        initial = ops.convert_to_tensor(inputs["initial"])
        state = self.initial_state(initial)
        outputs: dict[str, list] = {"landmarks": [], "errors": [], "hidden": []}
        if self.predicts_gain:
            outputs["gains"] = []
        for k, level in enumerate(self.settings.levels):
            result = self.iterate(k, inputs["pyramid"][level], initial, state)
            state = result.state
            outputs["landmarks"].append(result.landmarks)
            outputs["errors"].append(result.errors)
            outputs["hidden"].append(state.hidden)
            if self.predicts_gain:
                outputs["gains"].append(result.gains)
        return outputs

    def initial_state(self, initial: Any) -> IterationState:
        """State before the first iteration: no displacement, hidden state zero."""
        hidden = ops.zeros((ops.shape(initial)[0], self.settings.hidden_size), initial.dtype)
        return IterationState(ops.zeros_like(initial), hidden)

    def iterate(self, k: int, image: Any, initial: Any, state: IterationState) -> IterationResult:
        """Runs iteration k (``METHOD.md`` section 4).

        Args:
            k: which iteration.
            image: (B, H_l, W_l, 3) float32, the pyramid level ``levels[k]``.
            initial: (B, N, 2) float32, level-0 pixels.
            state: from the iteration before.
        """
        levels = self.settings.levels
        displacement = displacement_at(state, levels, k)
        points = points_at(initial, displacement, levels[k])
        centres = ops.take(points, self.settings.patch_indices[k], axis=1)
        moved, hidden, errors, gains = self.steps[k](image, centres, state.hidden)
        displacement = displacement + moved
        landmarks = landmarks_from(initial, displacement, levels[k])
        return IterationResult(IterationState(displacement, hidden), landmarks, errors, gains)

    @property
    def multiply_adds(self) -> list[int]:
        """Multiply-adds for one face after each iteration (``METHOD.md`` section 9)."""
        totals, total = [], 0
        for step in self.steps:
            total += step.multiply_adds
            totals.append(total)
        return totals

    def change_settings(self, **changes: Any) -> None:
        """Replaces settings that the weights do not depend on, such as thresholds.

        Raises:
            InputError: a value cannot be a model's.
        """
        self.settings = replace(self.settings, **changes)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            **self.settings.as_values(),
            "filters": self.filters,
            "use_attention": self.use_attention,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "patch_dropout": self.patch_dropout,
            "predicts_gain": self.predicts_gain,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MuSiCa":
        """Builds a model; keys of version 0.2.0 that nothing reads any more are passed over."""
        return cls(**{name: value for name, value in config.items() if name not in FORMER_KEYS})
