import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
import tiny

from musica.errors import InputError
from musica.files.reference_shape_files import write_reference_shape
from musica.formats.checkpoint import ConvertConfig, build_model, convert
from musica.formats.checkpoint_variables import read_checkpoint
from musica.models.mdm import MDM

ROOT = Path(__file__).parents[2]
AVERAGE = "/ExponentialMovingAverage"
N, M, H, F = 4, 2, 8, 2
FEATURES = 8 * F  # of a 14-px patch


def numbered(kind, index):
    return f"{kind}_{index}" if index else kind


def release_variables(iterations=3, attention=True, landmarks=N, patches=M, seed=0):
    """The release's variables, by name, in its order of creation, with random values."""
    generator = np.random.default_rng(seed)
    dense = [(FEATURES, FEATURES)] * attention
    dense += [(patches * FEATURES + H, H), (H, 2 * landmarks + 1)]
    variables = {}
    for k in range(iterations):
        layers = {
            numbered("Conv", 2 * k): (3, 3, 3, F),
            numbered("Conv", 2 * k + 1): (3, 3, F, F),
            **{numbered("FC", k * len(dense) + i): shape for i, shape in enumerate(dense)},
        }
        for name, shape in layers.items():
            deviation = 1.5 / np.sqrt(np.prod(shape[:-1]))
            variables[f"{name}/weights"] = generator.normal(0, deviation, shape)
            variables[f"{name}/biases"] = generator.normal(0, 0.3, shape[-1:])
    return {name: value.astype("float32") for name, value in variables.items()}


def stored(variables):
    """Adds what a checkpoint holds besides: averages (half the value), Adam's slots, the step."""
    averages = {name + AVERAGE: value * np.float32(0.5) for name, value in variables.items()}
    slots = {f"{name}/Adam": value + 1 for name, value in variables.items()}
    return {**variables, **averages, **slots, "global_step": np.int64(300)}


def write(path, values, single_file=False):
    """Writes a TensorFlow 1 checkpoint in either format."""
    tensors = [tf.constant(value) for value in values.values()]
    if single_file:
        tf.raw_ops.Save(filename=str(path), tensor_names=list(values), data=tensors)
    else:
        slices = [""] * len(values)
        tf.raw_ops.SaveV2(
            prefix=str(path), tensor_names=list(values), shape_and_slices=slices, tensors=tensors
        )
    return str(path)


def converted(tmp_path, values, single_file=False, **settings):
    """Runs the conversion; returns the model as it is loaded again."""
    checkpoint = write(tmp_path / "model.ckpt-300", values, single_file)
    output = str(tmp_path / "model.keras")
    config = {"checkpoint_file": checkpoint, "output": output, "patch_indices": [0, 3]}
    convert(ConvertConfig(**{**config, **settings}))
    return keras.models.load_model(output)


def built(variables, **settings):
    """The model that variables give, without files."""
    return build_model(variables, ConvertConfig(**{"patch_indices": [0, 3], **settings}))


def restated_steps(variables, iterations, attention):
    """The variables as numpy_reference wants them, the head's last unit apart."""
    steps, per_iteration = [], 2 + attention
    for k in range(iterations):
        names = {
            "conv_0": numbered("Conv", 2 * k),
            "conv_1": numbered("Conv", 2 * k + 1),
            "recurrent": numbered("FC", per_iteration * k + attention),
            "head": numbered("FC", per_iteration * k + attention + 1),
        }
        if attention:
            names["attention"] = numbered("FC", per_iteration * k)
        step = {
            key: (variables[f"{name}/weights"], variables[f"{name}/biases"])
            for key, name in names.items()
        }
        kernel, bias = step["head"]
        step["head"], step["error"] = (kernel[:, :-1], bias[:-1]), (kernel[:, -1:], bias[-1:])
        steps.append(step)
    return steps


@pytest.mark.parametrize(
    ("iterations", "attention", "averages", "single_file", "levels"),
    [
        (3, True, True, False, (2, 1, 0)),
        (3, True, False, True, (2, 1, 0)),
        (2, False, True, True, (1, 0)),
        (4, True, False, False, (2, 2, 1, 0)),
    ],
)
def test_converted_model_equals_the_restatement(
    tmp_path, capsys, iterations, attention, averages, single_file, levels
):
    variables = release_variables(iterations, attention)
    model = converted(tmp_path, stored(variables), single_file, averages=averages)
    assert model.settings.levels == levels
    assert (model.settings.landmark_count, model.settings.patch_indices[0]) == (N, (0, 3))
    assert (model.settings.hidden_size, model.filters, model.use_attention) == (H, F, attention)

    said = capsys.readouterr().out
    assert f"wrote {tmp_path / 'model.keras'}: MuSiCa with 4 landmarks, 2 patches" in said
    assert f"{iterations} iterations" in said
    assert f"{'averaged' if averages else 'raw'} weights of step 300" in said

    used = {name: value * (0.5 if averages else 1) for name, value in variables.items()}
    steps = restated_steps(used, iterations, attention)
    inputs = tiny.inputs(1, count=N)
    pyramid = [level[0] for level in inputs["pyramid"]]
    expected = reference.musica(pyramid, inputs["initial"][0], steps, levels, [(0, 3)] * iterations)
    outputs = model(inputs)
    for name, values in zip(("landmarks", "errors", "hidden"), expected, strict=True):
        for found, value in zip(outputs[name], values, strict=True):
            np.testing.assert_allclose(found[0], value, **tiny.TOLERANCE)


def test_index_may_be_named(tmp_path):
    values = stored(release_variables(2))
    checkpoint = write(tmp_path / "a", values)
    variables, step = read_checkpoint(f"{checkpoint}.index")
    assert step == 300
    assert sorted(variables) == sorted(release_variables(2))


def test_levels_can_be_given():
    variables = release_variables(2)
    assert built(variables, levels=[0, 0]).settings.levels == (0, 0)
    with pytest.raises(InputError, match="3 levels given, the checkpoint has 2"):
        built(variables, levels=[2, 1, 0])


def test_patch_points_of_the_scheme():
    variables = release_variables(2, landmarks=68, patches=17)
    model = built(variables, patch_indices=None)
    assert model.settings.patch_indices[0] == tuple(range(0, 68, 4))
    assert (
        built(variables, patch_indices=None, scheme=68).settings.patch_indices
        == model.settings.patch_indices
    )
    with pytest.raises(InputError, match="the checkpoint has 68 landmarks, not the scheme's 98"):
        built(variables, patch_indices=None, scheme=98)
    with pytest.raises(InputError, match="no landmark scheme has 5"):
        built(variables, scheme=5)
    with pytest.raises(InputError, match="68 landmarks and 2 patches; give --patch_indices"):
        built(release_variables(2, landmarks=68), patch_indices=None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch_indices": None}, "4 landmarks and 2 patches; give --patch_indices"),
        ({"patch_indices": [1]}, "1 patch_indices given, the checkpoint has 2"),
        ({"patch_indices": [0, 4]}, "from 0 to 3"),
        ({"patch_size": 18}, r"FC_1/weights has 40 rows, .*patch_size 18"),
        ({"patch_size": 9}, "at least 10"),
        ({"output": "model.h5"}, r"model\.h5: .* end in \.keras"),
        ({"output": ""}, "output is missing"),
        ({"checkpoint_file": ""}, "checkpoint_file is missing"),
        ({"checkpoint_file": "missing"}, "missing: no such checkpoint"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        converted(tmp_path, stored(release_variables(2)), **settings)
    assert not (tmp_path / "model.keras").exists()


def without(*names):
    return {name: None for name in names}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (without("FC_1/weights"), "variable FC_1/weights is missing"),
        (without("Conv/biases"), "variable Conv/biases is missing"),
        (without("Conv_2/weights", "Conv_2/biases"), "variable Conv_2/weights is missing"),
        (without("FC_8/weights", "FC_8/biases"), "variable FC_8/weights is missing"),
        ({"FC_9/weights": np.zeros((2, 2))}, "6 convolutions go with 6 or 9 dense"),
        ({"FC_4/weights": np.zeros((3, H))}, r"FC_4/weights has shape \[3, 8\], which does not"),
        ({"FC_5/biases": np.zeros(8)}, r"FC_5/biases has shape \[8\], which does not"),
        ({"FC_5/biases": np.zeros(())}, r"FC_5/biases has shape \[\], which does not"),
        ({"FC/weights": np.zeros((9, 9))}, r"FC/weights has shape \[9, 9\], which does not"),
        ({"Conv/weights": np.zeros((3, 3))}, r"Conv/weights has shape \[3, 3\], not 4 dim"),
        ({"FC_2/weights": np.zeros((H, 8))}, r"FC_2/weights has 8 columns, not 2 N \+ 1"),
        ({"FC_1/weights": np.zeros((41, H))}, "FC_1/weights has 41 rows"),
        ({"FC_1/weights": np.zeros((H, H))}, "FC_1/weights has 8 rows"),
        ({"FC_7/biases": np.full(H, np.nan)}, "variable FC_7/biases does not hold finite"),
        ({"FC_7/biases": np.arange(H)}, "variable FC_7/biases does not hold finite"),
    ],
)
def test_variables_that_do_not_fit(tmp_path, changes, message):
    variables = release_variables()
    for name, value in changes.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value.astype("float32" if value.dtype.kind == "f" else "int32")
    with pytest.raises(InputError, match=message):
        converted(tmp_path, variables, averages=False)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".data-00000-of-00001", ".index"]


def test_files_without_what_was_asked_for(tmp_path):
    variables = release_variables(2)
    with pytest.raises(InputError, match="no moving averages; try --noaverages"):
        converted(tmp_path, variables)
    averages = {name + AVERAGE: value for name, value in variables.items()}
    with pytest.raises(InputError, match="no raw weights; try --averages"):
        converted(tmp_path, averages, averages=False)
    with pytest.raises(InputError, match="no variables of the release's model or of MDM"):
        converted(tmp_path, {"rnn/FC_1/weights": np.zeros(3)})
    partial = {**variables, **averages}
    del partial["Conv_1/biases" + AVERAGE]
    with pytest.raises(InputError, match="variable Conv_1/biases is missing"):
        converted(tmp_path, partial)


def test_unknown_number_of_iterations():
    with pytest.raises(InputError, match="no default levels for 1 iterations; give --levels"):
        built(release_variables(1))
    assert built(release_variables(1), levels=[1]).settings.levels == (1,)


@pytest.mark.parametrize("damage", ["empty", "garbage", "half", "half the data", "no data"])
def test_corrupted_checkpoints(tmp_path, damage):
    values = stored(release_variables(2))
    path = tmp_path / "model"
    write(path, values, single_file="data" not in damage)
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "garbage":
        path.write_bytes(b"garbage" * 100)
    elif damage == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        data = tmp_path / "model.data-00000-of-00001"
        os.truncate(data, data.stat().st_size // 2)
        if damage == "no data":
            data.unlink()
    with pytest.raises(InputError, match="model: not a readable TensorFlow checkpoint"):
        converted(tmp_path, values, checkpoint_file=str(path))


@pytest.mark.parametrize("name", ["reference_shape.ljson", "reference_shape.pkl"])
def test_reference_shape_travels_with_the_model(tmp_path, name):
    shape = np.random.default_rng(0).uniform(0, 142, (N, 2))
    path, variables = tmp_path / name, release_variables(2)
    if path.suffix == ".pkl":
        shape.dump(path)
    else:
        write_reference_shape(path, shape)
    for place in (path, tmp_path):
        model = built(variables, reference_shape_path=str(place))
        np.testing.assert_array_equal(model.settings.reference_shape, shape)
    assert built(variables).settings.reference_shape is None
    with pytest.raises(InputError, match="reference_shape must be 5 pairs"):
        built(release_variables(2, landmarks=5), reference_shape_path=str(path))


def mdm_variables(landmarks=N, patches=N, patch_size=30, filters=32, seed=0):
    """MDM's variables, by name, with random values."""
    generator = np.random.default_rng(seed)
    features = 2 * filters * (((patch_size - 2) // 2 - 2) // 2) ** 2
    layers = {
        "convnet/conv_1": (3, 3, 3, filters),
        "convnet/conv_2": (3, 3, filters, filters),
        "rnn/FC": (patches * features + H, H),
        "rnn/pred": (H, 2 * landmarks),
    }
    variables = {}
    for name, shape in layers.items():
        deviation = 1.5 / np.sqrt(np.prod(shape[:-1]))
        variables[f"{name}/weights"] = generator.normal(0, deviation, shape)
        variables[f"{name}/biases"] = generator.normal(0, 0.3, shape[-1:])
    return {name: value.astype("float32") for name, value in variables.items()}


@pytest.mark.parametrize(
    ("averages", "single_file", "patches", "settings"),
    [
        (True, False, range(N), {"patch_indices": None}),
        (False, True, (0, 3), {"patch_size": 18, "levels": [0, 0]}),
    ],
)
def test_converted_mdm_equals_the_restatement(
    tmp_path, capsys, averages, single_file, patches, settings
):
    size, iterations = settings.get("patch_size", 30), len(settings.get("levels", range(4)))
    variables = mdm_variables(patches=len(patches), patch_size=size)
    shape = np.random.default_rng(0).uniform(0, 142, (N, 2))
    write_reference_shape(tmp_path / "shape.ljson", shape)
    settings = {**settings, "reference_shape_path": str(tmp_path / "shape.ljson")}
    model = converted(tmp_path, stored(variables), single_file, averages=averages, **settings)
    assert isinstance(model, MDM)
    assert model.settings.patch_indices[0] == tuple(patches)
    np.testing.assert_array_equal(model.settings.reference_shape, shape)
    assert f": MDM with 4 landmarks, {len(patches)} patches" in capsys.readouterr().out

    used = {name: value * (0.5 if averages else 1) for name, value in variables.items()}
    names = ("conv_0", "conv_1", "recurrent", "head")
    layers = ("convnet/conv_1", "convnet/conv_2", "rnn/FC", "rnn/pred")
    weights = {
        name: (used[f"{layer}/weights"], used[f"{layer}/biases"])
        for name, layer in zip(names, layers, strict=True)
    }
    inputs = tiny.inputs(1, count=N)
    image, initial = inputs["pyramid"][0][0], inputs["initial"][0]
    expected = reference.mdm(image, initial, weights, iterations, patches, size)
    outputs = model(inputs)
    for name, values in zip(("landmarks", "hidden"), expected, strict=True):
        for found, value in zip(outputs[name], values, strict=True):
            np.testing.assert_allclose(found[0], value, **tiny.TOLERANCE)


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        (without("rnn/pred/biases"), {}, "variable rnn/pred/biases is missing"),
        (without("convnet/conv_2/weights"), {}, "variable convnet/conv_2/weights is missing"),
        ({"rnn/pred/weights": np.zeros((H, 9))}, {}, "rnn/pred/weights has 9 columns, not 2 N"),
        ({"rnn/FC/biases": np.zeros(9)}, {}, r"rnn/FC/biases has shape \[9\], which does not"),
        ({}, {"patch_size": 14}, "36 patches of 14 pixels, not 4; give --patch_indices or"),
        ({}, {"patch_indices": [0, 3]}, "4 patches of 30 pixels, not 2"),
        ({}, {"levels": [2, 1, 0]}, r"MDM has level 0 alone, not \[2, 1, 0\]"),
        ({}, {"scheme": 68}, "has 4 landmarks, not the scheme's 68"),
    ],
)
def test_variables_of_mdm_that_do_not_fit(changes, settings, message):
    variables = {**mdm_variables(), **changes}
    variables = {name: value for name, value in variables.items() if value is not None}
    with pytest.raises(InputError, match=message):
        built(variables, **{"patch_indices": None, **settings})
    with pytest.raises(InputError, match="convolutions have 32 filters, not 8"):
        built(mdm_variables(filters=8), patch_indices=None)


def test_an_earlier_model_survives_a_failure(tmp_path):
    (tmp_path / "model.keras").write_text("earlier")
    with pytest.raises(InputError):
        converted(tmp_path, stored(release_variables(2)), patch_indices=[1])
    assert (tmp_path / "model.keras").read_text() == "earlier"


def test_command(tmp_path):
    write(tmp_path / "model.ckpt", stored(release_variables(2)))
    flags = ["--checkpoint_file=model.ckpt", "--output=new/model.keras", "--noaverages"]
    command = [sys.executable, "-m", "musica.convert_checkpoint", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*more):
        return subprocess.run(
            [*command, *more],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("--patch_indices=0,3")
    assert done.returncode == 0, done.stderr
    assert "raw weights of step 300" in done.stdout.splitlines()[-1]
    assert keras.models.load_model(tmp_path / "new" / "model.keras").settings.patch_indices[0] == (
        0,
        3,
    )
    failed = run("--output=model.h5")
    assert failed.returncode == 1
    assert (
        failed.stderr == f"error: {tmp_path}/model.h5: the name of the model must end in .keras\n"
    )


def frozen(path, variables, prefix="", op="Const"):
    """Writes a frozen graph whose constants are the variables."""
    graph = tf.compat.v1.GraphDef()
    for name, value in {**variables, "images/weights": np.ones(3)}.items():
        node = graph.node.add(name=prefix + name, op=op)
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.astype(np.float32)))
        graph.node.add(name=f"{prefix}{name}/read", op="Identity", input=[prefix + name])
    path.write_bytes(graph.SerializeToString())
    return path


@pytest.mark.parametrize("prefix", ["", "mdm/"])
def test_a_frozen_graph_of_mdm_is_read(tmp_path, prefix, capsys):
    variables = mdm_variables()
    path = frozen(tmp_path / "mdm.pb", variables, prefix)
    convert(ConvertConfig(checkpoint_file=str(path), output=str(tmp_path / "mdm.keras")))
    model = keras.models.load_model(tmp_path / "mdm.keras")
    assert model.settings.preprocessing == "mdm"
    np.testing.assert_array_equal(
        model.step.head.kernel, variables["rnn/pred/weights"].astype(np.float32)
    )
    assert "frozen weights of step unknown" in capsys.readouterr().out


def test_frozen_graphs_that_cannot_be_read(tmp_path):
    bad = tmp_path / "bad.pb"
    with pytest.raises(InputError, match="no such frozen graph"):
        read_checkpoint(bad)
    bad.write_bytes(b"\xff\xfe graph")
    with pytest.raises(InputError, match="not a readable frozen graph"):
        read_checkpoint(bad)
    with pytest.raises(InputError, match="holds no constants"):
        read_checkpoint(frozen(bad, mdm_variables(), op="Placeholder"))
    with pytest.raises(InputError, match="does not hold finite numbers"):
        read_checkpoint(frozen(bad, {"rnn/FC/biases": np.full(3, np.nan)}))
    graph = tf.compat.v1.GraphDef.FromString(frozen(bad, mdm_variables()).read_bytes())
    shape = graph.node[0].attr["value"].tensor.tensor_shape
    shape.dim[0].size = 10**12
    bad.write_bytes(graph.SerializeToString())
    with pytest.raises(InputError, match="declares"):
        read_checkpoint(bad)
