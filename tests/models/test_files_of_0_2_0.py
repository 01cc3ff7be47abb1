"""Models that version 0.2.0 wrote are read: their keys and layouts were others."""

import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf
import tiny

from musica.alignment.aligner import FaceAligner
from musica.formats.export import lite_model
from musica.models.lite_model import DESCRIPTION, LiteModel
from musica.models.loading import load_keras_model
from musica.preprocessing.preprocessor import ReleasePreprocessor

SHAPE = np.random.default_rng(0).uniform(0, 142, (5, 2)).tolist()
# Keys that 0.2.0 did not know, and keys that only 0.2.0 knew.
NEW = ("preprocessing", "stop_score", "efforts", "predicts_gain")
FORMER = {"realign_threshold": 0.2, "realign_turn": 0.0, "patch_indices": [0, 3]}


@pytest.fixture(scope="module")
def model():
    return tiny.musica_model(reference_shape=SHAPE, stop_threshold=0.01, fail_threshold=0.5)


def as_before(values):
    """A model's description as 0.2.0 wrote it."""
    return {**{name: value for name, value in values.items() if name not in NEW}, **FORMER}


def test_keras(model, tmp_path):
    model.save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = json.loads(members["config.json"])
    content.update(module="musica.model", config=as_before(content["config"]))
    members["config.json"] = json.dumps(content).encode()
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    old = load_keras_model(tmp_path / "old.keras")
    assert old.settings == model.settings
    assert isinstance(old.settings.preprocessor, ReleasePreprocessor)
    inputs = tiny.inputs()
    tiny.outputs_equal(old(inputs), model(inputs), rtol=0, atol=0)
    image = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    assert np.isfinite(FaceAligner(old).align(image, (20, 20, 69, 69)).landmarks).all()


def test_lite(model, tmp_path, monkeypatch):
    """Patches were in planes, one face at a time."""

    class InPlanes:
        """A step whose patches come as (1, M, p, 4, p)."""

        def __init__(self, step):
            self.patch_size, self.hidden_size = step.patch_size, step.hidden_size
            self.patch_count, self.head, self._step = step.patch_count, step.head, step

        def update(self, patches, hidden):
            return self._step.update(tf.transpose(patches[..., :3, :], (0, 1, 2, 4, 3)), hidden)

    def specification(shape, name):
        shape = (1, *shape[1:3], 4, shape[3]) if name == "patches" else (1, *shape[1:])
        return spec(shape, name=name)

    spec = tf.TensorSpec
    description = as_before({**model.settings.as_values(), "multiply_adds": model.multiply_adds})
    with monkeypatch.context() as patched:
        patched.setattr(tf, "TensorSpec", specification)
        content = lite_model(
            type("Old", (), {"steps": [InPlanes(step) for step in model.steps]}), "float32"
        )
    path = tmp_path / "old.tflite"
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(DESCRIPTION, json.dumps(description))
    lite = LiteModel(path)
    assert lite.settings == model.settings
    generator = np.random.default_rng(0)
    patches = generator.normal(size=(3, 2, 14, 14, 3)).astype(np.float32)
    hidden = generator.uniform(-1, 1, (3, 16)).astype(np.float32)
    expected = model.steps[1].update(tf.constant(patches), tf.constant(hidden))
    found = lite.step(1, patches, hidden)
    for name, values in zip(("displacement", "hidden", "error"), expected[:3], strict=True):
        np.testing.assert_allclose(found[name], values, **tiny.TOLERANCE)
