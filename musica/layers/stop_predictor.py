"""What the cascade knows of its own error, on which a face stops."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("musica")
class StopPredictor(keras.layers.Layer):
    """Predicts the error of the current landmarks from the hidden state, and if asked the gain.

    The gain is what later iterations would still lower the error by, in percent of NME for each
    million multiply-adds; it is fitted after the training (``musica.quitting.gain``).

    PORT: in the release the error is the last unit of the head's Dense layer; there is no gain.

    Args:
        hidden_size: size H of the hidden state.
        kernel_initializer: Keras initializer of the error's kernel.
        predicts_gain: whether there is a unit for the gain; it starts with zeros.

    Input: (B, H) hidden state.

    Output: (B,) estimated error E_k, on the scale of the training loss (``losses.l1_error``).

    Reference: ``METHOD.md`` sections 3 and 8; release function ``conv_model_conv3``.
    """

    def __init__(
        self,
        hidden_size: int = 512,
        kernel_initializer: Any = "lecun_normal",
        predicts_gain: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.predicts_gain = predicts_gain
        self.error = keras.layers.Dense(
            1,
            kernel_initializer=self.kernel_initializer.clone(),
            name="error",
            dtype=self.dtype_policy,
        )
        self.gain = (
            keras.layers.Dense(
                1, kernel_initializer="zeros", name="gain", trainable=False, dtype=self.dtype_policy
            )
            if predicts_gain
            else None
        )

    def build(self, input_shape: Any = None) -> None:
        """Creates the units' weights; they depend on the arguments alone."""
        for unit in (self.error, self.gain):
            if unit is not None:
                unit.build((None, self.hidden_size))
        self.built = True

    def call(self, hidden: Any) -> Any:
        """Predicts the errors; shapes as in the class description."""
        return ops.squeeze(self.error(hidden), axis=-1)

    def gains(self, hidden: Any) -> Any:
        """Predicts the gains: (B,) of the (B, H) hidden state, or None without a unit for them."""
        return None if self.gain is None else ops.squeeze(self.gain(hidden), axis=-1)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one face."""
        return self.hidden_size * (1 + self.predicts_gain)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "hidden_size": self.hidden_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "predicts_gain": self.predicts_gain,
        }
