"""Places texts on a picture: beside their faces, inside the picture, and over no other face."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from musica.drawing.pen import font
from musica.geometry.landmarks import SCHEMES

# Where captions have little room, their font shrinks to this size in pixels.
SMALLEST_FONT = 12
LINE_HEIGHT = 1.25

Corners = tuple[float, float, float, float]


class Caption(NamedTuple):
    """A text in its place.

    Attributes:
        text: one line or several.
        font_size: in pixels.
        corners: x0, y0, x1, y1 of its background in picture pixels.
    """

    text: str
    font_size: int
    corners: Corners


def place_captions(
    texts: Sequence[str],
    faces: Sequence[Corners],
    font_size: float,
    size: tuple[int, int],
    margin: bool = True,
) -> list[Caption]:
    """Places a caption below each face, above it or beside it.

    A caption lies inside the picture and covers no face and no other caption. All fonts shrink
    until that is possible. If even the smallest font is too large, a caption covers as little of
    other faces as possible. A face that fills the picture has its caption below the picture or,
    if that is impossible, at the lower edge.

    Args:
        texts: the caption of each face; its parts, separated by ", ", may become lines.
        faces: x0, y0, x1, y1 of each face in picture pixels.
        font_size: the largest font in pixels.
        size: width and height of the picture.
        margin: whether a caption may lie below the picture.

    Returns:
        The captions in the same order.
    """
    while True:
        pixels = max(SMALLEST_FONT, round(font_size))
        captions: list[Caption] = []
        covered = 0.0
        for text, face in zip(texts, faces, strict=True):
            places = _places(text, face, pixels, size, margin)
            taken = [*faces, *(caption.corners for caption in captions)]
            areas = [_overlap(place.corners, taken) for place in places]
            captions.append(places[int(np.argmin(areas))])
            covered += min(areas)
        if not covered or pixels == SMALLEST_FONT:
            return captions
        font_size *= 0.85


def _places(
    text: str, face: Corners, font_size: int, size: tuple[int, int], margin: bool
) -> list[Caption]:
    """The places around a face that lie in the picture and off the face, the best first."""
    x0, y0, x1, y1 = face
    gap = font_size / 3
    places = []
    layouts = (text, text.replace(", ", ",\n"))
    for layout in layouts:
        width, height = _extent(layout, font_size)
        across = min(max((x0 + x1 - width) / 2, 0), size[0] - width)
        along = min(max((y0 + y1 - height) / 2, 0), size[1] - height)
        sides = ((x1 + gap, along), (x0 - gap - width, along))
        for x, y in ((across, y1 + gap), (across, y0 - gap - height), *sides):
            corners = (x, y, x + width, y + height)
            inside = min(corners) >= 0 and corners[2] <= size[0] and corners[3] <= size[1]
            if inside and not _overlap(corners, [face]):
                places.append(Caption(layout, font_size, corners))
    if not places:
        fits = _extent(text, font_size)[0] <= size[0]
        layout, font_size = (text, font_size) if fits else (layouts[1], SMALLEST_FONT)
        width, height = _extent(layout, font_size)
        left = max(min((x0 + x1 - width) / 2, size[0] - width), 0)
        top = size[1] if margin else size[1] - height
        places = [Caption(layout, font_size, (left, top, left + width, top + height))]
    return places


def _extent(text: str, font_size: int) -> tuple[float, float]:
    """Width and height of a caption's background."""
    lines = text.split("\n")
    width = max(font(font_size).getlength(line) for line in lines) + 0.8 * font_size
    return width, font_size * (LINE_HEIGHT * len(lines) + 0.4)


def _overlap(corners: Corners, others: Sequence[Corners]) -> float:
    """The area that a rectangle covers of others."""
    rectangles = np.array(others)
    low = np.maximum(corners[:2], rectangles[:, :2])
    high = np.minimum(corners[2:], rectangles[:, 2:])
    return float(np.prod(np.maximum(high - low, 0), axis=1).sum())


def number_directions(points: np.ndarray) -> np.ndarray:
    """Finds the side of each landmark on which its number hides the face least.

    A number goes away from the other landmarks. Near ones count most; the landmark's own contour
    counts twice. The number of a landmark on a contour stands at right angles to the contour; all
    numbers of an open contour are on one side. Pupils have theirs at the right.

    Args:
        points: (N, 2) landmarks of any number N.

    Returns:
        (N, 2) float64 unit vectors in the order of the points' coordinates, (y, x).
    """
    directions = _away(points, points)
    scheme = SCHEMES.get(len(points))
    if scheme:
        directions[list(scheme.parts.get("pupils", ()))] = [0, 1]
    for contour in scheme.contours if scheme else ():
        indices = list(contour.points)
        line = points[indices]
        if contour.closed:
            along = np.roll(line, -1, axis=0) - np.roll(line, 1, axis=0)
        else:
            along = np.gradient(line, axis=0)
        normals = along[:, ::-1] * [1, -1]
        away = directions[indices] + _away(line, line)
        sides = (normals * away).sum(axis=1, keepdims=True)
        sides = sides if contour.closed else sides.sum(keepdims=True)
        directions[indices] = np.where(sides >= 0, normals, -normals)
    return directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)


def _away(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How other points repel points, as charges do: (N, 2) and (M, 2) -> (N, 2)."""
    apart = points[:, None] - others
    distances = np.maximum(np.linalg.norm(apart, axis=-1, keepdims=True), 1e-9)
    return (apart / distances**3).sum(axis=1)
