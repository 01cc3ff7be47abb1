"""How faces are cut out of images for training: in the way of the model's preprocessing.

``release`` is METHOD's exact arithmetic, with black outside the image. ``area`` cuts squares of one
size and repeats the image's border. Everything else in training is the same for both.

PORT: the release crops slightly differently in training than in inference.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from musica.geometry import crops
from musica.geometry.crops import Crop, transform_points
from musica.geometry.square_crops import SquareCrop, crop_size, square_crop
from musica.preprocessing import release_pyramid
from musica.preprocessing.area import AreaPyramid
from musica.training.head_turn import HeadTurn

# The part of an image that the release augments, as a multiple of the box's sides.
AUGMENTED_PART = 2.0
# For squares it is larger: a corner of a turned and shifted crop is 1.2 sides from the centre.
AREA_PART = 2.4
# A larger face is reduced when it is read, to these multiples of the box in its crop. An
# augmentation that enlarges then still finds enough pixels, and one that does not skips few.
LARGE_FACE, REDUCED_FACE = 1.6, 1.4
# A turn of the head is rendered by so many cells on each axis, bilinear within each.
TURN_CELLS = 8


class Window(NamedTuple):
    """The part of an augmented image that the crop of a box reads, no finer than the crop.

    Attributes:
        matrix: (3, 3) on (x, y, 1), from pixel indices of the image to pixel indices of the window.
        size: columns and rows of the window.
        box: (4,) the box in the window.
    """

    matrix: np.ndarray
    size: tuple[int, int]
    box: np.ndarray


@dataclass(frozen=True)
class FaceCrops(ABC):
    """A kind of preprocessing, as training needs it.

    Attributes:
        levels: number of pyramid levels.
        box_size: the box's longer side in crop pixels.
        margin: share of the box's side added on each side.
    """

    levels: int = release_pyramid.LEVELS
    box_size: int = crops.BOX_SIZE
    margin: float = crops.MARGIN

    @abstractmethod
    def part_sides(self, box: np.ndarray) -> np.ndarray:
        """(2,) width and height of the part around a box that training sees, in image pixels."""

    @abstractmethod
    def reduction(self, box: np.ndarray) -> float:
        """The factor, at most 1, by which the image of a face is reduced when it is read."""

    @abstractmethod
    def window(self, box: np.ndarray) -> Window:
        """The window of a box in an augmented image."""

    @abstractmethod
    def render(
        self, image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], turn: HeadTurn | None
    ) -> np.ndarray:
        """Turns the head, then warps the image.

        Args:
            image: (H, W, 3) uint8.
            matrix: (3, 3) on (x, y, 1), pixel indices of the image -> pixel indices of the result.
            size: columns and rows of the result.
            turn: the head's turn, or None.
        """

    @abstractmethod
    def crop(self, box: np.ndarray) -> Crop | SquareCrop:
        """The crop of an upright box."""

    @abstractmethod
    def pyramid(self, image: np.ndarray, crop: Any) -> list[np.ndarray]:
        """The normalised levels, finest first: (H_l, W_l, C) float32, C = 1 for a grey image."""

    @abstractmethod
    def side(self, level: int) -> int:
        """Side of the square that every crop's level fits into, in pixels."""


class ReleaseCrops(FaceCrops):
    """Crops of ``geometry.crops`` and ``preprocessing.release_pyramid``."""

    def part_sides(self, box: np.ndarray) -> np.ndarray:
        """Twice the box, as the release."""
        return AUGMENTED_PART * (box[2:] - box[:2] + 1)

    def reduction(self, box: np.ndarray) -> float:
        """Images are never reduced."""
        return 1.0

    def window(self, box: np.ndarray) -> Window:
        """The box's margin region, shrunk to the crop's resolution."""
        zoom = min(1.0, self.box_size / (box[2:] - box[:2] + 1).max())
        region = crops.margin_region((box + 0.5) * zoom - 0.5, self.margin)
        matrix = np.diag([zoom, zoom, 1.0])
        matrix[:2, 2] = (zoom - 1) / 2 - region[:2]  # pixel i covers [i, i+1): centres at i + 1/2
        columns, rows = region[2:] - region[:2] + 1
        corners = transform_points(matrix, box[[1, 0, 3, 2]].reshape(2, 2))
        return Window(matrix, (int(columns), int(rows)), corners[:, ::-1].ravel())

    def render(
        self, image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], turn: HeadTurn | None
    ) -> np.ndarray:
        """By Pillow; zeros outside the image."""
        half = np.eye(3)
        half[:2, 2] = 0.5
        back = np.linalg.inv(half @ matrix @ np.linalg.inv(half))  # Pillow's centres: i + 1/2
        pillow = Image.fromarray(np.ascontiguousarray(image))
        data: Any = tuple(back[:2].ravel())
        method = Image.Transform.AFFINE
        if turn is not None:
            method, data = Image.Transform.MESH, _mesh(back, size, turn)
        return np.asarray(pillow.transform(size, method, data, Image.Resampling.BILINEAR))

    def crop(self, box: np.ndarray) -> Crop:
        """The crop with the box's aspect."""
        return crops.crop_of_box(box, self.margin, self.box_size)

    def pyramid(self, image: np.ndarray, crop: Crop) -> list[np.ndarray]:
        """The Gaussian pyramid of the normalised crop."""
        pixels = release_pyramid.normalise(release_pyramid.crop_image(image, crop))
        return release_pyramid.pyramid(pixels, self.levels)

    def side(self, level: int) -> int:
        """Of the longest crop.

        Rounding makes a crop a little longer than (1 + 2 margin) box_size, by a share that is
        largest for small boxes and below 1/32.
        """
        return -(-ceil(self.box_size * (1 + 2 * self.margin) * 33 / 32) // 2**level)


class AreaCrops(FaceCrops):
    """Square crops of ``geometry.square_crops`` and ``preprocessing.area``."""

    def part_sides(self, box: np.ndarray) -> np.ndarray:
        """A square around the longer side."""
        return np.full(2, AREA_PART * (box[2:] - box[:2] + 1).max())

    def reduction(self, box: np.ndarray) -> float:
        """Large faces are reduced almost to the size of their crop."""
        longer = (box[2:] - box[:2] + 1).max() / self.box_size
        return REDUCED_FACE / longer if longer > LARGE_FACE else 1.0

    def window(self, box: np.ndarray) -> Window:
        """The square crop at its own resolution, or the image's if that is coarser."""
        zoom = min(1.0, self.box_size / (box[2:] - box[:2] + 1).max())
        zoomed = np.append(box[:2] * zoom, (box[2:] + 1) * zoom - 1)  # box[2:] is inclusive
        crop = self.crop(zoomed)
        side = int(crop.side)
        corner = np.array(crop.centre) - side / 2
        matrix = np.diag([zoom, zoom, 1.0])
        matrix[:2, 2] = (zoom - 1) / 2 - corner
        return Window(matrix, (side, side), zoomed - np.tile(corner, 2))

    def render(
        self, image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], turn: HeadTurn | None
    ) -> np.ndarray:
        """By OpenCV; the border is repeated outside the image."""
        back = np.linalg.inv(matrix)
        image, border = np.ascontiguousarray(image), cv2.BORDER_REPLICATE
        if turn is None:
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            return cv2.warpAffine(image, back[:2], size, flags=flags, borderMode=border)
        columns, rows = (np.linspace(0, side - 1, TURN_CELLS + 1) for side in size)
        knots = turn.backward(_mapped(back, columns, rows)).astype(np.float32)
        x, y = np.moveaxis(_dense(knots, size), -1, 0)
        return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=border)

    def crop(self, box: np.ndarray) -> SquareCrop:
        """The square crop."""
        return square_crop(box, self.margin, self.box_size, self.levels)

    def pyramid(self, image: np.ndarray, crop: SquareCrop) -> list[np.ndarray]:
        """The levels, each made from the image."""
        levels = AreaPyramid(image, crop, self.levels)
        return [levels.level(level) for level in range(self.levels)]

    def side(self, level: int) -> int:
        """Of every crop."""
        return crop_size(self.box_size, self.margin, self.levels) >> level


PREPROCESSING: dict[str, type[FaceCrops]] = {"release": ReleaseCrops, "area": AreaCrops}
RELEASE = ReleaseCrops()


def _mapped(matrix: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The points (x, y) of a grid under a (3, 3) matrix: (len(rows), len(columns), 2)."""
    grid = np.stack(np.meshgrid(columns, rows), axis=-1)
    return grid @ matrix[:2, :2].T + matrix[:2, 2]


def _mesh(back: np.ndarray, size: tuple[int, int], turn: HeadTurn) -> list:
    """Where the cells of a turned and warped image come from, as Pillow wants it."""
    columns, rows = (np.linspace(0, side, TURN_CELLS + 1).round().astype(int) for side in size)
    corners = turn.backward(_mapped(back, columns, rows) - 0.5) + 0.5
    # Each cell's source: its north-west, south-west, south-east and north-east corner.
    quads = [corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]]
    quads = np.concatenate(quads, axis=-1).reshape(-1, 8).tolist()
    left, top = np.meshgrid(columns[:-1], rows[:-1])
    right, bottom = np.meshgrid(columns[1:], rows[1:])
    targets = np.stack([left, top, right, bottom], axis=-1).reshape(-1, 4).tolist()
    return list(zip(map(tuple, targets), map(tuple, quads), strict=True))


def _dense(knots: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolates (cells + 1, cells + 1, 2) float32 knots, the outer ones on the outer pixels.

    Returns:
        (rows, columns, 2) float32, ``size`` being columns and rows.
    """
    for axis, side in enumerate(reversed(size)):
        place = np.linspace(0, TURN_CELLS, side, dtype=np.float32)
        cell = np.minimum(place.astype(int), TURN_CELLS - 1)
        share = (place - cell.astype(np.float32)).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
        first, second = knots.take(cell, axis), knots.take(cell + 1, axis)
        knots = first + share * (second - first)
    return knots
