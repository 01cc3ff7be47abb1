"""The ways from an image and a face box to the pyramid; a model's settings name its own."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import numpy as np

from musica.errors import InputError
from musica.geometry import crops, proportion_crops, square_crops, upright
from musica.preprocessing.area import AreaPyramid
from musica.preprocessing.mdm import OneLevel, crop_pixels

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
        averages_mirrored: whether a result is the mean of those of the face and of its mirror
            image.
    """

    averages_mirrored: ClassVar[bool] = False
    box_size: int = crops.BOX_SIZE
    margin: float = crops.MARGIN
    levels: int = 3

    @abstractmethod
    def crop(
        self,
        box: Box,
        reference_shape: np.ndarray,
        roll: float = 0.0,
        image_shape: tuple[int, ...] | None = None,
    ) -> Crop:
        """The crop of a face box.

        Args:
            box: (4,) x0, y0, x1, y1 in the image.
            reference_shape: (N, 2) mean face, by which the box of a rolled face is understood.
            roll: degrees by which the image is turned to make the face upright.
            image_shape: of the image, by which a kind may cut its crops; None: unknown.

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

    def crop(
        self,
        box: Box,
        reference_shape: np.ndarray,
        roll: float = 0.0,
        image_shape: tuple[int, ...] | None = None,
    ) -> crops.Crop:
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
        self,
        box: Box,
        reference_shape: np.ndarray,
        roll: float = 0.0,
        image_shape: tuple[int, ...] | None = None,
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


class MdmPreprocessor(Preprocessor):
    """MDM's own: one level at the size of the reference shape; ``box_size`` is not used."""

    averages_mirrored = True

    def crop(
        self,
        box: Box,
        reference_shape: np.ndarray,
        roll: float = 0.0,
        image_shape: tuple[int, ...] | None = None,
    ) -> proportion_crops.ProportionCrop:
        """As ``Preprocessor.crop``; the crop ends at the image's border."""
        if roll:
            raise InputError("the preprocessing of MDM turns no crop")
        corners = crops.check_box(box)
        own = proportion_crops.diagonal(crops.bounding_box(reference_shape))
        scale = own / max(proportion_crops.diagonal(corners), np.finfo(float).tiny)
        return proportion_crops.proportion_crop(corners, scale, self.margin, image_shape)

    def turned_crop(self, box: Box, reference_shape: np.ndarray, roll: float) -> Crop:
        """Raises InputError: MDM aligns no face again."""
        return self.crop(box, reference_shape, roll)

    def pyramid(self, image: np.ndarray, crop: Crop) -> Pyramid:
        """As ``Preprocessor.pyramid``."""
        assert isinstance(crop, proportion_crops.ProportionCrop)
        return OneLevel(crop_pixels(image, crop))


PREPROCESSORS: dict[str, type[Preprocessor]] = {
    "release": ReleasePreprocessor,
    "area": AreaPreprocessor,
    "mdm": MdmPreprocessor,
}
