"""Converts a checkpoint of the 2021 release (TensorFlow 1) to a Keras model.

    python -m musica.convert_checkpoint --checkpoint_file=model.ckpt-21300 --output=model.keras

``METHOD.md`` section 10. The architecture is read off the variables' names and shapes; the patch
points are not in the file and come from ``patch_indices`` or the landmark scheme.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from musica.cli import command
from musica.cli.config import option, require
from musica.errors import InputError
from musica.files.reference_shape_files import read_reference_shape
from musica.files.writing import replacing
from musica.geometry.landmarks import SCHEMES, scheme_for

if TYPE_CHECKING:
    from musica.models.musica import MuSiCa

# Pyramid levels by the number of iterations.
LEVELS = {2: [1, 0], 3: [2, 1, 0], 4: [2, 2, 1, 0]}
# The release's largest model has 8 million in one variable.
MAX_NUMBERS = 100_000_000
_AVERAGE = "/ExponentialMovingAverage"
_VARIABLE = re.compile(r"(?:Conv|FC)(?:_\d+)?/(?:weights|biases)")


@dataclass(frozen=True)
class ConvertConfig:
    """Keys of the command."""

    checkpoint_file: str = option("", "the TensorFlow 1 checkpoint, without .index", path=True)
    output: str = option("", "the .keras file to write", path=True)
    patch_indices: list[int] | None = option(None, "landmarks around which patches are cut")
    scheme: int | None = option(None, "number of landmarks of the scheme: 68 or 98")
    averages: bool = option(True, "read the moving averages of the weights, not the raw ones")
    levels: list[int] | None = option(None, "pyramid level of each iteration, coarse to fine")
    patch_size: int = option(14, "side of a patch in pixels")
    reference_shape_path: str | None = option(
        None, "mean face: .ljson, .pts, the release's .pkl, or their folder", path=True
    )


@dataclass(frozen=True)
class Architecture:
    """What the variables' names and shapes say about the model."""

    landmark_count: int
    patch_count: int
    iterations: int
    filters: int
    hidden_size: int
    use_attention: bool


def convert(config: ConvertConfig) -> None:
    """Reads the checkpoint, writes the model whole or not at all, and says what it is.

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
    print(
        f"wrote {config.output}: {model.settings.landmark_count} landmarks, "
        f"{len(model.settings.patch_indices[0])} patches, {len(model.settings.levels)} iterations, "
        f"{weights} weights of step {'unknown' if step is None else step}"
    )


def read_checkpoint(
    path: Path | str, averages: bool = True
) -> tuple[dict[str, np.ndarray], int | None]:
    """Reads the model's variables from a checkpoint, single file or .index and .data.

    Args:
        path: the checkpoint; of an .index and .data pair what precedes these.
        averages: whether to read the moving average of each variable instead of its last value.

    Returns:
        name -> value, without the averages' suffix, and the training step or None.

    Raises:
        InputError: missing, unreadable, or no such variables in the file.
    """
    import tensorflow as tf

    path = str(path).removesuffix(".index")
    if not Path(path).is_file() and not Path(f"{path}.index").is_file():
        raise InputError(f"{path}: no such checkpoint (neither this file nor one with .index)")
    suffix = _AVERAGE if averages else ""
    try:
        reader = tf.train.load_checkpoint(path)
        stored = reader.get_variable_to_shape_map()
        names = [name.removesuffix(_AVERAGE) for name in stored]
        names = sorted({name for name in names if _VARIABLE.fullmatch(name)})
        present = [name for name in names if name + suffix in stored]
        largest = max((math.prod(stored[name + suffix]) for name in present), default=0)
        if largest > MAX_NUMBERS:
            raise InputError(f"{path}: declares a variable of {largest} numbers")
        variables = {name: reader.get_tensor(name + suffix) for name in present}
        step = int(reader.get_tensor("global_step")) if "global_step" in stored else None
    except InputError:
        raise
    except Exception as error:  # TensorFlow raises many kinds on a corrupted file
        raise InputError(f"{path}: not a readable TensorFlow checkpoint") from error
    if not names:
        raise InputError(f"{path}: holds no variables of the release's model (Conv, FC, ...)")
    if not variables:
        missing = "moving averages; try --noaverages" if averages else "raw weights; try --averages"
        raise InputError(f"{path}: holds no {missing}")
    for name, value in variables.items():
        if value.dtype.kind != "f" or not np.isfinite(value).all():
            raise InputError(f"{path}: variable {name + suffix} does not hold finite numbers")
    return variables, step


def read_architecture(variables: dict[str, np.ndarray], patch_size: int = 14) -> Architecture:
    """Reads the architecture off the variables' names and shapes.

    Raises:
        InputError: a variable is missing, or the shapes are not those of the release's model.
    """
    from musica.layers import PatchEncoder

    iterations = math.ceil(_layer_count(variables, "Conv") / 2)
    dense_count = _layer_count(variables, "FC")
    dense_per_iteration = math.ceil(dense_count / iterations) if iterations else 0
    if dense_per_iteration not in (2, 3):
        raise InputError(
            f"{2 * iterations} convolutions go with {2 * iterations} or {3 * iterations} dense "
            f"layers, not with {dense_count}"
        )
    for kind, count in (("Conv", 2 * iterations), ("FC", dense_per_iteration * iterations)):
        for name in (_name(kind, index) for index in range(count)):
            for variable in (f"{name}/weights", f"{name}/biases"):
                if variable not in variables:
                    raise InputError(f"variable {variable} is missing")

    recurrent, head = (_name("FC", dense_per_iteration - index) for index in (2, 1))
    filters = _shape(variables, "Conv", 4)[-1]
    inputs, hidden_size = _shape(variables, recurrent, 2)
    outputs = _shape(variables, head, 2)[-1]
    features = PatchEncoder(patch_size, filters).feature_size
    patch_count, rest = divmod(inputs - hidden_size, features)
    if patch_count < 1 or rest:
        raise InputError(
            f"variable {recurrent}/weights has {inputs} rows, which are not M patches of "
            f"{features} features (patch_size {patch_size}) and a hidden state of {hidden_size}"
        )
    if outputs < 3 or outputs % 2 == 0:
        raise InputError(
            f"variable {head}/weights has {outputs} columns, not 2 N + 1 for N landmarks and the "
            "error estimate"
        )
    return Architecture(
        outputs // 2, patch_count, iterations, filters, hidden_size, dense_per_iteration == 3
    )


def build_model(variables: dict[str, np.ndarray], config: ConvertConfig) -> "MuSiCa":
    """Builds the MuSiCa model and gives it the checkpoint's weights.

    Raises:
        InputError: a variable is missing or has the wrong shape, or the configuration's scheme,
            patch points, levels or reference shape do not fit the checkpoint.
    """
    from musica.models.musica import MuSiCa

    found = read_architecture(variables, config.patch_size)
    reference_shape = None
    if config.reference_shape_path:
        reference_shape = read_reference_shape(
            config.reference_shape_path, found.landmark_count, import_pickle=True
        )
    model = MuSiCa(
        found.landmark_count,
        choose_patch_indices(found, config),
        choose_levels(found, config),
        config.patch_size,
        found.filters,
        found.hidden_size,
        found.use_attention,
        reference_shape=reference_shape,
    )
    for k, step in enumerate(model.steps):
        _assign_step(step, k, variables)
    return model


def choose_patch_indices(found: Architecture, config: ConvertConfig) -> tuple[int, ...]:
    """Returns the patch points of the configuration, or the scheme's default for N and M.

    Raises:
        InputError: the scheme or the points do not fit the checkpoint, or nothing is known.
    """
    count, patches = found.landmark_count, found.patch_count
    if config.scheme is not None and scheme_for(config.scheme).count != count:
        raise InputError(f"the checkpoint has {count} landmarks, not the scheme's {config.scheme}")
    indices = config.patch_indices
    if indices is None:
        defaults = SCHEMES[count].patch_indices if count in SCHEMES else {}
        if patches not in defaults:
            raise InputError(
                f"no default patch points for {count} landmarks and {patches} patches; "
                "give --patch_indices"
            )
        indices = defaults[patches]
    if len(indices) != patches:
        raise InputError(
            f"{len(indices)} patch_indices given, the checkpoint has {patches} patches"
        )
    return tuple(indices)


def choose_levels(found: Architecture, config: ConvertConfig) -> list[int]:
    """Returns the pyramid levels of the configuration, or those of so many iterations.

    Raises:
        InputError: the levels do not fit the checkpoint, or none are known.
    """
    levels = LEVELS.get(found.iterations) if config.levels is None else config.levels
    if levels is None:
        raise InputError(f"no default levels for {found.iterations} iterations; give --levels")
    if len(levels) != found.iterations:
        raise InputError(
            f"{len(levels)} levels given, the checkpoint has {found.iterations} iterations"
        )
    return levels


def _assign_step(step, k: int, variables: dict[str, np.ndarray]) -> None:
    """Gives iteration k its weights; variables are numbered in the order of their creation."""
    dense = [step.recurrent] if step.attention is None else [step.attention.gate, step.recurrent]
    for index, layer in enumerate(step.encoder.convolutions):
        _assign(layer, _name("Conv", 2 * k + index), variables)
    first = k * (len(dense) + 1)
    for index, layer in enumerate(dense):
        _assign(layer, _name("FC", first + index), variables)
    head = _name("FC", first + len(dense))
    # The head's last unit is the error estimate, which here is a layer of its own.
    _assign(step.head, head, variables, slice(None, -1))
    _assign(step.stop_predictor.error, head, variables, slice(-1, None))


def _assign(layer, name: str, variables: dict[str, np.ndarray], units=slice(None)) -> None:
    """Gives a layer the weights of the units of one layer of the release."""
    for target, variable in ((layer.kernel, f"{name}/weights"), (layer.bias, f"{name}/biases")):
        value = np.atleast_1d(variables[variable])[..., units]
        if value.shape != tuple(target.shape):
            shape = list(variables[variable].shape)
            raise InputError(
                f"variable {variable} has shape {shape}, which does not fit the others"
            )
        target.assign(value)


def _name(kind: str, index: int) -> str:
    """The name TensorFlow 1 gives the layer of a kind with that index: Conv, Conv_1, ..."""
    return f"{kind}_{index}" if index else kind


def _layer_count(variables: dict[str, np.ndarray], kind: str) -> int:
    """Counts the layers of a kind that have at least one variable."""
    layers = {name.split("/")[0] for name in variables}
    return sum(layer.split("_")[0] == kind for layer in layers)


def _shape(variables: dict[str, np.ndarray], layer: str, rank: int) -> tuple[int, ...]:
    """The shape of a layer's weights, after a check of its rank."""
    shape = variables[f"{layer}/weights"].shape
    if len(shape) != rank or min(shape) < 1:
        raise InputError(f"variable {layer}/weights has shape {list(shape)}, not {rank} dimensions")
    return shape
