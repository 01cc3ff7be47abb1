"""The parts of images that training sees, read once and kept in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np

from musica.errors import InputError
from musica.files import image_files
from musica.files.annotated_faces import AnnotatedFace
from musica.training.face_crops import FaceCrops

Part = TypeVar("Part", bound=tuple)


class FacePart(NamedTuple):
    """A part of an image.

    Attributes:
        pixels: (H, W, 3) uint8.
        corner: (2,) int, (x, y) of its first pixel in the image.
        scale: (2,) its pixels per image pixel, for (x, y).
    """

    pixels: np.ndarray
    corner: np.ndarray
    scale: np.ndarray

    def moved_points(self, points: np.ndarray) -> np.ndarray:
        """Maps (N, 2) points (y, x) from the image into the part, both in pixel indices."""
        return (points - self.corner[::-1]) * self.scale[::-1] + (self.scale[::-1] - 1) / 2

    def moved_box(self, box: np.ndarray) -> np.ndarray:
        """Maps a box from the image into the part; its far corner is inclusive in both."""
        near, far = (box.reshape(2, 2) - self.corner) * self.scale
        return np.append(near, far + (self.scale - 1))


class FaceParts:
    """Reads the parts of faces' images that training sees.

    Decoding whole photographs takes longer than all the rest, so what was cut out of them is kept.

    Args:
        crops: how faces will be cut out.
        capacity: bytes of pixels that are kept at most.
    """

    def __init__(self, crops: FaceCrops, capacity: float):
        self._crops = crops
        self.capacity = capacity
        self._kept: dict[tuple[Path, tuple[float, ...]], Any] = {}
        self._kept_bytes = 0

    def load(self, face: AnnotatedFace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns a face's part of its image, (H, W, 3) uint8, its landmarks and its box in it.

        Raises:
            InputError: the image is unreadable, or its box lies outside it.
        """
        part = self.kept(face, self._read)
        return part.pixels, part.moved_points(face.landmarks), part.moved_box(face.box)

    def kept(self, face: AnnotatedFace, read: Callable[[AnnotatedFace], Part]) -> Part:
        """Returns a face's part, read now or kept from before.

        Args:
            face: the face.
            read: the one reader of all faces; it gives a tuple that begins with the pixels.
        """
        key = (face.image, tuple(face.box.tolist()))
        part = self._kept.get(key)
        if part is None:
            part = read(face)
            if self._kept_bytes + part[0].nbytes <= self.capacity:
                self._kept[key] = part
                self._kept_bytes += part[0].nbytes
        return part

    def _read(self, face: AnnotatedFace) -> FacePart:
        """Reads a part, and reduces it if its face is large."""
        half = self._crops.part_sides(face.box) / 2
        centre = (face.box[:2] + face.box[2:]) / 2
        left, top = np.floor(centre - half).astype(int).clip(0).tolist()
        right, bottom = (np.ceil(centre + half).astype(int) + 1).clip(0).tolist()
        pixels = image_files.read_image(face.image)[top:bottom, left:right].copy()
        if not pixels.size:
            raise InputError("the box lies outside the image")
        sides = np.array(pixels.shape[1::-1])
        factor = self._crops.reduction(face.box)
        if factor < 1:
            reduced = np.maximum(np.rint(sides * factor).astype(int), 1)
            pixels = cv2.resize(pixels, reduced.tolist(), interpolation=cv2.INTER_AREA)
        # The reduced sides are whole, so their factors differ a little from the wanted one.
        scale = np.array(pixels.shape[1::-1]) / sides
        return FacePart(pixels, np.array([left, top]), scale)
