"""WFLW from folders in its official format; also what all preparation scripts share."""

import importlib
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_faces import landmarks

from musica.errors import InputError
from musica.files import annotated_faces, landmark_files, list_files
from musica.geometry.box_conventions import overlaps

DATA = Path(__file__).parents[2] / "data"
layout, prepare_wflw = map(importlib.import_module, ("layout", "prepare_wflw"))

FACES = [landmarks(seed, 98).round(3) for seed in range(5)]
PARADE, MEETING = "0--Parade/0_Parade_marchingband_1_116.jpg", "11--Meeting/11_Meeting_1_7.jpg"


def line(points, name, flags="0 0 0 0 0 0", box="11 12 55 56"):
    """A line of the official lists: x y of 98 points, box, six flags, name."""
    numbers = " ".join(f"{value:.6f}" for value in points[:, ::-1].ravel())
    return f"{numbers} {box} {flags} {name}"


@pytest.fixture
def source(tmp_path):
    for index, name in enumerate((PARADE, MEETING)):
        path = tmp_path / "WFLW_images" / name
        path.parent.mkdir(parents=True)
        pixels = np.random.default_rng(index).integers(0, 256, (76, 92, 3), np.uint8)
        Image.fromarray(pixels).save(path, quality=60)
    folder = tmp_path / "annotations"
    folder.mkdir()
    train = [line(FACES[0], PARADE), line(FACES[1], MEETING), line(FACES[2], PARADE)]
    test = [line(FACES[3], MEETING, "1 0 0 1 0 1"), line(FACES[4], PARADE)]
    for split, lines in (("train", train), ("test", test)):
        path = folder / f"list_98pt_rect_attr_{split}.txt"
        path.write_text("\n".join(lines) + "\n")
    return tmp_path


def config(source, **keys):
    return prepare_wflw.WflwConfig(
        **{
            "image_dir": str(source / "WFLW_images"),
            "annotation_dir": str(source / "annotations"),
            "output": str(source / "data" / "wflw"),
            **keys,
        }
    )


def append(source, text):
    with (source / "annotations" / "list_98pt_rect_attr_test.txt").open("a") as file:
        file.write(text + "\n")


def refuse(*_):
    raise OSError("refused")


def names(source, title):
    return list_files.read_list(source / "data/wflw/lists" / f"{title}.txt")


def test_each_face_becomes_a_picture_of_its_own(source, capsys):
    assert not prepare_wflw.prepare(config(source))

    output = source / "data/wflw"
    train = names(source, "wflw_train")
    assert train == [
        "wflw/0--Parade/0_Parade_marchingband_1_116_0.jpg",
        "wflw/11--Meeting/11_Meeting_1_7_0.jpg",
        "wflw/0--Parade/0_Parade_marchingband_1_116_1.jpg",
    ]
    test = [
        "wflw/11--Meeting/11_Meeting_1_7_1.jpg",
        "wflw/0--Parade/0_Parade_marchingband_1_116_2.jpg",
    ]
    assert names(source, "wflw_test") == test
    for subset in ("pose", "make_up", "blur"):
        assert names(source, f"wflw_test_{subset}") == test[:1]
    assert len(os.listdir(output / "lists")) == 5
    for name, points in zip(train + test, FACES, strict=True):
        written = (output / "images" / name).read_bytes()
        original = MEETING if "Meeting" in name else PARADE
        assert written == (source / "WFLW_images" / original).read_bytes()
        found = landmark_files.read_landmarks((output / "images" / name).with_suffix(".pts"), 98)
        np.testing.assert_allclose(found, points, atol=1e-3)
    faces = annotated_faces.read_faces(
        [output / "lists/wflw_train.txt"], output / "images", None, output / "bb", 98
    )
    (top, left), (bottom, right) = FACES[1].min(axis=0), FACES[1].max(axis=0)
    np.testing.assert_allclose(faces[1].box, [left, top, right, bottom], atol=1e-3)
    captured = capsys.readouterr()
    assert captured.out.endswith(f"5 faces written to {output}\n")
    assert "wflw_test_pose: 1 faces\n" in captured.out
    assert "warning: wflw_train was published with 7500 faces\n" in captured.err
    assert captured.err.count("\n") == 8


def test_coordinates_are_0_based_and_points_files_1_based(source):
    prepare_wflw.prepare(config(source))
    path = source / "data/wflw/images" / names(source, "wflw_train")[0]
    x, y = path.with_suffix(".pts").read_text().split("{")[1].split()[:2]
    np.testing.assert_allclose([float(y), float(x)], FACES[0][0] + 1, atol=1e-3)


def test_official_boxes(source):
    prepare_wflw.prepare(config(source, boxes="official"))
    path = (source / "data/wflw/bb" / names(source, "wflw_test")[0]).with_suffix(".pts")
    np.testing.assert_allclose(landmark_files.read_box(path), [11, 12, 55, 56])


@pytest.mark.parametrize("link", [True, False])
def test_images_are_linked_only_when_asked(source, link):
    prepare_wflw.prepare(config(source, link=link))
    written = source / "data/wflw/images" / names(source, "wflw_train")[0]
    assert os.path.samefile(written, source / "WFLW_images" / PARADE) == link


def test_without_links_they_are_copies(source, monkeypatch):
    monkeypatch.setattr(os, "link", refuse)
    assert not prepare_wflw.prepare(config(source, link=True))
    assert (source / "data/wflw/images" / names(source, "wflw_train")[0]).is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line(FACES[0], PARADE)[9:], "206 tokens where 207"),
        (line(FACES[0], PARADE) + " more", "could not convert"),
        (line(FACES[0] * np.nan, PARADE), "not finite"),
        (line(FACES[0] * np.inf, PARADE), "not finite"),
        (line(FACES[0], PARADE, flags="0 0 0 0 0 7"), "flags"),
        (line(FACES[0] * 1e200, PARADE), "four finite numbers"),
        (line(FACES[0] * 0, PARADE), "all of its landmarks are missing"),
        (line(FACES[0] * 0 + 7, PARADE), "is empty"),
        (line(FACES[0], "../annotations/list_98pt_rect_attr_test.jpg"), "stay inside"),
        (line(FACES[0], "/etc/passwd.jpg"), "stay inside"),
        (line(FACES[0], "."), "not the name of an image"),
        (line(FACES[0], "0--Parade/readme.txt"), "not the name of an image"),
        (line(FACES[0], "missing.jpg"), "no such file"),
        (line(FACES[0], "a" * 300 + ".jpg"), "too long"),
        (line(FACES[0], "bell\a.jpg"), "cannot stand in a list"),
    ],
)
def test_bad_lines_are_reported_and_left_out(source, capsys, text, message):
    append(source, text)
    assert prepare_wflw.prepare(config(source))
    captured = capsys.readouterr()
    (problem,) = (row for row in captured.err.splitlines() if row.startswith("skipped"))
    assert message in problem
    assert captured.out.endswith(f"5 faces written to {source / 'data/wflw'}, 1 skipped\n")
    assert len(names(source, "wflw_test")) == 2
    assert sorted(os.listdir(source)) == ["WFLW_images", "annotations", "data"]


def test_an_unreadable_image_is_left_out(source, capsys):
    (source / "WFLW_images" / "text.png").write_text("no image")
    append(source, line(FACES[0], "text.png"))
    assert prepare_wflw.prepare(config(source))
    assert "'wflw/text_0.png'" in capsys.readouterr().err


def test_whole_or_not_at_all(source, monkeypatch):
    monkeypatch.setattr(layout.shutil, "copyfile", refuse)
    with pytest.raises(OSError, match="refused"):
        prepare_wflw.prepare(config(source))
    assert os.listdir(source / "data") == []


def test_an_existing_folder_is_left_alone(source):
    (source / "data/wflw").mkdir(parents=True)
    with pytest.raises(InputError, match="exists already"):
        prepare_wflw.prepare(config(source))
    assert os.listdir(source / "data/wflw") == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"image_dir": ""}, "image_dir is missing"),
        ({"output": ""}, "output is missing"),
        ({"annotation_dir": "nowhere"}, "cannot read this list"),
        ({"boxes": "tight"}, "boxes must be"),
        ({"boxes": "folder"}, "belong together"),
        ({"bb_root": "."}, "belong together"),
        ({"boxes": "folder", "bb_root": "nowhere"}, "no such folder"),
        ({"repeat": 0}, "repeat must be"),
    ],
)
def test_bad_keys_are_refused(source, keys, message):
    with pytest.raises(InputError, match=message):
        prepare_wflw.prepare(config(source, **keys))
    assert not (source / "data").exists()


def test_detected_boxes(source, monkeypatch, capsys):
    (top, left), (bottom, right) = FACES[0].min(axis=0), FACES[0].max(axis=0)
    near = np.array([left - 1, top - 2, right + 2, bottom + 1])
    images = []

    class FaceDetector:
        def detect(self, image, smallest_face=None):
            images.append(image)
            return [near + 7, near, near + 60] if len(images) == 1 else []

    detector = types.ModuleType("musica.alignment.detector")
    detector.FaceDetector = FaceDetector
    monkeypatch.setitem(sys.modules, "musica.alignment.detector", detector)
    assert not prepare_wflw.prepare(config(source, boxes="detector"))
    boxes = [
        landmark_files.read_box((source / "data/wflw/bb" / name).with_suffix(".pts"))
        for name in names(source, "wflw_train")
    ]
    np.testing.assert_allclose(boxes[0], near, atol=1e-3)
    np.testing.assert_allclose(boxes[1][:2], FACES[1].min(axis=0)[::-1], atol=1e-3)
    assert images[0].shape == (76, 92, 3) and images[0].dtype == np.uint8
    assert "4 without such a box in the box of their landmarks" in capsys.readouterr().out


def test_a_missing_detector_is_said(source, monkeypatch):
    monkeypatch.setitem(sys.modules, "musica.alignment.detector", None)
    with pytest.raises(InputError, match="needs the face detector"):
        prepare_wflw.prepare(config(source, boxes="detector"))


def test_a_neighbours_box_is_not_taken():
    box = np.array([0.0, 0.0, 10.0, 10.0])
    others = [box, np.add(box, [5, 0, 5, 0]), np.add(box, [8, 0, 8, 0]), box + 20]
    same, third, little, none = overlaps(box, np.array(others))
    assert same == 1
    assert third == pytest.approx(1 / 3)
    assert little < layout.MIN_OVERLAP
    assert none == 0


def test_rare_shapes_are_repeated(source):
    assert not prepare_wflw.prepare(config(source, repeat=3))
    train, repeated = names(source, "wflw_train"), names(source, "wflw_train_mahal")
    assert sorted(map(repeated.count, train)) == [1, 1, 2]
    assert sorted(repeated) == sorted(name for name in train for _ in range(repeated.count(name)))


def test_rarity_is_of_the_shape_alone():
    generator = np.random.default_rng(0)
    shapes = generator.normal(size=(68, 2)) + generator.normal(0, 0.02, (64, 68, 2))
    shapes[10] += generator.normal(0, 0.5, (68, 2))
    counts = layout.repetitions(shapes, 99)
    # Half of the shapes stand once, a quarter twice and so on; the rarest one of 64 seven times.
    assert np.bincount(counts).tolist() == [0, 32, 16, 8, 4, 2, 1, 1]
    assert counts.argmax() == 10
    moved = shapes * generator.uniform(1, 9, (64, 1, 1)) + generator.uniform(0, 99, (64, 1, 2))
    np.testing.assert_array_equal(layout.repetitions(moved, 99), counts)
    np.testing.assert_array_equal(layout.repetitions(shapes, 3), counts.clip(1, 3))
    assert layout.repetitions(shapes[:1], 3).tolist() == [1]


def test_as_a_command(source):
    flags = [
        f"--{key}={value}"
        for key, value in {
            "image_dir": "WFLW_images",
            "annotation_dir": "annotations",
            "output": "data/wflw",
        }.items()
    ]
    command = [sys.executable, DATA / "prepare_wflw.py", *flags]
    result = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert names(source, "wflw_test")
