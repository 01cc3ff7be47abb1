"""Draws the README's pictures: ``python experiments/figures/draw.py --output=experiments/figures``.

They contain nobody's face: the points are the mean shape of the shipped model.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from architecture import draw_architecture
from faces import OPENING, mean_face_68, mean_face_98
from matplotlib.figure import Figure
from PIL import Image
from schemes import draw_scheme

from musica.files import writing
from musica.geometry.landmarks import IBUG_68, WFLW_98

# Twice the width of a README, for sharp screens.
DPI = 200


def landmarks_68() -> Figure:
    """The 68 points."""
    note = "The mean face of the shipped model, made symmetric, its mouth opened to make room."
    return draw_scheme(IBUG_68, mean_face_68(OPENING), "68 landmarks (iBUG)", note)


def landmarks_98() -> Figure:
    """The 98 points."""
    note = "Schematic: interpolated from the mean face of the 68-point model, not WFLW's mean face."
    return draw_scheme(WFLW_98, mean_face_98(), "98 landmarks (WFLW)", note)


PICTURES: dict[str, Callable[[], Figure]] = {
    "architecture": draw_architecture,
    "landmarks_68": landmarks_68,
    "landmarks_98": landmarks_98,
}


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as a PNG of few colours, which makes it small."""
    with writing.replacing(path) as temporary:
        figure.savefig(temporary, dpi=DPI, facecolor=figure.get_facecolor())
        with Image.open(temporary) as image:
            reduced = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        reduced.save(temporary, optimize=True)


def main() -> None:
    """Entry point of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder")
    output = parser.parse_args().output
    for name, picture in PICTURES.items():
        path = output / f"{name}.png"
        save(picture(), path)
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
