"""Prepared and aligned faces."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from musica.geometry.head_pose import Pose, head_pose
from musica.geometry.openness import Openness, openness
from musica.preprocessing.preprocessor import Crop, Pyramid


@dataclass(frozen=True, eq=False)
class Face:
    """An aligned face.

    Attributes:
        landmarks: (N, 2) float64, (y, x) image pixels, 0-based.
        error_estimate: the model's own, on the scale of ``losses.l1_error``.
        iterations: number of iterations that ran, including a second alignment.
        failed: the estimate is above the fail threshold or not a number, though no iteration was
            left or promised a gain.
        expected_nme: the estimate on the NME scale, a fraction of the distance of the outer eye
            corners: the mean error of faces with such an estimate after as many iterations; None
            if the model is not calibrated.
        multiply_adds: the cost of these iterations, and of those of a mirrored image.
        landmark_errors: (N,) float64, the expected error of every landmark, on the scale of
            ``expected_nme``, which is their mean; None if the model is not calibrated for it.

    Computed when they are asked for first:
        pose: yaw, pitch and roll in degrees (``geometry.head_pose.Pose``); None if the landmarks
            are neither 68 nor 98, or not finite.
        openness: of the eyes and the mouth, heights over widths (``geometry.openness.Openness``);
            None if the landmarks are neither 68 nor 98, not finite, or all in one place.
    """

    landmarks: np.ndarray
    error_estimate: float
    iterations: int
    failed: bool
    expected_nme: float | None = None
    multiply_adds: int = 0
    landmark_errors: np.ndarray | None = None

    @cached_property
    def pose(self) -> Pose | None:
        """The pose of the head."""
        return head_pose(self.landmarks)

    @cached_property
    def openness(self) -> Openness | None:
        """How far eyes and mouth are open."""
        return openness(self.landmarks)

    def as_xy(self) -> np.ndarray:
        """The landmarks as (N, 2) float64 (x, y) image pixels, 0-based."""
        return self.landmarks[:, ::-1].copy()


@dataclass(frozen=True, eq=False)
class PreparedFace:
    """A face as a model needs it. It may hold views of the image that it was made from.

    Attributes:
        crop: where the face lies in its image.
        pyramid: its levels.
        initial: (N, 2) float32 initial landmarks, (y, x) level-0 pixels.
        image: (H, W, 3) or (H, W) uint8, for a second alignment; None: there is none.
        box: (4,) in which the face was looked for; None: there is no second alignment.
        roll: degrees by which the crop was turned.
    """

    crop: Crop
    pyramid: Pyramid
    initial: np.ndarray
    image: np.ndarray | None = None
    box: np.ndarray | None = None
    roll: float = 0.0
