"""Converts a published TensorFlow 1 checkpoint to a Keras model (``METHOD.md`` section 10)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

from musica.cli import command
from musica.cli.config import option, require
from musica.errors import InputError
from musica.files.reference_shape_files import read_reference_shape
from musica.files.writing import replacing
from musica.formats import mdm_checkpoint, musica_checkpoint
from musica.formats.checkpoint_variables import Variables, read_checkpoint
from musica.geometry.landmarks import scheme_for

if TYPE_CHECKING:
    from musica.models.mdm import MDM
    from musica.models.musica import MuSiCa


@dataclass(frozen=True)
class ConvertConfig:
    """Keys of the command."""

    checkpoint_file: str = option(
        "", "the TensorFlow 1 checkpoint, without .index, or a frozen graph (.pb)", path=True
    )
    output: str = option("", "the .keras file to write", path=True)
    patch_indices: list[int] | None = option(
        None, "landmarks around which patches are cut; None: the scheme's, or all for MDM"
    )
    scheme: int | None = option(None, "number of landmarks of the scheme: 68 or 98")
    averages: bool = option(True, "read the moving averages of the weights, not the raw ones")
    levels: list[int] | None = option(None, "pyramid level of each iteration, coarse to fine")
    patch_size: int | None = option(None, "side of a patch in pixels; None: 14, or 30 for MDM")
    reference_shape_path: str | None = option(
        None, "mean face: .ljson, .pts, the release's .pkl, or their folder", path=True
    )


def convert(config: ConvertConfig) -> None:
    """Reads the checkpoint, writes the model whole or not at all, and describes it in one line.

    Raises:
        InputError: something in the checkpoint or the configuration does not fit.
    """
    require(config, "checkpoint_file", "output")
    if Path(config.output).suffix != ".keras":
        raise InputError(f"{config.output}: the name of the model must end in .keras")
    command.import_tensorflow()
    variables, step = read_checkpoint(config.checkpoint_file, config.averages)
    model = build_model(variables, config)
    with replacing(config.output) as temporary:
        model.save(temporary)
    weights = "averaged" if config.averages else "raw"
    if Path(config.checkpoint_file).suffix == ".pb":
        weights = "frozen"
    settings = model.settings
    print(
        f"wrote {config.output}: {type(model).__name__} with {settings.landmark_count} landmarks, "
        f"{len(settings.patch_indices[0])} patches, {len(settings.levels)} iterations, "
        f"{weights} weights of step {'unknown' if step is None else step}"
    )


def build_model(variables: Variables, config: ConvertConfig) -> Union["MuSiCa", "MDM"]:
    """Builds the model that the variables belong to and gives it their values.

    Raises:
        InputError: a variable is missing or has the wrong shape, or the configuration's scheme,
            patch points, levels or reference shape do not fit the checkpoint.
    """
    scheme = None if config.scheme is None else scheme_for(config.scheme)
    reference_shape = None
    if config.reference_shape_path:
        reference_shape = read_reference_shape(config.reference_shape_path, import_pickle=True)
    model: MuSiCa | MDM
    if mdm_checkpoint.is_mdm(variables):
        model = mdm_checkpoint.build_mdm(
            variables,
            config.patch_indices,
            config.levels,
            config.patch_size or mdm_checkpoint.PATCH_SIZE,
            reference_shape,
        )
    else:
        model = musica_checkpoint.build_musica(
            variables,
            config.patch_indices,
            config.levels,
            config.patch_size or musica_checkpoint.PATCH_SIZE,
            reference_shape,
        )
    if scheme is not None and scheme.count != model.settings.landmark_count:
        count = model.settings.landmark_count
        raise InputError(f"the checkpoint has {count} landmarks, not the scheme's {scheme.count}")
    return model
