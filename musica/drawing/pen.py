"""Smooth lines and dots on pictures.

Pictures are (H, W, 3) uint8 RGB arrays and are drawn on in place. Positions are (x, y) pixels; the
centre of the first pixel is (0, 0).
"""

import cv2
import numpy as np

Colour = tuple[int, int, int]

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


def dot(picture: np.ndarray, point: np.ndarray, colour: Colour, radius: float) -> None:
    """Draws a disc with a dark rim."""
    centre = np.rint(point * 2**SHIFT).astype(int).tolist()
    for ink, size in ((RIM, 1.2 * radius), (colour, 0.9 * radius)):
        cv2.circle(picture, centre, round(size * 2**SHIFT), ink, cv2.FILLED, cv2.LINE_AA, SHIFT)
