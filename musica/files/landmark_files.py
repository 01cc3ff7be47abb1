"""Landmarks, boxes and estimates on disk.

menpo reads and writes the landmark files; this is the only module that knows that .pts files are
1-based. In memory every point is (y, x), 0-based, in pixels.
"""

import re
import warnings
from pathlib import Path

import numpy as np

from musica.errors import InputError
from musica.files.text_files import check_file, read_text
from musica.files.writing import replacing, write_text

LANDMARK_SUFFIXES = (".pts", ".ljson")
# So are these of a file of landmarks, and of a configuration or a list.
MAX_LANDMARK_BYTES = 10_000_000
# Coordinates beyond it are mistakes, and their squares might be infinite.
MAX_COORDINATE = 1e9


def read_landmarks(path: Path | str, count: int | None = None, index_base: int = 1) -> np.ndarray:
    """Reads landmarks from a .pts or .ljson file.

    Args:
        path: the file.
        count: the number of landmarks N it must have, or None for any.
        index_base: what a .pts file calls the first pixel: 1 as in 300W, or 0 as some write.

    Returns:
        (N, 2) float64, (y, x) pixels, 0-based.

    Raises:
        InputError: missing, unreadable, too large, not finite, or not ``count`` points.
    """
    path = Path(path)
    if path.suffix.lower() not in LANDMARK_SUFFIXES:
        raise InputError(f"{path}: not a landmark file (.pts or .ljson)")
    if check_file(path).stat().st_size > MAX_LANDMARK_BYTES:
        raise InputError(f"{path}: too large for a landmark file")
    import menpo.io

    try:
        with warnings.catch_warnings():  # of old versions of .ljson
            warnings.simplefilter("ignore")
            groups = menpo.io.import_landmark_file(path)
        points = np.asarray(next(iter(groups.values())).points, np.float64)
        # menpo reads a .pts file that was cut off as one with fewer points.
        declared = re.search(r"n_points:\s*0*(\d+)", path.read_text("utf-8", "replace"))
    except Exception as error:  # menpo's readers raise whatever a malformed file leads to
        raise InputError(f"{path}: not a readable landmark file") from error
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InputError(f"{path}: its points are not all pairs of finite numbers")
    if points.size and np.abs(points).max() > MAX_COORDINATE:
        raise InputError(f"{path}: its points are too far away")
    if declared and declared[1] != str(len(points)):
        raise InputError(f"{path}: {len(points)} points where it declares {declared[1]}")
    if count is not None and len(points) != count:
        raise InputError(f"{path}: {len(points)} points where {count} are needed")
    # menpo took 1 off those of a .pts file.
    return points + (1 - index_base) if path.suffix.lower() == ".pts" else points


def write_landmarks(path: Path | str, points: np.ndarray) -> None:
    """Writes (N, 2) landmarks, (y, x) 0-based pixels, as .pts or .ljson by the suffix."""
    import menpo.io
    import menpo.shape

    path = Path(path)
    if path.suffix.lower() not in LANDMARK_SUFFIXES:
        raise InputError(f"{path}: not a landmark file (.pts or .ljson)")
    cloud = menpo.shape.PointCloud(np.asarray(points, np.float64))
    shape = {"LJSON": cloud} if path.suffix.lower() == ".ljson" else cloud
    with replacing(path) as temporary:
        menpo.io.export_landmark_file(shape, temporary, overwrite=True)


def read_box(path: Path | str) -> np.ndarray:
    """Reads a box, stored as its four corners in a landmark file.

    Returns:
        (4,) float64: x0, y0, x1, y1, inclusive pixel corners.

    Raises:
        InputError: the file is not four readable corners.
    """
    corners = read_landmarks(path, 4)
    (y0, x0), (y1, x1) = corners.min(axis=0), corners.max(axis=0)
    return np.array([x0, y0, x1, y1])


def write_box(path: Path | str, box: np.ndarray) -> None:
    """Writes a box (x0, y0, x1, y1): top-left, bottom-left, bottom-right, top-right corner."""
    x0, y0, x1, y1 = box
    write_landmarks(path, np.array([[y0, x0], [y1, x0], [y1, x1], [y0, x1]]))


def read_estimate(path: Path | str) -> float:
    """Reads an estimated error: a text file with one number.

    Raises:
        InputError: missing, or not one finite number.
    """
    try:
        value = float(read_text(check_file(path)))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a text file with one number") from error
    if not np.isfinite(value):
        raise InputError(f"{path}: not a finite number")
    return value


def write_estimate(path: Path | str, value: float) -> None:
    """Writes an estimated error as a text file with one number."""
    write_text(path, f"{value:.8g}\n")
