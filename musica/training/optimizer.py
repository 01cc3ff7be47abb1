"""Adam as the release ran it."""

from typing import Any

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):
    """Adam with TensorFlow's own kernel, as in the release.

    The arithmetic is that of ``keras.optimizers.Adam``; one pass over the memory instead of eight
    makes a training step on a CPU about a tenth faster.
    """

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Updates one variable, float32, by its gradient of the same shape."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].handle,
            v=self._velocities[index].handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
