import json
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from musica.errors import InputError
from musica.files import image_files, landmark_files, list_files, writing

POINTS = np.array([[0.0, 1.0], [2.5, 3.25], [-4.125, 100.0]])


def test_pts_files_are_1_based_and_x_first(tmp_path):
    path = tmp_path / "a.pts"
    path.write_text("version: 1\nn_points: 2\n{\n11.0 21.0\n1 1.5\n}\n")
    np.testing.assert_allclose(landmark_files.read_landmarks(path), [[20, 10], [0.5, 0]])
    landmark_files.write_landmarks(path, [[20, 10], [0.5, 0]])
    numbers = path.read_text().split("{")[1].split("}")[0].split()
    assert [float(number) for number in numbers] == [11, 21, 1, 1.5]


@pytest.mark.parametrize(("suffix", "tolerance"), [(".pts", 5.1e-4), (".ljson", 0)])
def test_landmarks_come_back(tmp_path, suffix, tolerance):
    points = np.random.default_rng(0).normal(0, 100, (9, 2))
    landmark_files.write_landmarks(tmp_path / f"a{suffix}", points)
    found = landmark_files.read_landmarks(tmp_path / f"a{suffix}", 9)
    np.testing.assert_allclose(found, points, rtol=0, atol=tolerance)


def test_boxes_come_back(tmp_path):
    box = [10.5, 20.25, 110.0, 200.0]
    landmark_files.write_box(tmp_path / "a.pts", box)
    np.testing.assert_allclose(landmark_files.read_box(tmp_path / "a.pts"), box)
    landmark_files.write_landmarks(tmp_path / "b.pts", POINTS)
    with pytest.raises(InputError, match="3 points where 4 are needed"):
        landmark_files.read_box(tmp_path / "b.pts")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pts", ""),
        ("a.pts", "version: 1\nn_points: 2\n{\n1 2\n"),
        ("a.pts", "version: 1\nn_points: 1\n{\nx y\n}\n"),
        ("a.pts", "version: 1\nn_points: 1\n{\nnan 2\n}\n"),
        ("a.ljson", "{"),
        ("a.ljson", "[]"),
        ("a.ljson", json.dumps({"version": 2})),
        ("a.txt", "1 2"),
        ("missing.pts", None),
    ],
)
def test_malformed_landmark_files(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=name):
        landmark_files.read_landmarks(tmp_path / name)


def test_wrong_number_of_points(tmp_path):
    landmark_files.write_landmarks(tmp_path / "a.pts", POINTS)
    with pytest.raises(InputError, match="3 points where 68 are needed"):
        landmark_files.read_landmarks(tmp_path / "a.pts", 68)
    with pytest.raises(InputError, match="not a landmark file"):
        landmark_files.write_landmarks(tmp_path / "a.csv", POINTS)


def test_half_written_output_is_never_visible(tmp_path):
    path = tmp_path / "folder" / "a.txt"
    writing.write_text(path, "first")
    with pytest.raises(RuntimeError), writing.replacing(path) as temporary:
        temporary.write_text("half of the sec")
        assert temporary.suffix == ".txt"
        assert path.read_text() == "first"
        raise RuntimeError
    assert path.read_text() == "first"
    assert os.listdir(path.parent) == ["a.txt"]
    writing.write_text(path, "second")
    assert path.read_text() == "second"
    assert os.listdir(path.parent) == ["a.txt"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_outputs_have_ordinary_permissions(tmp_path):
    (tmp_path / "ordinary").touch()
    writing.write_text(tmp_path / "a.txt", "")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_estimates_come_back(tmp_path):
    landmark_files.write_estimate(tmp_path / "a.txt", 0.0123456789)
    assert landmark_files.read_estimate(tmp_path / "a.txt") == pytest.approx(0.0123456789, rel=1e-7)
    for content in ("", "x", "1 2", "nan", "inf"):
        (tmp_path / "b.txt").write_text(content)
        with pytest.raises(InputError, match=r"b\.txt"):
            landmark_files.read_estimate(tmp_path / "b.txt")
    with pytest.raises(InputError, match=r"c\.txt"):
        landmark_files.read_estimate(tmp_path / "c.txt")


def test_lists_hold_names_inside_the_folder(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a.jpg\n\n  folder/b.jpg  \n")
    assert list_files.read_list(path) == ["a.jpg", "folder/b.jpg"]
    for name in ("../a.jpg", "folder/../../a.jpg", "/etc/a.jpg", "..\\a.jpg", "a\0.jpg"):
        path.write_text(f"good.jpg\n{name}\n")
        with pytest.raises(InputError, match="stay inside"):
            list_files.read_list(path)
    path.write_text("\n")
    with pytest.raises(InputError, match="empty"):
        list_files.read_list(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot read"):
        list_files.read_list(path)
    with pytest.raises(InputError, match="cannot read"):
        list_files.read_list(tmp_path / "missing.txt")


def test_images_are_rgb(tmp_path, monkeypatch):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image_files.write_image(tmp_path / "a.png", Image.fromarray(grey))
    found = image_files.read_image(tmp_path / "a.png")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.repeat(grey[..., None], 3, axis=2))
    monkeypatch.setattr(image_files, "MAX_IMAGE_PIXELS", 11)
    with pytest.raises(InputError, match="4x3 pixels are too many"):
        image_files.read_image(tmp_path / "a.png")


def test_every_kind_of_image(tmp_path):
    """Grey, palette, alpha, CMYK, deep, animated, and turned by its EXIF data."""
    colour = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(colour)
    grey = np.asarray(image.convert("L"))
    opaque = image.copy()
    opaque.putalpha(128)
    opaque.save(tmp_path / "alpha.png")
    image.save(tmp_path / "animated.png", save_all=True, append_images=[Image.new("RGB", (8, 6))])
    image.convert("CMYK").save(tmp_path / "cmyk.tif")
    Image.fromarray(grey.astype(np.uint16) * 16).save(tmp_path / "deep.png")
    Image.fromarray(np.float32(grey) / 255 - 7).save(tmp_path / "float.tif")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    stretched = np.rint((grey - grey.min()) * (255 / np.ptp(grey.astype(float))))
    for name, expected, tolerance in (
        ("alpha.png", colour, 0),
        ("animated.png", colour, 0),
        ("cmyk.tif", colour, 1),
        ("deep.png", stretched[..., None], 0),
        ("float.tif", stretched[..., None], 1),
        ("turned.png", np.rot90(colour, -1), 0),
    ):
        found = image_files.read_image(tmp_path / name)
        assert found.dtype == np.uint8 and found.shape[2] == 3
        np.testing.assert_allclose(found.astype(int), expected + np.zeros(3), atol=tolerance)
    Image.new("I;16", (3, 3), 1000).save(tmp_path / "constant.png")
    assert not image_files.read_image(tmp_path / "constant.png").any()


def test_huge_images_are_one_clear_line(tmp_path, recwarn):
    # Pillow only warns of the first.
    for side, message in ((10_001, "10001x10001 pixels are too many"), (30_000, "too many")):
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        chunk = b"IHDR" + header
        content = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content + b"\0\0\0\0IDAT")
        with pytest.raises(InputError, match=message):
            image_files.read_image(tmp_path / "bomb.png")
    assert not recwarn


def test_no_program_is_started_to_read_an_image(tmp_path):
    (tmp_path / "a.jpg").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    )
    with pytest.raises(InputError, match="not a readable image"):
        image_files.read_image(tmp_path / "a.jpg")
    assert ".eps" not in image_files.image_formats()
    assert {".jpg", ".png", ".ppm", ".webp", ".tif"} <= image_files.image_formats().keys()


def test_unreadable_images(tmp_path):
    image_files.write_image(tmp_path / "a.png", Image.fromarray(np.ones((99, 99, 3), np.uint8)))
    (tmp_path / "half.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "text.jpg").write_text("not an image")
    for name in ("half.png", "text.jpg", "missing.png"):
        with pytest.raises(InputError, match=name):
            image_files.read_image(tmp_path / name)
