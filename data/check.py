"""Checks a data set in the release's layout, and draws contact sheets of it.

    python data/check.py --folder=data/wflw --output_dir=output/check

Each fault of a face is named in one line on stderr and counted for each list. ``output_dir`` gets
the contact sheets: faces at even steps through each list, and then its faulty faces (red). It also
gets ``lists/``, the lists without the faulty faces. Points outside the image are named, but are not
a fault. The release left out faces with small boxes, and faces with patches outside the crop.
"""

import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import layout
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from musica.cli import command
from musica.cli.config import option
from musica.drawing.faces import draw_face
from musica.errors import InputError
from musica.files import image_files, landmark_files, list_files, writing
from musica.geometry import crops
from musica.preprocessing import release_pyramid

IMAGE, LANDMARKS, COUNT = "image missing or unreadable", "landmarks unreadable", "wrong point count"
MISSING = "points missing (-1 -1 or 0 0)"
BOX, SMALL_BOX = "box unusable", f"box of {crops.MIN_BOX_SIDE} px or less"
PATCHES, POINTS = "patches outside the crop", "points outside the image"
KINDS = (IMAGE, LANDMARKS, COUNT, MISSING, BOX, SMALL_BOX, PATCHES, POINTS)

COLUMNS, ROWS, TILE, CAPTION = 8, 6, 200, 14
Result = TypeVar("Result")


@dataclass(frozen=True)
class CheckConfig:
    """Keys of the command."""

    folder: str = option("", "the data set: folder of images/, bb/ and lists/", path=True)
    filenames: list[str] = option([], "lists to check (default: all of the set's)", path=True)
    landmark_count: int | None = option(None, "points of each face (default: what most have)")
    patch_size: int = option(14, "side of a patch, in crop pixels")
    box_size: int = option(crops.BOX_SIZE, "the box's longer side in crop pixels")
    margin: float = option(crops.MARGIN, "share of the box's side added on each side")
    output_dir: str = option("", "folder for contact sheets and filtered lists", path=True)
    sheets: int = option(
        1, f"largest number of sheets per list and kind, {COLUMNS * ROWS} faces each"
    )


@dataclass(frozen=True)
class Checked:
    """A listed face and its faults.

    Attributes:
        name: its name in the list.
        landmarks: (N, 2), (y, x) image pixels, or None.
        box: (4,) x0, y0, x1, y1, or None.
        faults: kind -> its details.
    """

    name: str
    landmarks: np.ndarray | None
    box: np.ndarray | None
    faults: dict[str, str]

    @property
    def faulty(self) -> bool:
        """Whether it has a fault."""
        return bool(self.faults.keys() - {POINTS})


def check(config: CheckConfig) -> bool:
    """Reports the faults, and writes the sheets and lists; returns whether there are faults."""
    folder = Path(config.folder)
    if not config.folder or not (folder / "images").is_dir():
        raise InputError(f"folder must be a data set with a folder images/, not {config.folder!r}")
    if config.sheets < 0 or min(config.patch_size, config.box_size) < 1 or config.margin < 0:
        raise InputError("sheets and margin must be at least 0, patch_size and box_size 1")
    paths = [Path(path) for path in config.filenames] or sorted((folder / "lists").glob("*.txt"))
    lists = {path.stem: list_files.read_list(path) for path in paths}
    if not lists:
        raise InputError(f"{folder / 'lists'}: holds no list")
    if len(lists) < len(paths):
        raise InputError("two lists have the same name")
    names = sorted({name for names in lists.values() for name in names})
    faces = {name: examine(name, config) for name in layout.counted(names)}
    count = config.landmark_count or _usual_count(faces.values())
    for face in faces.values():
        if face.landmarks is not None and len(face.landmarks) != count:
            face.faults[COUNT] = f"{len(face.landmarks)} where {count} are needed"
        for kind, details in face.faults.items():
            print(f"{face.name}: {kind}: {details}", file=sys.stderr)
    for title, names in lists.items():
        listed = [faces[name] for name in names]
        kinds = Counter(kind for face in listed for kind in face.faults)
        print(f"{title}: {len(listed)} faces, {count} points")
        for kind in KINDS:
            if kinds[kind]:
                print(f"{kinds[kind]:7} {kind}")
        if config.output_dir:
            _write(config, title, listed)
    if config.output_dir:
        print(f"wrote contact sheets and lists to {config.output_dir}")
    return any(face.faulty for face in faces.values())


def _usual_count(faces: Collection[Checked]) -> int:
    """The number of points that most faces have."""
    counts = Counter(len(face.landmarks) for face in faces if face.landmarks is not None)
    return counts.most_common(1)[0][0] if counts else 0


def examine(name: str, config: CheckConfig) -> Checked:
    """Checks everything about a face except the number of its points."""
    faults: dict[str, str] = {}

    def tried(kind: str, function: Callable[..., Result], *arguments: object) -> Result | None:
        try:
            return function(*arguments)
        except (InputError, OSError) as error:
            faults[kind] = str(error)
            return None

    path = Path(config.folder, "images", name)
    image = tried(IMAGE, image_files.read_image, path)
    landmarks = tried(LANDMARKS, _landmarks, path)
    box = tried(BOX, _box, name, landmarks, config)
    present = landmarks
    if landmarks is not None and (missing := landmark_files.missing(landmarks)).any():
        faults[MISSING] = f"{missing.sum()} of {len(missing)}"
        present = landmarks[~missing]
    if box is not None:
        faults |= box_faults(box, present, image, config)
    if image is not None and present is not None and len(present):
        # The centre of the first pixel is 0; its edge lies half a pixel before.
        beyond = np.maximum(-0.5 - present, present - (np.array(image.shape[:2]) - 0.5))
        beyond = beyond.max(axis=1)
        if (beyond > 0).any():
            faults[POINTS] = f"{(beyond > 0).sum()}, up to {beyond.max():.2f} px"
    return Checked(name, landmarks, box, faults)


def _landmarks(image: Path) -> np.ndarray:
    """The landmarks beside an image.

    Raises:
        InputError: they are missing or unreadable.
    """
    files = [image.with_suffix(suffix) for suffix in landmark_files.LANDMARK_SUFFIXES]
    return landmark_files.read_landmarks(next(filter(Path.is_file, files), files[0]))


def _box(name: str, landmarks: np.ndarray | None, config: CheckConfig) -> np.ndarray | None:
    """The face's box, or the tight box of the landmarks in a set without boxes.

    Raises:
        InputError: it is unreadable or empty.
    """
    folder = Path(config.folder, "bb")
    if folder.is_dir():
        box = landmark_files.read_box((folder / name).with_suffix(".pts"))
    elif landmarks is not None:
        box = landmark_files.tight_box(landmarks)
    else:
        return None
    crops.rounded_box(box)
    return box


def box_faults(
    box: np.ndarray,
    landmarks: np.ndarray | None,
    image: np.ndarray | None,
    config: CheckConfig,
) -> dict[str, str]:
    """The faults of a box that can be read: kind -> details."""
    faults = {}
    width, height = box[2:] - box[:2] + 1
    if min(width, height) <= crops.MIN_BOX_SIDE:
        faults[SMALL_BOX] = f"{width:.1f}x{height:.1f} px"
    try:
        crop = crops.crop_of_box(box, config.margin, config.box_size)
        if image is not None:
            crops.image_window(image, crop.region)
    except InputError as error:
        faults[BOX] = str(error)
        return faults
    if landmarks is not None:
        start = np.trunc(crop.to_crop(landmarks) - config.patch_size // 2)
        outside = ((start < 0) | (start + config.patch_size > crop.shape)).any(axis=1)
        if outside.any():
            faults[PATCHES] = f"{outside.sum()} of {len(outside)}"
    return faults


def _write(config: CheckConfig, title: str, faces: Sequence[Checked]) -> None:
    """Writes a list's contact sheets, and the list without its faulty faces."""
    folder, size = Path(config.output_dir), COLUMNS * ROWS
    faulty = [face for face in faces if face.faulty]
    for kind, group in (("", faces), ("_faulty", faulty)):
        steps = np.linspace(0, len(group) - 1, min(len(group), config.sheets * size))
        shown = [group[round(step)] for step in steps]
        for start in range(0, len(shown), size):
            sheet = contact_sheet(shown[start : start + size], config)
            image_files.write_image(folder / f"{title}{kind}_{start // size + 1}.png", sheet)
    names = [face.name for face in faces if not face.faulty]
    if names:
        writing.write_text(folder / "lists" / f"{title}.txt", "\n".join(names) + "\n")


def contact_sheet(faces: Sequence[Checked], config: CheckConfig) -> Image.Image:
    """Draws the crops of up to COLUMNS * ROWS faces in a grid, with names and faults."""
    rows = -(-len(faces) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, rows * (TILE + 2 * CAPTION)), (24, 24, 24))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(CAPTION - 3)
    for index, face in enumerate(faces):
        row, column = divmod(index, COLUMNS)
        left, top = column * TILE, row * (TILE + 2 * CAPTION)
        tile = _tile(face, config)
        if tile:
            tile.thumbnail((TILE - 4, TILE - 4))
            sheet.paste(tile, (left + (TILE - tile.width) // 2, top + (TILE - tile.height) // 2))
        colour = (255, 90, 90) if face.faulty else (200, 200, 200)
        for line, text in enumerate((Path(face.name).stem, ", ".join(face.faults))):
            while draw.textlength(text, font) > TILE - 4:
                text = text[:-1]
            draw.text((left + 2, top + TILE + line * CAPTION), text, colour, font)
    return sheet


def _tile(face: Checked, config: CheckConfig) -> Image.Image | None:
    """Draws the crop that a model would get; None if the face has no usable crop."""
    if face.landmarks is None or face.box is None:
        return None
    try:
        crop = crops.crop_of_box(face.box, config.margin, config.box_size)
        image = image_files.read_image(Path(config.folder, "images", face.name))
        pixels = release_pyramid.crop_image(image, crop)
    except InputError:
        return None
    corners = crop.to_crop(face.box.reshape(2, 2)[:, ::-1])
    return draw_face(
        np.rint(pixels * 255).astype(np.uint8),
        crop.to_crop(face.landmarks),
        corners[:, ::-1].ravel(),
        failed=face.faulty,
    )


if __name__ == "__main__":
    command.run(CheckConfig, check, __doc__)
