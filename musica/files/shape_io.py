"""Landmarks, boxes, estimates, lists and images on disk.

menpo reads and writes the landmark files; this is the only module that knows that .pts files are
1-based. In memory every point is (y, x), 0-based, in pixels.
"""

import os
import re
import stat
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path, PurePosixPath
from types import ModuleType

import numpy as np
from PIL import Image, ImageOps

from musica.errors import InputError

LANDMARK_SUFFIXES = (".pts", ".ljson")
# How the names of files begin that are being written.
TEMPORARY = ".musica-"
# A face picture beyond this is a mistake or a decompression bomb.
MAX_IMAGE_PIXELS = 100_000_000
# So are these of a file of landmarks, and of a configuration or a list.
MAX_LANDMARK_BYTES = 10_000_000
MAX_TEXT_BYTES = 100_000_000
# Coordinates beyond it are mistakes, and their squares might be infinite.
MAX_COORDINATE = 1e9
# Pillow names them, but cannot decode them; for the second it starts another program.
UNDECODED_FORMATS = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")


def import_menpo(module: str) -> ModuleType:
    """Imports a menpo module on first use: it takes seconds, and warns of an optional extension."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Falling back to scipy interpolation")
        return import_module(module)


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Gives a temporary path beside ``path`` that replaces it when the block succeeds.

    The temporary name keeps the suffix, because writers choose the format by it. Missing folders
    are made. On an error nothing is left behind and an earlier file stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_file(path: str | os.PathLike) -> Path:
    """Returns a path unchanged if it is an ordinary file: others might never end.

    Raises:
        InputError: there is none, or it is a folder, a pipe or a device.
    """
    try:
        ordinary = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', error)}") from error
    if not ordinary:
        raise InputError(f"{path}: not a file that can be read")
    return Path(path)


def read_landmarks(path: Path | str, count: int | None = None, index_base: int = 1) -> np.ndarray:
    """Reads landmarks from a .pts or .ljson file.

    Args:
        path: the file.
        count: the number of landmarks N it must have, or None for any.
        index_base: what a .pts file calls the first pixel: 1 as in 300W, or 0 as some write.

    Returns:
        (N, 2) float64, (y, x) pixels, 0-based.

    Raises:
        InputError: missing, unreadable, too large, not finite, or not ``count`` points.
    """
    path = Path(path)
    if path.suffix.lower() not in LANDMARK_SUFFIXES:
        raise InputError(f"{path}: not a landmark file (.pts or .ljson)")
    if check_file(path).stat().st_size > MAX_LANDMARK_BYTES:
        raise InputError(f"{path}: too large for a landmark file")
    menpo_io = import_menpo("menpo.io")
    try:
        with warnings.catch_warnings():  # of old versions of .ljson
            warnings.simplefilter("ignore")
            groups = menpo_io.import_landmark_file(path)
        points = np.asarray(next(iter(groups.values())).points, np.float64)
        # menpo reads a .pts file that was cut off as one with fewer points.
        declared = re.search(r"n_points:\s*0*(\d+)", path.read_text("utf-8", "replace"))
    except Exception as error:  # menpo's readers raise whatever a malformed file leads to
        raise InputError(f"{path}: not a readable landmark file") from error
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InputError(f"{path}: its points are not all pairs of finite numbers")
    if points.size and np.abs(points).max() > MAX_COORDINATE:
        raise InputError(f"{path}: its points are too far away")
    if declared and declared[1] != str(len(points)):
        raise InputError(f"{path}: {len(points)} points where it declares {declared[1]}")
    if count is not None and len(points) != count:
        raise InputError(f"{path}: {len(points)} points where {count} are needed")
    # menpo took 1 off those of a .pts file.
    return points + (1 - index_base) if path.suffix.lower() == ".pts" else points


def write_landmarks(path: Path | str, points: np.ndarray) -> None:
    """Writes (N, 2) landmarks, (y, x) 0-based pixels, as .pts or .ljson by the suffix."""
    path = Path(path)
    if path.suffix.lower() not in LANDMARK_SUFFIXES:
        raise InputError(f"{path}: not a landmark file (.pts or .ljson)")
    cloud = import_menpo("menpo.shape").PointCloud(np.asarray(points, np.float64))
    shape = {"LJSON": cloud} if path.suffix.lower() == ".ljson" else cloud
    with replacing(path) as temporary:
        import_menpo("menpo.io").export_landmark_file(shape, temporary, overwrite=True)


def read_box(path: Path | str) -> np.ndarray:
    """Reads a box, stored as its four corners in a landmark file.

    Returns:
        (4,) float64: x0, y0, x1, y1, inclusive pixel corners.

    Raises:
        InputError: the file is not four readable corners.
    """
    corners = read_landmarks(path, 4)
    (y0, x0), (y1, x1) = corners.min(axis=0), corners.max(axis=0)
    return np.array([x0, y0, x1, y1])


def write_box(path: Path | str, box: np.ndarray) -> None:
    """Writes a box (x0, y0, x1, y1): top-left, bottom-left, bottom-right, top-right corner."""
    x0, y0, x1, y1 = box
    write_landmarks(path, np.array([[y0, x0], [y1, x0], [y1, x1], [y0, x1]]))


def write_text(path: Path | str, text: str) -> None:
    """Writes a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path | str) -> str:
    """Reads a UTF-8 text file, or a pipe.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8, or longer than ``MAX_TEXT_BYTES``.
    """
    with open(path, "rb") as file:
        content = file.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError("it is too long")
    return content.decode("utf-8")


def read_estimate(path: Path | str) -> float:
    """Reads an estimated error: a text file with one number.

    Raises:
        InputError: missing, or not one finite number.
    """
    try:
        value = float(read_text(check_file(path)))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a text file with one number") from error
    if not np.isfinite(value):
        raise InputError(f"{path}: not a finite number")
    return value


def write_estimate(path: Path | str, value: float) -> None:
    """Writes an estimated error as a text file with one number."""
    write_text(path, f"{value:.8g}\n")


def read_list(path: Path | str) -> list[str]:
    """Reads a file list: one image name a line, relative to the image folder.

    Raises:
        InputError: unreadable, empty, or a name that leads out of its folder.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read this list of names") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path}: the list is empty")
    for name in names:
        check_name(name)
    return names


def check_name(name: str) -> str:
    """Returns a relative name unchanged if it stays inside the folder it is joined to.

    Raises:
        InputError: it is absolute, contains ``..`` or a NUL byte.
    """
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or "\0" in name or Path(name).is_absolute():
        raise InputError(f"{name!r}: a name must stay inside its folder")
    return name


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
