"""Local patch attention."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("musica")
class PatchAttention(keras.layers.Layer):
    """Multiplies each feature of a patch by a gate that is computed from this patch alone.

    ``f' = sigmoid(Dense_F(f)) * f`` with one Dense for all patches. The attention is fine-grained:
    each feature has its own weight. There is no softmax over patches.

    Args:
        feature_size: number of features F of one patch.
        kernel_initializer: Keras initializer of the kernel.

    Input: (B, M, F) features.

    Output: (B, M, F) weighted features.

    Reference: ``METHOD.md`` section 3; release function ``conv_model_conv3``.
    """

    def __init__(
        self, feature_size: int = 256, kernel_initializer: Any = "lecun_normal", **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.feature_size = feature_size
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.gate = keras.layers.Dense(
            feature_size,
            activation="sigmoid",
            kernel_initializer=self.kernel_initializer.clone(),
            name="gate",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: Any = None) -> None:
        """Creates the gate's weights; they depend on the arguments alone."""
        self.gate.build((None, None, self.feature_size))
        self.built = True

    def call(self, features: Any) -> Any:
        """Weights the features; shapes as in the class description."""
        return self.gate(features) * features

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "feature_size": self.feature_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
