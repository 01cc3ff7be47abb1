"""Pictures on disk."""

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from musica.errors import InputError
from musica.files.text_files import check_file
from musica.files.writing import replacing

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
