"""Hostile models: .tflite, .keras and checkpoints of the 2021 release; as ``hostile.py``.

The last two need TensorFlow, which is imported when the first of them is made.
"""

import io
import json
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from hostile import Attempt, damaged, odd_value, one_of, written
from hostile_pictures import portrait

from musica.alignment.aligner import FaceAligner
from musica.models.lite_model import DESCRIPTION
from musica.models.loading import model_path

EDGE = 20_000  # bytes at either end of a model, where its structure is


def tried(path: Path) -> Attempt:
    """Loads a model and aligns a face with it."""

    def attempt():
        image, box = portrait()
        face = FaceAligner.load(path).align(image, box)
        assert np.isfinite(face.landmarks).all(), "landmarks are not finite"

    return attempt


def lite_model(generator: np.random.Generator, folder: Path) -> Attempt:
    """The shipped .tflite, its bytes damaged or its description changed."""
    content = model_path().read_bytes()
    if generator.random() < 0.6:
        near = EDGE if generator.random() < 0.7 else None
        return tried(written(generator, folder, damaged(generator, content, near), ".tflite"))
    with zipfile.ZipFile(model_path()) as archive:
        description = json.loads(archive.read(DESCRIPTION))
    description[one_of(generator, sorted(description))] = odd_value(generator)
    text = json.dumps(description)
    if generator.random() < 0.2:
        text = one_of(generator, ("[" * 10**5, "{}", "", " " * 10**8, "\x00"))
    file = io.BytesIO(content[: zip_start(content)])
    file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(DESCRIPTION, text)
    path = folder / "model.tflite"
    path.write_bytes(file.getvalue())
    return tried(path)


def zip_start(content: bytes) -> int:
    """Where the archive behind a .tflite file begins."""
    return content.rindex(b"PK\x03\x04")


@lru_cache
def small_model() -> dict[str, bytes]:
    """The members of a small saved model."""
    import tiny

    file = io.BytesIO()
    shape = np.random.default_rng(0).uniform(0, 142, (68, 2))
    model = tiny.musica_model(landmark_count=68, patch_indices=(0, 30), reference_shape=shape)
    path = Path(tempfile_folder(), "model.keras")
    model.save(path)
    file = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@lru_cache
def tempfile_folder() -> str:
    """A folder of this process."""
    import tempfile

    return tempfile.mkdtemp()


def packed(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def keras_model(generator: np.random.Generator, folder: Path) -> Attempt:
    """A .keras file: damaged, of another kind, with code in it, or huge by its own account."""
    members = dict(small_model())
    kind = one_of(generator, ("bytes", "config", "config", "attack", "weights", "members"))
    compression = zipfile.ZIP_STORED
    if kind == "bytes":
        content = damaged(generator, packed(members))
        return tried(written(generator, folder, content, ".keras"))
    if kind == "config":
        config = json.loads(members["config.json"])
        config["config"][one_of(generator, list(config["config"]))] = odd_value(generator)
        if generator.random() < 0.2:
            config[one_of(generator, list(config))] = odd_value(generator)
        if generator.random() < 0.2 and isinstance(config["config"], dict):
            sizes = ("hidden_size", "filters", "patch_size", "landmark_count")
            config["config"][one_of(generator, sizes)] = one_of(generator, (10**5, 10**9, 2**40))
        members["config.json"] = json.dumps(config).encode()
    if kind == "attack":
        members["config.json"] = one_of(generator, attacks(str(folder / "witness")) + bombs())
    if kind == "weights":
        members["model.weights.h5"] = damaged(generator, members["model.weights.h5"], EDGE)
        if generator.random() < 0.4:
            members["model.weights.h5"] = huge_weights(members["model.weights.h5"], generator)
    if kind == "members":
        compression = zipfile.ZIP_DEFLATED
        name = one_of(generator, ("../../evil.txt", "/tmp/evil.txt", "assets/a", "config.json"))
        members[name] = b"0" * one_of(generator, (5, 5, 300_000_000))
    path = folder / "model.keras"
    path.write_bytes(packed(members, compression))
    return tried(path)


def touching(witness: str):
    """A function that makes a file, by its code alone."""
    return eval(f"lambda x: __import__('pathlib').Path({witness!r}).touch()")


def attacks(witness: str) -> list[bytes]:
    """Configurations that name code, or objects of other kinds than ours."""
    import keras

    code = f"__import__('pathlib').Path({witness!r}).touch()"
    function = {
        "class_name": "__lambda__",
        "config": {"value": keras.src.utils.python_utils.func_dump(touching(witness))},
    }
    layer = keras.layers.Lambda(lambda x: x).get_config()
    layer.update(function=function, output_shape=function)
    wrapped = {"module": "keras.layers", "class_name": "Lambda", "config": layer}
    ours = {
        "module": "musica.models.musica",
        "class_name": "MuSiCa",
        "registered_name": "musica>MuSiCa",
    }
    reference = np.zeros((68, 2)).tolist()
    given = [
        {"module": "os", "class_name": "system", "config": f"touch {witness}"},
        {"module": "builtins", "class_name": "eval", "config": code},
        {"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch", witness]}},
        {"class_name": "function", "module": "os", "config": "system", "registered_name": "system"},
        {"module": "keras.utils", "class_name": "get_file", "config": {"origin": "file:///etc"}},
        wrapped,
        function,
        {"module": "keras", "class_name": "Sequential", "config": {"layers": [wrapped]}},
        {**ours, "config": {"kernel_initializer": function, "reference_shape": reference}},
        {**ours, "config": {"kernel_initializer": wrapped, "name": wrapped}},
        {**ours, "config": {"dtype": {"module": "os", "class_name": "system", "config": witness}}},
        {**ours, "config": {"reference_shape": function}},
        {**ours, "build_config": function, "compile_config": function, "config": {}},
    ]
    return [json.dumps(config).encode() for config in given]


def bombs() -> list[bytes]:
    """Configurations that take much memory, or long."""
    ours = {
        "module": "musica.models.musica",
        "class_name": "MuSiCa",
        "registered_name": "musica>MuSiCa",
    }
    many = json.dumps({**ours, "config": {"patch_indices": [0], "levels": [0] * 100_000}})
    return [many.encode(), b"[" * 10**5, b"{}", b'{"config":' * 10**5, b" " * 10**8]


def huge_weights(content: bytes, generator: np.random.Generator) -> bytes:
    """HDF5 weights of which one has a huge shape, or lies in another file."""
    import h5py

    file = io.BytesIO(content if content[1:4] == b"HDF" else b"")
    try:
        with h5py.File(file, "r+" if file.getbuffer().nbytes else "w") as weights:
            names = []
            weights.visititems(lambda name, item: names.append(name))
            sets = [name for name in names if isinstance(weights[name], h5py.Dataset)]
            name = one_of(generator, sets)
            del weights[name]
            kind = one_of(generator, ("chunks", "external", "link", "objects"))
            if kind == "chunks":
                weights.create_dataset(name, (10**6, 10**5), "f4", chunks=(1000, 1000))
            elif kind == "external":
                outside = [("/etc/passwd", 0, 100)]
                weights.create_dataset(name, (25,), "f4", external=outside)
            elif kind == "link":
                weights[name] = h5py.ExternalLink("/dev/zero", "a")
            else:
                weights.create_dataset(name, data=["text"] * 9)
    except (OSError, ValueError, KeyError, IndexError, RuntimeError):  # it was damaged before
        return content
    return file.getvalue()


@lru_cache
def checkpoints() -> dict[str, bytes]:
    """A small checkpoint of the 2021 release in both formats: suffix -> content."""
    import test_checkpoint as release

    values = release.stored(release.release_variables())
    files = {}
    for single, prefix in ((True, "single"), (False, "pair")):
        path = Path(tempfile_folder(), prefix)
        release.write(path, values, single)
        for written_file in path.parent.glob(f"{prefix}*"):
            files[written_file.name] = written_file.read_bytes()
    return files


def checkpoint(generator: np.random.Generator, folder: Path) -> Attempt:
    """A checkpoint whose files are damaged, exchanged, missing or links."""
    from musica.formats.checkpoint import ConvertConfig, convert

    files = dict(checkpoints())
    for name in list(files):
        if generator.random() < 0.6:
            files[name] = damaged(generator, files[name], one_of(generator, (None, 2000)))
    names = list(files)
    if generator.random() < 0.1:
        first, second = (one_of(generator, names) for _ in range(2))
        files[first], files[second] = files[second], files[first]
    if generator.random() < 0.1:
        del files[one_of(generator, names)]
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if generator.random() < 0.05:
        (folder / "pair.data-00000-of-00001").unlink(missing_ok=True)
        (folder / "pair.data-00000-of-00001").symlink_to("/dev/zero")
    keys = {
        "checkpoint_file": str(folder / one_of(generator, ("single", "pair", "pair.index"))),
        "output": str(folder / "output" / "model.keras"),
        "patch_indices": [0, 3],
        "averages": bool(generator.random() < 0.5),
    }
    if generator.random() < 0.3:
        values = [one_of(generator, (-1, 9, 10**9))] * int(generator.integers(4))
        keys[one_of(generator, ("patch_indices", "levels"))] = values
    if generator.random() < 0.2:
        keys["patch_size"] = one_of(generator, (-1, 0, 3, 10**4, 10**9))
    return lambda: convert(ConvertConfig(**keys))


KINDS = {"models .tflite": lite_model, "models .keras": keras_model, "checkpoints": checkpoint}
