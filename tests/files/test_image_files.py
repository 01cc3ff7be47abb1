import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from musica.errors import InputError
from musica.files import image_files

PICTURE = np.random.default_rng(1).integers(0, 256, (5, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize("picture", [PICTURE, PICTURE[..., 0]], ids=["colour", "grey"])
def test_arrays_of_uint8_pass_unchanged(picture):
    assert image_files.as_image(picture) is picture


@pytest.mark.parametrize("dtype", [np.uint16, ">u2", np.float16, np.float32, np.float64])
def test_deeper_arrays_are_converted_and_rounded(dtype):
    dtype = np.dtype(dtype)
    whole = 65535 if dtype.kind == "u" else 1.0
    exact = (PICTURE * (whole / 255)).astype(dtype)
    found = image_files.as_image(exact)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, PICTURE)


def test_every_uint16_is_rounded_to_the_nearest():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    found = image_files.as_image(values)
    np.testing.assert_array_equal(found, np.rint(values / 257))
    np.testing.assert_array_equal(image_files.as_image(values / 65535), found)


def test_what_numpy_makes_an_array_of_is_a_picture(tmp_path):
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return PICTURE / 255

    image_files.write_image(tmp_path / "a.png", Image.fromarray(PICTURE))
    path = tmp_path / "a.png"
    for picture in (Tensor(), Image.fromarray(PICTURE), path, str(path)):
        np.testing.assert_array_equal(image_files.as_image(picture), PICTURE)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.full((5, 4, 3), np.nan), r"float64 \(5, 4, 3\) reaches from nan to nan"),
        (np.float32([[0, np.nan]]), r"float32 \(1, 2\) reaches from nan to nan"),
        (np.float16([[0, np.inf]]), r"float16 \(1, 2\) reaches from 0 to inf"),
        (PICTURE.astype(np.float32), r"float32 \(5, 4, 3\) reaches from \d+ to 25"),
        (np.float64([[-0.01, 1]]), r"float64 \(1, 2\) reaches from -0.01 to 1"),
        (np.float64([[0, 1.01]]), r"float64 \(1, 2\) reaches from 0 to 1.01"),
        (np.zeros((5, 4, 4), np.uint8), r"not uint8 \(5, 4, 4\)"),
        (np.zeros((5, 4, 1), np.uint8), r"not uint8 \(5, 4, 1\)"),
        (PICTURE[None], r"not uint8 \(1, 5, 4, 3\)"),
        (PICTURE[:0], r"not uint8 \(0, 4, 3\)"),
        (PICTURE > 9, r"not bool \(5, 4, 3\)"),
        (PICTURE.astype(np.int8), r"not int8 \(5, 4, 3\)"),
        (PICTURE.astype(np.int64), r"not int64 \(5, 4, 3\)"),
        (PICTURE.astype(np.uint32), r"not uint32 \(5, 4, 3\)"),
        (PICTURE.astype(np.longdouble) / 255, r"not float128 \(5, 4, 3\)"),
        (PICTURE.astype(complex), r"not complex128 \(5, 4, 3\)"),
        (PICTURE.astype(object), r"not object \(5, 4, 3\)"),
        (PICTURE.tolist(), r"not int64 \(5, 4, 3\)"),
        ([[1, 2], [3]], "not list"),
        (None, r"not object \(\)"),
        (b"bytes", r"not \|S5 \(\)"),
    ],
)
def test_arrays_that_are_refused(picture, message):
    with pytest.raises(InputError, match=message):
        image_files.as_image(picture)


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
