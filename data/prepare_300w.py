r"""Lays out 300W: 3148 faces to train with, 689 and 600 to test with, 68 points.

    python data/prepare_300w.py --source=300w --output=data/300w \
        --boxes=folder --bb_root=mdm/bbs

``source`` holds the folders afw, helen, lfpw, ibug and 300W as they come out of their archives.
Their names may be in any case, and some may be absent. Lists: 300w_train (AFW, HELEN and LFPW
train), 300w_common (HELEN and LFPW test), 300w_challenging (IBUG), 300w_full (common and
challenging), 300w_private (indoor and outdoor). MDM's folder of boxes lacks some faces.
"""

from dataclasses import dataclass
from pathlib import Path

import layout
from prepare_folder import files_by_stem, read_pair

from musica.cli import command
from musica.cli.config import option, require
from musica.errors import InputError
from musica.geometry.landmarks import IBUG_68

TRAIN, COMMON = ("300w_train",), ("300w_common", "300w_full")
CHALLENGING, PRIVATE = ("300w_challenging", "300w_full"), ("300w_private",)
# Folder -> the folder that is written, which MDM's folder of boxes also has, and the lists.
PARTS = {
    "afw": ("afw", TRAIN),
    "helen/trainset": ("helen/trainset", TRAIN),
    "lfpw/trainset": ("lfpw/trainset", TRAIN),
    "helen/testset": ("helen/testset", COMMON),
    "lfpw/testset": ("lfpw/testset", COMMON),
    "ibug": ("ibug", CHALLENGING),
    "300w/01_indoor": ("300w", PRIVATE),
    "300w/02_outdoor": ("300w", PRIVATE),
}
PUBLISHED = {
    "300w_train": 3148,
    "300w_common": 554,
    "300w_challenging": 135,
    "300w_full": 689,
    "300w_private": 600,
}


@dataclass(frozen=True)
class Config300W(layout.FilesLayoutConfig):
    """Keys of the command."""

    source: str = option("", "folder of afw, helen, lfpw, ibug and 300W", path=True)


def prepare(config: Config300W) -> bool:
    """Writes the data set; returns whether some faces were left out."""
    require(config, "source")
    sources = [
        (files, Path(target, files[0].relative_to(folder).parent), lists)
        for part, (target, lists) in PARTS.items()
        for folder in _folders(Path(config.source), part)
        for files in files_by_stem(folder)
    ]
    if not sources:
        raise InputError(f"{config.source}: holds none of {', '.join(PARTS)}")
    return layout.write(
        config,
        sources,
        lambda source: _face(*source),
        published=PUBLISHED,
        link=config.link,
        repeat={"300w_train": config.repeat},
    )


def _folders(folder: Path, part: str) -> list[Path]:
    """The folders of this name in any case; several if their names differ in case alone."""
    folders = [folder]
    for wanted in part.split("/"):
        folders = [
            child
            for parent in folders
            for child in sorted(parent.iterdir())
            if child.name.lower() == wanted and child.is_dir()
        ]
    return folders


def _face(files: list[Path], folder: Path, lists: tuple[str, ...]) -> layout.Face:
    """Reads an image and its .pts."""
    image, landmarks = read_pair(files, IBUG_68.count)
    return layout.Face((folder / image.name).as_posix(), image, landmarks, lists)


if __name__ == "__main__":
    command.run(Config300W, prepare, __doc__)
