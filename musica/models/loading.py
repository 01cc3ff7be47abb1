"""Reads models from files; a shipped model has a name."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from musica.cli.backend import import_keras
from musica.errors import InputError
from musica.models.lite_model import LiteModel

if TYPE_CHECKING:
    from musica.models.musica import MuSiCa

WEIGHTS = Path(__file__).parents[1] / "weights"
# The shipped models by number of landmarks; a suffix for each runner belongs to it.
SHIPPED = {"68": WEIGHTS / "musica68", "98": WEIGHTS / "musica98"}
SUFFIXES = {"litert": ".tflite", "keras": ".keras"}


def model_path(name: Path | str | None = None, runner: str | None = None) -> Path:
    """The file of a model.

    Args:
        name: ``68`` or ``98`` for a shipped model, or a path; the shipped 68-point model if None.
        runner: ``litert`` or ``keras``; LiteRT for a shipped model if None.

    Raises:
        InputError: there is no such file, or the runner cannot run it.
    """
    if runner not in (None, *SUFFIXES):
        raise InputError(f"runner must be {' or '.join(SUFFIXES)}, not {runner!r}")
    stem = SHIPPED.get(str(name or 68))
    path = Path(name or "") if stem is None else stem.with_suffix(SUFFIXES[runner or "litert"])
    _check_exists(path)
    if runner is not None and path.suffix != SUFFIXES[runner]:
        raise InputError(f"{path}: the runner {runner} needs a {SUFFIXES[runner]} file")
    return path


def load_model(name: Path | str | None = None, runner: str | None = None) -> Any:
    """Reads a ``LiteModel``, a ``MuSiCa`` or an ``MDM``; arguments as for ``model_path``.

    Raises:
        InputError: missing, unreadable, or another kind of model.
    """
    path = model_path(name, runner)
    return LiteModel(path) if path.suffix == ".tflite" else load_keras_model(path)


def _check_exists(path: Path) -> None:
    """Raises InputError if a file is missing, or is a TensorFlow 1 checkpoint of the release."""
    if ".ckpt" in path.name or path.suffix == ".pb" or Path(f"{path}.index").is_file():
        raise InputError(
            f"{path}: a TensorFlow 1 checkpoint; convert it first: musica-convert_checkpoint "
            f"--checkpoint_file={path} --output=model.keras"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such model file")


def load_musica(path: Path | str | None = None) -> "MuSiCa":
    """Reads a MuSiCa model from a .keras file; the shipped 68-point model if ``path`` is None.

    Raises:
        InputError: missing, unreadable, or another kind of model.
    """
    model = load_keras_model(model_path(path, "keras"))
    if type(model).__name__ != "MuSiCa":
        raise InputError(f"{path}: holds a {type(model).__name__}, not a MuSiCa model")
    return model


def load_keras_model(path: Path | str) -> Any:
    """Reads a ``MuSiCa`` or an ``MDM`` from a .keras file, after a check of its description.

    Raises:
        InputError: missing, unreadable, or another kind of model.
    """
    _check_exists(Path(path))
    keras = import_keras()

    from musica.models.mdm import MDM
    from musica.models.model_file import check_keras_file
    from musica.models.musica import MuSiCa

    check_keras_file(path)
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds on other files
        raise InputError(f"{path}: not a readable Keras model (.keras)") from error
    if not isinstance(model, MuSiCa | MDM):
        raise InputError(f"{path}: holds a {type(model).__name__}, not a MuSiCa model")
    return model
