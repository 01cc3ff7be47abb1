"""Draws the patches that the model sees, and the landmarks that it finds, in each iteration."""

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from PIL import Image

from musica.drawing import pen
from musica.drawing.faces import FACE_SIZE, MARGIN, DrawnFace, draw_on

PATCH_SIZE = 14
# How bright the picture stays outside the patches, and the gap between two iterations in pixels.
UNSEEN = 0.45
GAP = 8
OUTLINE = (200, 200, 200)
FONT_SIZE = 18


class CropToImage(Protocol):
    """The crop of a face, such as ``geometry.crops.Crop``."""

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Maps (N, 2) points (y, x) of the crop into the image."""


def draw_iterations(
    image: np.ndarray,
    crop: CropToImage,
    landmarks_per_iteration: Sequence[np.ndarray],
    patch_points_per_iteration: Sequence[np.ndarray],
    levels: Sequence[int],
    captions: Sequence[str],
) -> Image.Image:
    """Draws a row of pictures: the patches of each iteration and the landmarks after it.

    A picture is darker outside the patches, where the iteration sees nothing.

    Args:
        image: (H, W, 3) uint8 RGB.
        crop: the face's crop.
        landmarks_per_iteration: (N, 2) landmarks after each iteration, (y, x) crop pixels.
        patch_points_per_iteration: (M, 2) centres of the patches that each iteration looks at,
            (y, x) crop pixels.
        levels: the pyramid level of each iteration; a pixel of level l is 2^l crop pixels wide.
        captions: a line below each picture.

    Returns:
        The row, RGB.
    """
    found = [crop.to_image(points) for points in landmarks_per_iteration]
    patches = [
        _squares(crop, points, PATCH_SIZE * 2**level)
        for points, level in zip(patch_points_per_iteration, levels, strict=True)
    ]
    corners = np.concatenate([*found, *(squares.reshape(-1, 2) for squares in patches)])
    last = np.array(image.shape[:2]) - 1
    origin = np.clip(corners.min(axis=0), 0, last).astype(int)
    end = np.clip(corners.max(axis=0), origin, last).astype(int) + 1
    window = image[origin[0] : end[0], origin[1] : end[1]]
    zoom = FACE_SIZE / max(window.shape[:2])
    size = (max(1, round(window.shape[1] * zoom)), max(1, round(window.shape[0] * zoom)))
    smooth = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    window = cv2.resize(window, size, interpolation=smooth)
    pictures = []
    for landmarks, squares in zip(found, patches, strict=True):
        picture = _lit(window, (squares - origin + 0.5) * zoom - 0.5)
        draw_on(picture, DrawnFace(landmarks).moved(origin, zoom, max(size)))
        pictures.append(picture)
    return _row(pictures, captions)


def _squares(crop: CropToImage, points: np.ndarray, side: float) -> np.ndarray:
    """(M, 4, 2) image corners (y, x) of squares around (M, 2) crop points."""
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * side / 2
    return crop.to_image((points[:, None] + corners).reshape(-1, 2)).reshape(-1, 4, 2)


def _lit(window: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """A copy of a picture, dark outside (M, 4, 2) squares (y, x), which are outlined."""
    seen = np.zeros(window.shape[:2], np.uint8)
    picture = (window * UNSEEN).astype(np.uint8)
    outlines = [np.rint(square[:, ::-1] * 2**pen.SHIFT).astype(np.int32) for square in squares]
    for outline in outlines:
        cv2.fillPoly(seen, [outline], 1, shift=pen.SHIFT)
    picture[seen > 0] = window[seen > 0]
    cv2.polylines(picture, outlines, True, OUTLINE, 1, cv2.LINE_AA, pen.SHIFT)
    return picture


def _row(pictures: Sequence[np.ndarray], captions: Sequence[str]) -> Image.Image:
    """Pictures of one size beside each other with their captions below."""
    height, width = pictures[0].shape[:2]
    columns = len(pictures) * (width + GAP) - GAP
    row = np.full((height + 2 * FONT_SIZE, columns, 3), MARGIN, np.uint8)
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = index * (width + GAP)
        row[:height, left : left + width] = picture
        pen.write(row, caption, np.array([left + width / 2, height + FONT_SIZE]), FONT_SIZE)
    return Image.fromarray(row)
