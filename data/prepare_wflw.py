r"""Lays out WFLW: 7500 faces to train with, 2500 to test with, 98 points.

    python data/prepare_wflw.py --image_dir=WFLW_images \
        --annotation_dir=WFLW_annotations/list_98pt_rect_attr_train_test \
        --output=data/wflw --boxes=official

An image often holds several annotated faces. Each becomes ``wflw/<image>_<k>`` with a copy of the
image (``--link``: a hard link, which takes no space). Lists: wflw_train, wflw_test, and the subsets
wflw_test_pose, _expression, _illumination, _make_up, _occlusion and _blur.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

import layout
import numpy as np

from musica.cli import command
from musica.cli.config import option, require
from musica.errors import InputError
from musica.files import list_files
from musica.files.image_files import image_formats
from musica.files.text_files import read_text
from musica.geometry.landmarks import WFLW_98

SUBSETS = {
    "pose": 326,
    "expression": 314,
    "illumination": 698,
    "make_up": 206,
    "occlusion": 736,
    "blur": 773,
}
PUBLISHED = {
    "wflw_train": 7500,
    "wflw_test": 2500,
    **{f"wflw_test_{subset}": count for subset, count in SUBSETS.items()},
}
TOKENS = 2 * WFLW_98.count + 4 + len(SUBSETS) + 1


@dataclass(frozen=True)
class WflwConfig(layout.FilesLayoutConfig):
    """Keys of the command."""

    image_dir: str = option("", "the folder WFLW_images", path=True)
    annotation_dir: str = option(
        "", "folder of list_98pt_rect_attr_train.txt and list_98pt_rect_attr_test.txt", path=True
    )

    BOXES: ClassVar[tuple[str, ...]] = (*layout.LayoutConfig.BOXES, "official")


@dataclass(frozen=True)
class Line:
    """A line of one of the two lists."""

    where: str
    split: str
    text: str


def prepare(config: WflwConfig) -> bool:
    """Writes the data set; returns whether some faces were left out."""
    require(config, "image_dir", "annotation_dir")
    lines = [
        line for split in ("train", "test") for line in _lines(Path(config.annotation_dir), split)
    ]
    faces_in: Counter[str] = Counter()
    return layout.write(
        config,
        lines,
        lambda line: _face(line, Path(config.image_dir), faces_in),
        published=PUBLISHED,
        link=config.link,
        repeat={"wflw_train": config.repeat},
    )


def _lines(folder: Path, split: str) -> Iterator[Line]:
    """The lines of a list, without blank ones."""
    path = folder / f"list_98pt_rect_attr_{split}.txt"
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read this list: {error}") from error
    for number, text in enumerate(lines, 1):
        if text.strip():
            yield Line(f"{path.name}:{number}", split, text)


def _face(line: Line, image_dir: Path, faces_in: Counter[str]) -> layout.Face:
    """Reads a line: 196 coordinates x y (0-based), box, six flags, image name.

    Args:
        line: the line.
        image_dir: the folder that its image name is relative to.
        faces_in: the number of faces of each image that were read before; this face is added.

    Raises:
        InputError: the line holds something else.
    """
    *numbers, name = line.text.split()
    try:
        values = np.array(numbers, np.float64)
        path = PurePosixPath(list_files.check_name(name))
    except ValueError as error:  # InputError is a ValueError, too
        raise InputError(f"{line.where}: {error}") from error
    if len(values) != TOKENS - 1:
        raise InputError(f"{line.where}: {len(values) + 1} tokens where {TOKENS} are needed")
    flags = values[-len(SUBSETS) :]
    if not np.isfinite(values).all() or not np.isin(flags, (0, 1)).all():
        raise InputError(f"{line.where}: its numbers are not finite, or its flags not 0 or 1")
    if path.suffix.lower() not in image_formats():
        raise InputError(f"{line.where}: {name!r} is not the name of an image")
    stem = str(path.with_suffix(""))
    number = faces_in[stem]
    faces_in[stem] += 1
    lists = [f"wflw_{line.split}"]
    if line.split == "test":
        lists += [f"wflw_test_{subset}" for subset, on in zip(SUBSETS, flags, strict=True) if on]
    return layout.Face(
        name=f"wflw/{stem}_{number}{path.suffix}",
        image=image_dir / path,
        landmarks=values[: 2 * WFLW_98.count].reshape(-1, 2)[:, ::-1],
        lists=tuple(lists),
        box=values[2 * WFLW_98.count :][:4],
    )


if __name__ == "__main__":
    command.run(WflwConfig, prepare, __doc__)
