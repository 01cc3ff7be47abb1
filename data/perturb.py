"""Writes a harder variant of a data set: noisy boxes, or rolled faces.

    python data/perturb.py --kind=box --image_dir=<set>/images --filenames=list.txt --output=noisy
    python data/perturb.py --kind=roll --image_dir=<set>/images --filenames=list.txt --output=rolled

``box``: the landmarks' tight box grows by U(1, 1 + growth) about its centre and is shifted by
U(-shift, shift) of its sides. ``roll``: the picture is rotated by U(smallest, largest) degrees to
either side, on a larger black canvas; the box is the tight upright box of the rotated landmarks.
The random numbers depend on the face's name and the seed alone, not on the list. Lists keep their
names.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

import layout
import numpy as np
from PIL import Image

from musica.cli import command
from musica.cli.config import option, require
from musica.errors import InputError
from musica.files import image_files, landmark_files, list_files
from musica.files.annotated_faces import is_held_out
from musica.geometry import crops


@dataclass(frozen=True)
class PerturbConfig:
    """Keys of the command."""

    kind: str = option("", "box: noisy boxes; roll: rolled pictures")
    image_dir: str = option("", "folder of the pictures", path=True)
    gt_path: str = option("", "folder of the landmarks, .pts (default: image_dir)", path=True)
    filenames: list[str] = option([], "lists of images", path=True)
    held_out_share: float = option(
        1.0, "only the listed faces that training with this held_out_share left out; 1: all"
    )
    output: str = option("", "folder to write; it must not exist yet", path=True)
    seed: int = option(0, "seed of the random numbers")
    growth: float = option(0.2, "box: the sides are scaled by 1 to 1 + this")
    shift: float = option(0.1, "box: it is shifted by up to this share of its sides")
    smallest_roll: float = option(30.0, "roll: degrees, from")
    largest_roll: float = option(90.0, "roll: degrees, up to; to either side")


@dataclass(frozen=True)
class _OwnBoxes(layout.LayoutConfig):
    """The configuration of faces that all have a box."""

    BOXES: ClassVar[tuple[str, ...]] = ("official",)


def perturb(config: PerturbConfig) -> bool:
    """Writes the variant; returns whether some faces were left out."""
    require(config, "image_dir", "filenames")
    if config.kind not in KINDS:
        raise InputError(f"kind must be {' or '.join(KINDS)}, not {config.kind!r}")
    listed: dict[str, list[str]] = {}
    for path in config.filenames:
        for name in list_files.read_list(path):
            if config.held_out_share >= 1 or is_held_out(name, config.held_out_share):
                listed.setdefault(name, []).append(Path(path).stem)

    def face(name: str) -> layout.Face:
        image = Path(config.image_dir, name)
        labels = Path(config.gt_path or config.image_dir, name).with_suffix(".pts")
        points = landmark_files.read_truth(labels)
        rng = np.random.default_rng([config.seed, zlib.crc32(name.encode())])
        return KINDS[config.kind](config, name, image, points, tuple(listed[name]), rng)

    return layout.write(_OwnBoxes(output=config.output, boxes="official"), list(listed), face)


def _with_noisy_box(
    config: PerturbConfig,
    name: str,
    image: Path,
    points: np.ndarray,
    lists: tuple[str, ...],
    rng: np.random.Generator,
) -> layout.Face:
    """The same face in another box."""
    box = noisy_box(crops.bounding_box(points), config.growth, config.shift, rng)
    return layout.Face(name, image, points, lists, box)


def _rolled(
    config: PerturbConfig,
    name: str,
    image: Path,
    points: np.ndarray,
    lists: tuple[str, ...],
    rng: np.random.Generator,
) -> layout.Face:
    """The face in a rotated picture, stored as PNG, which loses nothing more."""
    degrees = rng.uniform(config.smallest_roll, config.largest_roll) * rng.choice([-1, 1])
    pixels, points = rotated(image_files.read_image(image), points, degrees)
    name = PurePosixPath(name).with_suffix(".png").as_posix()
    return layout.Face(name, pixels, points, lists, crops.bounding_box(points))


KINDS = {"box": _with_noisy_box, "roll": _rolled}


def noisy_box(box: np.ndarray, growth: float, shift: float, rng: np.random.Generator) -> np.ndarray:
    """Scales a box by one U(1, 1 + growth) and shifts it by U(-shift, shift) of its sides."""
    sides, centre = box[2:] - box[:2], (box[:2] + box[2:]) / 2
    half = sides * rng.uniform(1, 1 + growth) / 2
    centre = centre + sides * rng.uniform(-shift, shift, 2)
    return np.concatenate([centre - half, centre + half])


def rotated(
    pixels: np.ndarray, points: np.ndarray, degrees: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rotates a picture clockwise, on a canvas that holds all of it, and zeros beside it.

    Args:
        pixels: (H, W, 3) uint8.
        points: (N, 2) landmarks, (y, x) pixels.
        degrees: the angle; a positive one turns the x axis towards the y axis.

    Returns:
        The (H', W', 3) uint8 picture and the (N, 2) landmarks in it.
    """
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    sides = np.array(pixels.shape[1::-1])
    canvas = np.ceil(np.abs([[cosine, -sine], [sine, cosine]]) @ sides - 1e-9).astype(int)
    matrix = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    # Centres of the outlines, which is what Pillow's transform takes: pixel i covers [i, i + 1).
    matrix[:2, 2] = canvas / 2 - matrix[:2, :2] @ (sides / 2)
    picture = Image.fromarray(pixels).transform(
        tuple(canvas.tolist()),
        Image.Transform.AFFINE,
        tuple(np.linalg.inv(matrix)[:2].ravel()),
        Image.Resampling.BICUBIC,
    )
    return np.asarray(picture), crops.transform_points(matrix, points + 0.5) - 0.5


if __name__ == "__main__":
    command.run(PerturbConfig, perturb, __doc__)
