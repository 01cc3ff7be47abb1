"""The keys and the work of ``musica.export``, whose module describes them."""

import io
import json
import tempfile
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musica.cli import command
from musica.cli.config import option
from musica.errors import InputError
from musica.files import writing
from musica.formats.iteration_graph import iteration_graph
from musica.formats.onnx import save_onnx
from musica.models.lite_model import DESCRIPTION

if TYPE_CHECKING:
    from musica.layers import CascadeStep
    from musica.models.musica import MuSiCa

WEIGHTS = "model.weights.h5"
GRAPH_OUTPUTS = ("displacement", "hidden", "landmarks", "error", "gain")
PRECISIONS = {
    ".keras": ("half", "float32"),
    ".tflite": ("int8", "int4", "half", "float32"),
    ".onnx": ("float32",),
    "": ("float32",),
}


@dataclass(frozen=True)
class ExportConfig:
    """Keys of the command."""

    checkpoint_file: str | None = option(None, "model (.keras); None: the shipped one", path=True)
    output: str = option("", "what to write: .keras, .tflite, .onnx, or a folder", path=True)
    precision: str | None = option(
        None,
        "of the weights: float32, half, or of a .tflite int8 or int4 (for models trained with "
        "recurrent_bits 4); None: int8 of a .tflite, half of a .keras, otherwise float32",
    )


def export(config: ExportConfig) -> None:
    """Writes the model whole or not at all.

    Raises:
        InputError: the model cannot be read, or a key cannot be used.
    """
    if not config.output or Path(config.output).suffix not in PRECISIONS:
        raise InputError("output must name a .keras, .tflite or .onnx file, or a folder")
    suffix = Path(config.output).suffix
    precision = config.precision or PRECISIONS[suffix][0]
    if precision not in PRECISIONS[suffix]:
        allowed = " or ".join(PRECISIONS[suffix])
        raise InputError(f"precision of {config.output} must be {allowed}, not {precision!r}")
    command.import_tensorflow()
    from musica.models.loading import load_musica

    model = load_musica(config.checkpoint_file)
    if suffix == "":
        save_graphs(model, config.output)
    else:
        with writing.replacing(config.output) as temporary:
            if suffix == ".tflite":
                temporary.write_bytes(lite_model(model, precision))
                describe(model, temporary)
            elif suffix == ".onnx":
                save_onnx(model, temporary, description(model))
            else:
                model.save(temporary)
                if precision == "half":
                    halve_weights(temporary)
    print(f"wrote {config.output}: {precision} weights, {_size(Path(config.output)) / 1e6:.1f} MB")


def _size(path: Path) -> int:
    """Bytes of a file or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def lite_model(model: "MuSiCa", precision: str = "int8") -> bytes:
    """Converts a model to LiteRT's format, signatures as ``LiteModel`` describes them.

    Args:
        model: a MuSiCa model.
        precision: of the weights: int8 (activations are quantised at run time), int4 (the same,
            but 4 bits for the recurrent products), half or float32.

    Raises:
        InputError: int4 without the extra ``musica[int4]``.
    """
    import tensorflow as tf

    module, signatures = tf.Module(), {}
    for k, step in enumerate(model.steps):
        signatures[f"iteration_{k + 1}"] = _constant_step(step, precision in ("int8", "int4"))
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=list(signatures)
        )
        if precision == "int4":
            return _in_4_bits(converter.convert())
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "half":
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def _in_4_bits(lite_model: bytes) -> bytes:
    """Quantises the weights of a float32 model as TensorFlow does, but recurrent ones to 4 bits.

    TensorFlow's converter leaves the small first convolution in float32, and cannot do 4 bits.
    """
    try:
        from ai_edge_quantizer import qtyping, quantizer
    except ImportError as error:
        raise InputError("precision int4 needs pip install 'musica[int4]'") from error
    dense, convolution = qtyping.TFLOperationName.FULLY_CONNECTED, qtyping.TFLOperationName.CONV_2D
    quantised = quantizer.Quantizer(lite_model)
    # The few weights of the estimates stay as they are: rounded, they shift every estimate.
    quantised.add_dynamic_config("^(?!.*stop_predictor).*", dense, num_bits=8)
    quantised.add_dynamic_config(".*convolution_1.*", convolution, num_bits=8)
    quantised.add_dynamic_config(".*recurrent.*", dense, num_bits=4)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return bytes(quantised.quantize().quantized_model)


def _constant_step(step: "CascadeStep", rounded: bool) -> Any:
    """An iteration after the extraction, for a batch, its weights turned into constants.

    Args:
        step: the iteration.
        rounded: whether the converter will round the weights to 8 bits.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    size = step.patch_size
    specification = {
        "patches": tf.TensorSpec((None, step.patch_count, size, size, 3), name="patches"),
        "hidden": tf.TensorSpec((None, step.hidden_size), name="hidden"),
    }
    # The head's weights suffer most from 8 bits: what is cut off gets 8 bits of its own.
    cut_off = _cut_off(step.head.kernel) if rounded else None

    def update(patches: Any, hidden: Any) -> dict[str, Any]:
        displacement, hidden, error, gain = step.update(patches, hidden)
        if cut_off is not None:
            displacement += tf.reshape(hidden @ cut_off, tf.shape(displacement))
        outputs = {"displacement": displacement, "hidden": hidden, "error": error}
        return outputs if gain is None else {**outputs, "gain": gain}

    graph = tf.function(update).get_concrete_function(**specification)
    # The converter leaves variables outside, in a file that only TensorFlow reads.
    constant, names = convert_variables_to_constants_v2(graph), sorted(graph.structured_outputs)

    def named(patches: Any, hidden: Any) -> dict[str, Any]:
        return dict(zip(names, constant(patches, hidden), strict=True))

    return tf.function(named).get_concrete_function(**specification)


def _cut_off(kernel: Any) -> np.ndarray:
    """The errors of LiteRT's rounding to 8 bits, for a dense layer's (in, out) weights."""
    kernel = np.asarray(kernel)
    unit = np.abs(kernel).max(axis=0) / 127
    unit[unit == 0] = 1  # all zeros stay so
    return kernel - np.round(kernel / unit) * unit


def description(model: "MuSiCa") -> dict[str, Any]:
    """The description of a model that its runners read."""
    return {**model.settings.as_values(), "multiply_adds": model.multiply_adds}


def describe(model: "MuSiCa", path: Path) -> None:
    """Appends its description to a .tflite file."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(DESCRIPTION, json.dumps(description(model)))


def save_graphs(model: "MuSiCa", folder: Path | str) -> None:
    """Writes a SavedModel with a signature for each iteration, batches and crops of any size.

    ``iteration_<k>``, from 1, has the inputs of an ``iteration_graph``. Its outputs are
    ``displacement``, ``hidden``, ``landmarks``, ``error`` and, if the model predicts it, ``gain``.

    Raises:
        InputError: the folder exists.
    """
    import tensorflow as tf

    if Path(folder).exists():
        raise InputError(f"{folder} exists")
    module = tf.Module()
    module.model = model
    signatures = {
        f"iteration_{k + 1}": iteration_graph(model, k, GRAPH_OUTPUTS)
        for k in range(len(model.settings.levels))
    }
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        tf.saved_model.save(module, f"{temporary}/model", signatures=signatures)
        Path(temporary, "model").rename(folder)


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

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Group):
                copied = target.require_group(name)
            else:
                dtype = "float16" if item.dtype == "float32" else item.dtype
                copied = target.create_dataset(name, data=item[()], dtype=dtype)
            copied.attrs.update(item.attrs)

        target.attrs.update(source.attrs)
        source.visititems(copy)
    return result.getvalue()
