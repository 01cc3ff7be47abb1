import keras
import numpy as np
import numpy_reference as reference
import tensorflow as tf
import tiny

from musica.models.mdm import MDM


def test_mdm_equals_the_restatement():
    model = tiny.mdm_model(iterations=3)
    inputs = tiny.inputs(count=4)
    outputs = model(inputs)
    assert set(outputs) == {"landmarks", "hidden"}
    weights = tiny.arrays(model.step)
    assert "error" not in weights
    assert "attention" not in weights
    for b in range(2):
        expected = reference.mdm(
            inputs["pyramid"][0][b], inputs["initial"][b], weights, 3, (0, 2), 18
        )
        for name, values in zip(("landmarks", "hidden"), expected, strict=True):
            assert len(outputs[name]) == 3
            for found, value in zip(outputs[name], values, strict=True):
                np.testing.assert_allclose(found[b], value, **tiny.TOLERANCE)


def test_saved_model_gives_the_same(tmp_path):
    model = tiny.mdm_model(reference_shape=np.ones((4, 2)))
    model.save(tmp_path / "mdm.keras")
    loaded = keras.models.load_model(tmp_path / "mdm.keras")
    assert isinstance(loaded, MDM)
    assert loaded.get_config() == model.get_config()
    inputs = tiny.inputs(count=4)
    tiny.outputs_equal(loaded(inputs), model(inputs), rtol=0, atol=0)
    tiny.outputs_equal(tf.function(loaded)(inputs), model(inputs))


def test_cost_is_the_published_one():
    model = MDM(kernel_initializer="zeros")
    assert model.settings.patch_indices == (tuple(range(68)),) * 4
    assert len(model.multiply_adds) == 4
    assert round(model.multiply_adds[-1] / 1e6) == 867
