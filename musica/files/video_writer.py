"""Writes a video that lasts as long as the one it is drawn from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from musica.errors import InputError
from musica.files.video_files import quieten_opencv, utf8_path
from musica.files.writing import replacing

# OpenCV's name of MPEG-4, which every build of it writes.
CODEC = "mp4v"
# Longer pauses between two frames, in seconds, are shortened to this: broken time stamps may
# stand for years.
MAX_PAUSE = 60.0


class VideoWriter:
    """Adds pictures to a video of constant rate.

    A picture is shown until the time of the next one. So it is written several times before a
    pause, and not at all if the next one follows sooner than the rate allows.

    Args:
        writer: OpenCV's writer.
        rate: frames per second.

    Attributes:
        count: the number of frames that were written.
    """

    def __init__(self, writer: cv2.VideoWriter, rate: float):
        self._writer = writer
        self._rate = rate
        self._last: np.ndarray | None = None
        self._skipped = 0
        self.count = 0

    def add(self, picture: np.ndarray, seconds: float) -> None:
        """Adds an (H, W, 3) uint8 RGB picture that is shown from a time in seconds on."""
        self.hold_until(seconds)
        self._last = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        if self._missing(seconds) >= 0:
            self._write(1)

    def hold_until(self, seconds: float) -> None:
        """Shows the last picture until a time in seconds."""
        missing = self._missing(seconds)
        held = min(missing, round(MAX_PAUSE * self._rate))
        self._skipped += max(0, missing - held)
        self._write(held)

    def _missing(self, seconds: float) -> int:
        """How many frames precede a time, less those that were written."""
        return round(seconds * self._rate) - self._skipped - self.count

    def _write(self, times: int) -> None:
        if self._last is not None:
            for _ in range(times):
                self._writer.write(self._last)
                self.count += 1


@contextmanager
def video_writer(path: Path, size: tuple[int, int], rate: float) -> Iterator[VideoWriter]:
    """Opens a video for writing, which replaces ``path`` when the block succeeds.

    On an error nothing is left behind and an earlier file stays as it was.

    Args:
        path: of the .mp4 file.
        size: width and height of the pictures; an odd side loses its last pixel.
        rate: frames per second.

    Raises:
        InputError: OpenCV cannot write such a video, or it could not be written whole.
    """
    quieten_opencv()
    with replacing(path) as temporary:
        name = utf8_path(temporary)
        native = cv2.VideoWriter(name, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODEC), rate, size)
        writer = VideoWriter(native, rate)
        try:
            if not native.isOpened():
                raise InputError(f"{path}: no video of {size[0]}x{size[1]} pixels can be written")
            yield writer
        finally:
            native.release()
        # OpenCV reports neither a full disk nor a frame that it did not take.
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        written = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
        capture.release()
        if written != writer.count:
            raise InputError(f"{path}: the video cannot be written; is the disk full?")
