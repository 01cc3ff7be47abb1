"""The two ways from an image and a face box to the pyramid; a model's settings name its own."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from musica.geometry import crops, square_crops, upright
from musica.preprocessing.area import AreaPyramid

Box: TypeAlias = Sequence[float] | np.ndarray


class Crop(Protocol):
    """Where the crop of a face lies in its image; points are (y, x)."""

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Maps (..., 2) image points into the crop."""

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Maps (..., 2) crop points back into the image."""

    def initial_shape(self, reference_shape: np.ndarray) -> np.ndarray:
        """Places the (N, 2) reference shape in the crop: (N, 2) float64."""


class Pyramid(Protocol):
    """The levels of one face."""

    def level(self, level: int) -> np.ndarray:
        """A normalised level, (H_l, W_l, C) float32, C = 1 for a grey face."""

    def patches(self, level: int, centres: np.ndarray, size: int) -> np.ndarray:
        """Cuts normalised patches as ``PatchExtractor`` does.

        Args:
            level: of the pyramid.
            centres: (M, 2) float, (y, x) pixels of that level.
            size: side p of a patch in pixels.

        Returns:
            (M, p, p, C) float32, C = 1 for a grey face; zeros where nothing is copied.
        """


@dataclass(frozen=True)
class Preprocessor(ABC):
    """Makes a model's crops and pyramids.

    Attributes:
        box_size: the box's longer side in crop pixels.
        margin: share of the box's side that the crop adds on each side.
        levels: number of levels.
    """

    box_size: int = crops.BOX_SIZE
    margin: float = crops.MARGIN
    levels: int = 3

    @abstractmethod
    def crop(self, box: Box, reference_shape: np.ndarray, roll: float = 0.0) -> Crop:
        """The crop of a face box.

        Args:
            box: (4,) x0, y0, x1, y1 in the image.
            reference_shape: (N, 2) mean face, by which the box of a rolled face is understood.
            roll: degrees by which the image is turned to make the face upright.

        Raises:
            InputError: the box or the roll cannot be used.
        """

    @abstractmethod
    def turned_crop(self, box: Box, reference_shape: np.ndarray, roll: float) -> Crop:
        """The crop with which a face that was found to be rolled is aligned again; as ``crop``."""

    @abstractmethod
    def pyramid(self, image: np.ndarray, crop: Crop) -> Pyramid:
        """The pyramid of a crop of an (H, W, 3) or grey (H, W) uint8 image.

        Raises:
            InputError: the crop lies wholly outside the image.
        """


class ReleasePreprocessor(Preprocessor):
    """The release's arithmetic."""

    def crop(self, box: Box, reference_shape: np.ndarray, roll: float = 0.0) -> crops.Crop:
        """As ``Preprocessor.crop``; the corners of a turned crop are black, as in the release."""
        return crops.crop_of_box(box, self.margin, self.box_size, roll)

    def turned_crop(self, box: Box, reference_shape: np.ndarray, roll: float) -> crops.Crop:
        """As ``Preprocessor.turned_crop``; a turned crop is filled (``upright_crop``)."""
        own = upright.upright_box_in(crops.check_box(box), reference_shape, roll)
        return upright.upright_crop(own, roll, self.margin, self.box_size)

    def pyramid(self, image: np.ndarray, crop: Crop) -> Pyramid:
        """As ``Preprocessor.pyramid``."""
        from musica.preprocessing.release_pyramid import ReleasePyramid  # imports SciPy

        assert isinstance(crop, crops.Crop)
        return ReleasePyramid(image, crop, self.levels)


class AreaPreprocessor(Preprocessor):
    """Square crops and antialiased levels, for models of our own."""

    def crop(
        self, box: Box, reference_shape: np.ndarray, roll: float = 0.0
    ) -> square_crops.SquareCrop:
        """As ``Preprocessor.crop``."""
        if roll:
            return self.turned_crop(box, reference_shape, roll)
        return square_crops.square_crop(box, self.margin, self.box_size, self.levels)

    def turned_crop(
        self, box: Box, reference_shape: np.ndarray, roll: float
    ) -> square_crops.SquareCrop:
        """As ``Preprocessor.turned_crop``."""
        own = upright.upright_box_in(crops.check_box(box), reference_shape, roll)
        return square_crops.turned_square_crop(own, roll, self.margin, self.box_size, self.levels)

    def pyramid(self, image: np.ndarray, crop: Crop) -> Pyramid:
        """As ``Preprocessor.pyramid``."""
        assert isinstance(crop, square_crops.SquareCrop)
        return AreaPyramid(image, crop, self.levels)


PREPROCESSORS: dict[str, type[Preprocessor]] = {
    "release": ReleasePreprocessor,
    "area": AreaPreprocessor,
}
