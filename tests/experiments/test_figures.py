"""The script that draws the README's pictures."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from musica.geometry.landmarks import IBUG_68, WFLW_98

FOLDER = Path(__file__).parents[2] / "experiments" / "figures"
NAMES = ("architecture", "landmarks_68", "landmarks_98")


@pytest.fixture
def faces(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import faces

    return faces


def test_the_script_draws_all_pictures(tmp_path):
    command = [sys.executable, FOLDER / "draw.py", f"--output={tmp_path / 'new'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.stem for path in sorted((tmp_path / "new").iterdir())] == list(NAMES)
    for name in NAMES:
        path = tmp_path / "new" / f"{name}.png"
        assert str(path) in done.stdout
        assert 1000 < path.stat().st_size < 150_000
        with Image.open(path) as picture:
            assert picture.width == 1800
            pixels = np.asarray(picture.convert("L"))
        assert (pixels > 230).mean() > 0.7 and pixels.min() < 60  # dark on light


def test_the_mean_faces_are_symmetric(faces):
    for points, mirror in (
        (faces.mean_face_68(), IBUG_68.mirror),
        (faces.mean_face_98(), WFLW_98.mirror),
    ):
        mirrored = points[list(mirror)] * [1, -1]
        distances = mirrored - points
        np.testing.assert_allclose(distances - distances.mean(axis=0), 0, atol=1e-9)


def test_the_98_points_contain_the_68(faces):
    face = faces.mean_face_68(faces.OPENING)
    of_68 = [*range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 60)]
    of_68 += [60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75, *range(76, 96)]
    np.testing.assert_allclose(faces.mean_face_98()[of_68], face, atol=1e-9)
