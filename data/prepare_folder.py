"""Lays out your own pictures, each with its landmarks beside it as .pts or .ljson.

    python data/prepare_folder.py --image_dir=mine --landmark_count=68 --output=data/mine
    python data/prepare_folder.py --image_dir=mine --scheme=mine.json --output=data/mine

Folders below ``image_dir`` are kept. ``lists/<name>.txt`` names all faces. A scheme of your own is
a JSON such as::

    {"name": "five", "count": 5, "mirror": [1, 0, 2, 4, 3], "eye_corners": [0, 1],
     "parts": {"eyes": [0, 1], "nose": [2], "mouth": [3, 4]}}

Landmarks count from 0; ``mirror[i]`` takes place ``i`` in the mirrored face; the two outer eye
corners are mirrored onto each other; each landmark is in one part. ``scheme.json`` keeps a copy.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import layout
import numpy as np

from musica.cli import command, config
from musica.cli.config import option, require
from musica.errors import InputError
from musica.files import landmark_files
from musica.files.image_files import image_formats
from musica.geometry.landmarks import IBUG_68, SCHEMES, scheme_for

MAX_COUNT = 1000


@dataclass(frozen=True)
class FolderConfig(layout.FilesLayoutConfig):
    """Keys of the command."""

    image_dir: str = option("", "folder of the pictures and their landmarks", path=True)
    name: str = option("", "name of the set (default: image_dir's name)")
    landmark_count: int | None = option(None, "points of each face (default: the scheme's, or 68)")
    index_base: int = option(1, "number of the first pixel in a .pts: 1 as in 300W, or 0")
    scheme: str = option("", "JSON of a landmark scheme other than 68 and 98", path=True)


@dataclass(frozen=True)
class CustomScheme:
    """The meaning of each landmark in a scheme of one's own.

    ``musica.geometry.landmarks.Scheme`` has the same attributes.
    """

    name: str = option("", "name of the scheme")
    count: int = option(0, "number of landmarks")
    mirror: list[int] = option([], "the landmark that takes each place in the mirrored face")
    eye_corners: list[int] = option([], "the two outer eye corners")
    parts: dict = option({}, "facial part -> its landmarks")


def prepare(configuration: FolderConfig) -> bool:
    """Writes the data set; returns whether some faces were left out."""
    require(configuration, "image_dir")
    if configuration.index_base not in (0, 1):
        raise InputError(f"index_base must be 0 or 1, not {configuration.index_base}")
    folder = Path(configuration.image_dir)
    name = configuration.name or folder.name
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise InputError(f"name: {name!r} must be letters, digits, '.', '_' or '-'")
    count, extra = configuration.landmark_count, {}
    if configuration.scheme:
        scheme = read_scheme(configuration.scheme)
        if count not in (None, scheme.count):
            raise InputError(f"landmark_count is {count}, but the scheme has {scheme.count}")
        count = scheme.count
        extra["scheme.json"] = json.dumps(asdict(scheme)) + "\n"
    else:
        count = scheme_for(count or IBUG_68.count).count

    def face(files: list[Path]) -> layout.Face:
        image, landmarks = read_pair(files, count, configuration.index_base)
        relative = Path(name, image.relative_to(folder))
        return layout.Face(relative.as_posix(), image, landmarks, (name,))

    return layout.write(
        configuration,
        files_by_stem(folder),
        face,
        link=configuration.link,
        repeat={name: configuration.repeat},
        extra=extra,
    )


def files_by_stem(folder: Path) -> list[list[Path]]:
    """The images and landmark files under a folder; files that differ in their suffix are a group.

    Hidden files are left out: archives made on a Mac hold one for each image.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    known = {*image_formats(), *landmark_files.LANDMARK_SUFFIXES}
    groups: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("[!.]*")):
        if path.suffix.lower() in known and path.is_file():
            groups.setdefault(path.with_suffix(""), []).append(path)
    return list(groups.values())


def read_pair(files: Sequence[Path], count: int, index_base: int = 1) -> tuple[Path, np.ndarray]:
    """Reads a group of ``files_by_stem``.

    Args:
        files: the group.
        count: the number of landmarks N.
        index_base: as for ``read_landmarks``.

    Returns:
        The image, and (N, 2) landmarks, (y, x) pixels.

    Raises:
        InputError: it is not one image and one readable landmark file with ``count`` points.
    """
    images = [path for path in files if path.suffix.lower() in image_formats()]
    others = [path for path in files if path not in images]
    if len(images) != 1 or len(others) != 1:
        found = ", ".join(path.name for path in files)
        raise InputError(
            f"{files[0].with_suffix('')}: needs one image and one .pts or .ljson, found {found}"
        )
    return images[0], landmark_files.read_landmarks(others[0], count, index_base)


def read_scheme(path: str) -> CustomScheme:
    """Reads and checks a landmark scheme.

    Raises:
        InputError: the JSON is unreadable, or its values contradict each other.
    """
    scheme = config.load(CustomScheme, path)
    landmarks, mirror, corners = range(scheme.count), scheme.mirror, scheme.eye_corners
    if not scheme.name or not 1 <= scheme.count <= MAX_COUNT:
        raise InputError(f"{path}: needs a name, and a count of 1 to {MAX_COUNT}")
    if scheme.count in SCHEMES:
        raise InputError(f"{path}: {scheme.count} points already have a scheme")
    if sorted(mirror) != list(landmarks) or any(mirror[mirror[i]] != i for i in landmarks):
        raise InputError(f"{path}: mirror must name each landmark once, and undo itself")
    if (
        len(corners) != 2
        or not set(corners) <= set(landmarks)
        or corners[0] == corners[1]
        or mirror[corners[0]] != corners[1]
    ):
        raise InputError(f"{path}: eye_corners must be two landmarks that mirror swaps")
    for part in scheme.parts.values():
        if not isinstance(part, list) or not all(type(index) is int for index in part):
            raise InputError(f"{path}: a part must be a list of landmarks, not {part!r}")
    if sorted(index for part in scheme.parts.values() for index in part) != list(landmarks):
        raise InputError(f"{path}: each landmark must be in one of the parts")
    return scheme


if __name__ == "__main__":
    command.run(FolderConfig, prepare, __doc__)
