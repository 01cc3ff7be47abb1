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

from musica.drawing import pen
from musica.drawing.labels import Corners, number_directions, place_captions
from musica.drawing.pen import RED, WHITE, Colour
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
OUTWARD = np.array([-1, -1, 1, 1])

GREEN: Colour = (60, 255, 110)
MARGIN: Colour = (30, 30, 30)
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
        """The caption, after the word "failed" if the face failed; empty without a caption."""
        return "failed, " * self.failed + self.caption if self.caption else ""

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

    Each part of a face has its colour. A failed face is red, and a corner of its frame is crossed.
    A photo of small faces is enlarged. It gets a margin below if a caption finds no room.

    Args:
        image: (H, W, 3) uint8 RGB; it stays as it is.
        faces: the faces.
        numbers: whether each point has its number, from 0; the picture is then cut to the faces.

    Returns:
        An RGB picture.
    """
    picture, faces = _view(image, faces, numbers)
    for face in faces:
        draw_on(picture, face)
    picture = _captioned(picture, faces, margin=True)
    for face in faces if numbers else ():
        _draw_numbers(picture, face)
    return Image.fromarray(picture)


def draw_frame(frame: np.ndarray, faces: Sequence[DrawnFace]) -> np.ndarray:
    """Draws faces as ``draw_faces`` does, on a copy of a video's frame, which keeps its size."""
    picture, reach = frame.copy(), max(frame.shape)
    faces = [face.moved(np.zeros(2), 1.0, reach) for face in faces]
    for face in faces:
        draw_on(picture, face)
    return _captioned(picture, faces, margin=False)


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


def _corners(face: DrawnFace) -> np.ndarray:
    """(4,) x0, y0, x1, y1 of a face's landmarks and box."""
    points = face.landmarks[:, ::-1]
    if face.box is not None:
        points = np.concatenate([points, face.box.reshape(2, 2)])
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def draw_on(picture: np.ndarray, face: DrawnFace) -> None:
    """Draws a face's frame, contours and points on an (H, W, 3) uint8 picture in place."""
    size = np.array([picture.shape[1], picture.shape[0]])
    radius = _radius(face, max(size))
    points, colours, frame = face.landmarks[:, ::-1], face.colours(), face.box
    if face.failed and frame is None:
        frame = np.clip(_corners(face) + 3 * radius * OUTWARD, 0, np.tile(size, 2) - 1)
    if frame is not None:
        colour, width = (RED, 1.0) if face.failed else (WHITE, 0.5)
        corners = frame[[[0, 1], [2, 1], [2, 3], [0, 3]]]
        pen.line(picture, corners, colour, width * radius, closed=True)
    scheme = SCHEMES.get(len(points))
    for contour in scheme.contours if scheme else ():
        indices = list(contour.points)
        pen.line(picture, points[indices], colours[indices[0]], 0.7 * radius, contour.closed)
    for point, colour in zip(points, colours, strict=True):
        pen.dot(picture, point, colour, radius)
    if face.failed and frame is not None:
        corner = np.clip(frame[[2, 1]], 4 * radius, np.maximum(size - 4 * radius, 0))
        pen.cross(picture, corner, 3.5 * radius)


def _captioned(picture: np.ndarray, faces: Sequence[DrawnFace], margin: bool) -> np.ndarray:
    """Writes the captions; if a face fills the picture, in a margin below where that may be."""
    faces = [face for face in faces if face.text]
    height, width = picture.shape[:2]
    radius = min((_radius(face, max(width, height)) for face in faces), default=1.0)
    font_size = max(14.0, 4.5 * radius, max(width, height) / 80)
    covered = [_covered(face, (width, height)) for face in faces]
    texts = [face.text for face in faces]
    captions = place_captions(texts, covered, font_size, (width, height), margin)
    if margin:
        corners = np.array([(0, 0, width, height), *(caption.corners for caption in captions)])
        right, bottom = np.ceil(corners.max(axis=0)[2:]).astype(int).tolist()
        edges = (0, bottom - height, 0, right - width)
        picture = cv2.copyMakeBorder(picture, *edges, cv2.BORDER_CONSTANT, value=MARGIN)
    for face, caption in zip(faces, captions, strict=True):
        colour = RED_PLATE if face.failed else DARK_PLATE
        pen.plate(picture, caption.corners, colour, 0.3 * caption.font_size)
        middle = np.reshape(caption.corners, (2, 2)).mean(axis=0)
        pen.write(picture, caption.text, middle, caption.font_size)
    return picture


def _covered(face: DrawnFace, size: tuple[int, int]) -> Corners:
    """The part of the picture that a caption must not cover: the face with its forehead."""
    x0, y0, x1, y1 = _corners(face)
    corners = np.array([x0, y0 - FOREHEAD * (y1 - y0), x1, y1])
    left, top, right, bottom = np.clip(corners, 0, np.tile(size, 2)).tolist()
    return left, top, right, bottom


def _draw_numbers(picture: np.ndarray, face: DrawnFace) -> None:
    """Writes the landmarks' indices beside them."""
    points = face.landmarks[:, ::-1]
    last = np.array([picture.shape[1], picture.shape[0]]) - 1
    radius = _radius(face, max(last))
    size = max(10, round(1.7 * radius))
    rim = max(1, round(size / 8))
    for index, direction in enumerate(number_directions(points)):
        half = np.array([pen.font(size).getlength(str(index)), 0.75 * size]) / 2 + rim
        middle = points[index] + direction * (radius + np.abs(direction) @ half)
        pen.write(picture, str(index), np.clip(middle, half, last - half), size, rim)
