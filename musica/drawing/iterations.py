"""Draws the patches that the model sees, and the landmarks that it finds, in each iteration."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from PIL import Image, ImageDraw

from musica.drawing import pen
from musica.drawing.faces import FACE_SIZE, DrawnFace, draw_on
from musica.drawing.labels import MARGIN, WHITE, font

PATCH_SIZE = 14
# How bright the picture stays outside the patches, and the gap between two iterations in pixels.
UNSEEN = 0.45
GAP = 8
OUTLINE = (200, 200, 200)
FONT_SIZE = 17
LINE_HEIGHT = 24


class CropToImage(Protocol):
    """The crop of a face, such as ``geometry.crops.Crop``."""

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Maps (N, 2) points (y, x) of the crop into the image."""


class DrawnIteration(NamedTuple):
    """An iteration of a face.

    Attributes:
        landmarks: (N, 2) landmarks after it, (y, x) crop pixels.
        patch_points: (M, 2) centres of the patches that it looks at, (y, x) crop pixels.
        level: its pyramid level; a pixel of level l is 2^l crop pixels wide.
        caption: lines below its picture.
    """

    landmarks: np.ndarray
    patch_points: np.ndarray
    level: int
    caption: str


def draw_iterations(
    image: np.ndarray, crop: CropToImage, iterations: Sequence[DrawnIteration], heading: str = ""
) -> Image.Image:
    """Draws a row of pictures: the patches of each iteration and the landmarks after it.

    A picture is darker outside the patches, where the iteration sees nothing.

    Args:
        image: (H, W, 3) uint8 RGB.
        crop: the face's crop.
        iterations: at least one.
        heading: a line above the row; it is broken where it is longer than the row.

    Returns:
        The row, RGB.
    """
    found = [crop.to_image(iteration.landmarks) for iteration in iterations]
    patches = [_squares(crop, iteration) for iteration in iterations]
    corners = np.concatenate([*found, *(squares.reshape(-1, 2) for squares in patches)])
    last = np.array(image.shape[:2]) - 1
    origin = np.clip(np.nan_to_num(corners.min(axis=0)), 0, last).astype(int)
    end = np.clip(np.nan_to_num(corners.max(axis=0)), origin, last).astype(int) + 1
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
    return _row(pictures, [iteration.caption for iteration in iterations], heading)


def stacked(rows: Sequence[Image.Image]) -> Image.Image:
    """Rows below each other."""
    height = sum(row.height + GAP for row in rows) - GAP
    picture = Image.new("RGB", (max(row.width for row in rows), height), MARGIN)
    top = 0
    for row in rows:
        picture.paste(row, (0, top))
        top += row.height + GAP
    return picture


def _squares(crop: CropToImage, iteration: DrawnIteration) -> np.ndarray:
    """(M, 4, 2) image corners (y, x) of an iteration's patches."""
    half = PATCH_SIZE * 2**iteration.level / 2
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * half
    corners = iteration.patch_points[:, None] + corners
    return crop.to_image(corners.reshape(-1, 2)).reshape(-1, 4, 2)


def _lit(window: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """A copy of a picture, dark outside (M, 4, 2) squares (y, x), which are outlined."""
    seen = np.zeros(window.shape[:2], np.uint8)
    picture = (window * UNSEEN).astype(np.uint8)
    # Squares far outside a picture would be too far away for OpenCV.
    squares = np.clip(np.nan_to_num(squares), -1e4, 1e4)
    outlines = [np.rint(square[:, ::-1] * 2**pen.SHIFT).astype(np.int32) for square in squares]
    for outline in outlines:
        cv2.fillPoly(seen, [outline], 1, shift=pen.SHIFT)
    picture[seen > 0] = window[seen > 0]
    cv2.polylines(picture, outlines, True, OUTLINE, 1, cv2.LINE_AA, pen.SHIFT)
    return picture


def _row(pictures: Sequence[np.ndarray], captions: Sequence[str], heading: str) -> Image.Image:
    """Pictures of one size beside each other, a heading above and captions below them."""
    height, width = pictures[0].shape[:2]
    columns = len(pictures) * (FACE_SIZE + GAP) - GAP
    # Letters are on average half as wide as the font is high.
    lines = textwrap.wrap(heading, round(2 * columns / FONT_SIZE))
    top = LINE_HEIGHT * len(lines) + GAP * bool(lines)
    below = LINE_HEIGHT * max(caption.count("\n") + 1 for caption in captions) + GAP
    row = Image.new("RGB", (columns, top + height + below), MARGIN)
    draw = ImageDraw.Draw(row)
    draw.font = font(FONT_SIZE)
    spacing = LINE_HEIGHT - FONT_SIZE
    draw.text((GAP, GAP / 2), "\n".join(lines), WHITE, spacing=spacing)
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = index * (FACE_SIZE + GAP)
        row.paste(Image.fromarray(picture), (left + (FACE_SIZE - width) // 2, top))
        middle = left + FACE_SIZE / 2, top + height + GAP / 2
        draw.text(middle, caption, WHITE, anchor="ma", align="center", spacing=spacing)
    return row
