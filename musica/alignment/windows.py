"""Parts of a picture, reduced to the small squares and rectangles that a face detector sees."""

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

import cv2
import numpy as np

# A picture is looked at with a margin, or faces that fill it are missed: a window of this many
# times its sides.
WITH_MARGIN = 1.25
# Sides of windows that are no squares are multiples of UNIT pixels of the model and have at least
# SHORTEST. The fewer kinds there are, the fewer interpreters.
UNIT, SHORTEST = 32, 160
# The share of its side that a window has in common with the next one, so that each small face lies
# wholly in one of them.
OVERLAP = 0.36


class Window(NamedTuple):
    """A part of an image, as a model sees it.

    Attributes:
        left: of its corner in the image, in pixels; it may lie outside.
        top: as ``left``.
        pixel: side of a pixel of the model in pixels of the image.
        columns: of the model's picture.
        rows: of the model's picture.
    """

    left: int
    top: int
    pixel: float
    columns: int
    rows: int

    @classmethod
    def square(cls, left: int, top: int, side: int, size: int) -> "Window":
        """A square with ``side`` pixels of the image, ``size`` of the model, on each side."""
        return cls(left, top, side / size, size, size)

    def reduced(self, image: np.ndarray) -> np.ndarray:
        """The window's part of an image, black outside it, as (rows, columns, 3) uint8 RGB.

        A large window is sampled at twice the model's resolution and averaged.

        Args:
            image: (H, W, 3) or (H, W) uint8.
        """
        height, width = image.shape[:2]
        x0, y0 = max(self.left, 0), max(self.top, 0)
        x1 = min(self.left + round(self.columns * self.pixel), width)
        y1 = min(self.top + round(self.rows * self.pixel), height)
        finer = 1 if self.pixel < 2 else 2
        raster = np.zeros((finer * self.rows, finer * self.columns, 3), np.uint8)
        scale = finer / self.pixel
        # The part inside the image, in pixels of the raster.
        u0, v0 = round((x0 - self.left) * scale), round((y0 - self.top) * scale)
        u1 = min(round((x1 - self.left) * scale), finer * self.columns)
        v1 = min(round((y1 - self.top) * scale), finer * self.rows)
        if u0 < u1 and v0 < v1:
            sides = u1 - u0, v1 - v0
            part = cv2.resize(image[y0:y1, x0:x1], sides, interpolation=cv2.INTER_LINEAR)
            raster[v0:v1, u0:u1] = part if part.ndim == 3 else part[..., None]
        return cv2.resize(raster, (self.columns, self.rows), interpolation=cv2.INTER_AREA)


def whole(height: int, width: int, size: int) -> Window:
    """A whole picture and a margin; the longer side has ``size`` pixels of the model."""
    longer = max(height, width)
    pixel = WITH_MARGIN * longer / size
    columns, rows = (
        max(UNIT * ceil(size * side / (UNIT * longer)), SHORTEST) for side in (width, height)
    )
    left, top = round((width - columns * pixel) / 2), round((height - rows * pixel) / 2)
    return Window(left, top, pixel, columns, rows)


def covering(height: int, width: int, side: int, size: int) -> Iterator[Window]:
    """Yields overlapping ``Window.square`` that together cover a picture."""
    for top in _starts(height, side):
        for left in _starts(width, side):
            yield Window.square(left, top, side, size)


def _starts(length: int, side: int) -> list[int]:
    """Where windows start on an axis, evenly spaced from end to end."""
    if length <= side:
        return [(length - side) // 2]
    count = ceil((length - side) / (side * (1 - OVERLAP))) + 1
    return np.linspace(0, length - side, count).round().astype(int).tolist()
