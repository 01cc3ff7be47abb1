"""Pictures of the landmark schemes: numbers, parts, and where patches are cut."""

from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from musica.drawing.labels import number_directions
from musica.geometry.landmarks import Scheme

BACKGROUND, GREY = "#fbfbf9", "0.72"
COLOURS = {
    "jaw": "tab:blue",
    "brows": "#c46a00",
    "nose": "#8a7500",
    "eyes": "#00805e",
    "outer mouth": "#c2188f",
    "inner mouth": "#6f4fc0",
    "pupils": "0.15",
}


def draw_scheme(scheme: Scheme, points: np.ndarray, title: str, note: str) -> Figure:
    """Draws a scheme: its numbered points, and a small face for each default patch count.

    Args:
        scheme: the scheme of the points.
        points: (N, 2), (y, x).
        title: the title of the picture.
        note: a line below the picture that says where the face comes from.
    """
    figure = Figure(figsize=(9, 6), facecolor=BACKGROUND)
    figure.text(0.02, 0.955, title, fontsize=13, weight="bold", va="center")
    _numbered(figure.add_axes((0.01, 0.07, 0.64, 0.86)), scheme, points)
    _legend(figure, scheme)
    figure.text(0.02, 0.03, note, fontsize=8, color="0.35", va="center")
    figure.text(0.68, 0.66, "points that patches are cut around", fontsize=9.5, weight="bold")
    counts = sorted(scheme.patch_indices)
    columns = 2 if len(counts) > 2 else 1
    rows = -(-len(counts) // columns)
    width, height = 0.31 / columns, 0.6 / rows
    for index, count in enumerate(counts):
        row, column = divmod(index, columns)
        corner = (0.68 + column * width, 0.64 - (row + 1) * height)
        axes = figure.add_axes((*corner, width - 0.01, height - 0.05))
        default = " (default)" * (count == scheme.default_patch_count)
        axes.set_title(f"{count}{default}", fontsize=9)
        _patch_points(axes, scheme, points, scheme.patch_indices[count])
    return figure


def _numbered(axes: Axes, scheme: Scheme, points: np.ndarray) -> None:
    """The large face."""
    part_of = {index: part for part, indices in scheme.parts.items() for index in indices}
    colours = [COLOURS[part_of[index]] for index in range(scheme.count)]
    _contours(axes, scheme, points, [colours[contour.points[0]] for contour in scheme.contours])
    axes.scatter(points[:, 1], points[:, 0], s=11, c=colours, zorder=4)
    # Numbers are wider than high; shares of the face's width. A rim keeps lines off them.
    reach = np.ptp(points[:, 1]) * np.array([0.024, 0.026])
    rim = [withStroke(linewidth=2.2, foreground=BACKGROUND)]
    for index, direction in enumerate(number_directions(points)):
        y, x = points[index] + direction * reach
        style = {"fontsize": 7.5, "color": colours[index], "path_effects": rim}
        axes.text(x, y, str(index), ha="center", va="center_baseline", **style)
    _frame(axes, points, 0.05)


def _patch_points(axes: Axes, scheme: Scheme, points: np.ndarray, patches: tuple) -> None:
    """A small face with the points that patches are cut around."""
    _contours(axes, scheme, points, [GREY] * len(scheme.contours))
    chosen = points[list(patches)]
    axes.scatter(chosen[:, 1], chosen[:, 0], s=9, c="tab:blue", zorder=3)
    _frame(axes, points, 0.03)


def _contours(axes: Axes, scheme: Scheme, points: np.ndarray, colours: list[str]) -> None:
    for contour, colour in zip(scheme.contours, colours, strict=True):
        y, x = points[list(contour.points + contour.points[:1] * contour.closed)].T
        axes.plot(x, y, color=colour, linewidth=1.1)


def _frame(axes: Axes, points: np.ndarray, margin: float) -> None:
    """Shows the face upright, as large as it fits."""
    margin = margin * np.ptp(points, axis=0).max()
    (top, left), (bottom, right) = points.min(axis=0) - margin, points.max(axis=0) + margin
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    axes.axis("off")


def _legend(figure: Figure, scheme: Scheme) -> None:
    """The parts with their colours and numbers."""
    for index, (part, indices) in enumerate(scheme.parts.items()):
        y = 0.955 - index * 0.036
        figure.text(0.68, y, part, fontsize=9, color=COLOURS[part], weight="bold", va="center")
        figure.text(0.98, y, _ranges(indices), fontsize=9, color="0.25", ha="right", va="center")


def _ranges(indices: tuple[int, ...]) -> str:
    """Indices as ranges: 0-16."""
    runs = groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0])
    spans = [[index for _, index in run] for _, run in runs]
    return ", ".join(f"{span[0]}\N{EN DASH}{span[-1]}" for span in spans)
