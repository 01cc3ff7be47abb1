"""The mirrored face: MDM's result is the mean of a fit and of the mirrored image's mirrored fit.

``METHOD.md`` section 11; MDM's ``mirror_image`` and ``flip_predictions``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from musica.alignment.face import Face, PreparedFace
from musica.geometry import landmarks
from musica.preprocessing.mdm import OneLevel
from musica.preprocessing.preprocessor import Crop


@dataclass(frozen=True, eq=False)
class MirroredCrop:
    """The crop of a face, mirrored.

    Attributes:
        crop: of the face.
        columns: of the crop.
        order: the scheme's mirror permutation.
    """

    crop: Crop
    columns: int
    order: Sequence[int]

    def mirrored(self, points: np.ndarray) -> np.ndarray:
        """Mirrors (N, 2) crop points (y, x) and re-orders them."""
        return landmarks.mirrored(points, self.order, self.columns)

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Maps (N, 2) image points of the face into the mirrored crop."""
        return self.mirrored(self.crop.to_crop(points))

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Maps (N, 2) points of the mirrored crop back to the face in its image."""
        return self.crop.to_image(self.mirrored(points))

    def initial_shape(self, reference_shape: np.ndarray) -> np.ndarray:
        """The face's initial shape, mirrored."""
        return self.mirrored(self.crop.initial_shape(reference_shape))


def mirrored(face: PreparedFace, order: Sequence[int]) -> PreparedFace:
    """A prepared face, mirrored; what is found in it lies in the image of the face."""
    pixels = face.pyramid.level(0)
    crop = MirroredCrop(face.crop, pixels.shape[1], order)
    return PreparedFace(crop, OneLevel(pixels[:, ::-1]), crop.mirrored(face.initial))


def mean_face(first: Face, second: Face) -> Face:
    """The mean of two fits, which costs both."""
    return replace(
        first,
        landmarks=(first.landmarks + second.landmarks) / 2,
        multiply_adds=first.multiply_adds + second.multiply_adds,
    )
