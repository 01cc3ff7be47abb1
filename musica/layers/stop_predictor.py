"""The cascade's estimate of its own error."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("musica")
class StopPredictor(keras.layers.Layer):
    """Predicts the error of the current landmarks from the hidden state, and which faces stop.

    PORT: in the release this is the last unit of the head's Dense layer.

    Args:
        hidden_size: size H of the hidden state.
        kernel_initializer: Keras initializer of the kernel.

    Input: (B, H) hidden state.

    Output: (B,) estimated error E_k, on the scale of the training loss (``losses.l1_error``).

    Reference: ``METHOD.md`` sections 3 and 8; release function ``conv_model_conv3``.
    """

    def __init__(self, hidden_size: int = 512, kernel_initializer="lecun_normal", **kwargs):
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.error = keras.layers.Dense(
            1,
            kernel_initializer=self.kernel_initializer.clone(),
            name="error",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape=None):
        """Creates the unit's weights; they depend on the arguments alone."""
        self.error.build((None, self.hidden_size))
        self.built = True

    def call(self, hidden):
        """Predicts the errors; shapes as in the class description."""
        return ops.squeeze(self.error(hidden), axis=-1)

    @staticmethod
    def stops(errors, stop_threshold: float):
        """Says which faces stop: (B,) bool, E_k < T_s (``METHOD.md`` section 8)."""
        return errors < stop_threshold

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "hidden_size": self.hidden_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
