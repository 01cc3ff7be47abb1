"""The data sets' archives: which are there, and where to get the others."""

from dataclasses import dataclass
from pathlib import Path

WFLW_PAGE = "https://wywu.github.io/projects/LAB/WFLW.html"
IBUG_PAGE = "https://ibug.doc.ic.ac.uk/resources/300-W/"
MDM_PAGE = "https://github.com/trigeorgis/mdm"
LISTS = "WFLW_annotations/list_98pt_rect_attr_train_test"


@dataclass(frozen=True)
class Archive:
    """A folder that comes out of an archive.

    Attributes:
        folder: relative to the folder of the archives; letters may be in any case.
        parts: what it is needed for: ``train``, ``test``, ``private`` or ``boxes``.
        page: where its owners offer it.
    """

    folder: str
    parts: tuple[str, ...]
    page: str


ARCHIVES = {
    "wflw": (
        Archive("WFLW_images", ("train", "test"), WFLW_PAGE),
        Archive(LISTS, ("train", "test"), WFLW_PAGE),
    ),
    "300w": (
        Archive("afw", ("train",), IBUG_PAGE),
        Archive("helen/trainset", ("train",), IBUG_PAGE),
        Archive("lfpw/trainset", ("train",), IBUG_PAGE),
        Archive("helen/testset", ("test",), IBUG_PAGE),
        Archive("lfpw/testset", ("test",), IBUG_PAGE),
        Archive("ibug", ("test",), IBUG_PAGE),
        Archive("300W", ("private",), IBUG_PAGE),
        Archive("bbs", ("boxes",), MDM_PAGE),
    ),
}
# Without one of its folders WFLW cannot be read; 300W can, as far as its folders go.
ALL_NEEDED = ("wflw",)


@dataclass(frozen=True)
class Available:
    """What the archives at hand are good for.

    Attributes:
        parts: the parts for which there is something.
        missing: the archives that are not there.
    """

    parts: frozenset[str]
    missing: tuple[Archive, ...]

    @classmethod
    def of(cls, name: str, source: Path) -> "Available":
        """Looks for the archives of a data set in a folder."""
        there = {archive: _exists(source, archive.folder) for archive in ARCHIVES[name]}
        missing = tuple(archive for archive, found in there.items() if not found)
        if missing and name in ALL_NEEDED:
            return cls(frozenset(), missing)
        parts = {part for archive, found in there.items() if found for part in archive.parts}
        return cls(frozenset(parts), missing)

    def lines(self) -> list[str]:
        """A line for each missing archive."""
        return [
            f"missing: {archive.folder} (for: {', '.join(archive.parts)}), from {archive.page}"
            for archive in self.missing
        ]


def _exists(folder: Path, path: str) -> bool:
    """Whether a folder with such a path, in any case, is there."""
    folders = [folder]
    for wanted in path.lower().split("/"):
        children = (child for parent in folders if parent.is_dir() for child in parent.iterdir())
        folders = [child for child in children if child.name.lower() == wanted and child.is_dir()]
    return bool(folders)
