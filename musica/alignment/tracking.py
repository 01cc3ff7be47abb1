"""Follows faces from frame to frame; knows nothing of video files and cameras.

The landmarks of a frame give the boxes of the next: a face that is followed costs no detection. A
detector looks at a frame when a face was lost, and every so many frames for new faces.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from musica.alignment.aligner import Face, FaceAligner
from musica.alignment.one_euro import OneEuroFilter
from musica.errors import InputError
from musica.geometry.box_conventions import overlaps
from musica.geometry.crops import bounding_box

STARTS = ("mean", "last")
DETECT_EVERY = 10
# Intersections over union. Landmarks have left a face if their box overlaps less with the one they
# started from; if it overlaps more than HOLD that one is kept, or its noise would come back as
# jitter (experiments/video). A detected box is that of a face if they overlap more, but the face
# has drifted away from it if they overlap less than AGREES. Two tracks follow one face if they
# overlap more than DUPLICATE.
STAYS, HOLD, SAME_FACE, AGREES, DUPLICATE = 0.4, 0.95, 0.3, 0.5, 0.6
# A face is forgotten after so many detections in a row that did not find it.
PATIENCE = 3


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face in a frame.

    Attributes:
        id: stays with the face from frame to frame; from 1.
        box: (4,) x0, y0, x1, y1 in image pixels, inclusive corners, in which it was aligned.
        face: the result; its landmarks are smoothed if that was asked for.
    """

    id: int
    box: np.ndarray
    face: Face


@dataclass(eq=False)
class _Track:
    """What is known of a face.

    Attributes:
        id: of the face.
        box: in which it is aligned.
        start: (N, 2) landmarks of the last frame if they can be trusted, otherwise None.
        face: the result in the present frame; None if the box cannot be used.
        unseen: how many detections in a row did not find it.
        smooth: the filter, if the landmarks are smoothed.
    """

    id: int
    box: np.ndarray
    start: np.ndarray | None = None
    face: Face | None = None
    unseen: int = 0
    smooth: OneEuroFilter | None = None

    @property
    def landmarks(self) -> np.ndarray | None:
        """Those of the present frame, if they can be trusted."""
        return None if self.face is None or self.face.failed else self.face.landmarks

    @property
    def good(self) -> bool:
        """Whether there are such landmarks."""
        return self.landmarks is not None

    @property
    def shown(self) -> Face | None:
        """The face, if there is one, be it one whose alignment failed."""
        return self.face if self.good or self.unseen == 0 else None

    @property
    def place(self) -> np.ndarray:
        """The box of the landmarks, if these can be trusted, otherwise the last one."""
        return self.box if self.landmarks is None else bounding_box(self.landmarks)

    def go_on(self) -> None:
        """Takes box and start of the next frame; after a failure, the filter starts anew."""
        if _overlap(self.place, self.box) < HOLD:
            self.box = self.place
        self.start = self.landmarks
        self.smooth = self.smooth if self.good else None

    def restart(self, box: np.ndarray) -> None:
        """Forgets the landmarks: the face was found again in a box."""
        self.box, self.start, self.smooth = box, None, None


class Tracker:
    """Follows the faces of a video.

    In each frame, every face is aligned in the tight box of its last landmarks, or in its last box
    if that is nearly the same. A face fails whose estimate is above the fail threshold, or whose
    landmarks have left the box. Then, and every ``detect_every`` frames, the detector looks for
    faces: one that failed starts again from the box in which it is found; boxes without a face of
    ours are new faces. A face that is not found stays for ``PATIENCE`` detections where it was seen
    last, and is reported again if it comes back there.

    Args:
        aligner: the ``FaceAligner``.
        detector: has ``detect(image)``, as ``FaceDetector``.
        start: from where the landmarks start: ``"mean"``, the mean shape in the box, which models
            are trained on; or ``"last"``, the landmarks of the last frame, mapped into the new crop
            (the release has a flag for it, unused).
        detect_every: frames from one detection to the next.
        smoothing: makes the filter of a face; None: landmarks are not smoothed.
        **options: thresholds and iterations, as for ``FaceAligner.align_prepared``.

    Attributes:
        detections: how often the detector was asked.
        landmark_count: N of the model.

    Raises:
        InputError: an option is out of its range.

    Example:
        >>> tracker = Tracker(FaceAligner.load(), FaceDetector(), smoothing=OneEuroFilter)
        >>> for frame, image in enumerate(images):
        ...     faces = tracker.update(image, seconds=frame / 25)
    """

    def __init__(
        self,
        aligner: FaceAligner,
        detector,
        start: str = "mean",
        detect_every: int = DETECT_EVERY,
        smoothing: Callable[[], OneEuroFilter] | None = None,
        **options,
    ):
        if start not in STARTS:
            raise InputError(f"start must be {' or '.join(STARTS)}, not {start!r}")
        if detect_every < 1:
            raise InputError(f"detect_every must be at least 1, not {detect_every}")
        self.detections = 0
        self.landmark_count = len(aligner.reference_shape)
        self._aligner = aligner
        self._detector = detector
        self._start = start
        self._detect_every = detect_every
        self._smoothing = smoothing
        self._options = options
        self._tracks: list[_Track] = []
        self._count = 0
        self._until_detection = 0
        if smoothing is not None:
            smoothing()  # says now what is wrong with its options

    def update(self, image: np.ndarray, seconds: float) -> list[TrackedFace]:
        """Finds the faces of the next frame.

        Args:
            image: (H, W, 3) RGB or (H, W) grey uint8.
            seconds: the frame's time; only the filter needs it.

        Returns:
            The faces that are seen, in the order of their ids.

        Raises:
            InputError: the array is no such image.
        """
        for track in self._tracks:
            track.go_on()
        self._align(image, self._tracks)
        lost = any(not track.good and track.unseen == 0 for track in self._tracks)
        if lost or self._until_detection == 0:
            self._detect(image)
            self._until_detection = self._detect_every
        self._until_detection -= 1
        self._tracks = _without_duplicates(t for t in self._tracks if t.unseen < PATIENCE)
        return [
            TrackedFace(track.id, track.box, self._smoothed(track, track.shown, seconds))
            for track in self._tracks
            if track.shown is not None
        ]

    def _align(self, image: np.ndarray, tracks: Iterable[_Track]) -> None:
        """Aligns faces in the boxes of their tracks."""
        ready, prepared = [], []
        for track in tracks:
            track.face = None
            try:
                face = self._aligner.prepare(image, track.box)
            except InputError:  # the box left the picture
                continue
            if self._start == "last" and track.start is not None:
                initial = face.crop.to_crop(track.start).astype(np.float32)
                face = dataclasses.replace(face, initial=initial)
            ready.append(track)
            prepared.append(face)
        faces = self._aligner.align_prepared(prepared, **self._options)
        for track, face in zip(ready, faces, strict=True):
            stays = _overlap(track.box, bounding_box(face.landmarks)) >= STAYS
            # Far landmarks would make a box that may be of any size.
            track.face = face if stays else dataclasses.replace(face, failed=True)

    def _detect(self, image: np.ndarray) -> None:
        """Looks for faces: starts those again that failed, and adds new ones."""
        self.detections += 1
        boxes = self._detector.detect(image)
        found = _matches([track.place for track in self._tracks], boxes)
        started = []
        for index, track in enumerate(self._tracks):
            if index not in found:
                track.unseen += 1
                continue
            track.unseen = 0
            box = boxes[found[index]]
            if not track.good or _overlap(track.place, box) < AGREES:
                track.restart(box)
                started.append(track)
        for index in sorted(set(range(len(boxes))) - set(found.values())):
            self._count += 1
            started.append(_Track(self._count, boxes[index]))
            self._tracks.append(started[-1])
        self._align(image, started)

    def _smoothed(self, track: _Track, face: Face, seconds: float) -> Face:
        """A track's face, smoothed if that is wanted and it did not fail."""
        if self._smoothing is None or face.failed:
            return face
        track.smooth = track.smooth or self._smoothing()
        size = np.ptp(face.landmarks, axis=0).max()
        return dataclasses.replace(face, landmarks=track.smooth(face.landmarks, seconds, size))


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    return float(overlaps(first, second[None])[0])


def _matches(ours: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> dict[int, int]:
    """Pairs boxes, those that overlap most first: index of ours -> index of the found one."""
    pairs = sorted(
        (
            (_overlap(box, other), i, j)
            for i, box in enumerate(ours)
            for j, other in enumerate(found)
        ),
        key=lambda pair: -pair[0],
    )
    matches: dict[int, int] = {}
    for overlap, i, j in pairs:
        if overlap >= SAME_FACE and i not in matches and j not in matches.values():
            matches[i] = j
    return matches


def _without_duplicates(tracks: Iterable[_Track]) -> list[_Track]:
    """Where two tracks follow one face, keeps the good, or else the older one."""
    kept: list[_Track] = []
    for track in sorted(tracks, key=lambda track: (not track.good, track.id)):
        if all(_overlap(track.place, other.place) <= DUPLICATE for other in kept):
            kept.append(track)
    return sorted(kept, key=lambda track: track.id)
