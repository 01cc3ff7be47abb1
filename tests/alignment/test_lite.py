"""The exported model: the same iterations, without TensorFlow."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tiny

from musica.alignment.aligner import FaceAligner
from musica.errors import InputError
from musica.files import image_files
from musica.formats.export import ExportConfig, export
from musica.geometry import crops
from musica.jobs import inference
from musica.layers import PatchExtractor
from musica.models.iteration import IterationState
from musica.models.lite_model import DESCRIPTION, LiteModel
from musica.preprocessing import release_pyramid

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def model():
    truth = inference.builtin_truth()["takeo"]
    x0, y0, x1, y1 = crops.bounding_box(truth)
    return tiny.musica_model(
        landmark_count=68,
        patch_indices=(30, 36, 45),
        levels=(2, 2, 1, 0),
        hidden_size=32,
        reference_shape=(truth - [y0, x0]) * 142 / max(x1 - x0 + 1, y1 - y0 + 1),
        stop_threshold=0.01,
        fail_threshold=2.0,
        predicts_gain=True,
        calibration=[[[0.1], [0.04]]] * 4,
        landmark_profile=np.linspace([0] * 4, [2] * 4, 68).T,
    )


@pytest.fixture(scope="module")
def paths(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lite")
    model.save(folder / "model.keras")
    for precision in ("float32", "half", "int8"):
        output = folder / f"{precision}.tflite"
        export(ExportConfig(str(folder / "model.keras"), str(output), precision))
    return folder


def task():
    task = inference.builtin_tasks()[0]
    return image_files.read_image(task.image), task.box


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-4), ("half", 0.01), ("int8", 0.15)]
)
def test_an_iteration_equals_the_keras_models(model, paths, precision, tolerance):
    lite = LiteModel(paths / f"{precision}.tflite")
    image, box = task()
    crop = crops.crop_of_box(box)
    levels = release_pyramid.pyramid(
        release_pyramid.normalise(release_pyramid.crop_image(image, crop))
    )
    initial = crop.initial_shape(np.array(model.settings.reference_shape))[None].astype(np.float32)
    hidden = np.random.default_rng(0).uniform(-1, 1, (1, 32)).astype(np.float32)
    for k, level in enumerate(model.settings.levels):
        state = IterationState(np.zeros_like(initial), hidden)
        padded = release_pyramid.pad_batch([levels[level]])
        expected, _, expected_error, gain = model.iterate(k, padded, initial, state)
        centres = initial[:, list(model.settings.patch_indices[0])] / 2**level
        found = lite.step(k, PatchExtractor(14)(padded, centres).numpy(), hidden)
        for name in ("displacement", "hidden"):
            values = getattr(expected, name)
            scale = np.abs(values).max()
            np.testing.assert_allclose(found[name], values, atol=tolerance * scale)
        np.testing.assert_allclose(found["error"], expected_error, atol=tolerance * 2)
        assert ("gain" in found) == (gain is not None) == (k < 3)
        if gain is not None:
            np.testing.assert_allclose(found["gain"], gain, atol=tolerance * 2)


def test_the_head_is_finer_than_8_bits(model, paths):
    lite, generator = LiteModel(paths / "int8.tflite"), np.random.default_rng(0)
    for k, step in enumerate(model.steps):
        patches = generator.normal(size=(1, 3, 14, 14, 3)).astype(np.float32)
        found = lite.step(k, patches, generator.uniform(-1, 1, (1, 32)).astype(np.float32))
        expected = step.head(found["hidden"]).numpy()
        gap = found["displacement"].ravel() - expected.ravel()
        # Twice as much with weights of 8 bits; what is left is the hidden state's rounding.
        assert gap.std() < 0.0045 * expected.std()


def test_an_output_without_weights_is_exported(tmp_path):
    model = tiny.musica_model(landmark_count=68, patch_indices=(30, 36, 45), hidden_size=32)
    kernel = model.steps[0].head.kernel
    kernel.assign(kernel.numpy() * (np.arange(136) > 0))
    model.save(tmp_path / "model.keras")
    export(ExportConfig(str(tmp_path / "model.keras"), str(tmp_path / "model.tflite")))
    patches = np.ones((1, 3, 14, 14, 3), np.float32)
    found = LiteModel(tmp_path / "model.tflite").step(0, patches, np.ones((1, 32), np.float32))
    assert np.isfinite(found["displacement"]).all()


def test_the_file_describes_the_model(model, paths):
    lite = LiteModel(paths / "int8.tflite")
    assert lite.settings == model.settings
    assert lite.multiply_adds == model.multiply_adds


def test_a_batch_equals_single_faces(model, paths):
    lite, generator = LiteModel(paths / "float32.tflite"), np.random.default_rng(0)
    patches = generator.normal(size=(20, 3, 14, 14, 3)).astype(np.float32)
    hidden = generator.uniform(-1, 1, (20, 32)).astype(np.float32)
    together = lite.step(1, patches, hidden)
    for row in range(20):
        alone = lite.step(1, patches[row : row + 1], hidden[row : row + 1])
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][row], values[0], atol=1e-4)


def test_aligner_quits_and_flags_as_with_keras(paths):
    image, box = task()
    lite, keras = (FaceAligner.load(paths / name) for name in ("float32.tflite", "model.keras"))
    for options in ({}, {"iterations": 2}, {"stop_threshold": np.inf}):
        found = lite.align(image, box, **options)
        expected = keras.align(image, box, **options)
        assert (found.iterations, found.failed) == (expected.iterations, expected.failed)
        assert found.error_estimate == pytest.approx(expected.error_estimate, abs=0.2)
        np.testing.assert_allclose(found.landmark_errors, 0.04 * np.linspace(0, 2, 68))
    first, second = lite.align_batch([image] * 2, [box] * 2)
    np.testing.assert_array_equal(first.landmarks, second.landmarks)


def test_no_tensorflow_is_imported(paths):
    code = (
        "import sys, musica, numpy as np\n"
        f"aligner = musica.FaceAligner.load({str(paths / 'int8.tflite')!r})\n"
        "aligner.align(np.arange(90000, dtype=np.uint8).reshape(300, 300), (80, 90, 200, 210))\n"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'menpo')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_other_files_are_refused(model, paths, tmp_path):
    content = (paths / "int8.tflite").read_bytes()
    (tmp_path / "text.tflite").write_text("no model")
    (tmp_path / "cut.tflite").write_bytes(content[: len(content) // 2])
    with zipfile.ZipFile(tmp_path / "described.tflite", "w") as archive:
        archive.writestr(DESCRIPTION, "[]")
    with zipfile.ZipFile(paths / "int8.tflite") as archive:
        described = json.loads(archive.read(DESCRIPTION))
    network = content[: content.rindex(b"PK\x03\x04")]
    for name, costs in {"same": described["multiply_adds"], "costly": [-1] * 4}.items():
        (tmp_path / f"{name}.tflite").write_bytes(network)
        with zipfile.ZipFile(tmp_path / f"{name}.tflite", "a") as archive:
            archive.writestr(DESCRIPTION, json.dumps({**described, "multiply_adds": costs}))
    assert FaceAligner.load(tmp_path / "same.tflite").settings.landmark_count == 68
    for name in ("text", "cut", "described", "costly", "absent"):
        with pytest.raises(InputError, match=f"{name}.tflite"):
            FaceAligner.load(tmp_path / f"{name}.tflite")


def test_without_litert_the_model_is_not_blamed(paths, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(InputError, match=r"^LiteRT cannot be imported"):
        LiteModel(paths / "int8.tflite")
