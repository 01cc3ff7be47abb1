"""Annotated faces on disk."""

import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musica.errors import InputError
from musica.files import landmark_files, list_files
from musica.geometry import crops


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
    """Reads the annotations of listed faces; unusable ones are reported and skipped.

    Args:
        lists: files of image names; a list given twice counts its faces twice.
        image_dir: the folder the names are relative to.
        gt_path: the folder of the landmarks, .pts or .ljson; the image folder if None.
        bb_root: the folder of the boxes; the landmarks' tight boxes are used if None.
        landmark_count: the number of landmarks every face must have, or None for any.
        use: tells by its name whether a listed face is wanted.

    Raises:
        InputError: a list is unreadable, or no face is usable.
    """
    faces, problems = [], []
    names = [name for path in lists for name in list_files.read_list(path)]
    for name in filter(use, names):
        try:
            faces.append(_read_face(name, image_dir, gt_path or image_dir, bb_root, landmark_count))
        except InputError as error:
            problems.append(f"{name}: {error}")
    for problem in problems:
        print(f"skipped {problem}", file=sys.stderr)
    if not faces:
        raise InputError(f"no usable face in {', '.join(map(str, lists))}")
    return faces


def is_held_out(name: str, share: float) -> bool:
    """Whether a face belongs to the share that is kept out of training, for calibration.

    Its name decides alone, so every command that knows the share draws the same line.
    """
    return zlib.crc32(name.encode()) < share * 2**32


def _read_face(name, image_dir, gt_path, bb_root, landmark_count) -> AnnotatedFace:
    """Reads one face's annotation."""
    image = Path(image_dir, name)
    if not image.is_file():
        raise InputError(f"{image}: no such file")
    candidates = [
        Path(gt_path, name).with_suffix(suffix) for suffix in landmark_files.LANDMARK_SUFFIXES
    ]
    truth = next((path for path in candidates if path.is_file()), candidates[0])
    landmarks = landmark_files.read_landmarks(truth, landmark_count)
    if bb_root:
        box = landmark_files.read_box(Path(bb_root, name).with_suffix(".pts"))
    else:
        box = crops.bounding_box(landmarks)
    if (box[2:] - box[:2] + 1).min() <= crops.MIN_BOX_SIDE:
        raise InputError(f"its box has a side of {crops.MIN_BOX_SIDE} pixels or less")
    return AnnotatedFace(name, image, landmarks, box)
