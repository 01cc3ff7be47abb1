"""Times, rates and faults of videos, of steady and of variable rate."""

import http.server
import resource
import subprocess
import sys
import threading
from functools import partial

import cv2
import numpy as np
import pytest
from timed_videos import write_timed

from musica.errors import InputError
from musica.files.sources import camera_number, is_address, source_name
from musica.files.video_files import DEFAULT_RATE, FrameReader
from musica.files.video_writer import MAX_PAUSE, video_writer

SIZE = (320, 240)
# A recording of a screen: bursts of frames, and pauses.
TIMES = [0, 33, 66, 100, 500, 533, 566, 1500, 1533, 1566, 1600, 3000]


def levels(path):
    """The time and the mean grey level of each frame."""
    with FrameReader(str(path)) as reader:
        frames = [(seconds, picture.mean()) for seconds, picture in reader]
        return np.array(frames), reader.fault(), reader.rate


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_times_are_the_containers_and_a_whole_video_is_not_broken(tmp_path, suffix):
    path = write_timed(tmp_path / "screen.mkv", TIMES).rename(tmp_path / f"screen{suffix}")
    frames, fault, rate = levels(path)
    np.testing.assert_allclose(frames[:, 0], np.array(TIMES) / 1000, atol=1e-9)
    assert fault is None
    # The container states 1000 frames a second.
    assert 25 <= rate <= 31


def test_a_video_of_variable_rate_is_broken_if_frames_cannot_be_decoded(tmp_path):
    # The missing time is no longer than the pauses.
    late = write_timed(tmp_path / "late.mkv", TIMES, unreadable=(10, 11))
    assert levels(late)[1].endswith("of its 12 frames 10 could be read, which were kept")
    early = write_timed(tmp_path / "early.mkv", TIMES, unreadable=(4, 5))
    frames, fault, _ = levels(early)
    assert len(frames) == 4 and "broken; of its 3.0 seconds 0.1 could be read" in fault


def test_a_drawn_video_lasts_as_long_and_shows_the_same_at_each_time(tmp_path):
    source, copy = write_timed(tmp_path / "screen.mkv", TIMES), tmp_path / "drawn.mp4"
    with FrameReader(str(source)) as reader, video_writer(copy, reader.size, reader.rate) as writer:
        for seconds, picture in reader:
            writer.add(picture, seconds)
        writer.hold_until(reader.duration)
    original, drawn = levels(source)[0], levels(copy)[0]
    assert drawn[-1, 0] + 1 / reader.rate == pytest.approx(3.0, abs=1.5 / reader.rate)
    for time in np.arange(0.02, 3, 0.1):
        shown = [frames[frames[:, 0] <= time][-1, 1] for frames in (original, drawn)]
        near = original[np.abs(original[:, 0] - time) < 1 / reader.rate, 1]
        assert np.abs(np.append(near, shown[0]) - shown[1]).min() < 4


def test_the_latest_of_many_fast_frames_is_shown_in_the_pause(tmp_path):
    with video_writer(tmp_path / "a.mp4", (64, 48), 10.0) as writer:
        for index in range(5):
            writer.add(np.full((48, 64, 3), 50 * index, np.uint8), index / 100)
        writer.hold_until(1.0)
        assert writer.count == 10
    drawn = levels(tmp_path / "a.mp4")[0]
    assert drawn[0, 1] < 10 and drawn[-1, 1] > 190


def test_broken_time_stamps_do_not_fill_the_disk(tmp_path):
    with video_writer(tmp_path / "a.mp4", (16, 16), 2.0) as writer:
        for seconds in (0.0, 1e9, 1e9 + 1):
            writer.add(np.zeros((16, 16, 3), np.uint8), seconds)
        assert writer.count <= 2 * MAX_PAUSE + 4


class Capture:
    """A pretended video: states a rate, and gives frames with time stamps in seconds."""

    def __init__(self, rate, stamps):
        self.rate, self.stamps, self.given = rate, stamps, 0

    def isOpened(self):
        return True

    def release(self):
        pass

    def get(self, key):
        if key == cv2.CAP_PROP_POS_MSEC:
            return 1000 * self.stamps[self.given - 1]
        return {cv2.CAP_PROP_FPS: self.rate, cv2.CAP_PROP_FRAME_COUNT: len(self.stamps)}.get(key, 9)

    def read(self):
        self.given += 1
        return self.given <= len(self.stamps), np.zeros((9, 9, 3), np.uint8)


def pretended(tmp_path, monkeypatch, rate, stamps):
    (tmp_path / "a.mkv").touch()
    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: Capture(rate, stamps))
    return FrameReader(str(tmp_path / "a.mkv"))


@pytest.mark.parametrize(
    ("stated", "interval", "usable"),
    [
        (30, 0.04, 30),
        (500, 0.002, 500),
        (1000, 0.033, 1 / 0.033),
        (90000, 2.0, DEFAULT_RATE),
        (0, 0.02, 50),
        (0, 0.0, DEFAULT_RATE),
        (-5, 0.0, DEFAULT_RATE),
        (float("nan"), 0.04, 25),
        (float("inf"), 1e-9, 1000),
        (0.5, 2.0, 0.5),
        (1e-5, 0.04, 25),
    ],
)
def test_nonsense_rates(tmp_path, monkeypatch, stated, interval, usable):
    reader = pretended(tmp_path, monkeypatch, stated, [0, interval])
    assert reader.rate == pytest.approx(usable)


def test_times_always_increase(tmp_path, monkeypatch):
    stamps = [5.0, 5.04, 5.04, 5.0, np.nan, 5.3, np.inf, -1e9]
    with pretended(tmp_path, monkeypatch, 25.0, stamps) as reader:
        seconds = [seconds for seconds, _ in reader]
    np.testing.assert_allclose(seconds, [0, 0.04, 0.08, 0.12, 0.16, 0.3, 0.34, 0.38])


def test_a_folder_is_called_a_folder(tmp_path):
    with pytest.raises(InputError, match="a folder; name the videos in it"):
        FrameReader(str(tmp_path))
    with pytest.raises(InputError, match="no such file"):
        FrameReader(str(tmp_path / "absent.mp4"))


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """The address of a folder."""
    handler = partial(QuietHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_addresses_are_read(tmp_path, server):
    path = write_timed(tmp_path / "screen.mkv", TIMES)
    for address in (f"{server}/screen.mkv", path.as_uri()):
        frames, fault, _ = levels(address)
        np.testing.assert_allclose(frames[:, 0], np.array(TIMES) / 1000, atol=1e-9)
        assert fault is None
    with pytest.raises(InputError, match=r"absent\.mkv: cannot be reached"):
        FrameReader(f"{server}/absent.mkv")


def test_sources_have_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {
        "a/clip.one.mp4": "clip.one",
        "0": "camera0",
        "/a/12": "camera12",
        "http://host/a/clip.mp4?key=1": "clip",
        "rtsp://camera.local:554/": "camera.local",
        "http://host/0": "0",
        "http://[": "stream",
    }
    assert {source: source_name(source) for source in names} == names
    assert is_address("https://a/b") and not is_address("a:b") and not is_address("/a://b")
    assert camera_number("http://host/0") is None
    (tmp_path / "7").touch()
    assert camera_number("7") is None


def noise(count, size):
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (size[1], size[0], 3), np.uint8) for _ in range(count)]


def test_a_writer_leaves_nothing_half_written(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("earlier")
    with pytest.raises(ZeroDivisionError), video_writer(path, SIZE, 25.0) as writer:
        writer.add(noise(1, SIZE)[0], 0.0)
        raise ZeroDivisionError
    # OpenCV drops a picture of another size without a word.
    wrong = pytest.raises(InputError, match="cannot be written")
    with wrong, video_writer(path, SIZE, 25.0) as writer:
        for index, picture in enumerate(noise(3, (64, 64))):
            writer.add(picture, index / 25)
    with pytest.raises(InputError, match="1x1"), video_writer(path, (1, 1), 25.0):
        pass
    assert path.read_text() == "earlier" and [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


def test_a_full_disk(tmp_path):
    code = (
        "import resource, sys\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from musica.files.video_writer import video_writer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "pictures = np.random.default_rng(0).integers(0, 256, (20, 240, 320, 3), np.uint8)\n"
        "with video_writer(Path(sys.argv[1]), (320, 240), 25.0) as writer:\n"
        "    for index, picture in enumerate(pictures): writer.add(picture, index / 25)\n"
    )
    assert resource.RLIMIT_FSIZE  # where there is none, there is no such test
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.mp4")], capture_output=True, text=True
    )
    assert "is the disk full?" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())
