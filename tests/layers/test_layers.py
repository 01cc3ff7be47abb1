import keras
import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
import tiny

from musica.errors import InputError
from musica.layers import CascadeStep, PatchAttention, PatchEncoder, PatchExtractor, StopPredictor

LAYERS = [
    (PatchExtractor(10), 0),
    (PatchEncoder(16, 4), 4),
    (PatchAttention(6), 2),
    (StopPredictor(7), 2),
    (CascadeStep(5, 2, filters=4, hidden_size=8, use_attention=False), 10),
    (CascadeStep(5, 2, filters=4, hidden_size=8, predicts_error=False), 10),
    (CascadeStep(5, 2, filters=4, hidden_size=8, predicts_gain=True), 14),
]


def test_switches_of_a_file_may_have_any_type():
    step = CascadeStep(5, 2, filters=4, hidden_size=8, predicts_gain="", use_attention=None)
    expected = CascadeStep(5, 2, filters=4, hidden_size=8, use_attention=False)
    assert step.multiply_adds == expected.multiply_adds
    assert step.get_config()["predicts_gain"] is False


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    ("centre", "first"), [(20.99, 13), (8.0, 1), (6.2, 0), (0.4, -6), (-0.4, -7)]
)
def test_patch_starts_at_truncated_index(centre, first):
    rows = np.tile(np.arange(1, 41, dtype="float32")[:, None, None], (1, 40, 1))
    for image, axis in ((rows, 0), (rows.transpose(1, 0, 2), 1)):
        point = np.full((1, 1, 2), 20, "float32")
        point[0, 0, axis] = centre
        patch = np.array(PatchExtractor(14)(image[None], point))[0, 0, :, :, 0]
        along = patch.max(axis=1 - axis)
        expected = [index + 1 if index > 0 else 0 for index in range(first, first + 14)]
        np.testing.assert_array_equal(along, expected)


@pytest.mark.parametrize("size", [14, 9])
def test_patches_equal_the_restatement(size):
    images = random(2, 30, 26, 3)
    centres = np.random.default_rng(1).uniform(-20, 50, (2, 40, 2)).astype("float32")
    patches = np.array(PatchExtractor(size)(images, centres))
    assert patches.shape == (2, 40, size, size, 3)
    for image, points, found in zip(images, centres, patches, strict=True):
        for point, patch in zip(points, found, strict=True):
            np.testing.assert_array_equal(patch, reference.extract_patch(image, point, size))


def test_patches_far_outside_are_zero():
    centres = np.array([[[1e30, 5], [-1e30, 5], [5, 4e9], [-3e9, -3e9]]], "float32")
    assert not np.array(PatchExtractor(14)(np.ones((1, 20, 20, 3), "float32"), centres)).any()


@pytest.mark.parametrize("size", [14, 15, 18])
def test_encoder_equals_the_restatement(size):
    encoder = PatchEncoder(size, 4)
    encoder.build()
    weights = {}
    for index, layer in enumerate(encoder.convolutions):
        layer.bias.assign(random(4, seed=index))
        weights[f"conv_{index}"] = layer.kernel.numpy(), layer.bias.numpy()
    patches = random(2, 3, size, size, 3)
    features = np.array(encoder(patches))
    assert features.shape == (2, 3, encoder.feature_size)
    for b in range(2):
        for m in range(3):
            expected = reference.encode(patches[b, m], weights)
            np.testing.assert_allclose(features[b, m], expected, **tiny.TOLERANCE)


def test_patches_too_small_to_encode():
    assert PatchEncoder(10, 4).feature_size == 8
    with pytest.raises(InputError, match="at least 10, not 9"):
        PatchEncoder(9, 4)


def test_attention_equals_the_restatement_and_looks_at_one_patch():
    attention = PatchAttention(6)
    features = random(2, 3, 6)
    weighted = np.array(attention(features))
    weights = {"attention": (attention.gate.kernel.numpy(), attention.gate.bias.numpy())}
    np.testing.assert_allclose(weighted, reference.attend(features, weights), **tiny.TOLERANCE)
    features[:, 0] += 1
    np.testing.assert_array_equal(np.array(attention(features))[:, 1:], weighted[:, 1:])


@pytest.mark.parametrize("use_attention", [True, False])
@pytest.mark.parametrize("predicts_error", [True, False])
def test_step_equals_the_restatement(use_attention, predicts_error):
    step = CascadeStep(
        5, 3, filters=4, hidden_size=8, use_attention=use_attention, predicts_error=predicts_error
    )
    step.build()
    tiny.randomise(step)
    images, hidden = random(2, 24, 28, 3), random(2, 8, seed=1)
    centres = np.random.default_rng(2).uniform(-5, 30, (2, 3, 2)).astype("float32")
    displacement, new_hidden, error, gain = step(images, centres, hidden)
    for b in range(2):
        expected = reference.step(images[b], centres[b], hidden[b], tiny.arrays(step))
        np.testing.assert_allclose(displacement[b], expected[0], **tiny.TOLERANCE)
        np.testing.assert_allclose(new_hidden[b], expected[1], **tiny.TOLERANCE)
        if predicts_error:
            np.testing.assert_allclose(error[b], expected[2], **tiny.TOLERANCE)
    assert predicts_error or error is None
    assert gain is None


def test_dropped_patches_are_unseen_in_training_alone():
    step = CascadeStep(5, 3, filters=4, hidden_size=8, patch_dropout=0.5)
    step.build()
    tiny.randomise(step)
    patches, hidden = random(200, 3, 14, 14, 3), np.zeros((200, 8), "float32")
    features = step.attention(step.encoder(patches))
    dropped = np.array(step.dropout(features, training=True))
    seen = (dropped != 0).any(axis=-1)  # whole patches
    np.testing.assert_allclose(dropped, np.array(features) * seen[..., None] * 2, rtol=1e-6)
    assert 0.4 < seen.mean() < 0.6
    plain = CascadeStep(5, 3, filters=4, hidden_size=8)
    plain.build()
    plain.set_weights(step.get_weights())
    np.testing.assert_array_equal(step.update(patches, hidden)[0], plain.update(patches, hidden)[0])


def test_mixed_precision_keeps_coordinates_exact():
    exact, mixed = (
        CascadeStep(5, 3, filters=4, hidden_size=8, dtype=policy)
        for policy in ("float32", "mixed_bfloat16")
    )
    exact.build()
    tiny.randomise(exact)
    mixed.build()
    mixed.set_weights(exact.get_weights())
    # Far from the origin, half precision would not tell one pixel from the next.
    images, hidden = random(2, 300, 310, 3), random(2, 8, seed=1)
    centres = np.random.default_rng(2).uniform(250, 290, (2, 3, 2)).astype("float32")
    outputs = mixed(images, centres, hidden), exact(images, centres, hidden)
    for found, expected in zip(*(values[:3] for values in outputs), strict=True):
        assert found.dtype == "float32"
        np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.1)


def test_no_gradient_to_image_or_centres():
    step = CascadeStep(5, 2, filters=4, hidden_size=8)
    step.build()
    image, centres = tf.constant(random(1, 20, 20, 3)), tf.constant([[[9.0, 9.0], [5.0, 12.0]]])
    hidden = tf.constant(random(1, 8))
    with tf.GradientTape() as tape:
        tape.watch([image, centres, hidden])
        displacement, *_ = step(image, centres, hidden)
    to_image, to_centres, to_hidden = tape.gradient(displacement, [image, centres, hidden])
    assert to_image is None
    assert to_centres is None
    assert np.abs(to_hidden).max() > 0


def test_the_gain_is_a_linear_unit_that_moves_nothing_else():
    predictor = StopPredictor(8, predicts_gain=True)
    predictor.build()
    tiny.randomise(predictor)
    hidden = tf.constant(random(2, 8))
    with tf.GradientTape() as tape:
        tape.watch(hidden)
        error, gain = predictor(hidden)
    kernel, bias = predictor.gain.get_weights()
    np.testing.assert_allclose(gain, (hidden.numpy() @ kernel + bias)[:, 0], **tiny.TOLERANCE)
    assert error.shape == gain.shape == (2,)
    assert tape.gradient(gain, hidden) is None


@pytest.mark.parametrize(("layer", "weight_count"), LAYERS)
def test_layer_comes_back_from_its_config(layer, weight_count):
    layer.build()
    assert len(layer.weights) == weight_count
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
    assert [w.shape for w in copy.weights] == [w.shape for w in layer.weights]
