"""Saves a trained model for shipping: ``python -m musica.export``.

With half precision the weights take half the space; Keras reads them back as float32.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from musica import command, shape_io
from musica.config import option
from musica.errors import InputError

WEIGHTS = "model.weights.h5"


@dataclass(frozen=True)
class ExportConfig:
    """Keys of the command."""

    checkpoint_file: str | None = option(None, "model (.keras); None: the shipped one", path=True)
    output: str = option("", "the .keras file to write", path=True)
    precision: str = option("half", "half or float32")


def export(config: ExportConfig) -> None:
    """Writes the model whole or not at all.

    Raises:
        InputError: the model cannot be read, or a key cannot be used.
    """
    if config.precision not in ("half", "float32"):
        raise InputError(f"precision must be half or float32, not {config.precision!r}")
    if Path(config.output).suffix != ".keras":
        raise InputError("output must name a .keras file")
    command.import_tensorflow()
    from musica.aligner import load_model

    model = load_model(config.checkpoint_file)
    with shape_io.replacing(config.output) as temporary:
        model.save(temporary)
        if config.precision == "half":
            halve_weights(temporary)
    size = Path(config.output).stat().st_size / 1e6
    print(f"wrote {config.output}: {config.precision} precision, {size:.1f} MB")


def halve_weights(path: Path) -> None:
    """Stores the float32 weights of a .keras file as float16, in place."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[WEIGHTS] = _halved(members[WEIGHTS])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _halved(weights: bytes) -> bytes:
    """A copy of an HDF5 file with every float32 data set as float16."""
    import h5py

    result = io.BytesIO()
    with h5py.File(io.BytesIO(weights)) as source, h5py.File(result, "w") as target:

        def copy(name, item):
            if isinstance(item, h5py.Group):
                copied = target.require_group(name)
            else:
                dtype = "float16" if item.dtype == "float32" else item.dtype
                copied = target.create_dataset(name, data=item[()], dtype=dtype)
            copied.attrs.update(item.attrs)

        target.attrs.update(source.attrs)
        source.visititems(copy)
    return result.getvalue()


def main() -> None:
    """Runs the command."""
    command.run(ExportConfig, export, __doc__)


if __name__ == "__main__":
    main()
