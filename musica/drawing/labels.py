"""Writes captions beside faces and numbers beside landmarks. Pixel positions are (x, y)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from musica.drawing.pen import RIM, Colour
from musica.geometry.landmarks import SCHEMES

WHITE: Colour = (255, 255, 255)
MARGIN: Colour = (30, 30, 30)
# Width around a text and height of its plate, in font sizes.
PADDING, HEIGHT = 0.8, 1.65

Corners = tuple[float, float, float, float]


class Caption(NamedTuple):
    """A line of text beside a face.

    Attributes:
        text: the line.
        face: x0, y0, x1, y1 of the part of the picture that it belongs to and must not cover.
        colour: of the plate that it is written on.
    """

    text: str
    face: Corners
    colour: Colour


def write_captions(
    picture: Image.Image, captions: Sequence[Caption], font_size: float, may_grow: bool
) -> Image.Image:
    """Writes each caption beside its face, preferably below, where it covers least of the others.

    Args:
        picture: RGB; it may be changed.
        captions: the captions.
        font_size: in pixels; a smaller font is used if the longest caption is too wide.
        may_grow: whether the picture gets a margin below for a face that reaches its edge;
            otherwise its caption lies on the face.

    Returns:
        The picture.
    """
    if not captions:
        return picture
    # A font of a hundred pixels tells how wide the text is in font sizes.
    widest = max(font(100).getlength(caption.text) / 100 for caption in captions) + PADDING
    size = max(1, int(min(font_size, picture.width / widest)))
    height, gap = HEIGHT * size, size / 3
    last = np.array([picture.width, np.inf if may_grow else picture.height])
    taken = np.array([caption.face for caption in captions])
    for caption in captions:
        x0, y0, x1, y1 = caption.face
        width = font(size).getlength(caption.text) + PADDING * size
        across, along = (x0 + x1 - width) / 2, (y0 + y1 - height) / 2
        # Below, above, right and left of the face.
        corners = [(across, y1 + gap), (across, y0 - gap - height)]
        corners += [(x1 + gap, along), (x0 - gap - width, along)]
        extent = np.array([width, height])
        corners = np.clip(corners, 0, last - extent)
        places = np.hstack([corners, corners + extent])
        taken = np.vstack([taken, min(places, key=lambda place: _overlap(place, taken))])
    plates = taken[len(captions) :]
    below = max(0, int(np.ceil(plates[:, 3].max())) - picture.height)
    picture = ImageOps.expand(picture, (0, 0, 0, below), MARGIN)
    pen = ImageDraw.Draw(picture)
    for caption, plate in zip(captions, plates, strict=True):
        pen.rounded_rectangle(plate.tolist(), gap, caption.colour)
        middle = plate.reshape(2, 2).mean(axis=0)
        pen.text(tuple(middle), caption.text, WHITE, font(size), anchor="mm")
    return picture


def _overlap(corners: np.ndarray, others: np.ndarray) -> float:
    """The area that a rectangle (4,) covers of others (R, 4); all x0, y0, x1, y1."""
    low = np.maximum(corners[:2], others[:, :2])
    high = np.minimum(corners[2:], others[:, 2:])
    return float(np.prod(np.maximum(high - low, 0), axis=1).sum())


def write_numbers(picture: Image.Image, points: np.ndarray, radius: float) -> None:
    """Writes the indices of (N, 2) landmarks (y, x) beside their dots, on a picture in place."""
    pen = ImageDraw.Draw(picture)
    size = max(10, round(1.7 * radius))
    rim = max(1, round(size / 8))
    for index, (point, direction) in enumerate(zip(points, number_directions(points), strict=True)):
        half = np.array([0.75 * size, font(size).getlength(str(index))]) / 2 + rim
        middle = point + direction * (radius + np.abs(direction) @ half)
        y, x = np.clip(middle, half, np.array(picture.size[::-1]) - 1 - half)
        pen.text((x, y), str(index), WHITE, font(size), "mm", stroke_width=rim, stroke_fill=RIM)


def number_directions(points: np.ndarray) -> np.ndarray:
    """Finds the side of each landmark on which its number hides the face least.

    A number goes away from the other landmarks, near ones first. All numbers of an open contour
    stand at right angles to it, on one side. Pupils have theirs at the right.

    Args:
        points: (N, 2) landmarks of any number N.

    Returns:
        (N, 2) float64 unit vectors in the order of the points' coordinates, (y, x).
    """
    apart = points[:, None] - points
    distances = np.maximum(np.linalg.norm(apart, axis=-1, keepdims=True), 1e-9)
    directions = (apart / distances**3).sum(axis=1)  # as electric charges would go
    scheme = SCHEMES.get(len(points))
    if scheme:
        directions[list(scheme.parts.get("pupils", ()))] = [0, 1]
    for contour in scheme.contours if scheme else ():
        if not contour.closed:
            indices = list(contour.points)
            normals = np.gradient(points[indices], axis=0)[:, ::-1] * [1, -1]
            side = (normals * directions[indices]).sum()
            directions[indices] = normals if side >= 0 else -normals
    return directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of a size in pixels."""
    return ImageFont.load_default(size)
