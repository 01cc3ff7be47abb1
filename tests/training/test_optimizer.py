import keras
import numpy as np
import pytest
import tensorflow as tf

from musica.training.optimizer import Adam

SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.01, 8, 0.1, staircase=True)


@pytest.mark.parametrize("learning_rate", [0.003, SCHEDULE])
@pytest.mark.parametrize("epsilon", [1e-8, 1e-3])
def test_equals_keras_adam(learning_rate, epsilon):
    generator = np.random.default_rng(0)
    shapes = [(3, 4), (5,)]
    start = [generator.normal(size=shape).astype("float32") for shape in shapes]
    steps = [[generator.normal(size=shape).astype("float32") for shape in shapes]] * 2
    steps += [[generator.normal(size=shape) * 1e-3 for shape in shapes] for _ in range(18)]
    results = []
    for cls in (Adam, keras.optimizers.Adam):
        variables = [keras.Variable(value) for value in start]
        optimizer = cls(learning_rate, epsilon=epsilon)
        optimizer.build(variables)
        update = tf.function(optimizer.apply)
        for gradients in steps:
            update([tf.constant(gradient, tf.float32) for gradient in gradients])
        assert int(optimizer.iterations) == 20
        results.append([variable.numpy() for variable in [*variables, *optimizer.variables]])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    for value, first in zip(results[0], start, strict=False):
        assert np.abs(value - first).max() > 0.01  # it did move
