import subprocess
import sys
from pathlib import Path

import numpy as np
from tiny_faces import write_faces

from musica import shape_io

SCRIPT = Path(__file__).parents[1] / "data" / "blend_labels.py"


def run(folder, **keys):
    flags = [f"--{key}={value}" for key, value in keys.items()]
    return subprocess.run(
        [sys.executable, SCRIPT, *flags], cwd=folder, capture_output=True, text=True
    )


def test_labels_are_averaged_kept_or_dropped(tmp_path):
    write_faces(tmp_path, 3)
    labels = [shape_io.read_landmarks(tmp_path / f"face{k}.pts") for k in range(3)]
    predictions = tmp_path / "predictions"
    shape_io.write_landmarks(predictions / "face0.pts", labels[0] + [0.1, -0.1])
    shape_io.write_landmarks(predictions / "face1.pts", labels[1] + 40)
    result = run(
        tmp_path,
        image_dir=".",
        filenames="list.txt",
        prediction_dir="predictions",
        output="blended",
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("kept 2 of 3 faces\n")
    assert shape_io.read_list(tmp_path / "blended/lists/list.txt") == ["face0.png", "face2.png"]
    blended = [shape_io.read_landmarks(tmp_path / f"blended/labels/face{k}.pts") for k in (0, 2)]
    np.testing.assert_allclose(blended[0], labels[0] + [0.05, -0.05], atol=1e-3)
    np.testing.assert_allclose(blended[1], labels[2], atol=1e-3)
    assert not (tmp_path / "blended/labels/face1.pts").exists()


def test_a_missing_key_is_named(tmp_path):
    result = run(tmp_path, image_dir=".")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "filenames is missing" in result.stderr
