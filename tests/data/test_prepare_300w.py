"""300W from folders as its archives hold them."""

import importlib
import os

import numpy as np
import pytest
from PIL import Image
from tiny_faces import landmarks

from musica.errors import InputError
from musica.files import landmark_files, list_files

prepare_300w = importlib.import_module("prepare_300w")

TRAIN = ["afw/134212_1.jpg", "helen/trainset/100032540_1.jpg", "lfpw/trainset/image_0001.png"]
COMMON = ["helen/testset/296814969_3.jpg", "lfpw/testset/image_0001.png"]
# One of the names in the archive of IBUG holds a blank.
CHALLENGING = ["ibug/image_003_1.jpg", "ibug/image_092 _01.jpg"]
PRIVATE = ["300W/01_Indoor/indoor_001.png", "300W/02_Outdoor/outdoor_001.png"]
FILES = TRAIN + COMMON + CHALLENGING + PRIVATE


@pytest.fixture
def source(tmp_path):
    for seed, name in enumerate(FILES):
        path = tmp_path / "300w" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((76, 92), 20 * seed, np.uint8)).save(path)
        rows = "\n".join(f"{x + 1:.6f} {y + 1:.6f}" for y, x in landmarks(seed))
        text = f"version: 1\nn_points:  68\n{{\n{rows}\n}}\n"
        path.with_suffix(".pts").write_text(text)
    (tmp_path / "300w/ibug/._image_003_1.jpg").write_text("what a Mac leaves in archives")
    return tmp_path


def config(folder, **keys):
    defaults = {"source": str(folder / "300w"), "output": str(folder / "out")}
    return prepare_300w.Config300W(**{**defaults, **keys})


def names(source, title):
    return list_files.read_list(source / "out/lists" / f"{title}.txt")


def test_lists_and_files(source, capsys):
    assert not prepare_300w.prepare(config(source))
    private = ["300w/indoor_001.png", "300w/outdoor_001.png"]
    assert names(source, "300w_train") == TRAIN
    assert names(source, "300w_common") == COMMON
    assert names(source, "300w_challenging") == CHALLENGING
    assert names(source, "300w_full") == COMMON + CHALLENGING
    assert names(source, "300w_private") == private
    written = TRAIN + COMMON + CHALLENGING + private
    for seed, (name, original) in enumerate(zip(written, FILES, strict=True)):
        image = source / "out/images" / name
        assert image.read_bytes() == (source / "300w" / original).read_bytes()
        points = landmark_files.read_landmarks(image.with_suffix(".pts"), 68)
        np.testing.assert_allclose(points, landmarks(seed), atol=1e-3)
        box = landmark_files.read_box((source / "out/bb" / name).with_suffix(".pts"))
        np.testing.assert_allclose(box[:2], landmarks(seed).min(axis=0)[::-1], atol=1e-3)
    captured = capsys.readouterr()
    assert captured.out.endswith(f"9 faces written to {source / 'out'}\n")
    assert "300w_full: 4 faces\n" in captured.out
    assert "warning: 300w_full was published with 689 faces\n" in captured.err
    assert captured.err.count("warning") == captured.err.count("\n") == 5


def test_published_counts_are_not_warned_of(source, monkeypatch, capsys):
    counts = {"train": 3, "common": 2, "challenging": 2, "full": 4, "private": 2}
    counts = {f"300w_{title}": count for title, count in counts.items()}
    assert counts.keys() == prepare_300w.PUBLISHED.keys()
    monkeypatch.setattr(prepare_300w, "PUBLISHED", counts)
    assert not prepare_300w.prepare(config(source))
    assert capsys.readouterr().err == ""


def test_boxes_of_mdm(source, capsys):
    box = np.array([5.0, 6.0, 70.25, 71.5])
    # MDM's name of the one with a blank has none.
    for name in (TRAIN[1], "300w/indoor_001.png", "ibug/image_092_01.jpg"):
        landmark_files.write_box((source / "bbs" / name).with_suffix(".pts"), box)
    assert not prepare_300w.prepare(config(source, boxes="folder", bb_root=str(source / "bbs")))
    for name in (TRAIN[1], "300w/indoor_001.png", CHALLENGING[1]):
        written = landmark_files.read_box((source / "out/bb" / name).with_suffix(".pts"))
        np.testing.assert_allclose(written, box)
    assert "6 without such a box in the box of their landmarks" in capsys.readouterr().out


def test_a_bad_box_leaves_its_face_out(source, capsys):
    landmark_files.write_box(source / "bbs/afw/134212_1.pts", [np.float64(9), 9, 2, 9])
    assert prepare_300w.prepare(config(source, boxes="folder", bb_root=str(source / "bbs")))
    assert "skipped 'afw/134212_1.jpg': the box" in capsys.readouterr().err


def test_parts_that_are_lacking_make_no_list(source):
    os.rename(source / "300w/ibug", source / "elsewhere")
    os.rename(source / "300w/afw", source / "300w/AFW")
    assert not prepare_300w.prepare(config(source))
    assert names(source, "300w_train") == TRAIN
    assert not (source / "out/lists/300w_challenging.txt").exists()
    with pytest.raises(InputError, match="holds none of afw"):
        prepare_300w.prepare(config(source, source=str(source / "elsewhere")))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("afw/134212_1.pts", "version: 1\nn_points: 68\n{\n1 2\n}\n", "1 points where it declares"),
        ("afw/134212_1.pts", "version: 1\nn_points: 1\n{\n1 2\n}\n", "1 points where 68"),
        (
            "afw/134212_1.pts",
            "version: 1\nn_points: 1\n{\nnan 2\n}\n",
            "line 4: nan 2 is not finite",
        ),
        ("afw/134212_1.pts", "version: 1\nn_points: 9999999999999\n{\n", "declares 9999999999999"),
        ("afw/134212_1.pts", "x" * (landmark_files.MAX_LANDMARK_BYTES + 1), "too large"),
        ("afw/134212_1.jpg", "", "not a readable image"),
        ("afw/134212_1.png", "", "needs one image and one .pts or .ljson"),
        ("afw/other.jpg", "", "needs one image and one .pts or .ljson, found other.jpg"),
        ("afw/two\nlines.jpg", None, "cannot stand in a list"),
    ],
)
def test_bad_faces_are_reported_and_left_out(source, capsys, name, content, message):
    path = source / "300w" / name
    if content is None:
        for suffix in (".jpg", ".pts"):
            os.rename(source / f"300w/afw/134212_1{suffix}", path.with_suffix(suffix))
    else:
        path.write_text(content)
    assert prepare_300w.prepare(config(source))
    captured = capsys.readouterr()
    assert message in captured.err and "1 skipped" in captured.out
    assert names(source, "300w_full") == COMMON + CHALLENGING


def test_rare_shapes_are_repeated(source):
    assert not prepare_300w.prepare(config(source, repeat=2))
    assert set(names(source, "300w_train_mahal")) == set(TRAIN)
    assert len(names(source, "300w_train_mahal")) == 4
