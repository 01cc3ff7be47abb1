"""The pictures in a folder, and the files there that cannot be read as pictures."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from musica.errors import InputError
from musica.files.image_files import HEIF_SUFFIXES, image_formats

# Files that nobody expects to be aligned: landmarks, lists, tables, notes, archives, side files.
COMPANIONS = {
    *(".pts", ".ljson", ".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml"),
    *(".mat", ".npy", ".npz", ".pkl", ".h5", ".hdf5", ".md", ".rst", ".html", ".pdf", ".log"),
    *(".py", ".ipynb", ".sh", ".zip", ".gz", ".tar", ".tgz", ".aae", ".xmp", ".db", ".ini"),
}
NO_SUFFIX = "without suffix"
# The largest number of kinds of files that are named.
NAMED_KINDS = 8


class FoundPictures(NamedTuple):
    """What a folder holds.

    Attributes:
        pictures: files with the suffix of a format that is read; also broken links of such a name
            and folders that cannot be read: reading them says what is wrong.
        left_out: how many other files there are, by suffix, without ``COMPANIONS``.
    """

    pictures: list[Path]
    left_out: Counter[str]


def find_pictures(folder: Path, without: Path) -> FoundPictures:
    """Finds the pictures in a folder and the folders below it, by their suffixes.

    Linked folders are followed, every folder once. Hidden files and folders are passed over.

    Args:
        folder: where to look.
        without: a folder whose files are passed over, such as the results'.

    Raises:
        InputError: the folder itself cannot be read.
    """
    formats, real_without = image_formats(), os.path.realpath(without)
    pictures: list[Path] = []
    left_out: Counter[str] = Counter()

    def unreadable(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise InputError(f"{folder}: {error.strerror}") from error
        pictures.append(Path(error.filename))

    for path in _files(folder, unreadable):
        suffix = path.suffix.lower()
        inside = Path(os.path.realpath(path)).is_relative_to(real_without)
        if suffix in COMPANIONS or inside:
            continue
        if suffix in formats:
            pictures.append(path)
        else:
            left_out[suffix if re.fullmatch(r"\.[a-z0-9]{1,10}", suffix) else NO_SUFFIX] += 1
    return FoundPictures(sorted(pictures), left_out)


def _files(folder: Path, unreadable: Callable[[OSError], None]) -> Iterator[Path]:
    """Yields the files below a folder; the folders that it holds come before linked ones."""
    # A link to a folder above this one would be a loop.
    seen = {str(parent) for parent in Path(os.path.realpath(folder)).parents}
    waiting = [folder]
    while waiting:
        for parent, folders, names in os.walk(waiting.pop(0), onerror=unreadable):
            if (real := os.path.realpath(parent)) in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            paths = (Path(parent, name) for name in folders)
            waiting += [path for path in paths if path.is_symlink()]
            yield from (Path(parent, name) for name in names if not name.startswith("."))


def describe(left_out: Counter[str]) -> str:
    """Says how many files were left out, by kind: ``5 files left out: .cr2 3, .heic 2``."""
    kinds = sorted(left_out.items(), key=lambda kind: (-kind[1], kind[0]))
    named = [f"{suffix} {count}" for suffix, count in kinds[:NAMED_KINDS]]
    if others := sum(count for _, count in kinds[NAMED_KINDS:]):
        named.append(f"others {others}")
    advice = " (HEIC needs pip install 'musica[heif]')" * bool(left_out.keys() & {*HEIF_SUFFIXES})
    total = left_out.total()
    return f"{total} file{'s' * (total > 1)} left out: {', '.join(named)}{advice}"
