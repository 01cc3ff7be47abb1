"""Pictures, from files and from arrays."""

import importlib
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError

from musica.errors import InputError
from musica.files import picture_decoding
from musica.files.text_files import check_file
from musica.files.writing import replacing

# An array, anything that NumPy can turn into one, or the path of an image file.
Picture: TypeAlias = Any
PICTURE_ARRAY = (
    "a picture is an array (H, W, 3) or (H, W) of uint8, of uint16, or of floats from 0 to 1"
)
# Phones take pictures of up to 200 megapixels; a larger file may be a decompression bomb.
MAX_IMAGE_PIXELS = 200_000_000
# Pillow names them, but cannot decode them; to read EPS it starts another program.
UNDECODED_FORMATS = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
HEIF_SUFFIXES = {".heic", ".heif", ".hif"}
# Pillow has them at once. Loading its other formats takes as long as ten alignments.
COMMON_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM")


@cache
def image_formats() -> dict[str, str]:
    """The image formats that are read, by suffix: those that Pillow decodes itself.

    With the extra ``musica[heif]``, HEIC is one of them.
    """
    Image.init()
    with suppress(ImportError):  # the extra is not installed
        importlib.import_module("pillow_heif").register_heif_opener()
    return {
        suffix: name
        for suffix, name in Image.registered_extensions().items()
        if name in Image.OPEN and name not in UNDECODED_FORMATS
    }


def read_image(path: str | os.PathLike, max_pixels: float = MAX_IMAGE_PIXELS) -> np.ndarray:
    """Reads an image file, and turns it upright according to its EXIF orientation.

    Of an animation, the first frame is read. A grey image is repeated to three channels. Files
    with more than 8 bits often use a part of their range only, and would look black:

    - Grey of 16 or 32 bits, or of floats, is stretched from its darkest to its brightest pixel.
    - Of 16-bit colour (PNG, TIFF), 8 bits are read, beginning with the highest bit in use: of
      10-bit values in a 16-bit file, the upper 8 of these 10 bits.

    Args:
        path: the file.
        max_pixels: the largest number of pixels that is read. At its peak, reading takes 7 bytes
            of memory per pixel (JPEG: 3, 16-bit colour: 11), thus 1.4 GB for 200 megapixels.

    Returns:
        (H, W, 3) uint8.

    Raises:
        InputError: missing, unreadable or larger than ``max_pixels``.
    """
    path = check_file(path)
    try:
        return _decoded(path, max_pixels)
    except Image.DecompressionBombError as error:
        limit = f"more than {max_pixels / 1e6:g} megapixels"
        raise InputError(f"{path}: its pixels are too many: {limit}") from error
    except Exception as error:  # Pillow's decoders raise many kinds on malformed files
        needs_heif = path.suffix.lower() in HEIF_SUFFIXES - image_formats().keys()
        advice = "; HEIC needs pip install 'musica[heif]'" if needs_heif else ""
        raise InputError(f"{path}: not a readable image{advice}") from error


def _decoded(path: Path, max_pixels: float) -> np.ndarray:
    """Decodes a file of any format, the common ones without loading the others."""
    try:
        return picture_decoding.decode(path, COMMON_FORMATS, max_pixels)
    except UnidentifiedImageError:
        formats = sorted(set(image_formats().values()))
        return picture_decoding.decode(path, formats, max_pixels)


def as_image(picture: Picture) -> np.ndarray:
    """Returns a picture as the uint8 array that everything here works on.

    Args:
        picture: the path of an image file, which ``read_image`` reads, or RGB (H, W, 3) or grey
            (H, W): an array, or an object that NumPy turns into one, such as a Pillow image. An
            array of uint8 is returned unchanged. uint16 counts from 0 to 65535 and is divided by
            257; float16, float32 and float64 reach from 0 to 1 and are multiplied by 255; both
            are rounded.

    Returns:
        (H, W, 3) or (H, W) uint8.

    Raises:
        InputError: the file cannot be read; or the array is empty, has another shape or dtype, or
            holds floats that are not finite or lie outside 0 to 1. The message names both.
    """
    if isinstance(picture, str | os.PathLike):
        return read_image(picture)
    try:
        array = np.asarray(picture)
    except (
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:  # tensors on another device, ragged lists
        raise InputError(f"{PICTURE_ARRAY}, not {type(picture).__name__} ({error})") from error
    shaped = array.ndim in (2, 3) and array.shape[2:] in ((), (3,)) and array.size > 0
    if shaped and array.dtype == np.uint8:
        return array
    found = f"{array.dtype} {array.shape}"
    if not shaped:
        raise InputError(f"{PICTURE_ARRAY}, not {found}")
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        # Half of 257 is 128: nothing lies just between two results.
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
        low, high = array.min(), array.max()
        if not (low >= 0 and high <= 1):  # also for a NaN, which makes both NaN
            raise InputError(f"{PICTURE_ARRAY}; this {found} reaches from {low:g} to {high:g}")
        return np.rint(array * np.float32(255)).astype(np.uint8)
    raise InputError(f"{PICTURE_ARRAY}, not {found}")


def write_image(path: Path | str, image: Image.Image) -> None:
    """Writes a Pillow image whole or not at all, in the format its suffix names."""
    with replacing(path) as temporary:
        # PNG: in a third of the time, a fifth larger.
        image.save(temporary, compress_level=1)


def find_image(folder: Path, relative: Path) -> Path:
    """Finds the image that belongs to a landmark file: of the same name, with any suffix.

    Args:
        folder: the folder of the images.
        relative: the landmark file, relative to its own folder.

    Raises:
        InputError: it has no image, or more than one.
    """
    parent = (folder / relative).parent
    found = [
        path
        for path in (sorted(parent.iterdir()) if parent.is_dir() else ())
        if path.stem == relative.stem and path.suffix.lower() in image_formats()
    ]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "no image"
        raise InputError(f"needs one image in {parent}, found {names}")
    return found[0]
