"""The shipped file: half the size, the same landmarks to a fraction of a pixel."""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from musica.errors import InputError
from musica.formats.export import ExportConfig, export
from musica.formats.iteration_graph import INPUTS
from musica.models.lite_model import LiteModel
from musica.training.rounding import round_weights


def test_half_precision_model_is_small_and_close(tmp_path):
    model = tiny.musica_model()
    model.save(tmp_path / "full.keras")
    config = ExportConfig(str(tmp_path / "full.keras"), str(tmp_path / "half.keras"))

    export(config)

    loaded = keras.models.load_model(config.output)
    for full, half in zip(model.get_weights(), loaded.get_weights(), strict=True):
        assert half.dtype == np.float32
        np.testing.assert_array_equal(half, full.astype(np.float16).astype(np.float32))
    assert loaded.get_config()["patch_indices"] == model.get_config()["patch_indices"]


@pytest.fixture(params=[False, True], ids=["without a gain", "with a gain"])
def model(request):
    model = tiny.musica_model(levels=(2, 1, 0), predicts_gain=request.param)
    for weights in model.weights:
        if "gain" in weights.path:
            weights.assign(np.random.default_rng(0).normal(size=weights.shape))
    return model


def assert_gain(model, k, outputs, expected):
    """The last iteration promises no further gain; a model that predicts none has no output."""
    assert ("gain" in outputs) == model.predicts_gain
    if model.predicts_gain:
        gain = expected["gains"][k]
        np.testing.assert_allclose(outputs["gain"], [0, 0] if gain is None else gain, atol=1e-5)


def test_saved_model_quits_iteration_by_iteration(model, tmp_path):
    model.save(tmp_path / "model.keras")
    config = ExportConfig(str(tmp_path / "model.keras"), str(tmp_path / "graphs"))

    export(config)

    loaded, inputs = tf.saved_model.load(config.output), tiny.inputs()
    expected = model(inputs)
    initial = tf.constant(inputs["initial"])
    state = {
        "displacement": tf.zeros_like(initial),
        "hidden": tf.zeros((2, model.settings.hidden_size)),
    }
    for k, level in enumerate(model.settings.levels):
        outputs = loaded.signatures[f"iteration_{k + 1}"](
            image=tf.constant(inputs["pyramid"][level]), initial=initial, **state
        )
        state = {name: outputs[name] for name in state}
        np.testing.assert_allclose(outputs["landmarks"], expected["landmarks"][k], **tiny.TOLERANCE)
        np.testing.assert_allclose(outputs["error"], expected["errors"][k], **tiny.TOLERANCE)
        assert_gain(model, k, outputs, expected)
    with pytest.raises(InputError, match="exists"):
        export(config)


def test_onnx_model_quits_iteration_by_iteration(model, tmp_path):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    model.save(tmp_path / "model.keras")
    config = ExportConfig(str(tmp_path / "model.keras"), str(tmp_path / "model.onnx"))

    export(config)

    session = runtime.InferenceSession(config.output)
    described = json.loads(session.get_modelmeta().custom_metadata_map["musica"])
    assert described["patch_indices"] == model.settings.as_values()["patch_indices"]
    inputs = tiny.inputs()
    expected = model(inputs)
    initial = inputs["initial"].astype("float32")
    state = np.zeros_like(initial), np.zeros((2, model.settings.hidden_size), np.float32)
    names = [output.name for output in session.get_outputs()]
    for k, level in enumerate(model.settings.levels):
        values = inputs["pyramid"][level], initial, *state
        named = dict(zip(INPUTS, values, strict=True), iteration=np.array(k + 1))
        outputs = dict(zip(names, session.run(names, named), strict=True))
        state = outputs["next_displacement"], outputs["next_hidden"]
        for name, values in (("landmarks", "landmarks"), ("error", "errors")):
            np.testing.assert_allclose(outputs[name], expected[values][k], **tiny.TOLERANCE)
        assert_gain(model, k, outputs, expected)


def test_recurrent_weights_of_4_bits(tmp_path):
    pytest.importorskip("ai_edge_quantizer")
    # Smaller products are not quantised.
    model = tiny.musica_model(patch_indices=(0, 1, 2, 3), filters=16, hidden_size=512)
    round_weights(model, 4)
    # One large weight makes the steps of 8 bits larger than all other weights.
    kernel = model.steps[0].stop_predictor.error.kernel
    kernel.assign(np.where(np.arange(512) == 5, 50.0, 0.1)[:, None])
    model.save(tmp_path / "model.keras")
    generator = np.random.default_rng(0)
    patches = generator.normal(size=(3, 4, 14, 14, 3)).astype(np.float32)
    hidden = generator.uniform(-1, 1, (3, 512)).astype(np.float32)
    expected, _, errors, _ = (
        None if part is None else part.numpy() for part in model.steps[0].update(patches, hidden)
    )
    sizes, differences = {}, {}
    for precision in ("int4", "int8"):
        config = ExportConfig(
            str(tmp_path / "model.keras"), str(tmp_path / f"{precision}.tflite"), precision
        )
        export(config)
        sizes[precision] = Path(config.output).stat().st_size
        found = LiteModel(config.output).step(0, patches, hidden)
        difference = np.abs(found["displacement"] - expected).mean()
        differences[precision] = difference / np.abs(expected).mean()
        np.testing.assert_allclose(found["error"], errors, atol=0.03 * np.abs(errors).max())

    # The rounded weights are exact in 4 bits, and take half of 8 bits.
    weights = sum(step.recurrent.kernel.numpy().size for step in model.steps)
    assert sizes["int8"] - sizes["int4"] > 0.4 * weights
    assert differences["int4"] < 0.03
    assert differences["int4"] <= 1.05 * differences["int8"]


def test_4_bits_name_their_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    tiny.musica_model().save(tmp_path / "model.keras")
    config = ExportConfig(str(tmp_path / "model.keras"), str(tmp_path / "model.tflite"), "int4")
    with pytest.raises(InputError, match=r"pip install 'musica\[int4\]'"):
        export(config)
    assert not Path(config.output).exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"precision": "int3"}, "must be half or float32, not 'int3'"),
        ({"output": "model.h5"}, "output must name"),
        ({"output": ""}, "output must name"),
        ({"output": "model.tflite", "precision": "int2"}, "int8 or int4 or half or float32"),
    ],
)
def test_bad_keys_are_refused(tmp_path, keys, message):
    with pytest.raises(InputError, match=message):
        export(ExportConfig(**{"output": str(tmp_path / "model.keras"), **keys}))
