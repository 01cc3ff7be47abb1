"""Variants of a data set: noisy boxes and rolled faces."""

import importlib

import numpy as np
import pytest
from tiny_faces import blobs, landmarks, write_faces, write_list

from musica.errors import InputError
from musica.files import image_files, landmark_files, list_files
from musica.files.annotated_faces import is_held_out
from musica.geometry import crops

perturb = importlib.import_module("perturb")


@pytest.fixture
def keys(tmp_path):
    (tmp_path / "set").mkdir()
    write_faces(tmp_path / "set", 3)
    names = [f"face{index}.png" for index in range(3)]
    return {
        "image_dir": str(tmp_path / "set"),
        "filenames": [
            write_list(tmp_path / "all.txt", *names),
            write_list(tmp_path / "one.txt", names[1]),
        ],
        "output": str(tmp_path / "out"),
    }


def read(folder, index):
    """Pixels, landmarks and box of a face in a data set."""
    image = folder / "images" / f"face{index}.png"
    points = landmark_files.read_landmarks(image.with_suffix(".pts"), 68)
    return (
        image_files.read_image(image),
        points,
        landmark_files.read_box(folder / f"bb/face{index}.pts"),
    )


@pytest.mark.parametrize("degrees", [-90, -47.3, 0, 30, 90])
def test_points_stay_on_their_pixels(degrees):
    points = np.array([[20.25, 30.5], [50, 12], [61, 80.75]])
    pixels = blobs((76, 92), points, sigma=2)
    turned, moved = perturb.rotated(pixels, points, degrees)
    rows, columns = np.indices(turned.shape[:2])
    for y, x in moved:
        near = np.hypot(rows - y, columns - x) < 8
        weights = turned[..., 0] * near
        centroid = [np.average(rows, weights=weights), np.average(columns, weights=weights)]
        np.testing.assert_allclose(centroid, [y, x], atol=0.05)
    # Clockwise: the x axis turns towards the y axis. Distances stay.
    before, after = points[0] - points[2], moved[0] - moved[2]
    assert np.hypot(*after) == pytest.approx(np.hypot(*before))
    change = np.rad2deg(np.arctan2(*after) - np.arctan2(*before))
    assert (change - degrees + 180) % 360 == pytest.approx(180)
    if degrees == 90:
        np.testing.assert_allclose(turned, np.rot90(pixels, -1), atol=1)


def test_nothing_is_cut_off():
    white = np.full((40, 61, 3), 255, np.uint8)
    for degrees in (31, -88, 45, 90):
        turned, _ = perturb.rotated(white, np.zeros((1, 2)), degrees)
        assert turned.mean() * turned.size / 255 == pytest.approx(white.size, rel=0.02)


def test_rolled_set(keys, tmp_path, capsys):
    assert not perturb.perturb(perturb.PerturbConfig(kind="roll", **keys))
    assert "3 faces written" in capsys.readouterr().out
    out = tmp_path / "out"
    assert len(list_files.read_list(out / "lists/all.txt")) == 3
    assert list_files.read_list(out / "lists/one.txt") == ["face1.png"]
    rolls = []
    for index in range(3):
        pixels, points, box = read(out, index)
        before = landmarks(index)
        np.testing.assert_allclose(box, crops.bounding_box(points), atol=2e-3)
        inside = np.rint(points).astype(int).clip(0, np.array(pixels.shape[:2]) - 1)
        assert pixels[(*inside.T, 0)].min() > 150
        change = np.diff([np.arctan2(*(p[67] - p[0])) for p in (before, points)])
        rolls.append((np.rad2deg(change) + 180) % 360 - 180)
    assert (np.abs(rolls) >= 30).all() and (np.abs(rolls) <= 90).all()
    assert len(np.unique(np.round(rolls, 3))) == 3


def test_noisy_boxes(keys, tmp_path):
    assert not perturb.perturb(perturb.PerturbConfig(kind="box", **keys))
    for index in range(3):
        pixels, points, box = read(tmp_path / "out", index)
        np.testing.assert_array_equal(
            pixels, image_files.read_image(tmp_path / f"set/face{index}.png")
        )
        np.testing.assert_allclose(points, landmarks(index), atol=1e-3)
        tight = crops.bounding_box(points)
        sides = tight[2:] - tight[:2]
        growth = (box[2:] - box[:2]) / sides
        assert growth[0] == pytest.approx(growth[1], abs=1e-3) and 1 < growth[0] < 1.2
        shift = ((box[:2] + box[2:]) - (tight[:2] + tight[2:])) / 2 / sides
        assert (np.abs(shift) < 0.1).all() and np.abs(shift).min() > 1e-4


def test_labels_of_another_folder_and_faces_that_were_held_out(keys, tmp_path):
    for index in range(3):
        landmark_files.write_landmarks(tmp_path / f"labels/face{index}.pts", landmarks(index) + 1)
    held_out = [index for index in range(3) if is_held_out(f"face{index}.png", 0.7)]
    assert 0 < len(held_out) < 3
    more = {"gt_path": str(tmp_path / "labels"), "held_out_share": 0.7}
    assert not perturb.perturb(perturb.PerturbConfig(kind="box", **keys, **more))
    out = tmp_path / "out"
    names = [f"face{index}.png" for index in held_out]
    assert list_files.read_list(out / "lists/all.txt") == names
    _, points, _ = read(out, held_out[0])
    np.testing.assert_allclose(points, landmarks(held_out[0]) + 1, atol=1e-3)


@pytest.mark.parametrize("kind", ["box", "roll"])
def test_a_face_is_always_perturbed_alike(kind, keys, tmp_path):
    for folder, change in (
        ("first", {}),
        ("again", {"filenames": keys["filenames"][1:]}),
        ("other", {"seed": 1}),
    ):
        output = {"output": str(tmp_path / folder)}
        perturb.perturb(perturb.PerturbConfig(kind=kind, **{**keys, **output, **change}))
    first, again, other = (read(tmp_path / folder, 1) for folder in ("first", "again", "other"))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert np.abs(first[2] - other[2]).max() > 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "both"}, "kind must be box or roll"),
        ({"image_dir": ""}, "image_dir is missing"),
        ({"filenames": []}, "filenames is missing"),
        ({"output": ""}, "output is missing"),
    ],
)
def test_refused_keys(keys, change, message):
    with pytest.raises(InputError, match=message):
        perturb.perturb(perturb.PerturbConfig(**{"kind": "box", **keys, **change}))
