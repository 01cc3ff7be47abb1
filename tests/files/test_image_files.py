import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, features

from musica.errors import InputError
from musica.files import image_files, picture_decoding

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


def test_whatever_numpy_converts_is_a_picture(tmp_path):
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


def test_images_are_rgb(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image_files.write_image(tmp_path / "a.png", Image.fromarray(grey))
    found = image_files.read_image(tmp_path / "a.png")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.repeat(grey[..., None], 3, axis=2))
    assert image_files.read_image(tmp_path / "a.png", max_pixels=12).shape == (3, 4, 3)
    with pytest.raises(InputError, match=r"too many: more than 1\.1e-05 megapixels"):
        image_files.read_image(tmp_path / "a.png", max_pixels=11)


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


def header_of_png(side):
    """The beginning of a grey PNG file of a declared size."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    content = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + content + b"\0\0\0\0IDAT"


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {"quality": 60}),
        ("RGB", {"progressive": True, "subsampling": 0}),
        ("L", {}),
        ("CMYK", {}),
        ("RGB", {"format": "MPO", "save_all": True, "append_images": [Image.new("RGB", (9, 5))]}),
    ],
)
def test_jpeg_pixels_are_pillows(tmp_path, mode, options):
    small = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize((90, 70)).convert(mode)
    path = tmp_path / "picture.jpg"
    picture.save(path, **{"format": "JPEG", **options})
    with Image.open(path) as opened:
        expected = np.asarray(opened.convert("RGB"))
    np.testing.assert_array_equal(image_files.read_image(path), expected)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(100))
    np.testing.assert_array_equal(image_files.read_image(path), expected)
    path.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(InputError, match="not a readable image"):
        image_files.read_image(path)


def test_a_jpeg_file_is_not_read_beyond_reason(tmp_path, monkeypatch):
    path = tmp_path / "picture.jpg"
    Image.new("RGB", (20, 10), "red").save(path)
    with path.open("ab") as file:
        file.truncate(100_000_000)
        file.seek(0, 2)
        file.write(picture_decoding.END_OF_JPEG)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("the whole file was read"))
    assert image_files.read_image(path).shape == (10, 20, 3)


def test_huge_images_are_one_clear_line(tmp_path, recwarn):
    for side in (14_143, 30_000):  # a little more, and much more, than 200 megapixels
        (tmp_path / "bomb.png").write_bytes(header_of_png(side))
        with pytest.raises(InputError, match="its pixels are too many: more than 200 megapixels"):
            image_files.read_image(tmp_path / "bomb.png")
    assert not recwarn


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_pillows_own_limit_of_pixels_neither_holds_nor_changes(
    tmp_path, monkeypatch, recwarn, suffix
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    Image.new("RGB", (12, 10), (1, 2, 3)).save(tmp_path / f"a{suffix}")
    assert image_files.read_image(tmp_path / f"a{suffix}").shape == (10, 12, 3)
    assert Image.MAX_IMAGE_PIXELS == 50
    with pytest.raises(InputError, match="not a readable image"):
        (tmp_path / "bad.png").write_bytes(header_of_png(9))
        image_files.read_image(tmp_path / "bad.png")
    assert Image.MAX_IMAGE_PIXELS == 50 and not recwarn


def test_threads_that_read_leave_the_process_as_it_was(tmp_path):
    image_files.write_image(tmp_path / "a.png", Image.fromarray(PICTURE))
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)

    def read(number):
        return image_files.read_image(tmp_path / "a.png", max_pixels=100 + number)

    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(read, range(200)):
            np.testing.assert_array_equal(found, PICTURE)
    assert limit == Image.MAX_IMAGE_PIXELS and filters == warnings.filters


def exif_with(orientation, tag, kind, count, value):
    """EXIF data of an orientation and of one more tag, which need not make sense."""
    first = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    second = struct.pack("<HHI4s", tag, kind, count, value)
    return struct.pack("<2sHIH", b"II", 42, 8, 2) + first + second + b"\0\0\0\0"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path, monkeypatch, suffix, orientation):
    monkeypatch.setattr(picture_decoding, "STRIP_PIXELS", 40)
    squares = np.kron(PICTURE, np.ones((8, 8, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    Image.fromarray(squares).save(path, exif=exif)
    found = image_files.read_image(path)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_odd_exif_tags_neither_stop_nor_turn_a_picture(tmp_path, suffix):
    image, path = Image.fromarray(PICTURE), tmp_path / f"a{suffix}"
    prefix = b"Exif\0\0" if suffix == ".jpg" else b""
    for tag in (0x010F, 0x8769, 0x8825, 0x927C, 0xA005, 0x014A, 0xC4A5):
        for kind, count in ((0, 1), (2, 9999), (5, 0), (7, 2**31), (13, 1), (99, 3)):
            exif = prefix + exif_with(6, tag, kind, count, b"\xff\xff\xff\x7f")
            image.save(path, exif=exif)
            assert image_files.read_image(path).shape == (4, 5, 3)
    for exif in (b"", b"II*\0", b"\xff" * 50, exif_with(6, 0x0112, 2, 4, b"six\0")):
        image.save(path, exif=prefix + exif)
        assert image_files.read_image(path).size == PICTURE.size


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14, 16])
@pytest.mark.parametrize("options", [[".png"], [".tif", 1], [".tif", 5]], ids=str)
def test_deep_colour_is_not_black(tmp_path, monkeypatch, bits, options):
    monkeypatch.setattr(picture_decoding, "STRIP_PIXELS", 40)
    suffix, *compression = options
    options = [cv2.IMWRITE_TIFF_COMPRESSION, *compression] if compression else []
    values = np.random.default_rng(bits).integers(0, 2**bits, (9, 13, 3), dtype=np.uint16)
    values[0, 0] = 2**bits - 1
    opaque = np.full((9, 13, 1), 65535, np.uint16)
    for written in (values, np.dstack([values, opaque])):
        order = [2, 1, 0, 3][: written.shape[2]]  # OpenCV writes BGR and BGRA
        cv2.imwrite(str(tmp_path / f"a{suffix}"), written[..., order], options)
        found = image_files.read_image(tmp_path / f"a{suffix}")
        np.testing.assert_array_equal(found, values >> (bits - 8))


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_deep_grey_is_stretched(tmp_path, bits):
    values = np.random.default_rng(bits).integers(0, 2**bits, (9, 13), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    found = image_files.read_image(tmp_path / "a.png")
    expected = (values - values.min()) * (255 / np.ptp(values.astype(int)))
    np.testing.assert_allclose(found[..., 1], expected, atol=0.51)


def test_heic_is_read_or_the_extra_is_named(tmp_path):
    path = tmp_path / "a.heic"
    if find_spec("pillow_heif"):
        assert ".heic" in image_files.image_formats()
        Image.new("RGB", (64, 48), (200, 90, 10)).save(path)
        assert np.abs(image_files.read_image(path).astype(int) - [200, 90, 10]).max() < 9
    else:
        path.write_bytes(b"\0\0\0\x18ftypheic")
        with pytest.raises(InputError, match=r"HEIC needs pip install 'musica\[heif\]'"):
            image_files.read_image(path)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_read(tmp_path):
    Image.new("RGB", (64, 48), (200, 90, 10)).save(tmp_path / "a.avif")
    found = image_files.read_image(tmp_path / "a.avif")
    assert np.abs(found.astype(int) - [200, 90, 10]).max() < 9


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
