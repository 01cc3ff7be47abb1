"""A synthetic turn of the head: every pixel of a face moves by its depth, seen from another side.

An option of the augmentation that the release does not have: sets of near-frontal faces teach
little about turned ones.
"""

from dataclasses import dataclass

import numpy as np

# Depth in units of the box's sides, over (x, y) from its centre: a head, and a nose on it. Smooth
# enough that a turn by up to 35 degrees hides nothing, so that it can be inverted everywhere.
HEAD_DEPTH, HEAD_SIZE = 0.5, np.array([0.55, 0.9])
NOSE_DEPTH, NOSE_SIZE, NOSE_PLACE = 0.1, np.array([0.18, 0.22]), np.array([0.0, 0.05])
LARGEST_TURN = 35.0
# Each step of the inversion leaves at most 0.7 of the error before it.
INVERSION_STEPS = 16


@dataclass(frozen=True)
class HeadTurn:
    """A turn of one face.

    Attributes:
        box: (4,) x0, y0, x1, y1 of the face in image pixels.
        yaw: degrees, positive moves the nose to the right in the image.
        pitch: degrees, positive moves the nose down.
    """

    box: np.ndarray
    yaw: float
    pitch: float

    def forward(self, points: np.ndarray) -> np.ndarray:
        """Where points of the image go, (..., 2) (x, y) pixels -> (..., 2)."""
        cosine, sine = self._angles
        place = self._to_face(points)
        return self._to_image(place * cosine + _depth(place) * sine)

    def backward(self, points: np.ndarray) -> np.ndarray:
        """Where points of the turned image come from, (..., 2) (x, y) pixels -> (..., 2)."""
        cosine, sine = self._angles
        turned = self._to_face(points)
        place = turned
        for _ in range(INVERSION_STEPS):
            place = (turned - _depth(place) * sine) / cosine
        return self._to_image(place)

    @property
    def _angles(self) -> tuple[np.ndarray, np.ndarray]:
        """Cosines and sines of (yaw, pitch)."""
        angles = np.deg2rad([self.yaw, self.pitch])
        return np.cos(angles), np.sin(angles)

    def _to_face(self, points: np.ndarray) -> np.ndarray:
        """Pixels -> units of the box's sides from its centre."""
        return (points - self._centre) / self._sides

    def _to_image(self, places: np.ndarray) -> np.ndarray:
        """The inverse of ``_to_face``."""
        return places * self._sides + self._centre

    @property
    def _centre(self) -> np.ndarray:
        return (self.box[:2] + self.box[2:]) / 2

    @property
    def _sides(self) -> np.ndarray:
        return self.box[2:] - self.box[:2] + 1


def _depth(places: np.ndarray) -> np.ndarray:
    """Depth (..., 1) at places (..., 2)."""
    head = HEAD_DEPTH * np.exp(-np.square(places / HEAD_SIZE).sum(-1, keepdims=True))
    from_nose = (places - NOSE_PLACE) / NOSE_SIZE
    return head + NOSE_DEPTH * np.exp(-np.square(from_nose).sum(-1, keepdims=True))
