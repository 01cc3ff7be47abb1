"""Draws landmarks on pictures.

Release: ``show_flm_on_image.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from musica.landmarks import SCHEMES

# A small face is enlarged to this many pixels, a numbered one more; a picture at most to MAX_SIDE.
FACE_SIZE = 320
NUMBERED_FACE_SIZE = 900
MAX_SIDE = 2000
# Lines are drawn this much larger and reduced, which smooths their edges.
SUPERSAMPLE = 2

GREEN, YELLOW, RED = (60, 255, 110, 255), (255, 214, 0, 255), (255, 45, 45, 255)
DARK, WHITE = (0, 0, 0, 170), (255, 255, 255, 255)


@dataclass(frozen=True, eq=False)
class DrawnFace:
    """A face on a picture.

    Attributes:
        landmarks: (N, 2), (y, x) image pixels; contours are drawn where N is a known scheme's.
        box: (4,) x0, y0, x1, y1 in image pixels, or None.
        failed: whether the face is marked in red.
        caption: a line of text under the face.
    """

    landmarks: np.ndarray
    box: np.ndarray | None = None
    failed: bool = False
    caption: str = ""


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
    """Draws the contours, points and boxes of faces; if they are small, all is enlarged.

    Args:
        image: (H, W, 3) uint8.
        faces: at least one.
        numbers: whether each point is numbered, from 0.

    Returns:
        The picture, RGB.
    """
    # Points far outside the picture, which no one sees, would take forever.
    reach = max(image.shape)
    points = [np.clip(face.landmarks, -reach, 2 * reach) for face in faces]
    extent = max(min(float(np.ptp(landmarks, axis=0).max()) for landmarks in points), 1.0)
    wanted = (NUMBERED_FACE_SIZE if numbers else FACE_SIZE) / extent
    zoom = max(1.0, min(wanted, MAX_SIDE / max(image.shape[:2])))
    size = (round(image.shape[1] * zoom), round(image.shape[0] * zoom))
    picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)

    # Large faces need no smoothing, and would need much memory for it.
    fine = SUPERSAMPLE if max(size) <= MAX_SIDE else 1
    layer = Image.new("RGBA", (size[0] * fine, size[1] * fine), (0, 0, 0, 0))
    for face, landmarks in zip(faces, points, strict=True):
        radius = max(1.0, float(np.ptp(landmarks[:, 1])) * zoom / 80)
        pen = _Pen(ImageDraw.Draw(layer), zoom * fine, radius * fine)
        _draw(pen, face, landmarks, reach, numbers)
    layer = layer.resize(size, Image.Resampling.BOX)
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def _draw(pen: "_Pen", face: DrawnFace, landmarks: np.ndarray, reach: int, numbers: bool) -> None:
    """Draws a face with landmarks, and a box, that are within reach."""
    colour = RED if face.failed else GREEN
    corners = landmarks
    if face.box is not None:
        box = np.clip(face.box, -reach, 2 * reach)
        corners = np.array([box[1::-1], box[:1:-1]])
        pen.box(box, RED if face.failed else YELLOW)
    pen.contours(landmarks, colour)
    pen.points(landmarks, colour)
    if numbers:
        pen.numbers(landmarks)
    if face.caption:
        pen.caption(corners, face.caption)


class _Pen:
    """Draws in image coordinates on an enlarged layer.

    Args:
        draw: the layer.
        zoom: layer pixels for each image pixel.
        radius: of a point, in layer pixels.
    """

    def __init__(self, draw: ImageDraw.ImageDraw, zoom: float, radius: float):
        self.draw = draw
        self.zoom = zoom
        self.radius = radius

    def _xy(self, points: np.ndarray) -> list[tuple[float, float]]:
        """Layer positions (x, y) of (N, 2) points (y, x): the centres of their image pixels."""
        return [((x + 0.5) * self.zoom, (y + 0.5) * self.zoom) for y, x in points]

    def _line(self, xy: list, colour: tuple) -> None:
        """A line with a dark rim, which shows on any skin and background."""
        for width, ink in ((self.radius * 1.2, DARK), (self.radius * 0.7, colour)):
            self.draw.line(xy, ink, max(1, round(width)), joint="curve")

    def box(self, box: np.ndarray, colour: tuple) -> None:
        """The box, around its corner pixels."""
        x0, y0, x1, y1 = box
        self._line(self._xy([(y0, x0), (y0, x1), (y1, x1), (y1, x0), (y0, x0)]), colour)

    def contours(self, landmarks: np.ndarray, colour: tuple) -> None:
        """The lines of the face, if the landmarks are a known scheme's."""
        scheme = SCHEMES.get(len(landmarks))
        for contour in scheme.contours if scheme else ():
            points = contour.points + contour.points[:1] * contour.closed
            self._line(self._xy(landmarks[list(points)]), (*colour[:3], 190))

    def points(self, landmarks: np.ndarray, colour: tuple) -> None:
        """The landmarks as dots."""
        rim = max(1, round(self.radius * 0.3))
        for x, y in self._xy(landmarks):
            self.draw.circle((x, y), self.radius, fill=colour, outline=DARK, width=rim)

    def numbers(self, landmarks: np.ndarray) -> None:
        """The landmarks' indices, beside them."""
        font = ImageFont.load_default(self.radius * 1.8)
        offset = self.radius * 1.1
        for index, (x, y) in enumerate(self._xy(landmarks)):
            self._text((x + offset, y - offset), str(index), font, WHITE, "lb")

    def caption(self, points: np.ndarray, text: str) -> None:
        """A line of text under the points, yet inside the picture."""
        bottom = self.draw.im.size[1] - self.radius * 2
        font = ImageFont.load_default(max(self.radius * 4, bottom / 60))
        ((x, y),) = self._xy([(points[:, 0].max(), np.ptp(points[:, 1]) / 2 + points[:, 1].min())])
        y = min(y + self.radius * 3 + font.size, bottom)
        self._text((x, y), text, font, WHITE, "ms")

    def _text(self, xy: tuple, text: str, font, colour: tuple, anchor: str) -> None:
        rim = max(1, round(font.size / 10))
        self.draw.text(xy, text, colour, font, anchor, stroke_width=rim, stroke_fill=DARK)
