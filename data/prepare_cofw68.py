r"""Lays out COFW68: 507 faces to test with, many of them occluded, 68 points.

    python data/prepare_cofw68.py --images=COFW_test_color.mat \
        --annotation_dir=COFW68_Data/test_annotations --output=data/cofw68

COFW's test images are cells of a MATLAB 7.3 file, which is HDF5. ``<k>_points.mat`` holds the 68
points of image k, which count from 1 as MATLAB does. The images become ``cofw68/<k>.png`` in the
list cofw68_test.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import h5py
import layout
import numpy as np
from scipy.io import loadmat

from musica.cli import command
from musica.cli.config import option, require
from musica.errors import InputError
from musica.files import image_files
from musica.geometry.landmarks import IBUG_68

PUBLISHED = {"cofw68_test": 507}
MAX_ANNOTATION_BYTES = 100_000
MAX_IMAGES = 100_000


@dataclass(frozen=True)
class CofwConfig(layout.LayoutConfig):
    """Keys of the command."""

    images: str = option("", "the file COFW_test_color.mat", path=True)
    annotation_dir: str = option("", "folder of 1_points.mat, 2_points.mat, ...", path=True)


def prepare(config: CofwConfig) -> bool:
    """Writes the data set; returns whether some faces were left out."""
    require(config, "images", "annotation_dir")
    numbers = sorted(
        int(match[1])
        for path in Path(config.annotation_dir).iterdir()
        if (match := re.fullmatch(r"([1-9]\d{0,5})_points\.mat", path.name))
    )
    with _opened(config.images) as file:
        references = _references(file, config.images)

        def face(number: int) -> layout.Face:
            landmarks = _landmarks(Path(config.annotation_dir, f"{number}_points.mat"))
            try:
                pixels = _pixels(file, references[number - 1])
            except Exception as error:  # h5py raises whatever a malformed file leads to
                raise InputError(f"image {number} of {config.images}: {error}") from error
            return layout.Face(f"cofw68/{number:03d}.png", pixels, landmarks, tuple(PUBLISHED))

        return layout.write(config, numbers, face, published=PUBLISHED)


def _opened(path: str) -> h5py.File:
    """Opens the images.

    Raises:
        InputError: the file is missing, or is not HDF5.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: not a readable MATLAB 7.3 file") from error


def _references(file: h5py.File, path: str) -> np.ndarray:
    """The references to the images: the cells of ``IsT``.

    Raises:
        InputError: the file has no such cell array.
    """
    cells = file.get("IsT") if isinstance(file.get("IsT", getlink=True), h5py.HardLink) else None
    if (
        not isinstance(cells, h5py.Dataset)
        or h5py.check_ref_dtype(cells.dtype) is not h5py.Reference
        or cells.size > MAX_IMAGES
        or cells.external
        or cells.is_virtual
    ):
        raise InputError(f"{path}: holds no cell array IsT of images")
    return cells[()].ravel()


def _pixels(file: h5py.File, reference: h5py.Reference) -> np.ndarray:
    """Reads one image: MATLAB stores (H, W) or (H, W, 3) with the axes in reverse order.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: the cell holds something else, or its values are stored in another file.
    """
    cell = file[reference]
    if not isinstance(cell, h5py.Dataset) or cell.dtype != np.uint8:
        raise ValueError("not an array of uint8")
    if cell.ndim not in (2, 3) or cell.shape[:-2] not in ((), (3,)) or cell.size == 0:
        raise ValueError(f"not an image but {cell.shape}")
    if cell.size > 3 * image_files.MAX_IMAGE_PIXELS or cell.external or cell.is_virtual:
        raise ValueError("too large, or stored elsewhere")
    pixels = cell[()].T
    return np.ascontiguousarray(pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2))


def _landmarks(path: Path) -> np.ndarray:
    """Reads the 68 ``Points`` (x, y): returns (68, 2), (y, x), 0-based.

    Raises:
        InputError: the file does not hold them.
    """
    if path.stat().st_size > MAX_ANNOTATION_BYTES:
        raise InputError(f"{path}: too large for 68 points")
    try:
        points = np.asarray(loadmat(path, variable_names=["Points"])["Points"])
    except Exception as error:  # a malformed file raises whatever it leads to
        raise InputError(f"{path}: not a MATLAB file with Points") from error
    if points.dtype.kind not in "fiu" or points.shape != (IBUG_68.count, 2):
        raise InputError(f"{path}: Points are not {IBUG_68.count} pairs of numbers")
    if not np.isfinite(points).all():
        raise InputError(f"{path}: its points are not all finite")
    return points[:, ::-1].astype(np.float64) - 1


if __name__ == "__main__":
    command.run(CofwConfig, prepare, __doc__)
