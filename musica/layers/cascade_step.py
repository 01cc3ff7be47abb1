"""One iteration of the cascade."""

from typing import Any

import keras
from keras import ops

from musica.layers.patch_attention import PatchAttention
from musica.layers.patch_encoder import PatchEncoder
from musica.layers.patch_extractor import PatchExtractor
from musica.layers.stop_predictor import StopPredictor


@keras.saving.register_keras_serializable("musica")
class CascadeStep(keras.layers.Layer):
    """Looks at the patches, updates the hidden state, moves all landmarks.

    ``h_k = tanh(Dense_H([f'_1 .. f'_M ; h_{k-1}]))``; the displacement of every landmark and the
    estimated error are linear in ``h_k``.

    Args:
        landmark_count: N, landmarks that are moved.
        patch_count: M, patches that are looked at.
        patch_size: side of a patch in pixels.
        filters: channels of the encoder's convolutions.
        hidden_size: H.
        use_attention: whether patches are weighted by the local attention.
        predicts_error: whether the step has a stop predictor (MDM has none).
        kernel_initializer: Keras initializer of all kernels.
        patch_dropout: share of the patches that are not seen in training.
        predicts_gain: whether the stop predictor predicts the gain, too.

    With a mixed precision policy everything except coordinates, hidden state and outputs is
    computed in half precision.

    Inputs:
        image: (B, H', W', 3) float32, the pyramid level of this iteration.
        centres: (B, M, 2) float32, (y, x) pixels of that level.
        hidden: (B, H) float32, the state before.

    Outputs, a tuple:
        displacement: (B, N, 2) float32, (y, x) pixels of that level.
        hidden: (B, H) float32, the new state.
        error: (B,) float32 estimated error, or None without a stop predictor.
        gain: (B,) float32 predicted gain, or None without such a unit.

    Reference: ``METHOD.md`` section 3; release function ``conv_model_conv3``.
    """

    def __init__(
        self,
        landmark_count: int = 68,
        patch_count: int = 34,
        patch_size: int = 14,
        filters: int = 32,
        hidden_size: int = 512,
        use_attention: bool = True,
        predicts_error: bool = True,
        kernel_initializer: Any = "lecun_normal",
        patch_dropout: float = 0.0,
        predicts_gain: bool = False,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)
        self.landmark_count = landmark_count
        self.patch_count = patch_count
        self.patch_size = patch_size
        self.filters = filters
        self.hidden_size = hidden_size
        self.use_attention = bool(use_attention)
        self.predicts_error = bool(predicts_error)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.patch_dropout = patch_dropout
        self.predicts_gain = bool(predicts_gain)

        policy = self.dtype_policy
        exact = policy.variable_dtype
        self.extractor = PatchExtractor(patch_size, name="extractor", dtype=exact)
        self.encoder = PatchEncoder(
            patch_size, filters, self.kernel_initializer.clone(), name="encoder", dtype=policy
        )
        self.attention = (
            PatchAttention(
                self.encoder.feature_size,
                self.kernel_initializer.clone(),
                name="attention",
                dtype=policy,
            )
            if use_attention
            else None
        )
        # Whole patches, as if something covered them.
        self.dropout = (
            keras.layers.Dropout(patch_dropout, (None, patch_count, 1), dtype=policy)
            if patch_dropout
            else None
        )
        self.recurrent = keras.layers.Dense(
            hidden_size,
            "tanh",
            kernel_initializer=self.kernel_initializer.clone(),
            name="recurrent",
            dtype=policy,
        )
        self.head = keras.layers.Dense(
            2 * landmark_count,
            kernel_initializer=self.kernel_initializer.clone(),
            name="head",
            dtype=exact,
        )
        self.stop_predictor = (
            StopPredictor(
                hidden_size,
                self.kernel_initializer.clone(),
                predicts_gain,
                name="stop_predictor",
                dtype=exact,
            )
            if predicts_error
            else None
        )

    def build(self, *input_shapes: Any) -> None:
        """Creates all weights; they depend on the arguments alone."""
        self.extractor.build()
        self.encoder.build()
        if self.attention is not None:
            self.attention.build()
        inputs = self.patch_count * self.encoder.feature_size + self.hidden_size
        self.recurrent.build((None, inputs))
        self.head.build((None, self.hidden_size))
        if self.stop_predictor is not None:
            self.stop_predictor.build()
        self.built = True

    def call(self, image: Any, centres: Any, hidden: Any) -> tuple[Any, Any, Any, Any]:
        """Runs the iteration; shapes as in the class description."""
        return self.update(self.extractor(image, centres), hidden)

    def update(self, patches: Any, hidden: Any) -> tuple[Any, Any, Any, Any]:
        """Runs the iteration on extracted patches (B, M, p, p, 3); hidden (B, H)."""
        return self.regress(self.encoder(patches), hidden)

    def regress(self, features: Any, hidden: Any) -> tuple[Any, Any, Any, Any]:
        """Runs the iteration on encoded features (B, M, F); hidden (B, H)."""
        if self.attention is not None:
            features = self.attention(features)
        if self.dropout is not None:
            features = self.dropout(features)
        features = ops.reshape(features, (-1, self.patch_count * self.encoder.feature_size))
        state = ops.concatenate([features, ops.cast(hidden, features.dtype)], axis=-1)
        hidden = ops.cast(self.recurrent(state), hidden.dtype)
        displacement = ops.reshape(self.head(hidden), (-1, self.landmark_count, 2))
        if self.stop_predictor is None:
            return displacement, hidden, None, None
        error, gain = self.stop_predictor(hidden)
        return displacement, hidden, error, gain

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one face (``METHOD.md`` section 9)."""
        encoder = self.encoder
        first, second = self.patch_size - 2, encoder.convolved_size
        per_patch = 9 * self.filters * (3 * first**2 + self.filters * second**2)
        if self.use_attention:
            per_patch += encoder.feature_size**2
        outputs = 2 * self.landmark_count + int(self.predicts_error) + int(self.predicts_gain)
        inputs = self.patch_count * encoder.feature_size + self.hidden_size
        return self.patch_count * per_patch + (inputs + outputs) * self.hidden_size

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "landmark_count": self.landmark_count,
            "patch_count": self.patch_count,
            "patch_size": self.patch_size,
            "filters": self.filters,
            "hidden_size": self.hidden_size,
            "use_attention": self.use_attention,
            "predicts_error": self.predicts_error,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "patch_dropout": self.patch_dropout,
            "predicts_gain": self.predicts_gain,
        }
