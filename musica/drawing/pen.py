"""Smooth lines and dots on large pictures, in little memory."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw

# Lines are drawn this much larger and reduced, which smooths their edges; in tiles of the picture,
# which bounds the memory.
SUPERSAMPLE = 3
TILE = 512

RED, WHITE, RIM = (255, 40, 40, 255), (255, 255, 255, 255), (0, 0, 0, 170)


def tiles(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yields the corners x0, y0, x1, y1 of a picture's tiles."""
    for top in range(0, size[1], TILE):
        for left in range(0, size[0], TILE):
            yield left, top, min(left + TILE, size[0]), min(top + TILE, size[1])


class Pen:
    """Draws, in picture pixels, on a layer for one tile of the picture.

    Args:
        corners: x0, y0, x1, y1 of the tile.
    """

    def __init__(self, corners: tuple[int, int, int, int]):
        x0, y0, x1, y1 = corners
        size = ((x1 - x0) * SUPERSAMPLE, (y1 - y0) * SUPERSAMPLE)
        self._layer = Image.new("RGBA", size, (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._layer)
        self._origin = np.array([x0, y0])

    def reduced(self) -> Image.Image:
        """The layer in the size of the tile, RGBA."""
        return self._layer.reduce(SUPERSAMPLE)

    def _on_layer(self, points: np.ndarray) -> list[tuple[float, float]]:
        return [tuple(point) for point in (points - self._origin) * SUPERSAMPLE]

    def line(self, points: np.ndarray, colour: tuple, width: float) -> None:
        """A line through (N, 2) points (x, y) with a dark rim, which shows on any background."""
        for pen, ink in ((width + max(1, width * 0.6), RIM), (width, colour)):
            thickness = max(1, round(pen * SUPERSAMPLE))
            self._draw.line(self._on_layer(points), ink, thickness, joint="curve")

    def dots(self, points: np.ndarray, colours: Sequence[tuple], radius: float) -> None:
        """Dots with a dark rim."""
        rim = max(1, round(radius * 0.3 * SUPERSAMPLE))
        for xy, colour in zip(self._on_layer(points), colours, strict=True):
            self._draw.circle(xy, radius * SUPERSAMPLE, fill=colour, outline=RIM, width=rim)

    def cross(self, centre: np.ndarray, radius: float) -> None:
        """A red disc with a white cross."""
        ((x, y),) = self._on_layer(centre[None])
        radius = radius * SUPERSAMPLE
        self._draw.circle((x, y), radius, fill=RED, outline=WHITE, width=round(radius * 0.18))
        arm = radius * 0.42
        for sign in (-1, 1):
            ends = [(x - arm, y - sign * arm), (x + arm, y + sign * arm)]
            self._draw.line(ends, WHITE, max(1, round(radius * 0.25)))

    def plate(self, corners: tuple[float, ...], radius: float, colour: tuple) -> None:
        """A rectangle x0, y0, x1, y1 with round corners."""
        on_layer = self._on_layer(np.array(corners).reshape(2, 2))
        self._draw.rounded_rectangle(on_layer, radius * SUPERSAMPLE, fill=colour)
