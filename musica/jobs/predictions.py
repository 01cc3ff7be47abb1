"""The table of the aligned faces, with which a killed run goes on."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np

from musica.alignment.face import Face
from musica.files import table_files, writing
from musica.jobs import face_values
from musica.jobs.tasks import Task

# The last column of a row is one of these; otherwise the row was cut off.
WHOLE = ("0", "1")


class Predictions:
    """The table of all results in a folder, ``predictions.csv``; with it a killed run goes on.

    A picture's rows are added after its other results are written, so a picture is either done or
    not. The rows of earlier runs are kept until their pictures are done again. Two runs at the
    same time need a folder each.

    Args:
        folder: the results' folder.
        suffix: the suffix of the landmark files: .pts, .ljson or .json (``face_values.as_json``).
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("image", "face", "landmarks", "x0", "y0", "x1", "y1"),
        *face_values.COLUMNS,
    )

    def __init__(self, folder: Path, suffix: str) -> None:
        self.folder = folder
        self.suffix = suffix
        self.path = folder / "predictions.csv"
        # The rows of a picture by its first landmark file.
        self._pictures: dict[str, list[dict[str, str]]] = {}
        for row in self._rows():
            if row["face"] == "1":
                rows = self._pictures[row["landmarks"]] = []
            rows.append(row)

    def has(self, task: Task, draw: bool) -> bool:
        """Whether all results of a picture, its drawing too if ``draw``, are there."""
        rows = self._pictures.get(task.name + self.suffix)
        if not rows or rows[0]["image"] != str(task.image):
            return False
        names = [row["landmarks"] for row in rows] + [f"{task.name}.png"] * draw
        return all((self.folder / name).is_file() for name in names)

    def start(self, tasks: Iterable[Task]) -> None:
        """Writes the table without the rows of the pictures that are now to be done.

        Files that a killed run had begun are removed.
        """
        for rest in self.folder.rglob(f"{writing.TEMPORARY}*"):
            rest.unlink(missing_ok=True)
        names = {task.name + self.suffix for task in tasks}
        kept = [row for name, rows in self._pictures.items() if name not in names for row in rows]
        rows = ([row[column] for column in self.COLUMNS] for row in kept)
        table_files.write_table(self.path, self.COLUMNS, rows)

    def add(self, task: Task, boxes: Iterable[np.ndarray], faces: Iterable[Face]) -> None:
        """Adds the rows of a picture, all or none.

        Args:
            task: the picture.
            boxes: (4,) of each face, x0, y0, x1, y1.
            faces: the ``Face`` of each.
        """
        rows = [
            [
                *(task.image, index + 1, task.face_name(index) + self.suffix),
                *(f"{corner:.2f}" for corner in box),
                *face_values.cells(face),
            ]
            for index, (box, face) in enumerate(zip(boxes, faces, strict=True))
        ]
        size = self.path.stat().st_size
        try:
            with table_files.open_table(self.path, "a") as file:
                table_files.add_rows(file, rows)
        except OSError:  # the disk may be full in the middle of a row
            os.truncate(self.path, size)
            raise

    def _rows(self) -> list[dict[str, str]]:
        """The rows of an earlier run; empty without such a table."""
        try:
            with table_files.open_table(self.path, "r") as file:
                reader = csv.DictReader(file, strict=True)
                # The last may have been cut off, even where its last value begins.
                rows = [row for row in reader if None not in row and row.get("failed") in WHOLE]
        except (FileNotFoundError, csv.Error):
            return []
        return rows if tuple(reader.fieldnames or ()) == self.COLUMNS else []
