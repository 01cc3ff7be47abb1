"""A model as one ONNX graph, one iteration at a time; needs ``pip install 'musica[onnx]'``.

tf2onnx converts every iteration; a chain of If nodes chooses one of them.
"""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musica.errors import InputError
from musica.formats.iteration_graph import iteration_graph

if TYPE_CHECKING:
    from musica.models.musica import MuSiCa

OPSET = 18
OUTPUTS = ("next_displacement", "next_hidden", "landmarks", "error", "gain")


def save_onnx(model: "MuSiCa", path: Path | str, description: dict[str, Any]) -> None:
    """Writes a model with float32 weights, for batches and crops of any size.

    Its inputs are ``iteration``, int64, from 1, and the inputs of an ``iteration_graph``. Its
    outputs are ``next_displacement``, ``next_hidden``, ``landmarks``, ``error`` and, if the model
    predicts it, ``gain``.

    Args:
        model: a MuSiCa model.
        path: the file.
        description: goes into the file's metadata, as JSON under ``musica``.

    Raises:
        InputError: tf2onnx is not installed.
    """
    try:
        import onnx
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise InputError("ONNX needs tf2onnx: pip install 'musica[onnx]'") from error
    count = len(model.settings.levels)
    iterations = [_iteration(model, k) for k in range(count)]
    graph = _branch(iterations[-1].graph, count)
    for number in range(count - 1, 0, -1):
        graph = _choice(number, _branch(iterations[number - 1].graph, number), graph)
    inputs = [onnx.helper.make_tensor_value_info("iteration", onnx.TensorProto.INT64, [])]
    graph.input.extend([*inputs, *iterations[0].graph.input])
    chosen = onnx.helper.make_model(
        graph,
        opset_imports=iterations[0].opset_import,
        ir_version=iterations[0].ir_version,
        producer_name="musica",
    )
    onnx.helper.set_model_props(chosen, {"musica": json.dumps(description)})
    onnx.checker.check_model(chosen)
    onnx.save(chosen, path)


def _iteration(model: "MuSiCa", k: int) -> Any:
    """Iteration k as an ONNX model of its own."""
    import tf2onnx

    function = iteration_graph(model, k, OUTPUTS)
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    signature = function.input_signature
    return tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)[0]


def _branch(graph: Any, number: int) -> Any:
    """A graph whose inputs come from the graph around it; other names begin with a number."""
    import onnx

    graph = onnx.compose.add_prefix_graph(graph, f"{number}/", rename_inputs=False)
    return onnx.helper.make_graph(
        graph.node, f"iteration_{number}", [], graph.output, graph.initializer
    )


def _choice(number: int, chosen: Any, others: Any) -> Any:
    """A graph that runs ``chosen`` if ``iteration`` is ``number``, and ``others`` if not."""
    import onnx

    helper, outputs = onnx.helper, []
    for output in chosen.output:
        name = output.name.split("/")[-1]
        outputs.append(onnx.ValueInfoProto())
        outputs[-1].CopyFrom(output)
        outputs[-1].name = name if number == 1 else f"from_{number}/{name}"
    constant = helper.make_tensor(f"number_{number}", onnx.TensorProto.INT64, [], [number])
    nodes = [
        helper.make_node("Equal", ["iteration", constant.name], [f"is_{number}"]),
        helper.make_node(
            "If",
            [f"is_{number}"],
            [output.name for output in outputs],
            then_branch=chosen,
            else_branch=others,
        ),
    ]
    return helper.make_graph(nodes, f"from_{number}", [], outputs, [constant])
