"""Landmarks, boxes and estimates on disk.

This is the only module that knows that .pts files are 1-based. In memory every point is (y, x),
0-based, in pixels. The formats are those that menpo reads and writes.
"""

import json
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from musica.errors import InputError
from musica.files.text_files import check_file, read_text
from musica.files.writing import write_text
from musica.geometry import crops

LANDMARK_SUFFIXES = (".pts", ".ljson")
MAX_LANDMARK_BYTES = 10_000_000
# Coordinates beyond it are mistakes, and their squares might be infinite.
MAX_COORDINATE = 1e9


def read_landmarks(path: Path | str, count: int | None = None, index_base: int = 1) -> np.ndarray:
    """Reads landmarks from a .pts or .ljson file.

    Args:
        path: the file.
        count: the number of landmarks N that it must have, or None for any.
        index_base: the number of the first pixel in a .pts file: 1 as in 300W; some write 0.

    Returns:
        (N, 2) float64, (y, x) pixels, 0-based. Of an .ljson file, the first group.

    Raises:
        InputError: missing, unreadable, too large, not finite, or not ``count`` points. The message
            says what was found, in a .pts file also in which line.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in LANDMARK_SUFFIXES:
        raise InputError(f"{path}: not a landmark file (.pts or .ljson)")
    if check_file(path).stat().st_size > MAX_LANDMARK_BYTES:
        raise InputError(f"{path}: too large for a landmark file")
    try:
        text = read_text(path)
        points = _pts_points(text, index_base) if suffix == ".pts" else _ljson_points(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable landmark file: {error}") from error
    if count is not None and len(points) != count:
        raise InputError(f"{path}: {len(points)} points where {count} are needed")
    return np.array(points, np.float64)


def read_truth(path: Path | str, count: int | None = None) -> np.ndarray:
    """Reads true landmarks; arguments, result and errors as for ``read_landmarks``.

    PORT: a face with missing landmarks is refused; the release takes -1 -1 for a point.

    Raises:
        InputError: some of them are missing, too: errors and losses would take them for true.
    """
    points = read_landmarks(path, count)
    if absent := int(missing(points).sum()):
        raise InputError(f"{path}: {absent} of its landmarks are missing (-1 -1 or 0 0)")
    return points


def _pts_points(text: str, index_base: int) -> list[tuple[float, float]]:
    """Reads the points (y, x), 0-based, of a .pts file.

    Raises:
        ValueError: the text is not that of a .pts file.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line]
    words = [line for _, line in lines]
    if "{" not in words:
        raise ValueError("it has no line {, after which the points begin")
    start = words.index("{")
    end = words.index("}") if "}" in words else len(words)
    points = [_point(line.split(), f"line {number}") for number, line in lines[start + 1 : end]]
    declared = re.search(r"n_points:\s*0*(\d+)", "\n".join(words[:start]))
    if declared and declared[1] != str(len(points)):
        raise ValueError(
            f"{len(points)} points where it declares {reprlib.repr(declared[1])[1:-1]}"
        )
    if end == len(words):
        raise ValueError("it has no line } after its points: it may have been cut off")
    if end < len(words) - 1:
        raise ValueError(
            f"line {lines[end + 1][0]}: {reprlib.repr(words[end + 1])} after the line }}"
        )
    return [(y - index_base, x - index_base) for x, y in points]


def _ljson_points(text: str) -> list[tuple[float, float]]:
    """Reads the points (y, x) of an .ljson file of version 1, 2 or 3.

    Raises:
        ValueError: the text is not that of an .ljson file.
    """
    content = json.loads(text)
    try:
        if content["version"] == 1:
            marks = [mark for group in content["groups"] for mark in group["landmarks"]]
            points = [mark["point"] for mark in marks]
        elif content["version"] == 2:
            points = content["landmarks"]["points"]
        elif content["version"] == 3:
            points = next(iter(content["groups"].values()))["landmarks"]["points"]
        else:
            raise ValueError(f"its version is {reprlib.repr(content['version'])}, not 1, 2 or 3")
        return [_point(point, f"point {index}") for index, point in enumerate(points, 1)]
    except (AttributeError, KeyError, StopIteration, TypeError) as error:
        raise ValueError("it lacks the groups, landmarks and points of an .ljson file") from error


def _point(values: Sequence[Any], where: str) -> tuple[float, float]:
    """Reads two finite numbers.

    Raises:
        ValueError: the words are something else; ``where`` names their place.
    """
    try:
        first, second = map(float, values if isinstance(values, list) else [])
    except (OverflowError, TypeError, ValueError) as error:
        found = " ".join(map(str, values)) if isinstance(values, list) else values
        raise ValueError(f"{where}: {reprlib.repr(found)} where two numbers are needed") from error
    if not (abs(first) <= MAX_COORDINATE and abs(second) <= MAX_COORDINATE):  # also true for NaN
        raise ValueError(f"{where}: {first:g} {second:g} is not finite, or too far away")
    return first, second


def write_landmarks(path: Path | str, points: np.ndarray) -> None:
    """Writes (N, 2) landmarks, (y, x) 0-based pixels, as .pts or .ljson by the suffix.

    A .pts file keeps three decimals.
    """
    path, points = Path(path), np.asarray(points, np.float64)
    if path.suffix.lower() == ".pts":
        lines = [f"{x + 1:.3f} {y + 1:.3f}" for y, x in points]
        text = "\n".join(["version: 1", f"n_points: {len(points)}", "{", *lines, "}", ""])
    elif path.suffix.lower() == ".ljson":
        group = {"labels": [], "landmarks": {"points": points.tolist()}}
        text = json.dumps({"groups": {"LJSON": group}, "version": 3}, indent=4)
    else:
        raise InputError(f"{path}: not a landmark file (.pts or .ljson)")
    write_text(path, text)


def missing(points: np.ndarray) -> np.ndarray:
    """Tells which landmarks are missing: files hold them as -1 -1 or 0 0.

    Args:
        points: (N, 2) from ``read_landmarks``, whatever the first pixel of the file is called.

    Returns:
        (N,) bool.
    """
    y, x = np.transpose(points)
    return (y == x) & np.isin(y, (0, -1, -2))


def tight_box(points: np.ndarray) -> np.ndarray:
    """The tight box of the landmarks that are not missing.

    Args:
        points: (N, 2) from ``read_landmarks``.

    Returns:
        (4,) float64: x0, y0, x1, y1, inclusive pixel corners.

    Raises:
        InputError: all landmarks are missing.
    """
    present = points[~missing(points)]
    if not len(present):
        raise InputError("all of its landmarks are missing (-1 -1 or 0 0)")
    return crops.bounding_box(present)


def read_box(path: Path | str) -> np.ndarray:
    """Reads a box, stored as its four corners in a landmark file.

    Returns:
        (4,) float64: x0, y0, x1, y1, inclusive pixel corners.

    Raises:
        InputError: the file does not hold four readable corners.
    """
    return crops.bounding_box(read_landmarks(path, 4))


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
        text = read_text(check_file(path))
        value = float(text)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: not a text file with one number ({error})") from error
    if not np.isfinite(value):
        raise InputError(f"{path}: {text.strip()} is not a finite number")
    return value


def write_estimate(path: Path | str, value: float) -> None:
    """Writes an estimated error as a text file with one number."""
    write_text(path, f"{value:.8g}\n")
