"""Faces as MDM trains on them (``METHOD.md`` section 11; ``load_images``, ``get_random_sample``).

The crop is rescaled so that the true landmarks have the size of the reference shape, and lies in
the middle of uniform noise, which is as large as the largest crop. Faces are mirrored with
``mirror_probability``, half of them as published; half are rotated, and the colours of all change.
The initial shape is the reference shape, aligned to a random box.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from musica.files import image_files
from musica.files.annotated_faces import AnnotatedFace
from musica.geometry.crops import MARGIN, bounding_box, rotation, transform_points
from musica.geometry.landmarks import mirrored
from musica.geometry.proportion_crops import (
    ProportionCrop,
    aligned_to_box,
    diagonal,
    proportion_crop,
)
from musica.preprocessing.mdm import crop_pixels
from musica.training.dataset import FaceSamples

ROTATION = 10.0  # standard deviation, degrees
BRIGHTNESS, CONTRAST, HUE, NOISE = 32 / 255, 0.5, 0.2, 0.1
# A face whose box is several times as large as its landmarks makes no larger canvas.
MAX_SIDE = 512


class MdmSamples(FaceSamples):
    """As ``FaceSamples``, for models with MDM's preprocessing; without augmentation as at test.

    Args:
        faces: the annotated faces.
        reference_shape: (N, 2) float, (y, x) crop pixels.
        margin: share of the box's shorter side added on each side.
        **options: as for ``FaceSamples``.
    """

    def __init__(
        self,
        faces: Sequence[AnnotatedFace],
        reference_shape: np.ndarray,
        margin: float = MARGIN,
        **options: Any,
    ):
        super().__init__(faces, reference_shape, levels=1, margin=margin, **options)
        self._margin = margin
        shapes = [self._crop(face, None).shape for face in self.faces]
        self._canvas = np.minimum(np.max(shapes, axis=0), MAX_SIDE)
        self._boxes = BoxModel(self.faces)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """As ``FaceSamples.shapes``."""
        return [(*self._canvas.tolist(), 3), *[self.reference_shape.shape] * 2]

    def _crop(self, face: AnnotatedFace, image_shape: tuple[int, ...] | None) -> ProportionCrop:
        """The crop of a face: in training by the size of its landmarks, at test by its box's."""
        if self.augmentation is None:
            own = diagonal(bounding_box(self.reference_shape)) / diagonal(face.box)
        else:
            own = _size(self.reference_shape) / max(_size(face.landmarks), 1e-6)
        return proportion_crop(face.box, own, self._margin, image_shape)

    def _prepared(self, face: AnnotatedFace, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """As ``FaceSamples._prepared``."""
        part, crop = self.parts.kept(face, self._read)
        pixels = crop_pixels(part, replace(crop, first=np.zeros(2, int)))
        truth = crop.to_crop(face.landmarks)
        if self.augmentation is None:
            height, width = self._canvas
            initial = crop.initial_shape(self.reference_shape)
            pixels = pixels[:height, :width]
        else:
            pixels, truth = self._augmented(pixels, truth, rng)
            initial = aligned_to_box(self.reference_shape, self._boxes.draw(truth, rng))
        return pixels, initial.astype(np.float32), truth.astype(np.float32)

    def _read(self, face: AnnotatedFace) -> tuple[np.ndarray, ProportionCrop]:
        """The part of a face's image that its crop reads, and the crop."""
        image = image_files.read_image(face.image)
        crop = self._crop(face, image.shape)
        (top, left), (bottom, right) = crop.first, crop.first + crop.sides
        return image[top:bottom, left:right].copy(), crop

    def _augmented(
        self, pixels: np.ndarray, truth: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The canvas (H, W, 3) float32 around the crop, changed at random, and the truth in it."""
        canvas = rng.random((*self._canvas.tolist(), 3), np.float32)
        first = np.array(canvas.shape[:2]) - pixels.shape[:2]
        first = np.where(first > 0, (first - 1).clip(0) // 2, first // 2)
        target, source = first.clip(0), (-first).clip(0)
        part = pixels[source[0] :, source[1] :][: canvas.shape[0], : canvas.shape[1]]
        canvas[target[0] :, target[1] :][: part.shape[0], : part.shape[1]] = part
        truth = truth + first
        assert self.augmentation is not None
        if rng.random() < self.augmentation.mirror_probability:
            assert self.mirror_order is not None
            truth = mirrored(truth, self.mirror_order, canvas.shape[1])
            canvas = canvas[:, ::-1]
        if rng.random() < 0.5:
            canvas, truth = turned(canvas, truth, rng.normal(0, ROTATION))
        return jittered(canvas, rng), truth


class BoxModel:
    """Random boxes around true landmarks, as a face detector would draw them.

    PORT: a Gaussian over the offsets of the two corners, in sides of the true box; MDM has a PCA of
    four corners, which is the same for boxes with upright sides.

    Args:
        faces: the faces whose boxes are to be imitated.
    """

    def __init__(self, faces: Sequence[AnnotatedFace]):
        offsets = []
        for face in faces:
            true = bounding_box(face.landmarks)
            sides = np.maximum(true[2:] - true[:2], 1e-6)
            offsets.append((face.box - true) / np.tile(sides, 2))
        self._mean = np.mean(offsets, axis=0)
        deviations = np.array(offsets) - self._mean
        self._covariance = deviations.T @ deviations / max(len(offsets) - 1, 1)

    def draw(self, landmarks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A box (4,) x0, y0, x1, y1 around (N, 2) landmarks."""
        true = bounding_box(landmarks)
        offsets = rng.multivariate_normal(self._mean, self._covariance, method="eigh")
        return true + offsets * np.tile(true[2:] - true[:2], 2)


def _size(points: np.ndarray) -> float:
    """The norm of points about their centre."""
    return float(np.linalg.norm(points - points.mean(axis=0)))


def turned(pixels: np.ndarray, points: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotates (H, W, 3) pixels and (N, 2) points about the points' centre; zeros outside."""
    centre = points.mean(axis=0)[::-1]
    matrix = rotation(angle)
    matrix[:2, 2] = centre - matrix[:2, :2] @ centre
    size = pixels.shape[1::-1]
    warped = cv2.warpAffine(np.ascontiguousarray(pixels), matrix[:2], size, flags=cv2.INTER_LINEAR)
    return warped, transform_points(matrix, points)


def jittered(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Changes brightness, saturation, hue and contrast of (H, W, 3) float32, and adds noise."""
    pixels = pixels + np.float32(rng.uniform(-BRIGHTNESS, BRIGHTNESS))
    colours = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2HSV)
    colours[..., 1] = (colours[..., 1] * rng.uniform(1 - CONTRAST, 1 + CONTRAST)).clip(0, 1)
    colours[..., 0] = (colours[..., 0] + 360 * rng.uniform(-HUE, HUE)) % 360
    pixels = cv2.cvtColor(colours, cv2.COLOR_HSV2RGB)
    mean = pixels.mean(axis=(0, 1))
    pixels = (pixels - mean) * np.float32(rng.uniform(1 - CONTRAST, 1 + CONTRAST)) + mean
    noise = rng.standard_normal(pixels.shape, np.float32)
    return (pixels + np.float32(NOISE) * noise).clip(0, 1)
