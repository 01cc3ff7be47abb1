import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf

from musica.models import losses

EYES = (1, 3)


def faces():
    generator = np.random.default_rng(0)
    truth = generator.uniform(0, 100, (3, 6, 2)).astype("float32")
    predicted = truth + generator.normal(0, 2, truth.shape).astype("float32")
    predicted[0, 0] = truth[0, 0] + 0.004  # counts as zero in the L1 loss
    return predicted, truth


@pytest.mark.parametrize("name", ["l1_error", "normalised_rmse"])
def test_error_equals_the_restatement(name):
    predicted, truth = faces()
    expected = [getattr(reference, name)(p, t, EYES) for p, t in zip(predicted, truth, strict=True)]
    np.testing.assert_allclose(getattr(losses, name)(predicted, truth, EYES), expected, rtol=1e-4)


def test_small_point_errors_count_as_zero():
    truth = np.array([[[0, 0], [0, 10]]], "float32")
    for offset, expected in ((0.004, 0), (0.006, 0.012 / 20)):
        predicted = truth + np.array([[[offset, offset], [0, 0]]], "float32")
        np.testing.assert_allclose(losses.l1_error(predicted, truth, (0, 1)), [expected], rtol=1e-4)


def test_nme_is_mean_distance_over_eye_distance():
    truth = np.array([[[0, 0], [30, 40]]], "float32")
    predicted = truth + np.array([[[3, 4], [0, 0]]], "float32")
    np.testing.assert_allclose(losses.nme(predicted, truth, (0, 1)), [2.5 / 50], rtol=1e-6)


def test_the_loss_of_mdm_has_a_gradient_where_the_error_is_zero():
    truth = tf.constant([[[0.0, 0.0], [30.0, 40.0]]])
    predicted = tf.Variable([[[0.0, 0.0], [30.0, 42.0]]])
    with tf.GradientTape() as tape:
        loss = losses.LOSSES["nme"](predicted, truth, (0, 1))
    np.testing.assert_allclose(
        tape.gradient(loss, predicted), [[[0, 0], [0, 1 / 2 / 50]]], rtol=1e-5
    )


def test_iteration_loss_equals_the_restatement():
    errors, estimates = np.array([0.2, 0.5, 0.1], "float32"), np.array([0.3, 0.1, 0.1], "float32")
    expected = reference.iteration_loss(errors, estimates)
    np.testing.assert_allclose(losses.iteration_loss(errors, estimates), expected, rtol=1e-5)
    np.testing.assert_allclose(losses.iteration_loss(errors), errors.mean(), rtol=1e-5)
    np.testing.assert_allclose(losses.iteration_loss(errors, estimates, 1.0), 0.5 / 3, rtol=1e-5)


def test_no_gradient_is_stopped():
    error, estimate = tf.constant([0.5]), tf.constant([0.2])
    with tf.GradientTape() as tape:
        tape.watch([error, estimate])
        loss = losses.iteration_loss(error, estimate)
    to_error, to_estimate = tape.gradient(loss, [error, estimate])
    np.testing.assert_allclose(to_error, [1.0], rtol=1e-5)  # 0.95 + 0.05
    np.testing.assert_allclose(to_estimate, [-0.05], rtol=1e-5)
