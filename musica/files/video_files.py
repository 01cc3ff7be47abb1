"""Frames of video files and cameras, in and out, with OpenCV: ``pip install 'musica[video]'``.

Pictures are (H, W, 3) uint8 RGB arrays, as everywhere; OpenCV's are BGR.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np

from musica.errors import InputError
from musica.files.image_files import MAX_IMAGE_PIXELS
from musica.files.writing import replacing

# OpenCV's name of MPEG-4, which every build of it writes.
CODEC = "mp4v"
# Frames per second of sources that do not say, or say nonsense.
DEFAULT_RATE, MAX_RATE = 25.0, 1000.0
UNREADABLE = "not a video, or one of which no frame can be read"


def import_opencv() -> ModuleType:
    """Imports OpenCV; it and FFmpeg, which it uses, say nothing unless the environment asks.

    Raises:
        InputError: it is not installed.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError as error:
        raise InputError("video needs OpenCV: pip install 'musica[video]'") from error
    return cv2


def camera_number(source: str) -> int | None:
    """The camera that a source, a path by its form, means by its last part; None: it is a file."""
    path = Path(source)
    return int(path.name) if re.fullmatch("[0-9]{1,3}", path.name) and not path.exists() else None


class FrameReader:
    """The frames of a video file, or of a camera until Ctrl-C; a context manager.

    Args:
        source: the path of a file, or the number of a camera.

    Attributes:
        rate: frames per second, as the source says.
        size: width and height of the frames in pixels.
        announced: the number of frames, as a file says (some only estimate it); 0: unknown.
        count: of frames that were read.
        stopped: whether Ctrl-C ended the reading.

    Raises:
        InputError: there is no such file or camera, or no frame can be read.
    """

    def __init__(self, source: str):
        self._cv2 = import_opencv()
        self._source = source
        self._camera = camera_number(source)
        self.size, self.count, self.stopped = (0, 0), 0, False
        self._capture = self._opened(source)
        self._next = self._read()
        if self._next is None:
            self._capture.release()
            raise InputError(f"{source}: {UNREADABLE}")
        rate = self._capture.get(self._cv2.CAP_PROP_FPS)
        self.rate = float(rate) if 0 < rate <= MAX_RATE else DEFAULT_RATE
        announced = self._capture.get(self._cv2.CAP_PROP_FRAME_COUNT)
        self.announced = int(announced) if 0 < announced < 1e12 else 0

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(self, *_) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yields the time in seconds, from 0, and the picture of each frame."""
        if self._camera is None:
            yield from self._frames()
            return
        with _interrupts() as interrupted:
            start = self._cv2.getTickCount()
            for _, picture in self._frames():
                passed = self._cv2.getTickCount() - start
                yield passed / self._cv2.getTickFrequency(), picture
                self.stopped = bool(interrupted)
                if self.stopped:
                    break

    def _frames(self) -> Iterator[tuple[float, np.ndarray]]:
        while self._next is not None:
            picture, self._next = self._next, None
            self.count += 1
            yield (self.count - 1) / self.rate, picture
            self._next = self._read()

    def check_complete(self) -> None:
        """Checks, at the end of the reading, that it was the end of the source.

        Files that only estimate their number of frames are forgiven one in a hundred.

        Raises:
            InputError: the file has more frames, or the camera failed.
        """
        if self._camera is not None:
            if not self.stopped:
                raise InputError(f"camera {self._camera} failed after {self.count} frames")
        elif self.announced - self.count > max(1, self.announced // 100):
            raise InputError(
                f"{self._source}: broken; of its {self.announced} frames {self.count} could be "
                "read, which were kept"
            )

    def _opened(self, source: str):
        """OpenCV's capture of a file or camera."""
        cv2 = self._cv2
        if self._camera is not None:
            capture = cv2.VideoCapture(self._camera)
            if not capture.isOpened():
                raise InputError(f"{source}: no such file, nor a camera that can be opened")
            return capture
        if not Path(source).is_file():
            raise InputError(f"{source}: no such file")
        # Of the ways OpenCV reads files this is the one that takes a name as it is.
        capture = cv2.VideoCapture(_checked(source), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise InputError(f"{source}: {UNREADABLE}")
        width, height = (
            capture.get(key) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if width * height > MAX_IMAGE_PIXELS:
            capture.release()
            raise InputError(f"{source}: frames of {width:.0f}x{height:.0f} pixels are too large")
        return capture

    def _read(self) -> np.ndarray | None:
        """The next frame; None at the end, or if it cannot be read or has another size."""
        try:
            good, picture = self._capture.read()
        except self._cv2.error:
            return None
        if not good or (self.count and picture.shape[1::-1] != self.size):
            return None
        self.size = picture.shape[1::-1]
        return self._cv2.cvtColor(picture, self._cv2.COLOR_BGR2RGB)


@contextmanager
def video_writer(
    path: Path, size: tuple[int, int], rate: float
) -> Iterator[Callable[[np.ndarray], None]]:
    """Gives a function that adds a picture to a video, which replaces ``path`` when all is done.

    On an error nothing is left behind and an earlier file stays as it was.

    Args:
        path: of the .mp4 file.
        size: width and height of the pictures; an odd side loses its last pixel.
        rate: frames per second.

    Raises:
        InputError: OpenCV cannot write such a video, or it could not be written whole.
    """
    cv2 = import_opencv()
    with replacing(path) as temporary:
        name, count = _checked(temporary), 0
        writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*CODEC), rate, size)

        def add(picture: np.ndarray) -> None:
            nonlocal count
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            count += 1

        try:
            if not writer.isOpened():
                raise InputError(f"{path}: no video of {size[0]}x{size[1]} pixels can be written")
            yield add
        finally:
            writer.release()
        # Neither a full disk nor a frame that was not taken is reported otherwise.
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        written = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
        capture.release()
        if written != count:
            raise InputError(f"{path}: the video cannot be written; is the disk full?")


@contextmanager
def _interrupts() -> Iterator[list]:
    """Gives a list that gets an entry at Ctrl-C; a second Ctrl-C ends the program as usual."""
    interrupts = []

    def note(*_) -> None:
        interrupts.append(True)
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, previous)


def _checked(path: Path | str) -> str:
    """A path as OpenCV takes it.

    Raises:
        InputError: it is not UTF-8, on which OpenCV crashes.
    """
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name!r}: OpenCV takes no path that is not UTF-8") from error
    return name
