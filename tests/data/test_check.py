"""The check of a data set: each fault is found and named, and nothing else is."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_faces import landmarks

from musica.errors import InputError
from musica.files import landmark_files, list_files, writing
from musica.geometry import crops

DATA = Path(__file__).parents[2] / "data"
check = importlib.import_module("check")

GOOD = [f"good{index}.png" for index in range(3)]


def face(folder, name, points, box=None):
    path = folder / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((76, 92, 3), 99, np.uint8)).save(path)
    landmark_files.write_landmarks(path.with_suffix(".pts"), points)
    box = crops.bounding_box(points) if box is None else np.array(box, float)
    landmark_files.write_box((folder / "bb" / name).with_suffix(".pts"), box)


@pytest.fixture
def folder(tmp_path):
    """Three good faces."""
    for index, name in enumerate(GOOD):
        face(tmp_path, name, landmarks(index))
    return tmp_path


def run(folder, *names, **keys):
    writing.write_text(folder / "lists/all.txt", "\n".join(names))
    return check.check(check.CheckConfig(folder=str(folder), **keys))


def break_image(folder):
    (folder / "images/good0.png").write_bytes(b"\x89PNG")


def cut_points(folder):
    landmark_files.write_landmarks(folder / "images/good0.pts", landmarks(0)[:5])


def break_points(folder):
    (folder / "images/good0.pts").write_text("n_points: 68\n{\n")


def lose_points(folder):
    points = landmarks(0)
    points[[3, 5]] = -2, -2  # in a .pts file: -1 -1
    points[7] = -1, -1
    landmark_files.write_landmarks(folder / "images/good0.pts", points)


def remove_box(folder):
    (folder / "bb/good0.pts").unlink()


def other_box(*box):
    def change(folder):
        landmark_files.write_box(folder / "bb/good0.pts", np.array(box, float))

    return change


@pytest.mark.parametrize(
    ("change", "kind", "details"),
    [
        (lambda folder: (folder / "images/good0.png").unlink(), check.IMAGE, "no such file"),
        (break_image, check.IMAGE, "not a readable image"),
        (break_points, check.LANDMARKS, "0 points where it declares 68"),
        (cut_points, check.COUNT, "5 where 68 are needed"),
        (lose_points, check.MISSING, "3 of 68"),
        (remove_box, check.BOX, "no such file"),
        (other_box(50, 9, 50, 60), check.BOX, "is empty"),
        (other_box(500, 9, 590, 60), check.BOX, "outside the image"),
        (other_box(30, 30, 38, 90), check.SMALL_BOX, "9.0x61.0 px"),
        (other_box(30, 30, 75, 45), check.PATCHES, "of 68"),
    ],
)
def test_each_fault_is_named(folder, capsys, change, kind, details):
    change(folder)
    assert run(folder, *GOOD)
    captured = capsys.readouterr()
    assert f"good0.png: {kind}: " in captured.err and details in captured.err
    assert all(line.startswith("good0.png: ") for line in captured.err.splitlines())
    assert captured.out.startswith("all: 3 faces, 68 points\n")
    assert f"      1 {kind}\n" in captured.out


def test_good_faces_have_no_fault(folder, capsys):
    assert not run(folder, *GOOD, GOOD[0])
    captured = capsys.readouterr()
    assert captured.out == "all: 4 faces, 68 points\n" and captured.err == ""


def test_points_outside_the_image_are_no_fault(folder, capsys):
    points = landmarks(0)
    points[:3, 0] = [-2.5, -0.4, 75.4]
    points[3] = 76.5, 30
    face(folder, GOOD[0], points)
    assert not run(folder, *GOOD)
    captured = capsys.readouterr()
    assert captured.err == f"good0.png: {check.POINTS}: 2, up to 2.00 px\n"
    assert captured.out.endswith(f"      1 {check.POINTS}\n")


def test_missing_points_are_one_fault_and_stay_out_of_tight_boxes(folder, capsys):
    lose_points(folder)
    for file in (folder / "bb").iterdir():
        file.unlink()
    (folder / "bb").rmdir()
    assert run(folder, *GOOD)
    captured = capsys.readouterr()
    assert captured.err == f"good0.png: {check.MISSING}: 3 of 68\n"
    landmark_files.write_landmarks(folder / "images/good1.pts", np.full((68, 2), -1.0))
    assert run(folder, GOOD[1])
    assert f"{check.BOX}: all of its landmarks are missing" in capsys.readouterr().err


def test_patches_at_the_crops_edge():
    config = check.CheckConfig(patch_size=14)
    box = np.array([50.0, 50.0, 149.0, 159.0])
    crop = crops.crop_of_box(box)
    rows, columns = crop.shape
    # A patch starts 7 pixels before its centre, cut off to a whole pixel: -0.9 is 0.
    for point, outside in {
        (6.1, 50): False,
        (5.9, 50): True,
        (50, 6.1): False,
        (50, 5.9): True,
        (rows - 6.1, 50): False,
        (rows - 5.9, 50): True,
        (50, columns - 6.1): False,
        (50, columns - 5.9): True,
    }.items():
        points = crop.to_image(np.array([(50, 50), point]))
        expected = {check.PATCHES: "1 of 2"} if outside else {}
        assert check.box_faults(box, points, None, config) == expected


def test_a_set_without_boxes_has_tight_ones(folder, capsys):
    for file in (folder / "bb").iterdir():
        file.unlink()
    (folder / "bb").rmdir()
    assert not run(folder, *GOOD)
    assert capsys.readouterr().err == ""


def test_contact_sheets_and_filtered_lists(folder, capsys, monkeypatch):
    monkeypatch.setattr(check, "COLUMNS", 2)
    monkeypatch.setattr(check, "ROWS", 1)
    remove_box(folder)
    (folder / "images/good1.png").write_text("no image")
    report = folder / "report"
    assert run(folder, *GOOD, GOOD[2], GOOD[2], output_dir=str(report), sheets=2)
    assert sorted(os.listdir(report)) == ["all_1.png", "all_2.png", "all_faulty_1.png", "lists"]
    assert list_files.read_list(report / "lists/all.txt") == [GOOD[2]] * 3
    height = check.TILE + 2 * check.CAPTION
    sheets = [np.asarray(Image.open(report / f"all_{number}.png"), int) for number in (1, 2)]
    assert {sheet.shape for sheet in sheets} == {(height, 2 * check.TILE, 3)}
    # Of five faces the four sheets' places show the first, second, fourth and last.
    green = [
        (sheet[..., 1] - sheet[..., 0]).max(axis=0).reshape(2, -1).max(axis=1) for sheet in sheets
    ]
    assert (np.array(green) > 100).tolist() == [[False, False], [True, True]]
    faulty = np.asarray(Image.open(report / "all_faulty_1.png"), int)
    assert ((faulty[..., 0] > 200) & (faulty[..., 1] < 120)).any()
    assert capsys.readouterr().out.endswith(f"wrote contact sheets and lists to {report}\n")


def test_a_box_too_thin_to_be_drawn(folder):
    other_box(-4e5, 30, 5e5, 45)(folder)
    assert run(folder, *GOOD, output_dir=str(folder / "report"))
    assert (folder / "report/all_faulty_1.png").is_file()


def test_a_list_of_faults_alone_is_not_filtered_to_nothing(folder):
    remove_box(folder)
    assert run(folder, GOOD[0], output_dir=str(folder / "report"), sheets=0)
    assert not (folder / "report").exists()


def test_bad_keys_are_refused(folder):
    with pytest.raises(InputError, match="folder must be"):
        check.check(check.CheckConfig(folder=str(folder / "images")))
    with pytest.raises(InputError, match="holds no list"):
        check.check(check.CheckConfig(folder=str(folder)))
    with pytest.raises(InputError, match="stay inside"):
        run(folder, "../good0.png")
    with pytest.raises(InputError, match="the same name"):
        run(folder, *GOOD, filenames=[str(folder / "lists/all.txt")] * 2)
    with pytest.raises(InputError, match="at least 0"):
        run(folder, *GOOD, sheets=-1)


def test_a_name_no_file_can_have(folder, capsys):
    assert run(folder, *GOOD, "a" * 300 + ".png")
    assert f"      1 {check.IMAGE}\n" in capsys.readouterr().out


def test_as_a_command(folder):
    writing.write_text(folder / "lists/all.txt", "\n".join(["missing.png", *GOOD]))
    command = [sys.executable, DATA / "check.py", f"--folder={folder}"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stdout.startswith("all: 4 faces, 68 points\n      1 image missing")
