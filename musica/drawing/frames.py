"""Draws faces on the frames of a video: as ``drawing`` does, but fast, and in the frame's size."""

from collections.abc import Sequence

import numpy as np

from musica.drawing.faces import DARK_PLATE, RED_PLATE, DrawnFace, within
from musica.drawing.pen import RED, WHITE
from musica.files.video_files import import_opencv
from musica.geometry.landmarks import SCHEMES

# OpenCV takes positions in pixels times two to the power of this.
SHIFT = 4


def draw_on_frame(frame: np.ndarray, faces: Sequence[DrawnFace]) -> np.ndarray:
    """Draws the contours, points, boxes and captions of faces.

    Args:
        frame: (H, W, 3) uint8 RGB.
        faces: what is drawn.

    Returns:
        A picture like the frame.
    """
    picture = np.ascontiguousarray(frame).copy()
    for face in faces:
        _draw(picture, face)
    return picture


def _draw(picture: np.ndarray, face: DrawnFace) -> None:
    """Draws a face on a picture."""
    cv2 = import_opencv()
    reach = max(picture.shape)
    landmarks = within(face.landmarks, reach)
    points = np.rint(landmarks[:, ::-1] * 2**SHIFT).astype(np.int32)
    size = float(np.ptp(landmarks, axis=0).max())
    radius = max(1.0, size / 90)
    thickness = max(1, round(radius * 0.7))
    scheme = SCHEMES.get(len(points))
    colours = [colour[:3] for colour in face.colours()]
    for contour in scheme.contours if scheme else ():
        line = [points[list(contour.points)]]
        colour = colours[contour.points[0]]
        cv2.polylines(picture, line, contour.closed, colour, thickness, cv2.LINE_AA, SHIFT)
    fine_radius = round(radius * 2**SHIFT)
    for point, colour in zip(points.tolist(), colours, strict=True):
        cv2.circle(picture, point, fine_radius, colour, cv2.FILLED, cv2.LINE_AA, SHIFT)
    bottom_left = landmarks[:, 1].min(), landmarks[:, 0].max()
    if face.box is not None:
        box = within(face.box, reach)
        corners = np.rint(box).astype(int).tolist()
        frame_colour = RED[:3] if face.failed else WHITE[:3]
        cv2.rectangle(picture, corners[:2], corners[2:], frame_colour, thickness, cv2.LINE_AA)
        bottom_left = box[0], max(box[3], bottom_left[1])
    if face.text:
        plate = RED_PLATE if face.failed else DARK_PLATE
        _write(picture, face.text, bottom_left, size, plate[:3])


def _write(picture: np.ndarray, text: str, corner: tuple, size: float, plate: tuple) -> None:
    """Writes a line below a face of some size, from (x, y) on, yet inside the picture."""
    cv2 = import_opencv()
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, float(np.clip(size / 350, 0.4, 1.5))
    (width, height), baseline = cv2.getTextSize(text, font, scale, 1)
    rows, columns = picture.shape[:2]
    pad = 1 + height // 4
    x = int(np.clip(corner[0], pad, max(pad, columns - width - pad)))
    y = int(np.clip(corner[1] + height + 3 * pad, height + pad, rows - baseline - pad))
    low, high = (x - pad, y - height - pad), (x + width + pad, y + baseline + pad)
    cv2.rectangle(picture, low, high, plate, cv2.FILLED)
    cv2.putText(picture, text, (x, y), font, scale, WHITE[:3], 1, cv2.LINE_AA)
