"""Draws faces with their landmarks on photos and on the frames of videos.

Release: ``show_flm_on_image.py``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from musica.drawing import labels, pen
from musica.drawing.labels import WHITE, Caption
from musica.drawing.pen import Colour
from musica.geometry.landmarks import SCHEMES

if TYPE_CHECKING:
    from musica.alignment.aligner import Face

# Small faces are enlarged to this many pixels, and numbered faces to more. No enlarged picture is
# larger than MAX_SIDE.
FACE_SIZE = 320
NUMBERED_FACE_SIZE = 900
MAX_SIDE = 2000
# A caption must not cover the forehead; share of the height from the brows to the chin.
FOREHEAD = 0.2

RED: Colour = (255, 40, 40)
GREEN: Colour = (60, 255, 110)
DARK_PLATE: Colour = (25, 25, 25)
RED_PLATE: Colour = (205, 25, 25)
# Points of an unknown scheme are GREEN; failed faces are RED.
PART_COLOURS: dict[str, Colour] = {
    "jaw": (90, 185, 255),
    "brows": (255, 170, 30),
    "nose": (255, 240, 70),
    "eyes": (60, 255, 190),
    "outer mouth": (255, 110, 230),
    "inner mouth": (200, 160, 255),
    "pupils": (255, 255, 255),
}


@dataclass(frozen=True, eq=False)
class DrawnFace:
    """A face on a picture.

    Attributes:
        landmarks: (N, 2), (y, x) image pixels; a known scheme's N gives contours and part colours.
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
        """A result in its box, with its estimated error, its iterations and its name as caption."""
        caption = f"iterations {face.iterations}"
        if not math.isnan(face.error_estimate):  # an MDM gives no estimate
            caption = f"error {face.error_estimate:.3f}, {caption}"
        return cls(face.landmarks, box, face.failed, f"{name}: {caption}" if name else caption)

    @property
    def text(self) -> str:
        """The caption, after the word "failed" if the face failed."""
        return ", ".join(["failed"] * self.failed + [self.caption] * bool(self.caption))

    def colours(self) -> list[Colour]:
        """The colour of each point."""
        scheme = SCHEMES.get(len(self.landmarks))
        if self.failed or scheme is None:
            return [RED if self.failed else GREEN] * len(self.landmarks)
        parts = scheme.parts.items()
        colours = {index: PART_COLOURS[part] for part, indices in parts for index in indices}
        return [colours[index] for index in range(len(self.landmarks))]

    def moved(self, origin: np.ndarray, zoom: float, reach: float) -> "DrawnFace":
        """The face in a part of the picture that begins at ``origin``, (y, x), and is enlarged.

        Points far outside the picture are moved to at most ``reach`` pixels from it.
        """

        def move(coordinates: np.ndarray, start: np.ndarray) -> np.ndarray:
            return _within((coordinates - start + 0.5) * zoom - 0.5, reach)

        box = None if self.box is None else move(np.asarray(self.box), np.tile(origin[::-1], 2))
        return replace(self, landmarks=move(self.landmarks, origin), box=box)


def _within(coordinates: np.ndarray, reach: float) -> np.ndarray:
    """Moves coordinates far outside a picture, which nobody sees, to numbers that can be drawn."""
    return np.clip(np.nan_to_num(coordinates), -reach, 2 * reach)


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
    """Draws the contours, points, boxes and captions of faces on a photo.

    Each part of a face has its colour. A failed face is red, and its caption says "failed". A photo
    of small faces is enlarged. It gets a margin below if a caption finds no room.

    Args:
        image: (H, W, 3) uint8 RGB; it stays as it is.
        faces: the faces.
        numbers: whether each point has its number, from 0; the picture is then cut to the faces.

    Returns:
        An RGB picture.
    """
    pixels, faces = _view(image, faces, numbers)
    for face in faces:
        draw_on(pixels, face)
    picture = Image.fromarray(pixels)
    for face in faces if numbers else ():
        labels.write_numbers(picture, face.landmarks, _radius(face, max(picture.size)))
    return _captioned(picture, faces, may_grow=True)


def draw_frame(frame: np.ndarray, faces: Sequence[DrawnFace]) -> np.ndarray:
    """Draws faces as ``draw_faces`` does, on a copy of a video's frame, which keeps its size."""
    pixels, reach = frame.copy(), max(frame.shape)
    faces = [face.moved(np.zeros(2), 1.0, reach) for face in faces]
    for face in faces:
        draw_on(pixels, face)
    return np.asarray(_captioned(Image.fromarray(pixels), faces, may_grow=False))


def _view(
    image: np.ndarray, faces: Sequence[DrawnFace], numbers: bool
) -> tuple[np.ndarray, list[DrawnFace]]:
    """A copy of a picture: cut to numbered faces, and so large that its smallest face is seen."""
    landmarks = [_within(face.landmarks, max(image.shape)) for face in faces]
    origin = np.zeros(2, int)
    if numbers and faces:
        points = np.concatenate(landmarks)
        margin = np.ptp(points, axis=0).max() / 3
        last = np.array(image.shape[:2]) - 1
        origin = np.clip(points.min(axis=0) - margin, 0, last).astype(int)
        end = np.clip(points.max(axis=0) + margin, origin, last).astype(int) + 1
        image = image[origin[0] : end[0], origin[1] : end[1]]
    zoom = 1.0
    if faces:
        smallest = max(1.0, min(np.ptp(points, axis=0).max() for points in landmarks))
        wanted = (NUMBERED_FACE_SIZE if numbers else FACE_SIZE) / smallest
        zoom = max(1.0, min(wanted, MAX_SIDE / max(image.shape[:2])))
    size = (round(image.shape[1] * zoom), round(image.shape[0] * zoom))
    picture = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    return picture, [face.moved(origin, zoom, max(size)) for face in faces]


def _radius(face: DrawnFace, reach: int) -> float:
    """The radius of a face's points, which befits its size and the picture's longer side."""
    extent = float(np.ptp(face.landmarks, axis=0).max())
    return max(1.0, extent / 80, min(reach / 1000, extent / 45))


def draw_on(picture: np.ndarray, face: DrawnFace) -> None:
    """Draws a face's box, contours and points on an (H, W, 3) uint8 picture in place."""
    radius = _radius(face, max(picture.shape))
    points, colours = face.landmarks[:, ::-1], face.colours()
    if face.box is not None:
        colour, width = (RED, 1.0) if face.failed else (WHITE, 0.5)
        corners = face.box[[[0, 1], [2, 1], [2, 3], [0, 3]]]
        pen.line(picture, corners, colour, width * radius, closed=True)
    scheme = SCHEMES.get(len(points))
    for contour in scheme.contours if scheme else ():
        indices = list(contour.points)
        pen.line(picture, points[indices], colours[indices[0]], 0.7 * radius, contour.closed)
    for point, colour in zip(points, colours, strict=True):
        pen.dot(picture, point, colour, radius)


def _captioned(picture: Image.Image, faces: Sequence[DrawnFace], may_grow: bool) -> Image.Image:
    """Writes the captions of the faces."""
    faces = [face for face in faces if face.text]
    longer = max(picture.size)
    radius = min((_radius(face, longer) for face in faces), default=1.0)
    captions = [
        Caption(face.text, _covered(face, picture.size), RED_PLATE if face.failed else DARK_PLATE)
        for face in faces
    ]
    return labels.write_captions(picture, captions, max(12, 4.5 * radius, longer / 80), may_grow)


def _covered(face: DrawnFace, size: tuple[int, int]) -> labels.Corners:
    """The part of the picture that a caption must not cover: the face with its forehead."""
    points = face.landmarks[:, ::-1]
    if face.box is not None:
        points = np.concatenate([points, face.box.reshape(2, 2)])
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    corners = np.array([x0, y0 - FOREHEAD * (y1 - y0), x1, y1])
    left, top, right, bottom = np.clip(corners, 0, np.tile(size, 2)).tolist()
    return left, top, right, bottom
