"""What is known of a face, before and after it is aligned."""

from dataclasses import dataclass

import numpy as np

from musica.preprocessing.preprocessor import Crop, Pyramid


@dataclass(frozen=True, eq=False)
class Face:
    """An aligned face.

    Attributes:
        landmarks: (N, 2) float64, (y, x) image pixels, 0-based.
        error_estimate: the model's own, on the scale of ``losses.l1_error``.
        iterations: how many iterations were run for it, with those of a second alignment.
        failed: the estimate after the last iteration is still above the fail threshold.
        expected_nme: the estimate on the NME scale, a fraction of the distance of the outer eye
            corners: the mean error of faces with such an estimate after as many iterations; None
            if the model is not calibrated.
        multiply_adds: what all that cost.
    """

    landmarks: np.ndarray
    error_estimate: float
    iterations: int
    failed: bool
    expected_nme: float | None = None
    multiply_adds: int = 0

    def as_xy(self) -> np.ndarray:
        """The landmarks as (N, 2) float64 (x, y) image pixels, 0-based."""
        return self.landmarks[:, ::-1].copy()


@dataclass(frozen=True, eq=False)
class PreparedFace:
    """What the model needs of a face.

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
