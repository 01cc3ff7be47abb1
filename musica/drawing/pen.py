"""Smooth lines, dots and texts on pictures.

Pictures are (H, W, 3) uint8 RGB arrays and are drawn on in place. Positions are (x, y) pixels; the
centre of the first pixel is (0, 0).
"""

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

RED: Colour = (255, 40, 40)
WHITE: Colour = (255, 255, 255)
# The rim of lines, dots and numbers, which makes them visible on any background.
RIM: Colour = (20, 20, 20)
# OpenCV takes positions and radii in pixels times two to the power of SHIFT.
SHIFT = 4


def line(
    picture: np.ndarray, points: np.ndarray, colour: Colour, width: float, closed: bool = False
) -> None:
    """Draws a line with a dark rim through (N, 2) points."""
    corners = [np.rint(points * 2**SHIFT).astype(np.int32)]
    # OpenCV's antialiased lines are nearly a pixel wider than their thickness.
    core = max(1, round(width - 0.8))
    # A rim around the fine lines of a small face would darken it.
    rim = round(0.4 * width)
    for ink, thickness in ((RIM, core + 2 * rim), (colour, core)):
        cv2.polylines(picture, corners, closed, ink, thickness, cv2.LINE_AA, SHIFT)


def dot(
    picture: np.ndarray, point: np.ndarray, colour: Colour, radius: float, rim: Colour = RIM
) -> None:
    """Draws a disc with a rim."""
    centre = np.rint(point * 2**SHIFT).astype(int).tolist()
    for ink, size in ((rim, 1.2 * radius), (colour, 0.9 * radius)):
        cv2.circle(picture, centre, round(size * 2**SHIFT), ink, cv2.FILLED, cv2.LINE_AA, SHIFT)


def cross(picture: np.ndarray, centre: np.ndarray, radius: float) -> None:
    """Draws a red disc with a white cross."""
    dot(picture, centre, RED, radius, rim=WHITE)
    arm, thickness = 0.4 * radius, max(1, round(0.25 * radius))
    for slope in (-1, 1):
        ends = np.rint((centre + np.outer([-arm, arm], [1, slope])) * 2**SHIFT).astype(np.int32)
        cv2.polylines(picture, [ends], False, WHITE, thickness, cv2.LINE_AA, SHIFT)


def plate(picture: np.ndarray, corners: tuple[float, ...], colour: Colour, radius: float) -> None:
    """Fills a rectangle x0, y0, x1, y1 with round corners."""
    # The line around it is wider by an antialiased pixel.
    x0, y0, x1, y1 = corners + np.multiply([1, 1, -1, -1], radius + 1.5)
    ring = np.rint(np.multiply([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], 2**SHIFT))
    points = [ring.astype(np.int32)]
    cv2.fillPoly(picture, points, colour, cv2.LINE_AA, SHIFT)
    cv2.polylines(picture, points, True, colour, max(1, round(2 * radius)), cv2.LINE_AA, SHIFT)


def write(picture: np.ndarray, text: str, middle: np.ndarray, size: int, rim: int = 0) -> None:
    """Writes white text around a point, in a font of ``size`` pixels with a dark rim."""
    reach = np.array([font(size).getlength(text.replace("\n", "")) / 2, size * text.count("\n")])
    last = np.array([picture.shape[1], picture.shape[0]])
    left, top = np.clip(middle - reach - size, 0, last).astype(int).tolist()
    right, bottom = np.clip(middle + reach + size, 0, last).astype(int).tolist()
    if right <= left or bottom <= top:
        return
    part = Image.fromarray(picture[top:bottom, left:right])
    ImageDraw.Draw(part).text(
        (middle[0] - left, middle[1] - top),
        text,
        WHITE,
        font(size),
        anchor="mm",
        align="center",
        stroke_width=rim,
        stroke_fill=RIM,
    )
    picture[top:bottom, left:right] = part


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of a size in pixels."""
    return ImageFont.load_default(size)
