"""What the preparation scripts share: faces are written as a data set in the release's layout.

``images/<name>`` with the landmarks beside it as .pts, ``bb/<name>.pts`` with the box's corners and
``lists/<list>.txt`` with names. The folder appears when it is complete, or not at all.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from musica.cli.config import option
from musica.errors import InputError
from musica.files import image_files, landmark_files, list_files, writing
from musica.geometry import crops
from musica.geometry.box_conventions import overlaps

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
# A detected box that shares less of its union with the landmarks' box is another face's.
MIN_OVERLAP = 0.3
# The directions that explain the rest of the shapes' variance are mostly the annotators' noise.
EXPLAINED_VARIANCE = 0.98


@dataclass(frozen=True)
class LayoutConfig:
    """Keys of every preparation script."""

    output: str = option("", "folder to write; it must not exist yet", path=True)
    boxes: str = option(
        "landmarks",
        "landmarks: their tight box; folder: those in bb_root; detector: the detected one that "
        "fits best; official: the list's own (WFLW only)",
    )
    bb_root: str = option("", "folder of boxes, named as in the output's bb/", path=True)

    BOXES = ("landmarks", "folder", "detector")


@dataclass(frozen=True)
class FilesLayoutConfig(LayoutConfig):
    """Keys of the scripts that find images as files, some of them for training."""

    link: bool = option(False, "hard-link the images, if that can be, instead of copying them")
    repeat: int = option(
        1, "how often rare shapes stand in <training list>_mahal.txt; 1: there is no such list"
    )


@dataclass(frozen=True)
class Face:
    """One annotated face.

    Attributes:
        name: its image's name in the data set, relative to ``images/``.
        image: the image file, which is taken as it is, or (H, W, 3) uint8 pixels.
        landmarks: (N, 2) float64, (y, x) image pixels, 0-based.
        lists: the lists it belongs to.
        box: (4,) x0, y0, x1, y1, the one it came with, or None.
    """

    name: str
    image: Path | np.ndarray
    landmarks: np.ndarray
    lists: tuple[str, ...]
    box: np.ndarray | None = None


def write(
    config: LayoutConfig,
    sources: Sequence,
    read: Callable[[Any], Face],
    *,
    published: Mapping[str, int] | None = None,
    link: bool = False,
    repeat: Mapping[str, int] | None = None,
    extra: Mapping[str, str] | None = None,
) -> bool:
    """Writes a data set, whole or not at all; an unusable face is reported and left out.

    Args:
        config: where to, and which boxes.
        sources: what ``read`` turns into faces.
        read: returns a source's face, or raises an InputError that names the source.
        published: list -> how many faces it should have; other counts are warned of.
        link: whether image files are hard-linked instead of copied.
        repeat: list -> how often its rarest shapes stand in a list of its own; 1: no such list.
        extra: name of a further file in the folder -> its text.

    Returns:
        Whether some faces were left out.

    Raises:
        InputError: a key cannot be used, the folder exists already, or no face is usable.
    """
    published, repeat = published or {}, repeat or {}
    if min(repeat.values(), default=1) < 1:
        raise InputError("repeat must be at least 1")
    boxes = _Boxes(config)
    faces = []
    with _new_folder(config.output) as folder:
        for source in counted(sources):
            try:
                face = read(source)
                _write_face(folder, face, boxes, link)
            except InputError as error:
                print(f"skipped {error}", file=sys.stderr)
                continue
            # The pixels are not needed any more.
            faces.append((face.name, face.landmarks, face.lists))
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
    notes += [f"{boxes.missing} in their landmarks' box for want of another"] * (boxes.missing > 0)
    notes += [f"{skipped} skipped"] * (skipped > 0)
    print(", ".join(notes))
    return skipped > 0


def counted(items: Sequence) -> Iterator:
    """Iterates, and counts on a terminal."""
    for number, item in enumerate(items, 1):
        if sys.stderr.isatty():
            end = "\n" if number == len(items) else ""
            print(f"\r{number}/{len(items)}", end=end, file=sys.stderr, flush=True)
        yield item


@contextmanager
def _new_folder(path: str) -> Iterator[Path]:
    """Gives a temporary folder beside ``path`` that becomes it when the block succeeds."""
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
        InputError: its image, name, landmarks or box cannot be used; names the face.
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


def _write_lists(folder: Path, faces: Sequence[tuple], repeat: Mapping[str, int]) -> dict[str, int]:
    """Writes the lists of (name, landmarks, lists); returns list -> its number of lines."""
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

    The rarer half, by the Mahalanobis distance from the mean shape, is listed twice, the rarest
    quarter three times, and so on. What the release's ``wflw_files_augmented_mahal.txt`` holds is
    not known; its name suggests something of the kind.

    Args:
        shapes: (F, N, 2) landmarks; each is taken relative to its tight box, by its longer side.
        most: no shape is listed more often.

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
    """Finds each face's box in the way that was asked for.

    Attributes:
        missing: how many faces had none, and got the tight box of their landmarks.
    """

    def __init__(self, config: LayoutConfig):
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
        tight = crops.bounding_box(face.landmarks)
        crops.rounded_box(tight)
        box = tight
        if self.way == "official":
            box = face.box
        elif self.way == "folder":
            path = Path(self.folder, face.name).with_suffix(".pts")
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
