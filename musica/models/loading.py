"""Reads models from files, the shipped ones if none is named."""

from pathlib import Path

from musica.cli.backend import import_keras
from musica.errors import InputError

SHIPPED_MODEL = Path(__file__).parents[1] / "weights" / "musica68.keras"
SHIPPED_LITE_MODEL = SHIPPED_MODEL.with_suffix(".tflite")


def load_model(path: Path | str | None = None):
    """Reads a saved MuSiCa model (.keras); the shipped 68-point model if ``path`` is None.

    Raises:
        InputError: missing, unreadable, or another kind of model.
    """
    model = load_any_model(path)
    if type(model).__name__ != "MuSiCa":
        raise InputError(f"{path}: holds a {type(model).__name__}, not a MuSiCa model")
    return model


def load_any_model(path: Path | str | None = None):
    """As ``load_model``, but also reads an ``MDM``, or a ``LiteModel`` (.tflite)."""
    path = Path(path or SHIPPED_MODEL)
    _refuse_checkpoint(path)
    if not path.is_file():
        raise InputError(f"{path}: no such model file")
    if path.suffix == ".tflite":
        from musica.models.lite_model import LiteModel

        return LiteModel(path)
    return load_keras_model(path)


def _refuse_checkpoint(path: Path) -> None:
    """Raises InputError if a path names a TensorFlow 1 checkpoint, as the release's files do."""
    if ".ckpt" in path.name or Path(f"{path}.index").is_file():
        raise InputError(
            f"{path}: a TensorFlow 1 checkpoint; convert it first: musica-convert_checkpoint "
            f"--checkpoint_file={path} --output=model.keras"
        )


def load_keras_model(path: Path | str):
    """Reads a ``MuSiCa`` or an ``MDM`` from a .keras file, after a check of its description.

    Raises:
        InputError: unreadable, or another kind of model.
    """
    keras = import_keras()

    from musica.models.mdm import MDM
    from musica.models.model_file import check_keras_file
    from musica.models.musica import MuSiCa

    check_keras_file(path)
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds on files that are no models
        raise InputError(f"{path}: not a readable Keras model (.keras)") from error
    if not isinstance(model, MuSiCa | MDM):
        raise InputError(f"{path}: holds a {type(model).__name__}, not a MuSiCa model")
    return model
