"""Recurrent weights of few bits."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

from musica.training.cascade_training import CascadeTraining
from musica.training.rounding import LARGEST, call_rounded, round_weights, rounded


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_each_unit_has_a_step_of_its_own(bits):
    most = 2 ** (bits - 1) - 1
    kernel = np.random.default_rng(0).normal(size=(500, 3)).astype("float32") * [1, 10, 0]
    found = np.array(rounded(kernel.astype("float32"), bits))

    step = LARGEST / most * np.sqrt((kernel[:, :2] ** 2).mean(axis=0))
    multiples = found[:, :2] / step
    np.testing.assert_allclose(multiples, np.rint(multiples), atol=1e-4)
    assert np.abs(multiples).max() == pytest.approx(most)
    # Whatever is not cut off moves by half a step at most.
    within = np.abs(kernel[:, :2]) < most * step
    assert np.abs(found[:, :2] - kernel[:, :2])[within].max() <= 0.501 * step.max()
    assert not found[:, 2].any()


def test_gradients_are_those_at_the_rounded_weights():
    model, model_rounded = tiny.musica_model(), tiny.musica_model()
    round_weights(model_rounded, 4)
    inputs = tiny.inputs()
    with tf.GradientTape() as tape:
        outputs = call_rounded(model, inputs, 4)
        loss = tf.reduce_sum(outputs["landmarks"][-1])
    with tf.GradientTape() as expected_tape:
        expected_outputs = model_rounded(inputs)
        expected_loss = tf.reduce_sum(expected_outputs["landmarks"][-1])
    tiny.outputs_equal(outputs, expected_outputs)
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    expected = expected_tape.gradient(
        expected_loss, [weight.value for weight in model_rounded.trainable_weights]
    )
    compared = 0
    for found, wanted in zip(gradients, expected, strict=True):
        assert (found is None) == (wanted is None)  # the estimates are not in this loss
        if found is not None:
            np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)
            compared += 1
    assert compared > 10


def test_a_dropout_goes_on_with_other_patches():
    model = tiny.musica_model(landmark_count=68, patch_dropout=0.5)
    training = CascadeTraining(model, "l1", 0.05, recurrent_bits=4)
    found = [training(tiny.inputs(count=68), training=True)["hidden"][0].numpy() for _ in range(5)]
    assert len({hidden.tobytes() for hidden in found}) > 1
