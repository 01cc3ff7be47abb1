"""Draws landmarks on pictures.

Release: ``show_flm_on_image.py``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from musica.drawing.labels import Caption, number_directions, place_captions
from musica.drawing.pen import RED, RIM, WHITE, Pen, tiles
from musica.geometry.landmarks import SCHEMES

if TYPE_CHECKING:
    from musica.alignment.aligner import Face

# A small face is enlarged to this many pixels, a numbered one more; a picture at most to MAX_SIDE.
FACE_SIZE = 320
NUMBERED_FACE_SIZE = 900
MAX_SIDE = 2000
# A caption must not cover the forehead either; share of the height from the brows to the chin.
FOREHEAD = 0.2
OUTWARD = np.array([-1, -1, 1, 1])

GREEN, MARGIN = (60, 255, 110, 255), (30, 30, 30, 255)
DARK_PLATE, RED_PLATE = (0, 0, 0, 200), (215, 20, 20, 230)
# Of the parts; GREEN are points of no known scheme, RED is kept for what failed.
PART_COLOURS = {
    "jaw": (90, 185, 255, 255),
    "brows": (255, 170, 30, 255),
    "nose": (255, 240, 70, 255),
    "eyes": (60, 255, 190, 255),
    "outer mouth": (255, 110, 230, 255),
    "inner mouth": (200, 160, 255, 255),
    "pupils": (255, 255, 255, 255),
}


@dataclass(frozen=True, eq=False)
class DrawnFace:
    """A face on a picture.

    Attributes:
        landmarks: (N, 2), (y, x) image pixels; contours are drawn where N is a known scheme's.
        box: (4,) x0, y0, x1, y1 in image pixels, or None.
        failed: whether the face is marked as failed.
        caption: a line of text beside the face.
    """

    landmarks: np.ndarray
    box: np.ndarray | None = None
    failed: bool = False
    caption: str = ""

    @classmethod
    def aligned(cls, face: "Face", box: np.ndarray, name: object = "") -> "DrawnFace":
        """A result in its box, captioned with what it was and, if it has one, its name."""
        caption = f"iterations {face.iterations}"
        if not math.isnan(face.error_estimate):  # MDM estimates none
            caption = f"error {face.error_estimate:.3f}, {caption}"
        return cls(face.landmarks, box, face.failed, f"{name}: {caption}" if name else caption)

    @property
    def text(self) -> str:
        """What is written: the caption, if there is one, and before it whether it failed."""
        return "failed, " * self.failed + self.caption if self.caption else ""

    def colours(self) -> list[tuple]:
        """The colour of each point, RGBA."""
        scheme = SCHEMES.get(len(self.landmarks))
        if self.failed or scheme is None:
            return [RED if self.failed else GREEN] * len(self.landmarks)
        parts = scheme.parts.items()
        colours = {index: PART_COLOURS[part] for part, indices in parts for index in indices}
        return [colours[index] for index in range(len(self.landmarks))]


def draw_face(
    image: np.ndarray,
    landmarks: np.ndarray,
    box: np.ndarray | None = None,
    *,
    numbers: bool = False,
    failed: bool = False,
    caption: str = "",
) -> Image.Image:
    """Draws one face; arguments and result as for ``draw_faces`` and ``DrawnFace``."""
    return draw_faces(image, [DrawnFace(landmarks, box, failed, caption)], numbers=numbers)


def draw_faces(
    image: np.ndarray, faces: Sequence[DrawnFace], *, numbers: bool = False
) -> Image.Image:
    """Draws the contours, points, boxes and captions of faces; if they are small, all is enlarged.

    Each part of a face has its colour. A failed face is red, has a crossed-out corner, and its
    caption says so. The picture gets a margin below if a face leaves its caption no room.

    Args:
        image: (H, W, 3) uint8.
        faces: what is drawn.
        numbers: whether each point is numbered, from 0; the picture is then cut to the faces, and
            enlarged more.

    Returns:
        The picture, RGB.
    """
    if numbers and faces:
        image, faces = _cut(image, faces)
    zoom = _zoom(image, faces, NUMBERED_FACE_SIZE if numbers else FACE_SIZE)
    size = (round(image.shape[1] * zoom), round(image.shape[0] * zoom))
    picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC).convert("RGBA")
    sketches = [_Sketch(face, zoom, size) for face in faces]
    for corners in tiles(size):
        seen = [sketch for sketch in sketches if sketch.reaches(corners)]
        if seen:
            pen = Pen(corners)
            for sketch in seen:
                sketch.draw(pen)
            picture.alpha_composite(pen.reduced(), corners[:2])
    if numbers:
        for sketch in sketches:
            sketch.draw_numbers(ImageDraw.Draw(picture))
    return _captioned(picture, [sketch for sketch in sketches if sketch.text]).convert("RGB")


def _captioned(picture: Image.Image, sketches: Sequence["_Sketch"]) -> Image.Image:
    """Adds the captions, and a margin if one needs it."""
    captions = [sketch.caption(picture.size) for sketch in sketches]
    plates, size = place_captions(captions, picture.size)
    if size != picture.size:
        whole = Image.new("RGBA", size, MARGIN)
        whole.paste(picture)
        picture = whole
    draw = ImageDraw.Draw(picture)
    for sketch, plate in zip(sketches, plates, strict=True):
        corners = tuple(np.rint(plate.corners).astype(int))
        pen = Pen(corners)
        pen.plate(corners, plate.font_size * 0.3, RED_PLATE if sketch.failed else DARK_PLATE)
        picture.alpha_composite(pen.reduced(), corners[:2])
        # Letters are smooth by themselves, and sharper if they are not reduced.
        font = ImageFont.load_default(plate.font_size)
        for xy, line in plate.lines_in_place():
            draw.text(xy, line, WHITE, font, "mm")
    return picture


def _cut(image: np.ndarray, faces: Sequence[DrawnFace]) -> tuple[np.ndarray, list[DrawnFace]]:
    """The part of a picture that has the faces, and the faces in it."""
    points = np.concatenate([within(face.landmarks, max(image.shape)) for face in faces])
    margin = np.ptp(points, axis=0).max() / 3
    last = np.array(image.shape[:2]) - 1
    y0, x0 = origin = np.clip(points.min(axis=0) - margin, 0, last).astype(int)
    y1, x1 = np.clip(points.max(axis=0) + margin, origin, last).astype(int) + 1
    moved = [
        replace(
            face,
            landmarks=face.landmarks - origin,
            box=None if face.box is None else face.box - np.array([x0, y0, x0, y0]),
        )
        for face in faces
    ]
    return image[y0:y1, x0:x1], moved


def _zoom(image: np.ndarray, faces: Sequence[DrawnFace], face_size: int) -> float:
    """How much the picture is enlarged, so that its smallest face can be seen."""
    reach = max(image.shape)
    extents = [np.ptp(within(face.landmarks, reach), axis=0).max() for face in faces]
    wanted = face_size / max(1.0, min(extents, default=np.inf))
    return max(1.0, min(wanted, MAX_SIDE / max(image.shape[:2])))


def within(coordinates: np.ndarray, reach: float) -> np.ndarray:
    """Points far outside a picture, which no one sees, would take forever."""
    return np.clip(coordinates, -reach, 2 * reach)


class _Sketch:
    """A face in picture pixels, its lines as wide as befits its size and the picture's.

    Args:
        face: the face.
        zoom: picture pixels for each image pixel.
        size: width and height of the picture.
    """

    def __init__(self, face: DrawnFace, zoom: float, size: tuple[int, int]):
        reach = max(size)
        # (x, y), the centres of their image pixels.
        self.points = within((face.landmarks[:, ::-1] + 0.5) * zoom, reach)
        self.failed = face.failed
        self.text, self.colours = face.text, face.colours()
        extent = float(np.ptp(self.points, axis=0).max())
        self.radius = max(1.0, extent / 80, min(reach / 1000, extent / 45))
        bounds = np.concatenate([self.points.min(axis=0), self.points.max(axis=0)])
        self.frame = None
        if face.box is not None:
            self.frame = within((np.asarray(face.box) + 0.5) * zoom, reach)
        elif face.failed:
            margin = 3 * self.radius * OUTWARD
            self.frame = np.clip(bounds + margin, self.radius, np.tile(size, 2) - self.radius)
        framed = bounds if self.frame is None else self.frame
        low, high = np.minimum(bounds, framed)[:2], np.maximum(bounds, framed)[2:]
        self.bounds = np.concatenate([low, high])
        self.badge = np.clip(framed[[2, 1]], 4 * self.radius, np.array(size) - 4 * self.radius)
        self.scheme = SCHEMES.get(len(self.points))

    def reaches(self, corners: tuple[float, ...]) -> bool:
        """Whether something of the face may be inside x0, y0, x1, y1."""
        x0, y0, x1, y1 = self.bounds + 6 * self.radius * OUTWARD
        return x0 < corners[2] and y0 < corners[3] and x1 > corners[0] and y1 > corners[1]

    def caption(self, size: tuple[int, int]) -> Caption:
        """What is written beside the face."""
        x0, y0, x1, y1 = self.bounds + self.radius * OUTWARD
        covered = np.array([x0, y0 - FOREHEAD * (y1 - y0), x1, y1])
        font_size = max(14.0, 4.5 * self.radius, max(size) / 80)
        return Caption(self.text, tuple(np.clip(covered, 0, np.tile(size, 2))), font_size)

    def draw(self, pen: Pen) -> None:
        """Draws the frame, the contours and the points."""
        if self.frame is not None:
            # The first side comes again, because only inner corners are joined.
            corners = self.frame[[[0, 1], [2, 1], [2, 3], [0, 3], [0, 1], [2, 1]]]
            colour, width = (RED, 1.0) if self.failed else (WHITE, 0.5)
            pen.line(corners, colour, width * self.radius)
        for contour in self.scheme.contours if self.scheme else ():
            indices = list(contour.points + contour.points[:1] * contour.closed)
            pen.line(self.points[indices], self.colours[indices[0]], 0.7 * self.radius)
        pen.dots(self.points, self.colours, self.radius)
        if self.failed:
            pen.cross(self.badge, 3.5 * self.radius)

    def draw_numbers(self, texts: ImageDraw.ImageDraw) -> None:
        """Writes the landmarks' indices beside them."""
        font_size = max(10.0, self.radius * 1.7)
        font = ImageFont.load_default(font_size)
        rim = max(1, round(font_size / 8))
        inside = np.array(texts.im.size) - 1
        for index, direction in enumerate(number_directions(self.points[:, ::-1])[:, ::-1]):
            half = np.array([font.getlength(str(index)), font_size * 0.75]) / 2 + rim
            away = self.radius + np.abs(direction) @ half
            xy = np.clip(self.points[index] + direction * away, half, inside - half)
            texts.text(tuple(xy), str(index), WHITE, font, "mm", stroke_width=rim, stroke_fill=RIM)
