import subprocess
import sys
from pathlib import Path

import numpy as np
from tiny_faces import write_faces

from musica.files import landmark_files, list_files

SCRIPT = Path(__file__).parents[2] / "data" / "blend_labels.py"


def run(folder, **keys):
    flags = [f"--{key}={value}" for key, value in keys.items()]
    return subprocess.run(
        [sys.executable, SCRIPT, *flags], cwd=folder, capture_output=True, text=True
    )


def test_labels_are_averaged_kept_or_dropped(tmp_path):
    write_faces(tmp_path, 3)
    labels = [landmark_files.read_landmarks(tmp_path / f"face{k}.pts") for k in range(3)]
    predictions = tmp_path / "predictions"
    landmark_files.write_landmarks(predictions / "face0.pts", labels[0] + [0.1, -0.1])
    landmark_files.write_landmarks(predictions / "face1.pts", labels[1] + 40)
    result = run(
        tmp_path,
        image_dir=".",
        filenames="list.txt",
        prediction_dir="predictions",
        output="blended",
    )
    assert result.returncode == 0, result.stderr
    assert "kept 2 of 3 faces" in result.stdout
    assert list_files.read_list(tmp_path / "blended/lists/list.txt") == ["face0.png", "face2.png"]
    blended = [
        landmark_files.read_landmarks(tmp_path / f"blended/labels/face{k}.pts") for k in (0, 2)
    ]
    np.testing.assert_allclose(blended[0], labels[0] + [0.05, -0.05], atol=1e-3)
    np.testing.assert_allclose(blended[1], labels[2], atol=1e-3)
    assert not (tmp_path / "blended/labels/face1.pts").exists()


def test_shifted_labels_are_mended(tmp_path):
    write_faces(tmp_path, 3)
    truth = [landmark_files.read_landmarks(tmp_path / f"face{k}.pts") for k in range(3)]
    own_shifts = np.array([[0.2, 0.1], [0.1, 0.05], [-0.3, -0.2]])
    for k in range(3):
        landmark_files.write_landmarks(
            tmp_path / "off" / f"face{k}.pts", truth[k] + [0, 1] + own_shifts[k]
        )
        # A model that is right about where the face is, and wrong about one landmark.
        prediction = truth[k].copy()
        prediction[0, 0] += 0.5
        prediction[1, 0] -= 0.5
        landmark_files.write_landmarks(tmp_path / "predictions" / f"face{k}.pts", prediction)
    keys = dict(image_dir=".", gt_path="off", filenames="list.txt", prediction_dir="predictions")
    keys["largest_difference"] = 1
    result = run(tmp_path, **keys, label_weight=1, output="as_they_are")
    assert "labels lie at +0.10, +1.05 (y, x) pixels" in result.stdout
    run(tmp_path, **keys, shift_x=-1, label_weight=1, output="shifted")
    run(tmp_path, **keys, shift_x=-1, register=True, label_weight=1, output="registered")
    for k in range(3):
        for folder, expected in (("shifted", truth[k] + own_shifts[k]), ("registered", truth[k])):
            labels = landmark_files.read_landmarks(tmp_path / folder / f"labels/face{k}.pts")
            np.testing.assert_allclose(labels, expected, atol=1e-3)


def test_a_missing_key_is_named(tmp_path):
    result = run(tmp_path, image_dir=".")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "filenames is missing" in result.stderr
