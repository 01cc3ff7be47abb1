"""Follows faces from frame to frame; it knows nothing of video files and cameras.

The landmarks of a frame give the boxes of the next one, so a face that is followed costs no
detection. A detector looks at a frame after a face was lost, and every so many frames for new
faces.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, Unpack

import numpy as np

from musica.alignment.aligner import FaceAligner
from musica.alignment.face import Face
from musica.alignment.one_euro import OneEuroFilter
from musica.alignment.options import Options
from musica.errors import InputError
from musica.files.image_files import as_image
from musica.geometry.box_conventions import overlaps
from musica.geometry.crops import bounding_box

DETECT_EVERY = 10
# The thresholds are intersections over union.
# Landmarks have left a face if their box overlaps less with the box that they started from.
STAYS = 0.4
# A box is kept while the box of the landmarks overlaps more with it. Otherwise its noise would
# come back as jitter (experiments/video).
HOLD = 0.95
# A detected box belongs to a face if they overlap more.
SAME_FACE = 0.3
# A face has drifted away from its detected box if they overlap less.
AGREES = 0.5
# Two tracks follow one face if they overlap more.
DUPLICATE = 0.6
# A face is forgotten after so many detections in a row that did not find it.
PATIENCE = 3


class Detector(Protocol):
    """Finds faces, as ``FaceDetector`` does."""

    def detect(self, image: np.ndarray) -> Sequence[np.ndarray]:
        """Returns the (4,) boxes x0, y0, x1, y1 of the faces in an image."""


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face in a frame.

    Attributes:
        id: the number that the face keeps from frame to frame; the first is 1.
        box: (4,) x0, y0, x1, y1 in image pixels, inclusive corners, in which it was aligned.
        face: the result; its landmarks are smoothed on demand.
    """

    id: int
    box: np.ndarray
    face: Face


@dataclass(eq=False)
class _Track:
    """The state of a face between two frames.

    Attributes:
        id: of the face.
        box: the box in which it is aligned.
        face: the result in the present frame; None if the box cannot be used.
        unseen: how many detections in a row did not find it.
        smooth: the filter, if the landmarks are smoothed.
    """

    id: int
    box: np.ndarray
    face: Face | None = None
    unseen: int = 0
    smooth: OneEuroFilter | None = None

    @property
    def good(self) -> bool:
        """Whether the landmarks of the present frame can be trusted."""
        return self.face is not None and not self.face.failed

    @property
    def shown(self) -> Face | None:
        """The result, if it is good or if the detector found the face."""
        return self.face if self.good or self.unseen == 0 else None

    @property
    def place(self) -> np.ndarray:
        """The box of the landmarks if they can be trusted, otherwise the last box."""
        if self.face is None or self.face.failed:
            return self.box
        return bounding_box(self.face.landmarks)

    def go_on(self) -> None:
        """Takes the box of the next frame; after a failure, the filter starts anew."""
        if _overlap(self.place, self.box) < HOLD:
            self.box = self.place
        self.smooth = self.smooth if self.good else None

    def restart(self, box: np.ndarray) -> None:
        """Continues in a box in which the detector found the face."""
        self.box, self.smooth = box, None


class Tracker:
    """Follows the faces of a video.

    In each frame, every face is aligned in the tight box of its last landmarks, or in its last box
    if the two are nearly the same. The landmarks start at the mean shape. A face fails if its
    estimate is above the fail threshold, or if its landmarks have left the box. After a failure,
    and every ``detect_every`` frames, the detector looks for faces. A face that failed starts again
    from its detected box; boxes without a face are new faces. A face that is not found stays for
    ``PATIENCE`` detections where it was seen last, and is reported again if it comes back there.

    Args:
        aligner: the ``FaceAligner``.
        detector: finds the faces of an image.
        detect_every: frames from one detection to the next.
        smoothing: makes the filter of a face; None: landmarks are not smoothed.
        **options: how faces are aligned.

    Attributes:
        detections: how often the detector looked at a frame.
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
        detector: Detector,
        detect_every: int = DETECT_EVERY,
        smoothing: Callable[[], OneEuroFilter] | None = None,
        **options: Unpack[Options],
    ):
        if detect_every < 1:
            raise InputError(f"detect_every must be at least 1, not {detect_every}")
        self.detections = 0
        self.landmark_count = len(aligner.reference_shape)
        self._aligner = aligner
        self._detector = detector
        self._detect_every = detect_every
        self._smoothing = smoothing
        self._options = options
        self._tracks: list[_Track] = []
        self._count = 0
        self._until_detection = 0
        if smoothing is not None:
            smoothing()  # refuses wrong options now

    def update(self, image: np.ndarray, seconds: float) -> list[TrackedFace]:
        """Finds the faces of the next frame.

        Args:
            image: (H, W, 3) RGB or (H, W) grey uint8.
            seconds: the time of the frame, which the filter needs.

        Returns:
            The faces that are seen, in the order of their ids.

        Raises:
            InputError: the array is no such image.
        """
        image = as_image(image)
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
                prepared.append(self._aligner.prepare(image, track.box))
            except InputError:  # the box left the picture
                continue
            ready.append(track)
        faces = self._aligner.align_prepared(prepared, **self._options)
        for track, face in zip(ready, faces, strict=True):
            stays = _overlap(track.box, bounding_box(face.landmarks)) >= STAYS
            # Far landmarks would make a box that may be of any size.
            track.face = face if stays else dataclasses.replace(face, failed=True)

    def _detect(self, image: np.ndarray) -> None:
        """Looks for faces: restarts the ones that failed, and adds new ones."""
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
        """The face of a track; it is smoothed on demand unless it failed."""
        if self._smoothing is None or face.failed:
            return face
        track.smooth = track.smooth or self._smoothing()
        size = np.ptp(face.landmarks, axis=0).max()
        return dataclasses.replace(face, landmarks=track.smooth(face.landmarks, seconds, size))


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    return float(overlaps(first, second[None])[0])


def _matches(ours: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> dict[int, int]:
    """Pairs boxes in the order of their overlap: index of our box -> index of the found box."""
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
    """Keeps one of two tracks that follow one face: the good one, otherwise the older one."""
    kept: list[_Track] = []
    for track in sorted(tracks, key=lambda track: (not track.good, track.id)):
        if all(_overlap(track.place, other.place) <= DUPLICATE for other in kept):
            kept.append(track)
    return sorted(kept, key=lambda track: track.id)
