"""Boxes, arrows and words in pixels, for diagrams."""

from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon

from musica.geometry.landmarks import SCHEMES

BACKGROUND, INK, DIM = "#fbfbf9", "0.1", "0.4"
GREY, BLUE, ORANGE = "0.45", "tab:blue", "#c46a00"
PURPLE, GREEN, RED = "#6f4fc0", "#00805e", "#c62828"
FONT_SIZE = 8.8
Point = tuple[float, float]
# A name that matplotlib knows, or red, green and blue from 0 to 1.
Colour = str | tuple[float, float, float]


@dataclass(frozen=True)
class Rectangle:
    """A place on the canvas: its top left corner and its size in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def middle(self) -> float:
        """The middle of its width."""
        return self.x + self.width / 2


class Canvas:
    """A figure that is drawn on in pixels, y downwards.

    Args:
        size: width and height, in pixels at 100 a figure inch.
    """

    def __init__(self, size: tuple[int, int]):
        self.figure = Figure(figsize=(size[0] / 100, size[1] / 100), facecolor=BACKGROUND)
        self._axes = self.figure.add_axes((0, 0, 1, 1))
        self._axes.set(xlim=(0, size[0]), ylim=(size[1], 0))
        self._axes.axis("off")

    def panel(self, corners: tuple[float, float, float, float], title: str) -> None:
        """A part of the diagram: x, y, width and height, and its title."""
        place = Rectangle(*corners)
        self._rounded(place, "0.85", "white", 8)
        self.text(place.x + 14, place.y + 16, title, size=10.5, bold=True, align="left")

    def rectangle(self, place: Rectangle, colour: str, fill: bool = True) -> None:
        """A box, lightly filled with the colour of its edge."""
        self._rounded(place, colour, _light(colour) if fill else "none", 4)

    def layer(self, place: Rectangle, colour: str, name: str) -> Rectangle:
        """A box with a name on top."""
        self.rectangle(place, colour)
        self.text(place.middle, place.y + 15, name, bold=True)
        return place

    def _rounded(self, place: Rectangle, edge: str, face: Colour, radius: float) -> None:
        style = f"round,pad=0,rounding_size={radius}"
        size = (place.width, place.height)
        box = FancyBboxPatch((place.x, place.y), *size, style, ec=edge, fc=face, linewidth=1.2)
        self._axes.add_patch(box)

    def diamond(self, centre: Point, halves: Point, text: str) -> None:
        """A question."""
        (x, y), (across, along) = centre, halves
        corners = [(x - across, y), (x, y - along), (x + across, y), (x, y + along)]
        self._axes.add_patch(Polygon(corners, fc=_light(GREY), ec=GREY, linewidth=1.2))
        self.text(x, y, text)

    def arrow(self, start: Point, end: Point, text: str = "", colour: str = GREY) -> None:
        """An arrow with words above it."""
        style = "-|>,head_length=4,head_width=2.6"
        options = {"shrinkA": 0, "shrinkB": 0, "color": colour, "linewidth": 1.4}
        self._axes.add_patch(FancyArrowPatch(start, end, arrowstyle=style, **options))
        if text:
            self.text((start[0] + end[0]) / 2 - 2, start[1] - 11, text, colour=DIM)

    def brace(self, ends: Point, y: float, text: str) -> None:
        """A line below things with a text that applies to all of them."""
        (left, right), hook = ends, 5
        line = [(left, y), (left, y + hook), (right, y + hook), (right, y)]
        self._axes.plot(*np.array(line).T, color=GREY, linewidth=1)
        self.text((left + right) / 2, y + 18, text, colour=DIM)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = FONT_SIZE,
        bold: bool = False,
        align: str = "center",
        colour: str = INK,
    ) -> None:
        """Words around, left or right of a point."""
        weight = "bold" if bold else "normal"
        style = {"fontsize": size, "weight": weight, "color": colour}
        self._axes.text(x, y, text, ha=align, va="center", **style)

    def face(self, points: np.ndarray, x: float, y: float, scale: float) -> None:
        """The contours of (N, 2) landmarks, (y, x), from a corner."""
        for contour in SCHEMES[len(points)].contours:
            indices = list(contour.points + contour.points[:1] * contour.closed)
            rows, columns = (points[indices] * scale).T
            self._axes.plot(x + columns, y + rows, color="0.5", linewidth=1)

    def dots(self, points: np.ndarray, x: float, y: float, scale: float) -> None:
        """Landmarks as dots; arguments as for ``face``."""
        rows, columns = (points * scale).T
        self._axes.plot(x + columns, y + rows, ".", color=ORANGE, markersize=2.4)


def _light(colour: str) -> Colour:
    """A colour, mixed with much white."""
    red, green, blue = 0.1 * np.array(to_rgb(colour)) + 0.9
    return red, green, blue
