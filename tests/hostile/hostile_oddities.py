"""Odd files that are fine, as cameras, editors and other programs write them; as ``hostile.py``.

They must be read, and read right: a refusal is a fault.
"""

import struct
from pathlib import Path

import cv2
import numpy as np
from hostile import Attempt, one_of, valid_points
from PIL import Image

from musica.errors import InputError
from musica.files import image_files, landmark_files, list_files

MARK = b"\xef\xbb\xbf"  # a byte-order mark
BLANK = (b"", b" ", b"\t ", b"\r")


def must(read, *arguments):
    """The result of reading something that must not be refused."""
    try:
        return read(*arguments)
    except InputError as error:
        raise AssertionError(f"refused: {error}") from error


def exif_photo(generator: np.random.Generator, folder: Path) -> Attempt:
    """A photo that is to be turned, with one more EXIF tag of any kind."""
    sides = generator.integers(8, 40, 2)
    pixels = np.full((*sides, 3), generator.integers(1, 256), np.uint8)
    tag, kind = (int(generator.integers(end)) for end in (2**16, 14))
    tag += tag == 0x0112  # the orientation's own
    count = int(one_of(generator, (0, 1, 2, 3, 255, 9999, 2**31, 2**32 - 1)))
    second = struct.pack("<HHI4s", tag, kind, count, generator.bytes(4))
    exif = struct.pack("<2sHIHHHIHH", b"II", 42, 8, 2, 0x0112, 3, 1, 6, 0) + second + b"\0" * 4
    exif += generator.bytes(int(generator.integers(40)))
    suffix = one_of(generator, (".jpg", ".png", ".webp"))
    path = folder / f"a{suffix}"
    Image.fromarray(pixels).save(path, exif=b"Exif\0\0" * (suffix == ".jpg") + exif)

    def attempt():
        found = must(image_files.read_image, path)
        assert found.shape == (*sides[::-1], 3), "not turned"
        assert np.abs(found.astype(int) - pixels[0, 0]).max() < 4

    return attempt


def deep_picture(generator: np.random.Generator, folder: Path) -> Attempt:
    """A picture of 8 to 16 bits in a 16-bit file, grey or colour, or such an array."""
    bits, colour = int(generator.integers(8, 17)), generator.random() < 0.7
    shape = (*generator.integers(2, 50, 2), 3)[: 2 + colour]
    values = generator.integers(0, 2**bits, shape, dtype=np.uint16)
    values.flat[:2] = 0, 2**bits - 1
    suffix = one_of(generator, (".png", ".tif"))
    assert cv2.imwrite(str(folder / f"a{suffix}"), values)
    kind = one_of(generator, (np.uint16, np.float16, np.float32, np.float64))

    def attempt():
        found = must(image_files.read_image, folder / f"a{suffix}")
        order = values[..., ::-1] if colour else values[..., None]  # OpenCV's is BGR
        assert np.abs(found - order * (255 / (2**bits - 1))).max() <= 1
        share = values / (2**bits - 1)
        array = np.rint(share * 65535).astype(kind) if kind is np.uint16 else share.astype(kind)
        assert np.abs(must(image_files.as_image, array) - 255 * share).max() < 0.7

    return attempt


def edited_text(generator: np.random.Generator, folder: Path) -> Attempt:
    """Landmarks or a list with blank lines, a byte-order mark, or the line ends of Windows."""
    suffix = one_of(generator, (".pts", ".ljson", ".txt"))
    names = [f"sub/é {index}.png" for index in range(5)]
    content = valid_points(suffix, 5) if suffix != ".txt" else "\n".join(names).encode()
    (folder / f"plain{suffix}").write_bytes(content)
    lines = content.split(b"\n")
    for _ in range(generator.poisson(3)):
        lines.insert(int(generator.integers(len(lines) + 1)), one_of(generator, BLANK))
    content = one_of(generator, (b"\n", b"\r\n")).join(lines)
    path = folder / f"a{suffix}"
    path.write_bytes(MARK * int(generator.integers(2)) + content)

    def attempt():
        if suffix == ".txt":
            assert must(list_files.read_list, path) == names
            return
        found = must(landmark_files.read_landmarks, path, 5)
        plain = landmark_files.read_landmarks(folder / f"plain{suffix}")
        np.testing.assert_array_equal(found, plain)

    return attempt


KINDS = {
    "photos with odd EXIF": exif_photo,
    "deep pictures, arrays": deep_picture,
    "edited text files": edited_text,
}
