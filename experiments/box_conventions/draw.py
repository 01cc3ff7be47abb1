"""Draws the README's picture of the boxes: ``python experiments/box_conventions/draw.py``.

The face is the mean shape of the shipped model, no one's picture.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from musica.files import writing
from musica.geometry import crops
from musica.geometry.box_conventions import CONVENTIONS, BoxConvention
from musica.geometry.landmarks import SCHEMES
from musica.models.loading import load_musica

OUTPUT = Path(__file__).with_name("conventions.png")
COLOURS = ("green", "tab:blue", "tab:orange", "tab:red", "tab:purple")


def detector_box(tight: np.ndarray, convention: BoxConvention) -> np.ndarray:
    """The box a detector draws around a face: ``BoxConvention.to_landmark_box`` the other way."""
    corners = tight.reshape(2, 2)
    sides = (corners[1] - corners[0]) / [convention.width, convention.height]
    centre = corners.mean(axis=0) - [0, convention.down * sides[1]]
    return np.concatenate([centre - sides / 2, centre + sides / 2])


def draw() -> None:
    """Writes the picture."""
    points = np.asarray(load_musica().reference_shape)
    tight = crops.bounding_box(points)
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for contour in SCHEMES[len(points)].contours:
        y, x = points[list(contour.points + contour.points[:1] * contour.closed)].T
        axes.plot(x, y, color="0.3", linewidth=1.2)
    axes.plot(points[:, 1], points[:, 0], ".", color="0.3", markersize=4)
    for (name, convention), colour in zip(CONVENTIONS.items(), COLOURS, strict=True):
        x0, y0, x1, y1 = detector_box(tight, convention)
        width = 3 if name == "landmarks" else 1.8
        label = f"{name} (what the model wants)" if name == "landmarks" else name
        axes.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color=colour, lw=width, label=label)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.axis("off")
    figure.legend(loc="outside right center", frameon=False)
    with writing.replacing(OUTPUT) as temporary:
        figure.savefig(temporary, dpi=120)
    print(f"wrote {OUTPUT}")


if __name__ == "__main__":
    draw()
