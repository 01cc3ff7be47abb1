"""The keys and the work of ``musica.video``, whose module describes them."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from musica.alignment.aligner import FaceAligner
from musica.alignment.one_euro import BETA, MIN_CUTOFF, OneEuroFilter
from musica.alignment.tracking import DETECT_EVERY, TrackedFace, Tracker
from musica.cli import command
from musica.cli.config import option
from musica.cli.progress import progress_bar
from musica.drawing.faces import DrawnFace, draw_frame
from musica.errors import InputError
from musica.files.sources import camera_number, is_address, source_name
from musica.files.video_files import FrameReader
from musica.files.video_writer import video_writer
from musica.jobs.track_table import track_table
from musica.models.loading import SHIPPED


@dataclass(frozen=True)
class VideoConfig:
    """Keys of the command."""

    videos: list[str] = option(
        [], "video files, addresses (http://..., rtsp://...) or the numbers of cameras", path=True
    )
    resDir: str = option("output", "folder for the results", path=True)
    draw: bool = option(True, "write videos with the faces drawn, besides the tables")
    frames: int | None = option(
        None, "read at most so many; None: a file to its end, a camera until Ctrl-C"
    )
    model: str = option("68", f"the shipped model: {' or '.join(SHIPPED)}")
    checkpoint_file: str | None = option(
        None, "another model (.tflite or .keras); None: the shipped one", path=True
    )
    runner: str | None = option(None, "litert or keras; None: LiteRT for a shipped model")
    effort: str | None = option(
        None, "low, balanced or full: how much is spent on a face; None: the model's"
    )
    detect_every: int = option(DETECT_EVERY, "frames from one search for new faces to the next")
    stop_threshold: float | None = option(
        None, "a face quits when its estimated error is below; None: the model's rule"
    )
    fail_threshold: float | None = option(
        None, "a face failed if its last estimated error is above; None: the model's"
    )
    smooth: bool = option(False, "smooth the landmarks with the One Euro filter")
    min_cutoff: float = option(
        MIN_CUTOFF, "the filter's cut-off frequency at rest in Hz; a lower one gives less jitter"
    )
    beta: float = option(
        BETA,
        "how much the cut-off frequency rises, in Hz, at a speed of one face size a second; a "
        "higher one gives less lag",
    )


@dataclass
class Summary:
    """Counts the faces of a run.

    Attributes:
        frames: the number of frames.
        seconds: how long the run took.
        faces: the number of different faces.
        detections: how often the detector looked at a frame.
        failed: the number of failed estimates.
        iterations: the iterations of each estimate.
    """

    frames: int = 0
    seconds: float = 0.0
    faces: int = 0
    detections: int = 0
    failed: int = 0
    iterations: list[int] = field(default_factory=list)

    def add(self, faces: Sequence[TrackedFace]) -> None:
        """Adds the faces of a frame."""
        self.frames += 1
        self.faces = max([self.faces, *(face.id for face in faces)])
        self.failed += sum(face.face.failed for face in faces)
        self.iterations += [face.face.iterations for face in faces]

    def __iadd__(self, other: "Summary") -> "Summary":
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def text(self, folder: str) -> str:
        """The last line of a run."""
        rate = self.frames / self.seconds
        parts = [
            f"{self.frames} frames with {self.faces} faces written to {folder}",
            f"{rate:.1f} frames per second",
        ]
        if self.iterations:
            parts.append(f"{np.mean(self.iterations):.2f} iterations on average")
        if self.failed:
            parts.append(f"{self.failed} of {len(self.iterations)} estimates failed")
        return ", ".join([*parts, f"{self.detections} detections"])


def track_videos(config: VideoConfig) -> bool:
    """Follows the faces of the videos that the configuration names.

    A video that cannot be used is reported on stderr and skipped. The results of a broken video
    cover the frames that can be read.

    Returns:
        Whether a video was skipped or is broken.

    Raises:
        InputError: a key or the model cannot be used, or the detector is not installed.
    """
    if config.frames is not None and config.frames < 1:
        raise InputError(f"frames must be at least 1, not {config.frames}")
    sources = _sources(config)
    new_tracker = _tracker_maker(config)
    summary, whole = Summary(), True
    for name, source in sources.items():
        try:
            _track(config, source, Path(config.resDir) / name, new_tracker(), summary)
        except InputError as error:
            print(error, file=sys.stderr)
            whole = False
    if summary.frames:
        print(summary.text(config.resDir))
    return not whole


def _sources(config: VideoConfig) -> dict[str, str]:
    """The sources by the names of their results, without suffix.

    Raises:
        InputError: there are none, or results would be written over each other or over a source.
    """
    if not config.videos:
        raise InputError("name a video file, an address, or the number of a camera")
    folder = Path(os.path.realpath(config.resDir))
    sources: dict[str, str] = {}
    for source in config.videos:
        name = source_name(source)
        if name in sources:
            raise InputError(
                f"{sources[name]} and {source} would both be written to the results of {name}"
            )
        is_file = camera_number(source) is None and not is_address(source)
        if is_file and Path(os.path.realpath(source)).parent == folder:
            raise InputError(f"resDir must be another folder than the videos': {folder}")
        sources[name] = source
    return sources


def _tracker_maker(config: VideoConfig) -> Callable[[], Tracker]:
    """Loads the model and the detector, and checks the options; returns a maker of trackers."""
    from musica.alignment.detector import FaceDetector

    smoothing = partial(OneEuroFilter, config.min_cutoff, config.beta) if config.smooth else None
    with command.quiet():
        maker = partial(
            Tracker,
            FaceAligner.load(config.checkpoint_file or config.model, config.runner, config.effort),
            FaceDetector(),
            detect_every=config.detect_every,
            smoothing=smoothing,
            stop_threshold=config.stop_threshold,
            fail_threshold=config.fail_threshold,
        )
    maker()
    return maker


def _track(config: VideoConfig, source: str, path: Path, tracker: Tracker, total: Summary) -> None:
    """Follows the faces of one video.

    Args:
        config: the command's.
        source: a file, an address or a camera.
        path: of the results, without suffix.
        tracker: a new one.
        total: gets the counts, if the results are written.

    Raises:
        InputError: the source cannot be read, or the results cannot be written. A broken video
            raises it too, after its results are written.
    """
    summary, start = Summary(), time.perf_counter()
    with FrameReader(source) as reader:
        with ExitStack() as results:
            table = track_table(Path(f"{path}.csv"), tracker.landmark_count)
            add_rows = results.enter_context(table)
            drawn = None
            if config.draw:
                writer = video_writer(Path(f"{path}.mp4"), reader.size, reader.rate)
                drawn = results.enter_context(writer)
            bar = results.enter_context(progress_bar(config.frames or reader.announced, "frame"))
            for seconds, picture in reader:
                faces = tracker.update(picture, seconds)
                add_rows(summary.frames, seconds, faces)
                if drawn:
                    named = [DrawnFace.aligned(face.face, face.box, face.id) for face in faces]
                    drawn.add(draw_frame(picture, named), seconds)
                summary.add(faces)
                bar.update()
                if summary.frames == config.frames:
                    break
            fault = reader.fault() if summary.frames != config.frames else None
            if drawn and fault is None and summary.frames != config.frames:
                drawn.hold_until(reader.duration)
        summary.seconds, summary.detections = time.perf_counter() - start, tracker.detections
        total += summary
        if fault:
            raise InputError(fault)
