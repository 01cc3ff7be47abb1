import keras
import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
import tiny

from musica.errors import InputError
from musica.models import losses
from musica.models.musica import MuSiCa

ARCHITECTURES = [
    {},
    {"levels": (1, 0)},
    {"levels": (2, 2, 1, 0)},
    {"levels": (0, 0, 0)},
    {"use_attention": False},
    {"levels": (2, 1), "patch_indices": ((0,), (3, 1, 4))},
    {"landmark_count": 7, "patch_indices": (6, 1, 1, 4), "filters": 3, "hidden_size": 9},
]


@pytest.fixture(scope="module")
def model():
    return tiny.musica_model()


@pytest.mark.parametrize("arguments", ARCHITECTURES)
def test_model_equals_the_restatement(arguments):
    model = tiny.musica_model(**arguments)
    inputs = tiny.inputs(count=model.settings.landmark_count)
    outputs = model(inputs)
    steps = [tiny.arrays(step) for step in model.steps]
    for b in range(2):
        pyramid = [level[b] for level in inputs["pyramid"]]
        expected = reference.musica(
            pyramid,
            inputs["initial"][b],
            steps,
            model.settings.levels,
            model.settings.patch_indices,
        )
        for name, values in zip(("landmarks", "errors", "hidden"), expected, strict=True):
            assert len(outputs[name]) == len(model.settings.levels)
            for found, value in zip(outputs[name], values, strict=True):
                np.testing.assert_allclose(found[b], value, **tiny.TOLERANCE)
    assert np.abs(outputs["landmarks"][0] - inputs["initial"]).max() > 1


def test_batch_of_two_equals_two_batches_of_one(model):
    inputs = tiny.inputs()
    together = model(inputs)
    for b in range(2):
        alone = model(
            {
                "pyramid": [level[b : b + 1] for level in inputs["pyramid"]],
                "initial": inputs["initial"][b : b + 1],
            }
        )
        part = {name: [v[b : b + 1] for v in values] for name, values in together.items()}
        tiny.outputs_equal(alone, part)


def test_zero_padding_at_the_bottom_and_right_changes_nothing(model):
    inputs = tiny.inputs()
    padded = [np.pad(level, ((0, 0), (0, 9), (0, 5), (0, 0))) for level in inputs["pyramid"]]
    tiny.outputs_equal(model(inputs), model({**inputs, "pyramid": padded}))


def test_graph_and_xla_equal_eager_for_any_size(model):
    graph = tf.function(model, reduce_retracing=True)
    for batch, size in ((1, (44, 52)), (3, (40, 60)), (2, (70, 33))):
        inputs = tiny.inputs(batch, size=size)
        tiny.outputs_equal(graph(inputs), model(inputs))
    tiny.outputs_equal(tf.function(model, jit_compile=True)(inputs), model(inputs))


def test_initial_shape_gets_its_gradient_from_the_sum_alone(model):
    inputs = tiny.inputs()
    initial = tf.constant(inputs["initial"])
    pyramid = [tf.constant(level) for level in inputs["pyramid"]]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([initial, pyramid])
        outputs = model({"pyramid": pyramid, "initial": initial})
        landmarks, hidden = outputs["landmarks"][-1], outputs["hidden"][-1]
    np.testing.assert_allclose(tape.gradient(landmarks, initial), np.ones(initial.shape))
    assert tape.gradient(hidden, initial) is None
    assert tape.gradient(landmarks, pyramid) == [None] * 3


def test_training_steps_change_every_weight_and_lower_the_loss():
    model = tiny.musica_model()
    inputs = tiny.inputs(4)
    truth = inputs["initial"] + 3
    before = [weight.numpy() for weight in model.trainable_weights]
    optimizer = keras.optimizers.Adam(1e-2)
    history = []
    for _ in range(5):
        with tf.GradientTape() as tape:
            outputs = model(inputs)
            loss = sum(
                losses.iteration_loss(losses.l1_error(landmarks, truth, (0, 1)), errors)
                for landmarks, errors in zip(outputs["landmarks"], outputs["errors"], strict=True)
            )
        gradients = tape.gradient(loss, model.trainable_weights)
        optimizer.apply(gradients, model.trainable_weights)
        history.append(float(loss))
    assert history[-1] < 0.9 * history[0]
    for old, weight in zip(before, model.trainable_weights, strict=True):
        assert np.abs(old - weight.numpy()).max() > 0, weight.path


def test_saved_model_carries_what_inference_needs(tmp_path):
    shape = np.random.default_rng(0).uniform(0, 142, (68, 2))
    model = tiny.musica_model(
        landmark_count=68,
        patch_indices=(30, 48),
        levels=(1, 0),
        use_attention=False,
        reference_shape=shape,
        box_size=128,
        margin=0.25,
        stop_threshold=0.04,
        fail_threshold=0.09,
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, MuSiCa)
    assert loaded.get_config() == model.get_config()
    assert loaded.settings.patch_indices == ((30, 48), (30, 48))
    assert loaded.settings.levels == (1, 0)
    assert (loaded.settings.box_size, loaded.settings.margin) == (128, 0.25)
    assert (loaded.settings.stop_threshold, loaded.settings.fail_threshold) == (0.04, 0.09)
    np.testing.assert_array_equal(loaded.settings.reference_shape, shape)
    assert loaded.settings == model.settings
    inputs = tiny.inputs(count=68)
    tiny.outputs_equal(loaded(inputs), model(inputs), rtol=0, atol=0)


@pytest.mark.parametrize("arguments", ARCHITECTURES[2::2])
def test_model_comes_back_from_its_config(arguments):
    model = tiny.musica_model(**arguments)
    copy = MuSiCa.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    copy.set_weights(model.get_weights())
    inputs = tiny.inputs(1, count=model.settings.landmark_count)
    tiny.outputs_equal(copy(inputs), model(inputs), rtol=0, atol=0)


def test_default_patch_points_are_the_schemes():
    model = MuSiCa(filters=2, hidden_size=4)
    assert model.settings.patch_indices == (tuple(range(0, 68, 2)),) * 3


@pytest.mark.parametrize(
    ("landmarks", "stride", "mega_multiply_adds", "mega_weights"),
    [
        (68, 1, (32.19, 64.38, 96.57), 27.97),
        (68, 2, (16.26, 32.52, 48.78), 14.60),
        (68, 4, (8.30, 16.59, 24.89), 7.91),
        (98, 1, (46.27, 92.55, 138.82), 39.85),
        (98, 2, (23.32, 46.64, 69.96), 20.59),
    ],
)
def test_cost_is_the_published_one(landmarks, stride, mega_multiply_adds, mega_weights):
    model = MuSiCa(landmarks, range(0, landmarks, stride), kernel_initializer="zeros")
    found = [round(cost / 1e6, 2) for cost in model.multiply_adds]
    assert found == list(mega_multiply_adds)
    assert round(model.count_params() / 1e6, 2) == mega_weights


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"landmark_count": 5, "patch_indices": [5]}, "from 0 to 4"),
        ({"landmark_count": 5, "patch_indices": []}, "from 0 to 4"),
        ({"landmark_count": 5}, "no landmark scheme has 5 points"),
        ({"levels": [2, 1], "patch_indices": [[0], [1], [2]]}, "one for each iteration"),
        ({"preprocessing": "none"}, "release or area"),
        ({"stop_threshold": [0.1]}, "one or 2 numbers"),
        ({"levels": []}, "levels"),
        ({"levels": 3}, "levels"),
        ({"levels": [1, -1]}, "levels"),
        ({"reference_shape": np.zeros((67, 2))}, "68 pairs"),
        ({"reference_shape": np.zeros((68, 3))}, "68 pairs"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(InputError, match=message):
        MuSiCa(**arguments)
