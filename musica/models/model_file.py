"""What a model file says of itself, checked before anything is made of it.

Models are passed around, so a file may be damaged or hostile. Keras loads it in its safe mode, in
which no code in it runs; what is left is that a few digits may declare weights that fill any
memory, that a file may hold objects of other classes, or numbers that no model can have.
"""

import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from musica.errors import InputError

CLASSES = ("MDM", "MuSiCa")
CONFIGURATION, WEIGHTS = "config.json", "model.weights.h5"
MEMBERS = {CONFIGURATION, WEIGHTS, "metadata.json"}
MAX_DESCRIPTION_BYTES = 10_000_000
# Weights hardly compress; what grows more is a bomb.
MAX_EXPANSION = 20
# Whole numbers and how large they may be; the others are more than any machine runs.
RANGES = {
    "landmark_count": (1, 10_000),
    "iterations": (1, 100),
    "patch_size": (1, 1_000),
    "filters": (1, 10_000),
    "hidden_size": (1, 100_000),
    "box_size": (8, 10_000),
}
LISTS = {"patch_indices": (0, 9_999), "levels": (0, 10), "multiply_adds": (0, 10**15)}


def check_description(values: Mapping[str, Any], source: Path | str) -> None:
    """Checks the numbers that describe a model, as ``MuSiCa`` and ``MDM`` take them.

    Args:
        values: by the names of the models' arguments, as parsed from JSON; some may be missing.
        source: the file they come from, for the message.

    Raises:
        InputError: one cannot be a model's.
    """
    for name, fits in _checks(values):
        if not fits:
            raise InputError(f"{source}: the model's {name} cannot be used")


def _checks(values: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yields a name and whether its value can be used; later checks need the earlier ones."""
    for name in values.keys() & RANGES:
        yield name, _is_whole(values[name], *RANGES[name])
    for name in values.keys() & LISTS:
        numbers = values[name]
        fits = isinstance(numbers, list) and 0 < len(numbers) <= RANGES["landmark_count"][1]
        yield name, fits and all(_is_whole(number, *LISTS[name]) for number in numbers)
    count = values.get("landmark_count")
    iterations = len(values.get("levels", ()))
    yield "patch_indices", max(values.get("patch_indices", [0])) < (count or math.inf)
    yield "multiply_adds", len(values.get("multiply_adds", ())) in (0, iterations)
    yield "margin", 0 <= _number(values.get("margin", 0)) <= 10
    for name in ("fail_threshold", "realign_threshold", "realign_turn"):
        value = values.get(name)
        yield name, value is None or not math.isnan(_number(value))
    stop = values.get("stop_threshold")
    stops = stop if isinstance(stop, list) else [0 if stop is None else stop] * (iterations - 1)
    fits = len(stops) == iterations - 1 or not iterations
    yield "stop_threshold", fits and not any(math.isnan(_number(value)) for value in stops)
    shape, calibration = values.get("reference_shape"), values.get("calibration")
    yield "reference_shape", shape is None or _is_table(shape, count, 2)
    yield "calibration", calibration is None or _is_calibration(calibration, iterations)


def check_keras_file(path: Path | str) -> None:
    """Checks a .keras file before it is loaded.

    Raises:
        InputError: it is no such file, holds another class than ours or more than a model, or
            declares sizes that cannot be, or more weights than are in it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            if not {CONFIGURATION, WEIGHTS} <= members.keys() <= MEMBERS:
                raise InputError(f"{path}: holds other files than a Keras model's")
            for member in members.values():
                limit = MAX_DESCRIPTION_BYTES + MAX_EXPANSION * member.compress_size
                if member.file_size > limit:
                    raise InputError(f"{path}: {member.filename} is too large")
            described = read_json(archive, CONFIGURATION)
        kind, values = described["class_name"], described["config"]
        if kind not in CLASSES or described["registered_name"] != f"musica>{kind}":
            raise InputError(f"{path}: holds a {kind}, not a MuSiCa model")
        check_description(values, path)
        if 2 * _weight_count(kind, values) > members[WEIGHTS].file_size:
            raise InputError(f"{path}: declares more weights than it holds")
    except InputError:
        raise
    except Exception as error:  # zipfile raises many kinds on damaged files
        raise InputError(f"{path}: not a readable Keras model (.keras)") from error


def read_json(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """Reads a JSON object out of a zip archive.

    Raises:
        ValueError, RecursionError: it is too long, too deep, or no object.
        KeyError, OSError, zipfile.BadZipFile: it is missing or cannot be read.
    """
    with archive.open(name) as file:
        content = file.read(MAX_DESCRIPTION_BYTES + 1)
    if len(content) > MAX_DESCRIPTION_BYTES:
        raise ValueError(f"{name} is too long")
    values = json.loads(content)
    if not isinstance(values, dict):
        raise ValueError(f"{name} is no JSON object")
    return values


def _weight_count(kind: str, values: Mapping[str, Any]) -> int:
    """How many weights a model of such a configuration has, its biases left out."""
    filters, hidden = values.get("filters", 32), values["hidden_size"]
    pooled = ((values["patch_size"] - 2) // 2 - 2) // 2
    features = 2 * filters * pooled**2
    inputs = len(values["patch_indices"]) * features + hidden
    step = 27 * filters + 9 * filters**2 + (inputs + 2 * values["landmark_count"]) * hidden
    if kind == "MDM":
        return step
    attention = features**2 if values["use_attention"] is True else 0
    return len(values["levels"]) * (step + attention)


def _is_whole(value: Any, lowest: int, highest: int) -> bool:
    """Whether a value is a whole number within limits, both included."""
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _number(value: Any) -> float:
    """A number as float; NaN for all else, and for what is too large."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _is_table(rows: Any, height: int | None, width: int) -> bool:
    """Whether rows are ``height`` lists, or any number if it is None, of ``width`` numbers."""
    return (
        isinstance(rows, list)
        and height in (None, len(rows))
        and all(isinstance(row, list) and len(row) == width for row in rows)
        and all(abs(_number(value)) < 1e9 for row in rows for value in row)
    )


def _is_calibration(pairs: Any, iterations: int) -> bool:
    """Whether each iteration has a pair of equally long lists of numbers."""
    return (
        isinstance(pairs, list)
        and len(pairs) == iterations
        and all(isinstance(pair, list) and pair and isinstance(pair[0], list) for pair in pairs)
        and all(pair[0] and _is_table(pair, 2, len(pair[0])) for pair in pairs)
    )
