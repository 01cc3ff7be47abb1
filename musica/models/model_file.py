"""Checks what a model file declares before the model is built.

Models are passed around, so a file may be damaged or hostile. Keras loads it in its safe mode,
which runs no code from the file. Other dangers remain: a few digits may declare weights that fill
any memory, and a file may hold objects of other classes or impossible numbers.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from musica.errors import InputError
from musica.models.settings import ModelSettings

CLASSES = ("MDM", "MuSiCa")
CONFIGURATION, WEIGHTS = "config.json", "model.weights.h5"
MEMBERS = {CONFIGURATION, WEIGHTS, "metadata.json"}
MAX_DESCRIPTION_BYTES = 10_000_000
# Weights hardly compress; what grows more is a bomb.
MAX_EXPANSION = 20
MAX_FILTERS, MAX_ITERATIONS = 10_000, 100


def check_keras_file(path: Path | str) -> None:
    """Checks a .keras file before it is loaded.

    Raises:
        InputError: the file is not a model of ours, holds further files, or declares impossible
            sizes or more weights than it holds.
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
        if 2 * _weight_count(kind, values, path) > members[WEIGHTS].file_size:
            raise InputError(f"{path}: declares more weights than it holds")
    except InputError:
        raise
    except Exception as error:  # zipfile raises many kinds on damaged files
        raise InputError(f"{path}: not a readable Keras model (.keras)") from error


def read_json(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """Reads a JSON object out of a zip archive.

    Raises:
        ValueError, RecursionError: it is too long, too deep, or not an object.
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


def settings_of(values: Mapping[str, Any], source: Path | str) -> ModelSettings:
    """The settings that a file declares.

    Args:
        values: as parsed from JSON.
        source: the file, for the message.

    Raises:
        InputError: a value is missing or cannot be a model's.
    """
    try:
        return ModelSettings.of(values)
    except InputError as error:
        raise InputError(f"{source}: the model's {error}") from error


def _weight_count(kind: str, values: Mapping[str, Any], source: Path | str) -> int:
    """How many weights a model of such a configuration has, its biases left out."""
    filters, iterations = values.get("filters", 32), values.get("iterations", 1)
    for name, value, largest in (
        ("filters", filters, MAX_FILTERS),
        ("iterations", iterations, MAX_ITERATIONS),
    ):
        if not isinstance(value, int) or not 0 < value <= largest:
            raise InputError(f"{source}: the model's {name} must be 1 to {largest}")
    if kind == "MDM":
        values = {**values, "levels": [0] * iterations}
    settings = settings_of(values, source)
    hidden = settings.hidden_size
    pooled = ((settings.patch_size - 2) // 2 - 2) // 2
    features = 2 * filters * pooled**2
    attention = features**2 if values.get("use_attention") is True else 0
    steps = [
        27 * filters
        + 9 * filters**2
        + attention
        + (len(points) * features + hidden + 2 * settings.landmark_count) * hidden
        for points in settings.patch_indices
    ]
    return steps[0] if kind == "MDM" else sum(steps)
