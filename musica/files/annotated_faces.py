"""Annotated faces on disk."""

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

import numpy as np

from musica.errors import InputError, one_line
from musica.files import landmark_files, list_files
from musica.geometry import crops

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class AnnotatedFace:
    """One face with its truth.

    Attributes:
        name: the image's name relative to the image folder.
        image: the image file.
        landmarks: (N, 2) float64, (y, x) image pixels.
        box: (4,) float64, x0, y0, x1, y1.
    """

    name: str
    image: Path
    landmarks: np.ndarray
    box: np.ndarray


def read_faces(
    lists: Sequence[Path | str],
    image_dir: Path | str,
    gt_path: Path | str | None = None,
    bb_root: Path | str | None = None,
    landmark_count: int | None = None,
    use: Callable[[str], bool] = lambda name: True,
) -> list[AnnotatedFace]:
    """Reads the annotations of listed faces; a face that cannot be used is named on stderr.

    Args:
        lists: files of image names; a list given twice counts its faces twice.
        image_dir: the folder that the names are relative to.
        gt_path: the folder of the landmarks, .pts or .ljson; the image folder if None.
        bb_root: the folder of the boxes; the landmarks' tight boxes are used if None.
        landmark_count: the number of landmarks that every face must have, or None for any.
        use: tells by its name whether a listed face is wanted.

    Raises:
        InputError: a list is unreadable, or no face is usable.
    """
    names = [name for path in lists for name in list_files.read_list(path)]
    read = partial(
        _read_face,
        image_dir=image_dir,
        gt_path=gt_path or image_dir,
        bb_root=bb_root,
        landmark_count=landmark_count,
    )
    faces = [face for _, face in usable(filter(use, names), read, name=str)]
    if not faces:
        raise InputError(f"no usable face in {', '.join(map(str, lists))}")
    return faces


def usable(
    items: Iterable[Item],
    make: Callable[[Item], Made],
    name: Callable[[Item], str] | None = attrgetter("name"),
) -> Iterator[tuple[Item, Made]]:
    """Yields each face with the result of a function; names the faces that it refuses on stderr.

    Args:
        items: faces, or whatever stands for them.
        make: takes one of them; raises InputError if it cannot be used.
        name: the name of one of them; None: the errors of ``make`` name it already.
    """
    for item in items:
        try:
            made = make(item)
        except InputError as error:
            print(one_line(f"skipped {name(item) + ': ' if name else ''}{error}"), file=sys.stderr)
        else:
            yield item, made


def is_held_out(name: str, share: float) -> bool:
    """Whether a face belongs to the share that is kept out of training, for calibration.

    The name alone decides, so that all commands with the same share choose the same faces.
    """
    return zlib.crc32(name.encode()) < share * 2**32


def _read_face(
    name: str,
    image_dir: Path | str,
    gt_path: Path | str,
    bb_root: Path | str | None,
    landmark_count: int | None,
) -> AnnotatedFace:
    """Reads one face's annotation; arguments and errors as for ``read_faces``."""
    image = Path(image_dir, name)
    if not image.is_file():
        raise InputError(f"{image}: no such file")
    candidates = [
        Path(gt_path, name).with_suffix(suffix) for suffix in landmark_files.LANDMARK_SUFFIXES
    ]
    truth = next((path for path in candidates if path.is_file()), candidates[0])
    landmarks = landmark_files.read_truth(truth, landmark_count)
    if bb_root:
        box = landmark_files.read_box(Path(bb_root, name).with_suffix(".pts"))
    else:
        box = crops.bounding_box(landmarks)
    if (box[2:] - box[:2] + 1).min() <= crops.MIN_BOX_SIDE:
        raise InputError(f"its box has a side of {crops.MIN_BOX_SIDE} pixels or less")
    return AnnotatedFace(name, image, landmarks, box)
