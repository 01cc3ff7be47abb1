"""Pictures, from files and from arrays."""

import os
import warnings
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from musica.errors import InputError
from musica.files.text_files import check_file
from musica.files.writing import replacing

# An array, anything that NumPy can turn into one, or the path of an image file.
Picture: TypeAlias = Any
PICTURE_ARRAY = (
    "a picture is an array (H, W, 3) or (H, W) of uint8, of uint16, or of floats from 0 to 1"
)
# A face picture beyond this is a mistake or a decompression bomb.
MAX_IMAGE_PIXELS = 100_000_000
# Pillow names them, but cannot decode them; for the second it starts another program.
UNDECODED_FORMATS = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")


def image_formats() -> dict[str, str]:
    """The image formats that are read, by suffix: what Pillow itself decodes."""
    Image.init()
    suffixes = Image.registered_extensions().items()
    return {
        suffix: name
        for suffix, name in suffixes
        if name in Image.OPEN and name not in UNDECODED_FORMATS
    }


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads an image file, turned upright as its EXIF data say; of an animation the first frame.

    Returns:
        (H, W, 3) uint8; grey images are repeated to three channels, deep ones (16 bits, floats)
        stretched from their darkest to their brightest pixel.

    Raises:
        InputError: missing, unreadable or larger than ``MAX_IMAGE_PIXELS``.
    """
    check_file(path)
    try:
        with warnings.catch_warnings():  # of what is refused below, or does not matter
            warnings.simplefilter("ignore")
            with Image.open(path, formats=sorted(set(image_formats().values()))) as image:
                if image.width * image.height > MAX_IMAGE_PIXELS:
                    raise InputError(f"{path}: {image.width}x{image.height} pixels are too many")
                image = ImageOps.exif_transpose(image)
                if image.mode[0] in "IF":
                    image = _stretched(image)
                return np.asarray(image.convert("RGB"))
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: its pixels are too many") from error
    except Exception as error:  # Pillow's decoders raise many kinds on malformed files
        raise InputError(f"{path}: not a readable image") from error


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
    found = f"{array.dtype} {array.shape}"
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)) or array.size == 0:
        raise InputError(f"{PICTURE_ARRAY}, not {found}")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        # Half of 257 is 128: nothing lies just between two results.
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
        low, high = array.min(), array.max()
        if not (low >= 0 and high <= 1):  # nor if there is a NaN, which both then are
            raise InputError(f"{PICTURE_ARRAY}; this {found} reaches from {low:g} to {high:g}")
        return np.rint(array * np.float32(255)).astype(np.uint8)
    raise InputError(f"{PICTURE_ARRAY}, not {found}")


def _stretched(image: Image.Image) -> Image.Image:
    """A grey image of any depth as one of 8 bits: 0 is its darkest, 255 its brightest pixel."""
    pixels = np.array(image, np.float64)
    np.nan_to_num(pixels, copy=False, posinf=0, neginf=0)
    pixels -= pixels.min()
    pixels *= 255 / max(pixels.max(), 1e-9)
    return Image.fromarray(np.rint(pixels, out=pixels).astype(np.uint8))


def write_image(path: Path | str, image: Image.Image) -> None:
    """Writes a Pillow image whole or not at all, in the format its suffix names."""
    with replacing(path) as temporary:
        image.save(temporary)


def find_image(folder: Path, relative: Path) -> Path:
    """Finds the image of a landmark file, whatever its suffix.

    Args:
        folder: the folder of the images.
        relative: the landmark file, relative to its own folder.

    Raises:
        InputError: there is none, or more than one.
    """
    readable = Image.registered_extensions()
    parent = (folder / relative).parent
    found = [
        path
        for path in (sorted(parent.iterdir()) if parent.is_dir() else ())
        if path.stem == relative.stem and path.suffix.lower() in readable
    ]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "no image"
        raise InputError(f"needs one image in {parent}, found {names}")
    return found[0]
