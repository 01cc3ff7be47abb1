"""Reads the frames of video files, addresses and cameras, with OpenCV.

Pictures are (H, W, 3) uint8 RGB arrays, as everywhere; OpenCV's are BGR.
"""

import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from musica.errors import InputError
from musica.files.image_files import MAX_IMAGE_PIXELS
from musica.files.sources import camera_number, is_address
from musica.files.text_files import check_file

# Frames per second of sources that state none, and the highest rate of a drawn video.
DEFAULT_RATE, MAX_RATE = 25.0, 1000.0
# A rate outside this range may be a mistake: containers of variable rate often state 1000.
USUAL_RATES = (1.0, 120.0)
# The sound may be longer than the pictures by so many seconds.
OVERHANG = 0.3
UNREADABLE = "not a video, or none of its frames can be read"


class FrameReader:
    """The frames of a video; a context manager. Ctrl-C ends a camera or an address.

    Args:
        source: the path of a file, an address, or the number of a camera.

    Attributes:
        rate: frames per second that suit a video drawn from this one.
        size: width and height of the frames in pixels.
        announced: the number of frames according to the source; some containers only estimate it;
            0: unknown.
        duration: seconds according to the source; 0: unknown.
        count: the number of frames that were read.
        stopped: whether Ctrl-C ended the reading.

    Raises:
        InputError: there is no such source, or no frame can be read.
    """

    def __init__(self, source: str):
        quieten_opencv()
        self._source = source
        self._camera = camera_number(source)
        self.size, self.count, self.stopped = (0, 0), 0, False
        self._capture = _opened(source, self._camera)
        announced = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.announced = int(announced) if 0 < announced < 1e12 else 0
        stated = self._capture.get(cv2.CAP_PROP_FPS)
        self.duration = self.announced / stated if 0 < stated < math.inf else 0.0
        self._ahead = [frame for frame in (self._read(), self._read()) if frame]
        if not self._ahead:
            self._capture.release()
            raise InputError(f"{source}: {UNREADABLE}")
        self._first = 0.0 if self._camera is not None else self._ahead[0][0]
        self.rate = _usable_rate(stated, self._ahead[-1][0] - self._ahead[0][0])
        self._seconds, self._longest_pause = 0.0, 0.0

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yields the time in seconds, from 0, and the picture of each frame.

        The times of a file are the container's, those of a camera the clock's. A time that does
        not come after the one before is replaced according to the rate.
        """
        live = self._camera is not None or is_address(self._source)
        context: AbstractContextManager[list[bool]] = _interrupts() if live else nullcontext([])
        with context as interrupts:
            began = time.perf_counter()
            while self._ahead:
                stamp, picture = self._ahead.pop(0)
                if self._camera is not None:
                    stamp = time.perf_counter() - began
                yield self._timed(stamp), picture
                self.stopped = bool(interrupts)
                frame = None if self.stopped else self._read()
                self._ahead += [frame] if frame else []

    def _timed(self, stamp: float) -> float:
        """Counts a frame; returns its time in seconds."""
        seconds = stamp - self._first
        if self.count:
            if not self._seconds < seconds < math.inf:
                seconds = self._seconds + 1 / self.rate
            self._longest_pause = max(self._longest_pause, seconds - self._seconds)
        self._seconds = seconds
        self.count += 1
        return seconds

    def fault(self) -> str | None:
        """Says, at the end of the reading, which frames could not be read; None: all were read.

        A video of variable rate may have far fewer frames than its container estimates. So a file
        is broken only if it ends before its duration, or if it holds frames that cannot be decoded.
        """
        if self.stopped:
            return None
        if self._camera is not None:
            return f"camera {self._camera} failed after {self.count} frames"
        end = self._seconds + 1 / self.rate
        if self.duration - end > max(OVERHANG, 2 * self._longest_pause, self.duration / 100):
            return (
                f"{self._source}: broken; of its {self.duration:.1f} seconds {end:.1f} could be "
                f"read ({self.count} frames), which were kept"
            )
        if self.announced - self.count > max(1, self.announced // 100):
            stored = 0 if is_address(self._source) else _stored_frames(self._source)
            if stored - self.count > max(1, stored // 100):
                return (
                    f"{self._source}: broken; of its {stored} frames {self.count} could be read, "
                    "which were kept"
                )
        return None

    def _read(self) -> tuple[float, np.ndarray] | None:
        """Time stamp and picture of the next frame.

        None at the end, or if the frame cannot be read or has another size.
        """
        try:
            good, picture = self._capture.read()
        except cv2.error:
            return None
        if not good or (self.size != (0, 0) and picture.shape[1::-1] != self.size):
            return None
        self.size = picture.shape[1::-1]
        seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return seconds, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _opened(source: str, camera: int | None) -> cv2.VideoCapture:
    """OpenCV's capture of a file, address or camera."""
    if camera is not None:
        capture = cv2.VideoCapture(camera)
        if not capture.isOpened():
            raise InputError(f"{source}: no such file, nor a camera that can be opened")
        return capture
    if not is_address(source):
        if Path(source).is_dir():
            raise InputError(f"{source}: a folder; name the videos in it")
        check_file(source)
    # Of OpenCV's ways to read a file this one takes a name literally.
    capture = cv2.VideoCapture(utf8_path(source), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        fault = "cannot be reached, or is not a video" if is_address(source) else UNREADABLE
        raise InputError(f"{source}: {fault}")
    width, height = (
        capture.get(key) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    )
    if width * height > MAX_IMAGE_PIXELS:
        capture.release()
        raise InputError(f"{source}: frames of {width:.0f}x{height:.0f} pixels are too large")
    return capture


def _usable_rate(stated: float, interval: float) -> float:
    """Frames per second for a drawn video.

    Args:
        stated: the container's rate, which may be nonsense.
        interval: seconds between the first two frames, which decide where the rate is unusual.
    """
    if USUAL_RATES[0] <= stated <= USUAL_RATES[1]:
        return stated
    slowest = stated if 0 < stated < USUAL_RATES[0] else DEFAULT_RATE
    return min(max(slowest, 1 / interval if interval > 0 else 0.0), MAX_RATE)


def _stored_frames(path: str) -> int:
    """The number of frames that a file holds, whether or not they can be decoded."""
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    count = 0
    while capture.isOpened() and capture.grab():
        count += 1
    capture.release()
    return count


@contextmanager
def _interrupts() -> Iterator[list[bool]]:
    """Gives a list that gets an entry at Ctrl-C; a second Ctrl-C ends the program as usual."""
    interrupts: list[bool] = []

    def note(*_: object) -> None:
        interrupts.append(True)
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, previous)


def quieten_opencv() -> None:
    """Silences OpenCV and the FFmpeg in it, unless the environment asks for their messages."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def utf8_path(path: Path | str) -> str:
    """A path as OpenCV takes it.

    Raises:
        InputError: it is not UTF-8, on which OpenCV crashes.
    """
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name!r}: OpenCV reads only paths in UTF-8") from error
    return name
