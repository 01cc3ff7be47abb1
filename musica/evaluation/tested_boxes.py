"""In which boxes faces were tested: published numbers compare with those in found boxes alone.

A box that is drawn around the true landmarks tells where the face is, and makes all errors smaller.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from musica.errors import InputError
from musica.files import landmark_files, table_files

# The table that ``musica-inference`` writes beside its landmarks, and how exact its corners are.
TABLE, PRECISION = "predictions.csv", 0.02
CORNERS = ("x0", "y0", "x1", "y1")


def check_boxes(folder: Path | str, truths: Iterable[tuple[str, np.ndarray]]) -> None:
    """Refuses estimates that were made in the boxes of the true landmarks.

    Estimates without a readable table pass: nothing is known of their boxes.

    Args:
        folder: of the estimates.
        truths: each face's name, relative to the folder and without suffix, and its (N, 2) true
            landmarks, (y, x) pixels.

    Raises:
        InputError: the boxes of most faces are the tight boxes of their true landmarks.
    """
    boxes = _boxes(Path(folder, TABLE))
    tight = [
        np.abs(boxes[name] - landmark_files.tight_box(truth)).max() < PRECISION
        for name, truth in truths
        if name in boxes
    ]
    if sum(tight) > len(tight) / 2:
        raise InputError(
            f"{folder}: {sum(tight)} of {len(tight)} faces were aligned in boxes drawn around "
            "their true landmarks, which makes errors smaller; published numbers need found boxes: "
            "prepare the data set with --boxes=official (WFLW), folder (MDM's, of 300W) or detector"
        )


def _boxes(path: Path) -> dict[str, np.ndarray]:
    """The boxes (4,) in a table, by the names of the faces; none of rows that are damaged."""
    boxes = {}
    try:
        with table_files.open_table(path, "r") as file:
            for row in csv.DictReader(file, strict=True):
                try:
                    name = Path(row["landmarks"]).with_suffix("").as_posix()
                    boxes[name] = np.array([float(row[corner]) for corner in CORNERS])
                except (KeyError, TypeError, ValueError):
                    continue
    except (OSError, ValueError, csv.Error):
        return {}
    return boxes
