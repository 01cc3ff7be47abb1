"""Variables of TensorFlow 1 checkpoints, and their way into layers (``METHOD.md`` section 10)."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from musica.errors import InputError

# The release's largest model has 28 million numbers, MDM with 68 landmarks has 80 million.
MAX_NUMBERS = 100_000_000
_AVERAGE = "/ExponentialMovingAverage"
_LAYER = r"(?:Conv|FC)(?:_\d+)?|convnet/conv_[12]|rnn/FC|rnn/pred"
# A frozen graph may hold the model below a name of its own.
_FROZEN = re.compile(rf"(?:[\w.-]+/)*?((?:{_LAYER})/(?:weights|biases))")
MAX_GRAPH_BYTES = 1_000_000_000
_VARIABLE = re.compile(rf"(?:{_LAYER})/(?:weights|biases)")

Variables = Mapping[str, np.ndarray]


class Sizes(NamedTuple):
    """The sizes of a model, read off its variables' shapes."""

    landmark_count: int
    patch_count: int
    filters: int
    hidden_size: int


def read_checkpoint(
    path: Path | str, averages: bool = True
) -> tuple[dict[str, np.ndarray], int | None]:
    """Reads the model's variables from a checkpoint, single file or .index and .data.

    Args:
        path: the checkpoint; of an .index and .data pair the part before these suffixes; or a
            frozen graph (.pb), whose constants are the variables.
        averages: whether to read the moving average of each variable instead of its last value; a
            frozen graph has one value of each.

    Returns:
        name -> value, without the averages' suffix, and the training step or None.

    Raises:
        InputError: the file is missing, unreadable, or without such variables.
    """
    import tensorflow as tf

    if Path(path).suffix == ".pb":
        return _read_frozen(Path(path)), None
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
        declared = sum(math.prod(stored[name + suffix]) for name in present)
        if declared > MAX_NUMBERS:
            raise InputError(f"{path}: declares {declared} numbers")
        variables = {name: reader.get_tensor(name + suffix) for name in present}
        step = int(reader.get_tensor("global_step")) if "global_step" in stored else None
    except InputError:
        raise
    except Exception as error:  # TensorFlow raises many kinds on a corrupted file
        raise InputError(f"{path}: not a readable TensorFlow checkpoint") from error
    if not names:
        raise InputError(f"{path}: holds no variables of the release's model or of MDM")
    if not variables:
        missing = "moving averages; try --noaverages" if averages else "raw weights; try --averages"
        raise InputError(f"{path}: holds no {missing}")
    _check_finite(path, variables, suffix)
    return variables, step


def _check_finite(path: str, variables: Variables, suffix: str = "") -> None:
    """Raises InputError if a variable does not hold finite numbers."""
    for name, value in variables.items():
        if value.dtype.kind != "f" or not np.isfinite(value).all():
            raise InputError(f"{path}: variable {name + suffix} does not hold finite numbers")


def _read_frozen(path: Path) -> dict[str, np.ndarray]:
    """Reads the model's variables from the constants of a frozen graph; nothing in it is run.

    Raises:
        InputError: the file is missing, too large, unreadable, or without such constants.
    """
    import tensorflow as tf

    if not path.is_file():
        raise InputError(f"{path}: no such frozen graph")
    if path.stat().st_size > MAX_GRAPH_BYTES:
        raise InputError(f"{path}: too large for a frozen graph of the release or of MDM")
    variables, declared = {}, 0
    try:
        graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
        for node in graph.node:
            match = _FROZEN.fullmatch(node.name)
            if match is None or node.op != "Const":
                continue
            tensor = node.attr["value"].tensor
            sizes = [dimension.size for dimension in tensor.tensor_shape.dim]
            declared += math.prod(sizes)
            if min(sizes, default=1) < 0 or declared > MAX_NUMBERS:
                raise InputError(f"{path}: declares {declared} numbers")
            variables[match[1]] = tf.make_ndarray(tensor)
    except InputError:
        raise
    except Exception as error:  # protobuf and TensorFlow raise many kinds on a corrupted file
        raise InputError(f"{path}: not a readable frozen graph") from error
    if not variables:
        raise InputError(f"{path}: holds no constants of the release's model or of MDM")
    _check_finite(str(path), variables)
    return variables


def check_layers(variables: Variables, layers: list[str]) -> None:
    """Raises InputError if a layer's weights or biases are missing."""
    for layer in layers:
        for name in (f"{layer}/weights", f"{layer}/biases"):
            if name not in variables:
                raise InputError(f"variable {name} is missing")


def read_sizes(
    variables: Variables,
    convolution: str,
    recurrent: str,
    head: str,
    patch_size: int,
    estimates: int,
) -> Sizes:
    """Reads the sizes off the shapes of the first convolution, the recurrent layer and the head.

    Args:
        variables: as ``read_checkpoint`` returns them.
        convolution: the layers' names, here and in the next two.
        recurrent: takes the features of M patches and the hidden state.
        head: gives 2 N numbers for N landmarks, and the estimates.
        patch_size: side of a patch in pixels, which the shapes do not tell.
        estimates: 1 if the head also estimates the error, else 0.

    Raises:
        InputError: the shapes do not fit each other.
    """
    from musica.layers import PatchEncoder

    filters = _shape(variables, convolution, 4)[-1]
    inputs, hidden_size = _shape(variables, recurrent, 2)
    outputs = _shape(variables, head, 2)[-1]
    features = PatchEncoder(patch_size, filters).feature_size
    patch_count, rest = divmod(inputs - hidden_size, features)
    if patch_count < 1 or rest:
        raise InputError(
            f"variable {recurrent}/weights has {inputs} rows, which are not M patches of "
            f"{features} features (patch_size {patch_size}) and a hidden state of {hidden_size}"
        )
    landmark_count, rest = divmod(outputs - estimates, 2)
    if landmark_count < 1 or rest:
        wanted = "2 N + 1 for N landmarks and the error estimate" if estimates else "2 N"
        raise InputError(f"variable {head}/weights has {outputs} columns, not {wanted}")
    return Sizes(landmark_count, patch_count, filters, hidden_size)


def assign(layer: Any, name: str, variables: Variables, units: slice = slice(None)) -> None:
    """Gives a Keras layer the weights of some units of a checkpoint's layer.

    Raises:
        InputError: their shapes differ.
    """
    for target, variable in ((layer.kernel, f"{name}/weights"), (layer.bias, f"{name}/biases")):
        value = np.atleast_1d(variables[variable])[..., units]
        if value.shape != tuple(target.shape):
            shape = list(variables[variable].shape)
            raise InputError(
                f"variable {variable} has shape {shape}, which does not fit the others"
            )
        target.assign(value)


def _shape(variables: Variables, layer: str, rank: int) -> tuple[int, ...]:
    """The shape of a layer's weights, after a check of its rank."""
    shape = variables[f"{layer}/weights"].shape
    if len(shape) != rank or min(shape) < 1:
        raise InputError(f"variable {layer}/weights has shape {list(shape)}, not {rank} dimensions")
    return shape
