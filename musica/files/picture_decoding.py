"""Pixels of picture files, which Pillow identifies.

OpenCV decodes whole JPEG files: its pixels are Pillow's, in a third of the time. Pillow decodes all
others, strip by strip: its own conversions each copy a whole picture, and a strip costs hardly any
memory.
"""

import re
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image

# Cameras store several pictures in an MPO file; the first one is read.
JPEG = ("JPEG", "MPO")
END_OF_JPEG = b"\xff\xd9"
# Bytes that a JPEG file may have besides its pixels: a profile, thumbnails, data of the camera.
JPEG_EXTRAS = 1 << 22
# Strips of a megapixel take five times as long: their memory is new each time.
STRIP_PIXELS = 1 << 18
# Pillow's names of 16-bit colour, of which it keeps the upper bytes: B, L and N are byte orders.
DEEP_COLOUR = re.compile(r"(?<=RGB;16)[BLN]|(?<=RGB[AX];16)[BLN]")
OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
# The value of the EXIF tag Orientation -> a view of the pixels that is upright.
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}


class _PillowSettings:
    """Pillow's limit of pixels, and its warnings, while at least one thread decodes.

    Both belong to the whole process: the first thread changes them, the last one restores them,
    and the highest limit holds in between.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: list[float] = []
        self._warnings = warnings.catch_warnings()
        self._pillows_own: int | None = None

    @contextmanager
    def changed(self, max_pixels: float) -> Iterator[None]:
        """Has Pillow refuse more pixels than ``max_pixels``, and say nothing, in a block."""
        with self._lock:
            if not self._limits:
                self._pillows_own = Image.MAX_IMAGE_PIXELS
                self._warnings = warnings.catch_warnings()
                self._warnings.__enter__()
                warnings.simplefilter("ignore")
            self._limits.append(max_pixels)
            self._set_limit()
        try:
            yield
        finally:
            with self._lock:
                self._limits.remove(max_pixels)
                self._set_limit()
                if not self._limits:
                    self._warnings.__exit__(None, None, None)

    def _set_limit(self) -> None:
        # Pillow warns above its limit, and refuses above twice the limit.
        limit = max(self._limits) / 2 if self._limits else self._pillows_own
        Image.MAX_IMAGE_PIXELS = limit  # type: ignore[assignment]  # a fraction does as well


_SETTINGS = _PillowSettings()


def decode(path: Path, formats: Collection[str], max_pixels: float) -> np.ndarray:
    """Decodes a picture and turns it upright; ``read_image`` describes how values are converted.

    Args:
        path: an ordinary file.
        formats: Pillow's names of the formats that are tried.
        max_pixels: the largest number of pixels that is decoded.

    Returns:
        (H, W, 3) uint8.

    Raises:
        Image.DecompressionBombError: it has more pixels than ``max_pixels``.
        Exception: of many kinds, if the file is malformed.
    """
    with _SETTINGS.changed(max_pixels):
        pixels, orientation = _decoded(path, formats, max_pixels)
    return np.ascontiguousarray(UPRIGHT[orientation](pixels)) if orientation in UPRIGHT else pixels


def _decoded(path: Path, formats: Collection[str], max_pixels: float) -> tuple[np.ndarray, int]:
    """Decodes a picture: returns its pixels as they are stored, and its orientation."""
    with Image.open(path, formats=list(formats)) as image:
        if image.width * image.height > max_pixels:
            raise Image.DecompressionBombError
        if image.format in JPEG and image.mode in ("RGB", "L"):
            pixels = _whole_jpeg(path, 4 * image.width * image.height + JPEG_EXTRAS)
            if pixels is not None:
                return pixels, _orientation(image)
        deep_colour = any(DEEP_COLOUR.search(str(tile)) for tile in image.tile)
        image.load()
        orientation = _orientation(image)
        if image.mode[0] in "IF":
            return _stretched(image), orientation
        if deep_colour:
            return _bits_in_use(image, path, formats), orientation
        if image.mode == "RGB":
            return _converted(image, np.asarray), orientation
        return _converted(image, lambda strip: np.asarray(strip.convert("RGB"))), orientation


def _whole_jpeg(path: Path, most_bytes: int) -> np.ndarray | None:
    """Decodes a JPEG file: (H, W, 3) uint8; None if it is damaged, or more follows its end.

    Of a file that was cut off OpenCV decodes the rest, which Pillow refuses.

    Args:
        path: the file.
        most_bytes: a larger file is not read into memory: None.
    """
    if path.stat().st_size > most_bytes:
        return None
    content = path.read_bytes()
    if not content.endswith(END_OF_JPEG):
        return None
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation of a loaded picture; 1, upright, where the EXIF data are unreadable.

    JPEG files have them in front, so that the picture need only be opened.

    ``ImageOps.exif_transpose`` also writes all EXIF data anew, which fails for tags that it does
    not know, although the picture itself is fine.
    """
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # malformed data raise many kinds
        return 1


def _converted(image: Image.Image, convert: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    """Joins the (h, W, 3) or (h, W, 1) uint8 results for a picture's strips to (H, W, 3)."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top, strip in _strips(image):
        pixels[top : top + strip.height] = convert(strip)
    return pixels


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yields the first row of each strip, and the strip."""
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _stretched(image: Image.Image) -> np.ndarray:
    """Stretches a deep grey picture: its darkest pixel becomes 0, its brightest 255."""

    def values(strip: Image.Image) -> np.ndarray:
        return np.nan_to_num(np.asarray(strip).astype(np.float64), posinf=0, neginf=0)

    extremes = [(part.min(), part.max()) for part in (values(strip) for _, strip in _strips(image))]
    low, high = min(low for low, _ in extremes), max(high for _, high in extremes)
    scale = 255 / max(high - low, 1e-9)
    return _converted(image, lambda strip: np.rint((values(strip) - low) * scale)[..., None])


def _bits_in_use(upper: Image.Image, path: Path, formats: Collection[str]) -> np.ndarray:
    """Reads 8 bits of a 16-bit colour picture, the first of them the highest that is in use.

    Args:
        upper: the picture as Pillow loads it: the upper bytes.
        path: its file.
        formats: as for ``decode``.
    """
    brightest = max(np.asarray(strip.convert("RGB")).max() for _, strip in _strips(upper))
    used = int(brightest).bit_length()
    with Image.open(path, formats=list(formats)) as lower:
        # Read in the other byte order, the upper bytes are the lower ones.
        lower.tile = [tile._replace(args=_other_order(tile.args)) for tile in lower.tile]
        strips = _strips(lower)

        def bits(strip: Image.Image) -> np.ndarray:
            low = np.asarray(next(strips)[1].convert("RGB"))
            return np.asarray(strip.convert("RGB")) << (8 - used) | low >> used

        return _converted(upper, bits)


def _other_order(args: tuple | str | None) -> tuple | str:
    """The arguments of a decoder of 16-bit colour, with the other byte order."""
    if isinstance(args, tuple):
        return (_other_order(args[0]), *args[1:])
    return DEEP_COLOUR.sub(lambda order: OTHER_ORDER[order[0]], str(args))
