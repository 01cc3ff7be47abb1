"""Where a video comes from: a file, an address such as rtsp://camera/stream, or a camera."""

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit


def is_address(source: str) -> bool:
    """Whether a source is an address such as rtsp://camera/stream."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source) is not None


def camera_number(source: str) -> int | None:
    """The number of a camera: the last part of the source's path; None: another source."""
    path = Path(source)
    named = re.fullmatch("[0-9]{1,3}", path.name) and not is_address(source)
    return int(path.name) if named and not path.exists() else None


def source_name(source: str) -> str:
    """A name for the results of a source: clip.mp4 -> clip, 0 -> camera0, http://a/b.mp4 -> b."""
    if is_address(source):
        try:
            parts = urlsplit(source)
            return PurePosixPath(parts.path).stem or parts.hostname or "stream"
        except ValueError:
            return "stream"
    camera = camera_number(source)
    return Path(source).stem if camera is None else f"camera{camera}"
