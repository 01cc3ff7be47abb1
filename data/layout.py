"""Writes faces as a data set in the release's layout; all preparation scripts use it.

``images/<name>`` has the landmarks beside it as .pts, ``bb/<name>.pts`` holds the box's corners,
and ``lists/<list>.txt`` holds names. The folder appears when it is complete, or not at all.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from musica.cli.config import option
from musica.cli.progress import progress_bar
from musica.errors import InputError
from musica.files import annotated_faces, image_files, landmark_files, list_files, writing
from musica.geometry import crops
from musica.geometry.box_conventions import overlaps

Source = TypeVar("Source")
# A detected box belongs to another face if it shares less of its union with the landmarks' box.
MIN_OVERLAP = 0.3
# The directions that explain the rest of the shapes' variance are mostly the annotators' noise.
EXPLAINED_VARIANCE = 0.98


@dataclass(frozen=True)
class LayoutConfig:
    """Keys of every preparation script."""

    output: str = option("", "folder to write; it must not exist yet", path=True)
    boxes: str = option(
        "landmarks",
        "landmarks: the tight box of the landmarks; folder: the boxes in bb_root; detector: the "
        "detected box that fits best; official: the box in the list (WFLW only)",
    )
    bb_root: str = option("", "folder of boxes, named as in the output's bb/", path=True)

    BOXES: ClassVar[tuple[str, ...]] = ("landmarks", "folder", "detector")


@dataclass(frozen=True)
class FilesLayoutConfig(LayoutConfig):
    """Keys of the scripts that find images as files, some of them for training."""

    link: bool = option(False, "hard-link the images where possible, instead of copying them")
    repeat: int = option(
        1, "largest number of times that <training list>_mahal.txt names a rare shape; 1: no list"
    )


@dataclass(frozen=True)
class Face:
    """One annotated face.

    Attributes:
        name: its image's name in the data set, relative to ``images/``.
        image: the image file, which is copied unchanged, or (H, W, 3) uint8 pixels.
        landmarks: (N, 2) float64, (y, x) image pixels, 0-based.
        lists: the lists that name it.
        box: (4,) x0, y0, x1, y1 from the data set's owners, or None.
    """

    name: str
    image: Path | np.ndarray
    landmarks: np.ndarray
    lists: tuple[str, ...]
    box: np.ndarray | None = None


# The name, landmarks and lists of a face.
Written: TypeAlias = tuple[str, np.ndarray, tuple[str, ...]]


def write(
    config: LayoutConfig,
    sources: Sequence[Source],
    read: Callable[[Source], Face],
    *,
    published: Mapping[str, int] | None = None,
    link: bool = False,
    repeat: Mapping[str, int] | None = None,
    extra: Mapping[str, str] | None = None,
) -> bool:
    """Writes a data set, whole or not at all; names a face that cannot be used, and leaves it out.

    Args:
        config: the output folder and the kind of boxes.
        sources: one for each face.
        read: returns a source's face, or raises an InputError that names the source.
        published: list -> its published number of faces; another number gives a warning.
        link: whether image files are hard-linked instead of copied.
        repeat: list -> the largest number of times that ``<list>_mahal`` names a face; 1: no list.
        extra: name of a further file in the folder -> its text.

    Returns:
        Whether some faces were left out.

    Raises:
        InputError: a key cannot be used, the folder exists already, or every face is unusable.
    """
    published, repeat = dict(published or {}), repeat or {}
    if min(repeat.values(), default=1) < 1:
        raise InputError("repeat must be at least 1")
    boxes = _Boxes(config)
    with _new_folder(config.output) as folder:

        def written(source: Source) -> Written:
            face = read(source)
            _write_face(folder, face, boxes, link)
            return face.name, face.landmarks, face.lists  # without the pixels

        found = annotated_faces.usable(counted(sources), written, name=None)
        faces = [face for _, face in found]
        if not faces:
            raise InputError("no face is usable")
        sizes = _write_lists(folder / "lists", faces, repeat)
        for name, text in (extra or {}).items():
            writing.write_text(folder / name, text)
    for name in sorted(sizes | published):
        size = sizes.get(name, 0)
        print(f"{name}: {size} faces")
        if size != published.get(name, size):
            print(f"warning: {name} was published with {published[name]} faces", file=sys.stderr)
    skipped = len(sources) - len(faces)
    notes = [f"{len(faces)} faces written to {config.output}"]
    notes += [f"{boxes.missing} without such a box in the box of their landmarks"] * bool(
        boxes.missing
    )
    notes += [f"{skipped} skipped"] * (skipped > 0)
    print(", ".join(notes))
    return skipped > 0


def counted(items: Sequence[Source]) -> Iterator[Source]:
    """Iterates, with a progress bar on a terminal."""
    with progress_bar(len(items), "face") as bar:
        for item in items:
            yield item
            bar.update()


@contextmanager
def _new_folder(path: str) -> Iterator[Path]:
    """Gives a temporary folder beside ``path``, which is renamed to it when the block succeeds."""
    if not path:
        raise InputError("output is missing")
    final = Path(path)
    if final.exists():
        raise InputError(f"{final}: exists already; name another folder, or remove it")
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=final.parent) as temporary:
        # One folder deeper, where permissions are the ordinary ones.
        folder = Path(temporary, final.name)
        folder.mkdir()
        yield folder
        folder.rename(final)


def _write_face(folder: Path, face: Face, boxes: "_Boxes", link: bool) -> None:
    """Writes a face's image, landmarks and box.

    Raises:
        InputError: its image, name, landmarks or box cannot be used. The message names the face.
    """
    try:
        # A name with a line break would be two in a list.
        if list_files.check_name(face.name) != face.name.strip() or not face.name.isprintable():
            raise InputError("its name cannot stand in a list")
        pixels = face.image
        if isinstance(pixels, Path):
            if not pixels.is_file():
                raise InputError(f"{pixels}: no such file")
            pixels = image_files.read_image(pixels)
        box = boxes.find(face, pixels)
        image = folder / "images" / face.name
        landmarks = image.with_suffix(".pts")
        if landmarks.exists():
            raise InputError("another face has the same name")
    except (InputError, OSError) as error:
        raise InputError(f"{face.name!r}: {error}") from error
    landmark_files.write_landmarks(landmarks, face.landmarks)
    landmark_files.write_box((folder / "bb" / face.name).with_suffix(".pts"), box)
    if isinstance(face.image, Path):
        _take(face.image.resolve(), image, link)
    else:
        image_files.write_image(image, Image.fromarray(pixels))


def _take(source: Path, target: Path, link: bool) -> None:
    """Copies a file, or hard-links it where that is possible."""
    if link:
        with suppress(OSError):  # another file system, or one without links
            os.link(source, target)
            return
    shutil.copyfile(source, target)


def _write_lists(
    folder: Path, faces: Sequence[Written], repeat: Mapping[str, int]
) -> dict[str, int]:
    """Writes the lists; returns list -> its number of lines."""
    lists: dict[str, list[str]] = {}
    for name, _, of_face in faces:
        for listed in of_face:
            lists.setdefault(listed, []).append(name)
    for listed, most in repeat.items():
        shapes = [landmarks for _, landmarks, of_face in faces if listed in of_face]
        if shapes and most > 1:
            lists[f"{listed}_mahal"] = np.repeat(
                lists[listed], repetitions(np.array(shapes), most)
            ).tolist()
    for listed, names in lists.items():
        writing.write_text(folder / f"{listed}.txt", "\n".join(names) + "\n")
    return {listed: len(names) for listed, names in lists.items()}


def repetitions(shapes: np.ndarray, most: int) -> np.ndarray:
    """How often each shape is listed so that training sees more of the rare ones.

    According to the Mahalanobis distance from the mean shape, the rarer half is listed twice, the
    rarest quarter three times, and so on. The name of the release's list,
    ``wflw_files_augmented_mahal.txt``, suggests this; the list itself is not public.

    Args:
        shapes: (F, N, 2) landmarks; each is placed in its tight box, whose longer side becomes 1.
        most: the largest number of times.

    Returns:
        (F,) int, 1 to ``most``.
    """
    extent = np.ptp(shapes, axis=1, keepdims=True)
    placed = (shapes - shapes.min(axis=1, keepdims=True)) / extent.max(axis=2, keepdims=True)
    centred = (placed - placed.mean(axis=0)).reshape(len(shapes), -1)
    scores, deviations, _ = np.linalg.svd(centred, full_matrices=False)
    explained = np.cumsum(deviations**2)
    kept = np.searchsorted(explained, EXPLAINED_VARIANCE * explained[-1]) + 1
    distances = np.linalg.norm(scores[:, :kept], axis=1)
    at_least_as_rare = np.empty(len(shapes))
    at_least_as_rare[np.argsort(-distances)] = np.arange(1, len(shapes) + 1) / len(shapes)
    return (1 - np.log2(at_least_as_rare)).astype(int).clip(1, most)


class _Boxes:
    """Finds each face's box in the configured way.

    Attributes:
        missing: the number of faces without such a box; they got the box of their landmarks.
    """

    def __init__(self, config: LayoutConfig) -> None:
        self.way = config.boxes
        self.folder = config.bb_root
        self.missing = 0
        if self.way not in config.BOXES:
            raise InputError(f"boxes must be {', '.join(config.BOXES)}; not {self.way!r}")
        if (self.way == "folder") != bool(self.folder):
            raise InputError("boxes=folder and bb_root belong together")
        if self.folder and not Path(self.folder).is_dir():
            raise InputError(f"{self.folder}: no such folder")
        self.detector = None
        if self.way == "detector":
            try:
                from musica.alignment.detector import FaceDetector
            except ImportError as error:
                raise InputError(f"boxes=detector needs the face detector: {error}") from error
            self.detector = FaceDetector()

    def find(self, face: Face, pixels: np.ndarray) -> np.ndarray:
        """The box (4,) of a face with pixels (H, W, 3).

        Raises:
            InputError: the landmarks or the box span nothing, or the box's file is unreadable.
        """
        tight = landmark_files.tight_box(face.landmarks)
        crops.rounded_box(tight)
        box: np.ndarray | None = tight
        if self.way == "official":
            box = face.box
        elif self.way == "folder":
            path = Path(self.folder, face.name).with_suffix(".pts")
            if not path.is_file():  # 300W's "image_092 _01" is MDM's "image_092_01"
                path = path.with_name(path.name.replace(" ", ""))
            box = landmark_files.read_box(path) if path.is_file() else None
        elif self.detector:
            found = self.detector.detect(pixels)
            shares = overlaps(tight, np.reshape(found, (-1, 4)))
            box = found[shares.argmax()] if (shares >= MIN_OVERLAP).any() else None
        if box is None:
            self.missing += 1
            return tight
        crops.rounded_box(box)
        return box
