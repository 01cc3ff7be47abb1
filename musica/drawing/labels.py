"""Where the texts of a picture go: beside what they name, over no face, inside the picture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from PIL import ImageFont

from musica.geometry.landmarks import SCHEMES

# Captions shrink where there is little room, but not below this; in pixels.
SMALLEST_FONT = 12
LINE_HEIGHT = 1.25
# Height by width from which there is room for numbers inside of a mouth.
OPEN_MOUTH = 0.25


@dataclass(frozen=True)
class Caption:
    """What is to be written beside a face.

    Attributes:
        text: its parts, separated by ", ", may come one below the other.
        face: x0, y0, x1, y1 of what it must not cover, in picture pixels.
        font_size: in picture pixels.
    """

    text: str
    face: tuple[float, float, float, float]
    font_size: float


@dataclass(frozen=True)
class Plate:
    """A caption in its place.

    Attributes:
        lines: the text.
        font_size: in picture pixels.
        corners: x0, y0, x1, y1 of its background, in picture pixels.
    """

    lines: tuple[str, ...]
    font_size: float
    corners: tuple[float, float, float, float]

    def lines_in_place(self) -> Iterator[tuple[tuple[float, float], str]]:
        """Yields the middle of each line and its text."""
        x0, y0, x1, _ = self.corners
        for index, line in enumerate(self.lines):
            height = self.font_size * (LINE_HEIGHT * (index + 0.5) + 0.2)
            yield ((x0 + x1) / 2, y0 + height), line


def place_captions(
    captions: Sequence[Caption], size: tuple[int, int]
) -> tuple[list[Plate], tuple[int, int]]:
    """Finds a place for every caption: below its face, above it or beside it.

    It is in the picture, and free of all faces and other captions; all fonts shrink until there is
    such a place for every caption. Where even the smallest find none, it is the one that takes
    least from others, but nothing of its own face. A face that fills the picture has its caption in
    a margin below.

    Args:
        captions: one for each face that has one.
        size: width and height of the picture.

    Returns:
        The plates, in order, and the size of the picture with its margin.
    """
    inside = {
        index: caption
        for index, caption in enumerate(captions)
        if any(True for _ in _candidates(caption, SMALLEST_FONT, size))
    }
    faces = [caption.face for caption in captions]
    shrinking, largest = 1.0, max((caption.font_size for caption in inside.values()), default=0)
    while True:
        placed, free = _placed(inside, faces, shrinking, size)
        if free or largest * shrinking <= SMALLEST_FONT:
            break
        shrinking *= 0.85
    width, height = size
    plates = []
    for index, caption in enumerate(captions):
        plate = placed.get(index) or _below(caption, size[0], height)
        width, height = max(width, ceil(plate.corners[2])), max(height, ceil(plate.corners[3]))
        plates.append(plate)
    return plates, (width, height)


def _placed(
    captions: dict[int, Caption], faces: list, shrinking: float, size: tuple[int, int]
) -> tuple[dict[int, Plate], bool]:
    """The best place of each caption that has one, and whether they are all free."""
    plates, taken, free = {}, list(faces), True
    for index, caption in captions.items():
        font_size = max(SMALLEST_FONT, caption.font_size * shrinking)
        least = np.inf
        for plate in _candidates(caption, font_size, size):
            area = _overlap(plate.corners, taken)
            if area < least:
                plates[index], least = plate, area
            if not area:
                break
        taken += [plates[index].corners] if index in plates else []
        free = free and not least
    return plates, free


def _candidates(caption: Caption, font_size: float, size: tuple[int, int]) -> Iterator[Plate]:
    """Yields the places around a face, in the picture and off the face, the best first."""
    x0, y0, x1, y1 = caption.face
    gap = font_size / 3
    for lines in _layouts(caption.text):
        width, height = _extent(lines, font_size)
        across = min(max((x0 + x1 - width) / 2, 0), size[0] - width)
        along = min(max((y0 + y1 - height) / 2, 0), size[1] - height)
        below, above = (across, y1 + gap), (across, y0 - gap - height)
        right, left = (x1 + gap, along), (x0 - gap - width, along)
        for x, y in (below, above, right, left):
            corners = (x, y, x + width, y + height)
            inside = min(corners) >= 0 and corners[2] <= size[0] and corners[3] <= size[1]
            if inside and not _overlap(corners, [caption.face]):
                yield Plate(lines, font_size, corners)


def _below(caption: Caption, picture_width: int, top: int) -> Plate:
    """The place below the picture: in lines of the smallest font if it is narrow."""
    one_line, lines = _layouts(caption.text)
    fits = _extent(one_line, caption.font_size)[0] <= picture_width
    lines, font_size = (one_line, caption.font_size) if fits else (lines, SMALLEST_FONT)
    width, height = _extent(lines, font_size)
    left = max(min((caption.face[0] + caption.face[2] - width) / 2, picture_width - width), 0)
    return Plate(lines, font_size, (left, top, left + width, top + height))


def _layouts(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The text in one line, and its parts one below the other."""
    return (text,), tuple(text.split(", "))


def _extent(lines: Sequence[str], font_size: float) -> tuple[float, float]:
    """Width and height of a plate."""
    font = ImageFont.load_default(font_size)
    width = max(font.getlength(line) for line in lines) + 0.8 * font_size
    return width, font_size * (LINE_HEIGHT * len(lines) + 0.4)


def _overlap(corners: tuple[float, ...], others: Sequence[tuple[float, ...]]) -> float:
    """Area that a rectangle takes from others."""
    others = np.array(others)
    low = np.maximum(corners[:2], others[:, :2])
    high = np.minimum(corners[2:], others[:, 2:])
    return float(np.prod(np.maximum(high - low, 0), axis=1).sum())


def number_directions(points: np.ndarray) -> np.ndarray:
    """Finds on which side of each landmark its number does not hide the face's lines.

    Args:
        points: (N, 2) landmarks; N may be any scheme's, or another number.

    Returns:
        (N, 2) unit vectors, in the order of the points' coordinates, (y, x): away from the
        contour's inside, or from the face's middle; of points without a contour to the right.
    """
    scheme = SCHEMES.get(len(points))
    middle = points.mean(axis=0)
    if scheme is None:
        return _unit(points - middle)
    directions = np.tile([0.0, 1.0], (len(points), 1))
    for contour in scheme.contours:
        indices = list(contour.points)
        normals = _outward(points[indices], middle, contour.closed)
        if set(indices) <= set(scheme.parts["inner mouth"]):
            normals = _inside_the_mouth(points[indices], normals)
        directions[indices] = normals
    return directions


def _outward(line: np.ndarray, middle: np.ndarray, closed: bool) -> np.ndarray:
    """Unit normals of a line through (K, 2) points: away from its inside, or from the middle."""
    if closed:
        following = np.roll(line, -1, axis=0)
        clockwise = np.sum(line[:, 1] * following[:, 0] - line[:, 0] * following[:, 1]) >= 0
        edges = _unit(following - line)
        normals = _unit((edges + np.roll(edges, 1, axis=0))[:, ::-1])
        return normals * ([-1, 1] if clockwise else [1, -1])
    normals = _unit(np.gradient(line, axis=0)[:, ::-1] * [1, -1])
    sides = np.sum(normals * _unit(line - middle), axis=1, keepdims=True)
    # A line towards the middle, as the bridge of the nose, has no outside: to the right.
    sides = np.where(np.abs(sides) < 0.2, normals[:, 1:], sides)
    return normals * np.where(sides < 0, -1, 1)


def _inside_the_mouth(line: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Turns the normals of the inner mouth inwards if it is open; if not, only at its corners.

    The corners of the outer mouth are next to them.
    """
    height, width = np.ptp(line, axis=0)
    at_corners = np.abs(normals[:, 1:]) > np.abs(normals[:, :1])
    return normals * np.where(at_corners | (height > OPEN_MOUTH * width), -1, 1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Scales (N, 2) vectors to length 1; those of length 0 stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
