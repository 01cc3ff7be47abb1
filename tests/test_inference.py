import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from musica import aligner, drawing, geometry, inference, shape_io
from musica.errors import InputError
from musica.inference import InferenceConfig
from musica.model import MuSiCa


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny saved model."""
    truth = inference.builtin_truth()["takeo"]
    x0, y0, x1, y1 = geometry.bounding_box(truth)
    keras.utils.set_random_seed(1)
    model = MuSiCa(
        patch_indices=[30, 36, 45],
        hidden_size=16,
        reference_shape=(truth - [y0, x0]) * 142 / max(x1 - x0 + 1, y1 - y0 + 1),
    )
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return path


@pytest.fixture
def data(tmp_path, checkpoint):
    """A folder of two good images, one unreadable, and the configuration of a run."""
    task = next(task for task in inference.builtin_tasks() if task.name == "takeo")
    image = Image.open(task.image)
    for name in ("a.png", "sub/b.jpg", "bad.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
        shape_io.write_box((tmp_path / "boxes" / name).with_suffix(".pts"), task.box)
    (tmp_path / "images" / "bad.png").write_bytes(b"not an image")
    return tmp_path, {
        "eval_filenames": write_list(tmp_path, "a.png", "bad.png", "sub/b.jpg"),
        "image_dir": str(tmp_path / "images"),
        "bb_root": str(tmp_path / "boxes"),
        "resDir": str(tmp_path / "results"),
        "checkpoint_file": str(checkpoint),
    }


def write_list(folder, *names):
    path = folder / "list.txt"
    path.write_text("\n".join(names))
    return str(path)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_command_end_to_end(data):
    folder, keys = data
    config = folder / "inference.json"
    relative = {"eval_filenames": "list.txt", "data_dir": "images", "bb_root": "boxes"}
    config.write_text(
        json.dumps({**relative, "checkpoint_file": keys["checkpoint_file"], "resDir": "wrong"})
    )
    done = subprocess.run(
        [sys.executable, "-m", "musica.inference", f"--config={config}", "--resDir=results"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(inference.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "bad: " in done.stderr and "Traceback" not in done.stderr
    last = done.stdout.splitlines()[-1]
    assert "2 faces written" in last and "3.00 iterations" in last and "1 skipped" in last
    names = ["a.pts", "a.txt", "sub/b.pts", "sub/b.txt"]
    assert files(folder / "results") == names
    assert not (folder / "wrong").exists()

    loaded = aligner.FaceAligner.load(keys["checkpoint_file"])
    face = loaded.align(folder / "images/a.png", shape_io.read_box(folder / "boxes/a.pts"))
    lines = (folder / "results/a.pts").read_text().splitlines()
    first_point = [float(value) for value in lines[3].split()]
    np.testing.assert_allclose(first_point, face.as_xy()[0] + 1, atol=2e-3)  # 1-based
    estimate = shape_io.read_estimate(folder / "results/a.txt")
    assert estimate == pytest.approx(face.error_estimate, abs=1e-5)


def test_help_is_light():
    for name in ("inference", "show_flm_on_image"):
        code = (
            f"import sys, musica.{name}\n"
            "assert not {'tensorflow', 'keras', 'menpo'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


def test_iteration_is_chosen(data, capsys):
    folder, keys = data
    assert inference.infer(InferenceConfig(**keys, get_output_of_iteration=0, batch_size=1))
    assert "1.00 iterations" in capsys.readouterr().out
    found = aligner.FaceAligner.load(keys["checkpoint_file"]).align(
        folder / "images/a.png", shape_io.read_box(folder / "boxes/a.pts"), iterations=1
    )
    written = shape_io.read_landmarks(folder / "results/a.pts", 68)
    np.testing.assert_allclose(written, found.landmarks, atol=2e-3)
    estimate = shape_io.read_estimate(folder / "results/a.txt")
    assert estimate == pytest.approx(found.error_estimate, abs=1e-5)


def test_thresholds_pictures_and_reference_shape(data, capsys):
    folder, keys = data
    shape_io.write_landmarks(folder / "reference.ljson", np.full((68, 2), 71.0))
    config = InferenceConfig(
        **{**keys, "eval_filenames": write_list(folder, "a.png")},
        reference_shape_path=str(folder / "reference.ljson"),
        stop_threshold=-1e9,
        fail_threshold=-1e9,
        draw=True,
    )
    assert not inference.infer(config)
    assert "1 above the fail threshold" in capsys.readouterr().out
    assert files(folder / "results") == ["a.png", "a.pts", "a.txt"]
    assert np.ptp(shape_io.read_landmarks(folder / "results/a.pts"), axis=0).max() < 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bb_root": None}, "missing: bb_root"),
        ({"patch_size": 16}, "patch_size is 16"),
        ({"patch_indices": [0, 2]}, "patch_indices"),
        ({"landmark_count": 98}, "landmark_count"),
        ({"get_output_of_iteration": 3}, "0 to 2"),
        ({"batch_size": 0}, "batch_size"),
        ({"checkpoint_file": "missing.keras"}, "missing.keras"),
        ({"reference_shape_path": "missing"}, "missing"),
    ],
)
def test_refused_keys(data, change, message):
    with pytest.raises(InputError, match=message):
        inference.infer(InferenceConfig(**{**data[1], **change}))


def test_agreeing_model_keys_are_accepted(data):
    keys = {"landmark_count": 68, "patch_indices": [30, 36, 45], "patch_size": 14, "margin": 0.3}
    assert inference.infer(InferenceConfig(**data[1], **keys))


@pytest.mark.parametrize("names", [("../a.png",), ("/a.png",), ("a.png", "a.jpg"), (".",)])
def test_refused_lists(data, names):
    folder, keys = data
    write_list(folder, *names)
    with pytest.raises(InputError):
        inference.infer(InferenceConfig(**keys))
    assert not (folder / "results").exists()


def test_input_is_not_overwritten(data):
    _, keys = data
    for folder in ("image_dir", "bb_root"):
        with pytest.raises(InputError, match="another folder"):
            inference.infer(InferenceConfig(**{**keys, "resDir": keys[folder]}))


def test_builtin_faces(tmp_path, checkpoint, monkeypatch, capsys):
    monkeypatch.setattr(aligner, "SHIPPED_MODEL", checkpoint)
    # Large pictures take seconds to compress.
    monkeypatch.setattr(
        drawing, "draw_face", lambda image, *_, **__: Image.fromarray(image[:9, :9])
    )
    assert not inference.infer(InferenceConfig(resDir=str(tmp_path / "output")))
    assert "4 faces written" in capsys.readouterr().out
    stems = ("breakingbad", "einstein", "lenna", "takeo")
    expected = [f"{stem}{suffix}" for stem in stems for suffix in (".png", ".pts", ".txt")]
    assert files(tmp_path / "output") == expected

    inference.align_builtin_faces(tmp_path)
    for name in ("estimated", "truth"):
        for stem in stems:
            assert np.isfinite(shape_io.read_landmarks(tmp_path / name / f"{stem}.pts", 68)).all()
    assert len(files(tmp_path / "estimated")) == 8
