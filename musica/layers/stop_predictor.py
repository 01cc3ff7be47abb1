"""The cascade's estimate of its own error, and of what going on would gain."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("musica")
class StopPredictor(keras.layers.Layer):
    """Predicts the error of the current landmarks from the hidden state; also the gain, if asked.

    PORT: in the release the error is the last unit of the head's Dense layer.

    PORT: the gain is ours (``musica.quitting.gain``). No gradient flows from it to the cascade.

    Args:
        hidden_size: size H of the hidden state.
        kernel_initializer: Keras initializer of the kernels.
        predicts_gain: whether there is a second unit, for the gain still to be had.

    Input: (B, H) hidden state.

    Outputs, a tuple:
        error: (B,) estimated error E_k, on the scale of the training loss (``losses.l1_error``).
        gain: (B,) predicted gain, or None without that unit.

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
        self.predicts_gain = bool(predicts_gain)
        self.error = self._unit("error")
        self.gain = self._unit("gain") if predicts_gain else None

    def _unit(self, name: str) -> keras.layers.Dense:
        """A linear unit."""
        kernel_initializer = self.kernel_initializer.clone()
        return keras.layers.Dense(
            1, kernel_initializer=kernel_initializer, name=name, dtype=self.dtype_policy
        )

    def build(self, input_shape: Any = None) -> None:
        """Creates the units' weights; they depend on the arguments alone."""
        self.error.build((None, self.hidden_size))
        if self.gain is not None:
            self.gain.build((None, self.hidden_size))
        self.built = True

    def call(self, hidden: Any) -> tuple[Any, Any]:
        """Predicts error and gain; shapes as in the class description."""
        error = ops.squeeze(self.error(hidden), axis=-1)
        if self.gain is None:
            return error, None
        return error, ops.squeeze(self.gain(ops.stop_gradient(hidden)), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "hidden_size": self.hidden_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "predicts_gain": self.predicts_gain,
        }
