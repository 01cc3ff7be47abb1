"""Hostile videos and lists of videos, as in ``hostile.py``. They need ``musica[video]``."""

import contextlib
import io
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from hostile import Attempt, damaged, one_of, written
from hostile_pictures import encoded, portrait

from musica.files.video_files import quieten_opencv
from musica.files.video_writer import video_writer
from musica.jobs.video import VideoConfig, track_videos
from musica.models.loading import model_path

EDGE = 3000  # bytes at either end of a video, where its structure is
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
PROGRAM = b"ffconcat version 1.0\nfile /etc/passwd\n"


@lru_cache
def video() -> bytes:
    """Six frames of a face that moves."""
    image = portrait()[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.mp4")
        with video_writer(path, (image.shape[1], image.shape[0]), 25.0) as writer:
            for shift in range(6):
                writer.add(np.roll(image, 3 * shift, axis=1), shift / 25)
        return path.read_bytes()


def videos(generator: np.random.Generator, folder: Path) -> Attempt:
    """One or two videos, damaged or none at all, also twice or as camera numbers."""
    quieten_opencv()
    content = damaged(generator, video(), one_of(generator, (None, EDGE)))
    if generator.random() < 0.2:
        content = one_of(generator, (PLAYLIST, PROGRAM, encoded(".png"), encoded(".gif"), b""))
    first = written(generator, folder, content, one_of(generator, (".mp4", ".avi", ".mkv", ".jpg")))
    others = (str(first), str(folder / "no.mp4"), "99", "../a", "", str(folder))
    others += ("http://127.0.0.1:9/a.mp4", "http://[", "no://a", first.as_uri())
    given = [str(first)]
    if generator.random() < 0.3:
        given.append(one_of(generator, others))
    keys = {
        "videos": given,
        "resDir": str(folder / "output"),
        "checkpoint_file": str(model_path()),
        "frames": one_of(generator, (None, None, 0, 3)),
        "draw": bool(generator.random() < 0.5),
        "smooth": bool(generator.random() < 0.3),
        "detect_every": one_of(generator, (1, 1, 5, 0, -1)),
    }

    def attempt():
        said, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
            failed = track_videos(VideoConfig(**keys))
        assert failed == bool(errors.getvalue()), errors.getvalue()
        assert len(errors.getvalue().splitlines()) <= len(given), errors.getvalue()

    return attempt


KINDS = {"videos": videos}
