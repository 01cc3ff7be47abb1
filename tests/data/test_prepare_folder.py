"""Pictures of one's own, with a known or a custom scheme."""

import importlib
import json

import numpy as np
import pytest
from PIL import Image
from tiny_faces import landmarks

from musica.errors import InputError
from musica.files import landmark_files, list_files

prepare_folder = importlib.import_module("prepare_folder")

FIVE = {
    "name": "five",
    "count": 5,
    "mirror": [1, 0, 2, 4, 3],
    "eye_corners": [0, 1],
    "parts": {"eyes": [0, 1], "nose": [2], "mouth": [3, 4]},
}


def face(folder, name, count=68, suffix=".pts"):
    """Writes a picture and its landmarks; returns these."""
    path = folder / "mine" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((76, 92, 3), 99, np.uint8)).save(path)
    points = landmarks(len(name), count)
    landmark_files.write_landmarks(path.with_suffix(suffix), points)
    return points


def config(folder, **keys):
    defaults = {"image_dir": str(folder / "mine"), "output": str(folder / "out")}
    return prepare_folder.FolderConfig(**{**defaults, **keys})


def test_pts_and_ljson_in_folders_below(tmp_path, capsys):
    first = face(tmp_path, "a b.JPG")
    second = face(tmp_path, "sub/c.d.png", suffix=".ljson")
    assert not prepare_folder.prepare(config(tmp_path))
    out = tmp_path / "out"
    assert list_files.read_list(out / "lists/mine.txt") == ["mine/a b.JPG", "mine/sub/c.d.png"]
    for name, points in (("a b", first), ("sub/c.d", second)):
        found = landmark_files.read_landmarks(out / f"images/mine/{name}.pts", 68)
        np.testing.assert_allclose(found, points, atol=1e-3)
        box = landmark_files.read_box(out / f"bb/mine/{name}.pts")
        np.testing.assert_allclose(box[2:], points.max(axis=0)[::-1], atol=1e-3)
    captured = capsys.readouterr()
    assert captured.out == f"mine: 2 faces\n2 faces written to {out}\n" and not captured.err


def test_98_points_under_another_name(tmp_path):
    face(tmp_path, "a.png", 98)
    assert not prepare_folder.prepare(config(tmp_path, landmark_count=98, name="wide", repeat=2))
    for title in ("wide", "wide_mahal"):
        assert list_files.read_list(tmp_path / f"out/lists/{title}.txt") == ["wide/a.png"]


def test_points_that_count_from_0_are_written_from_1(tmp_path):
    points = face(tmp_path, "a.png")
    assert not prepare_folder.prepare(config(tmp_path, index_base=0))
    found = landmark_files.read_landmarks(tmp_path / "out/images/mine/a.pts")
    np.testing.assert_allclose(found, points + 1, atol=1e-3)


def test_a_scheme_of_ones_own(tmp_path, capsys):
    face(tmp_path, "a.png", 5)
    face(tmp_path, "b.png", 68)
    (tmp_path / "five.json").write_text(json.dumps(FIVE))
    assert prepare_folder.prepare(config(tmp_path, scheme=str(tmp_path / "five.json")))
    assert "68 points where 5 are needed" in capsys.readouterr().err
    assert list_files.read_list(tmp_path / "out/lists/mine.txt") == ["mine/a.png"]
    assert json.loads((tmp_path / "out/scheme.json").read_text()) == FIVE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "needs a name"),
        ({"count": 0}, "count of 1 to 1000"),
        ({"count": 10**15}, "count of 1 to 1000"),
        ({"count": "five"}, "must be int"),
        ({"count": 68}, "already have a scheme"),
        ({"mirror": [0, 1, 2, 3]}, "each landmark once"),
        ({"mirror": [1, 2, 0, 4, 3]}, "undo itself"),
        ({"mirror": [1, 0, 2, 4, 5]}, "each landmark once"),
        ({"eye_corners": [0]}, "eye_corners"),
        ({"eye_corners": [0, 3]}, "eye_corners"),
        ({"eye_corners": [2, 2]}, "eye_corners"),
        ({"eye_corners": [0, -4]}, "eye_corners"),
        ({"parts": {"all": [0, 1, 2, 3]}}, "in one of the parts"),
        ({"parts": {"all": [0, 1, 2, 3, 4, 4]}}, "in one of the parts"),
        ({"parts": {"all": [0, 1, 2, 3, "4"]}}, "list of landmarks"),
        ({"parts": {"all": 5}}, "list of landmarks"),
        ({"patches": []}, "unknown key"),
    ],
)
def test_schemes_that_make_no_sense(tmp_path, change, message):
    (tmp_path / "five.json").write_text(json.dumps(FIVE | change))
    with pytest.raises(InputError, match=message):
        prepare_folder.read_scheme(str(tmp_path / "five.json"))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"image_dir": ""}, "image_dir is missing"),
        ({"image_dir": "nowhere"}, "no such folder"),
        ({"landmark_count": 5}, "no landmark scheme has 5 points"),
        ({"index_base": 2}, "index_base must be 0 or 1"),
        ({"name": "../up"}, "name: '../up' must be"),
        ({"name": ".."}, "must be"),
        ({"boxes": "official"}, "boxes must be landmarks, folder, detector"),
    ],
)
def test_bad_keys_are_refused(tmp_path, keys, message):
    face(tmp_path, "a.png")
    with pytest.raises(InputError, match=message):
        prepare_folder.prepare(config(tmp_path, **keys))
    assert not (tmp_path / "out").exists()


def test_scheme_and_count_must_agree(tmp_path):
    (tmp_path / "five.json").write_text(json.dumps(FIVE))
    keys = {"scheme": str(tmp_path / "five.json"), "landmark_count": 68}
    with pytest.raises(InputError, match="landmark_count is 68, but the scheme has 5"):
        prepare_folder.prepare(config(tmp_path, **keys))


def test_a_folder_without_faces_makes_nothing(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("")
    (tmp_path / "mine/link.png").symlink_to("nowhere")
    (tmp_path / "mine/folder.png").mkdir()
    with pytest.raises(InputError, match="no face is usable"):
        prepare_folder.prepare(config(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
