import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import perturb
import pytest
from PIL import Image

from musica.alignment import aligner, detector
from musica.drawing import faces as drawn_faces
from musica.errors import InputError
from musica.files import image_files, landmark_files
from musica.geometry import crops
from musica.jobs import inference
from musica.jobs.inference import InferenceConfig
from musica.jobs.predictions import Predictions
from musica.jobs.tasks import Task, photo_tasks
from musica.models import loading
from musica.models.musica import MuSiCa


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny saved model."""
    truth = inference.builtin_truth()["takeo"]
    x0, y0, x1, y1 = crops.bounding_box(truth)
    keras.utils.set_random_seed(1)
    model = MuSiCa(
        patch_indices=[30, 36, 45],
        hidden_size=16,
        reference_shape=(truth - [y0, x0]) * 142 / max(x1 - x0 + 1, y1 - y0 + 1),
    )
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return path


@pytest.fixture
def data(tmp_path, checkpoint):
    """A folder of two good images, one unreadable, and the configuration of a run."""
    task = next(task for task in inference.builtin_tasks() if task.name == "takeo")
    image = Image.open(task.image)
    for name in ("a.png", "sub/b.jpg", "bad.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
        landmark_files.write_box((tmp_path / "boxes" / name).with_suffix(".pts"), task.box)
    (tmp_path / "images" / "bad.png").write_bytes(b"not an image")
    return tmp_path, {
        "eval_filenames": write_list(tmp_path, "a.png", "bad.png", "sub/b.jpg"),
        "image_dir": str(tmp_path / "images"),
        "bb_root": str(tmp_path / "boxes"),
        "resDir": str(tmp_path / "results"),
        "checkpoint_file": str(checkpoint),
    }


def write_list(folder, *names):
    path = folder / "list.txt"
    path.write_text("\n".join(names))
    return str(path)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_command_end_to_end(data):
    folder, keys = data
    config = folder / "inference.json"
    relative = {"eval_filenames": "list.txt", "data_dir": "images", "bb_root": "boxes"}
    config.write_text(
        json.dumps({**relative, "checkpoint_file": keys["checkpoint_file"], "resDir": "wrong"})
    )
    done = subprocess.run(
        [sys.executable, "-m", "musica.inference", f"--config={config}", "--resDir=results"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(inference.__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "bad: " in done.stderr and "Traceback" not in done.stderr
    last = done.stdout.splitlines()[-1]
    assert "2 faces written" in last and "3.00 iterations" in last and "1 skipped" in last
    names = ["a.pts", "a.txt", "predictions.csv", "sub/b.pts", "sub/b.txt"]
    assert files(folder / "results") == names
    assert not (folder / "wrong").exists()

    loaded = aligner.FaceAligner.load(keys["checkpoint_file"])
    face = loaded.align(folder / "images/a.png", landmark_files.read_box(folder / "boxes/a.pts"))
    lines = (folder / "results/a.pts").read_text().splitlines()
    first_point = [float(value) for value in lines[3].split()]
    np.testing.assert_allclose(first_point, face.as_xy()[0] + 1, atol=2e-3)  # 1-based
    estimate = landmark_files.read_estimate(folder / "results/a.txt")
    assert estimate == pytest.approx(face.error_estimate, abs=1e-5)


def test_help_is_light():
    for name in ("inference", "show_flm_on_image"):
        code = (
            f"import sys, musica.{name}\n"
            "assert not {'tensorflow', 'keras', 'menpo'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


def test_iteration_is_chosen(data, capsys):
    folder, keys = data
    assert inference.infer(InferenceConfig(**keys, get_output_of_iteration=0, batch_size=1))
    assert "1.00 iterations" in capsys.readouterr().out
    found = aligner.FaceAligner.load(keys["checkpoint_file"]).align(
        folder / "images/a.png", landmark_files.read_box(folder / "boxes/a.pts"), iterations=1
    )
    written = landmark_files.read_landmarks(folder / "results/a.pts", 68)
    np.testing.assert_allclose(written, found.landmarks, atol=2e-3)
    estimate = landmark_files.read_estimate(folder / "results/a.txt")
    assert estimate == pytest.approx(found.error_estimate, abs=1e-5)


def test_what_a_second_alignment_costs(data, capsys):
    folder, keys = data
    truth = inference.builtin_truth()["takeo"]
    image = image_files.read_image(folder / "images/a.png")
    rolled, points = perturb.rotated(image, truth, 60)
    image_files.write_image(folder / "images/a.png", Image.fromarray(rolled))
    landmark_files.write_box(folder / "boxes/a.pts", crops.bounding_box(points))
    keys.update(eval_filenames=write_list(folder, "a.png"), checkpoint_file=None)
    rows = []
    for options in ({}, {"realign": False}, {"get_output_of_iteration": 2}):
        assert not inference.infer(InferenceConfig(**keys, **options))
        (row,) = table(folder)
        rows.append((int(row["iterations"]), int(row["multiply_adds"])))
        output = capsys.readouterr().out
        cost = f"{rows[-1][1] / 1e6:.2f} million"
        assert f"{rows[-1][0]}.00 iterations on average, {cost}" in output
    twice, once, all_three = rows
    assert twice[0] > once[0] and twice[1] > once[1] and all_three[0] == 3


def test_thresholds_pictures_and_reference_shape(data, capsys):
    folder, keys = data
    landmark_files.write_landmarks(folder / "reference.ljson", np.full((68, 2), 71.0))
    config = InferenceConfig(
        **{**keys, "eval_filenames": write_list(folder, "a.png")},
        reference_shape_path=str(folder / "reference.ljson"),
        stop_threshold=-1e9,
        fail_threshold=-1e9,
        draw=True,
    )
    assert not inference.infer(config)
    assert "1 above the fail threshold" in capsys.readouterr().out
    assert files(folder / "results") == ["a.png", "a.pts", "a.txt", "predictions.csv"]
    assert np.ptp(landmark_files.read_landmarks(folder / "results/a.pts"), axis=0).max() < 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_dir": None}, "belong together"),
        ({"images": ["a.png"]}, "either images, or"),
        ({"format": "txt"}, "pts or ljson"),
        ({"box_convention": "mine"}, "known: landmarks"),
        ({"patch_size": 16}, "patch_size is 16"),
        ({"patch_indices": [0, 2]}, "patch_indices"),
        ({"landmark_count": 98}, "landmark_count"),
        ({"get_output_of_iteration": 3}, "0 to 2"),
        ({"batch_size": 0}, "batch_size"),
        ({"checkpoint_file": "missing.keras"}, "missing.keras"),
        (
            {"checkpoint_file": "/a/model.ckpt-21300"},
            "musica-convert_checkpoint --checkpoint_file=/a/model.ckpt-21300 --output",
        ),
        ({"reference_shape_path": "missing"}, "missing"),
    ],
)
def test_refused_keys(data, change, message):
    with pytest.raises(InputError, match=message):
        inference.infer(InferenceConfig(**{**data[1], **change}))


def test_agreeing_model_keys_are_accepted(data):
    keys = {"landmark_count": 68, "patch_indices": [30, 36, 45], "patch_size": 14, "margin": 0.3}
    assert inference.infer(InferenceConfig(**data[1], **keys))


@pytest.mark.parametrize("names", [("../a.png",), ("/a.png",), ("a.png", "a.jpg"), (".",)])
def test_refused_lists(data, names):
    folder, keys = data
    write_list(folder, *names)
    with pytest.raises(InputError):
        inference.infer(InferenceConfig(**keys))
    assert not (folder / "results").exists()


def test_input_is_not_overwritten(data):
    _, keys = data
    for folder in ("image_dir", "bb_root"):
        with pytest.raises(InputError, match="another folder"):
            inference.infer(InferenceConfig(**{**keys, "resDir": keys[folder]}))


def test_builtin_faces(tmp_path, monkeypatch, capsys):
    # Large pictures take seconds to compress.
    monkeypatch.setattr(drawn_faces, "draw_faces", lambda image, _: Image.fromarray(image[:9, :9]))
    assert not inference.infer(InferenceConfig(resDir=str(tmp_path / "output")))
    assert "4 faces written" in capsys.readouterr().out
    stems = ("breakingbad", "einstein", "lenna", "takeo")
    expected = [f"{stem}{suffix}" for stem in stems for suffix in (".png", ".pts", ".txt")]
    assert files(tmp_path / "output") == sorted([*expected, "predictions.csv"])

    inference.align_builtin_faces(tmp_path)
    for name in ("estimated", "truth"):
        for stem in stems:
            assert np.isfinite(
                landmark_files.read_landmarks(tmp_path / name / f"{stem}.pts", 68)
            ).all()
    assert len(files(tmp_path / "estimated")) == 9


def test_box_convention(data):
    folder, keys = data
    keys["eval_filenames"] = write_list(folder, "a.png")
    assert not inference.infer(InferenceConfig(**keys, box_convention="haar"))
    (row,) = table(folder)
    box = landmark_files.read_box(folder / "boxes/a.pts")
    expected = inference.CONVENTIONS["haar"].to_landmark_box(box)
    np.testing.assert_allclose(
        [float(row[key]) for key in ("x0", "y0", "x1", "y1")], expected, atol=0.01
    )


@pytest.fixture
def photos(data, monkeypatch):
    """A folder of two pictures of one and of two faces, and what is none; a detector that knows."""
    folder, keys = data
    box = landmark_files.read_box(folder / "boxes/a.pts")

    class Detector:
        pictures = 0

        def detect(self, image, smallest_face=None):
            Detector.pictures += 1
            return [box, box + 1] if image[0, 0, 0] == 7 else [box] if image.any() else []

    image = Image.open(folder / "images/a.png").convert("RGB")
    image.putpixel((0, 0), (7, 0, 0))
    image.save(folder / "images/sub/two.BMP")
    Image.new("L", (50, 40)).save(folder / "images/none.webp")
    image.save(folder / "images/.hidden.png")
    (folder / "images/notes.txt").write_text("no picture")
    monkeypatch.setattr(detector, "FaceDetector", Detector)
    results = {"resDir": str(folder / "results"), "checkpoint_file": keys["checkpoint_file"]}
    return folder, {"images": [str(folder / "images")], **results}, Detector


def table(folder):
    """The rows of the table; TensorFlow's products may differ in the last bits between runs."""
    with open(folder / "results/predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{**row, "error_estimate": f"{float(row['error_estimate']):.6g}"} for row in rows]


def test_every_face_in_a_folder(photos, capsys):
    folder, keys, _ = photos
    assert inference.infer(InferenceConfig(**keys, draw=True, format="ljson", batch_size=2))
    captured = capsys.readouterr()
    assert "4 faces written" in captured.out and "2 skipped" in captured.out
    assert [line.split(":")[0] for line in captured.err.splitlines()] == ["bad", "none"]
    assert "no face found" in captured.err
    names = ["a", "sub/b", "sub/two", "sub/two_face2"]
    expected = [f"{name}{suffix}" for name in names for suffix in (".ljson", ".txt")]
    expected += ["a.png", "sub/b.png", "sub/two.png", "predictions.csv"]
    assert files(folder / "results") == sorted(expected)
    rows = table(folder)
    assert [row["landmarks"] for row in rows] == [f"{name}.ljson" for name in names]
    assert [row["face"] for row in rows] == ["1", "1", "1", "2"]
    assert rows[3]["image"] == str(folder / "images/sub/two.BMP")
    assert float(rows[3]["x0"]) == pytest.approx(float(rows[2]["x0"]) + 1, abs=0.011)
    cost = str(loading.load_musica(keys["checkpoint_file"]).multiply_adds[2])
    for row in rows:
        estimate = landmark_files.read_estimate(
            (folder / "results" / row["landmarks"]).with_suffix(".txt")
        )
        assert float(row["error_estimate"]) == pytest.approx(estimate, rel=1e-5)
        assert (row["iterations"], row["failed"], row["expected_nme"]) == ("3", "0", "")
        assert row["multiply_adds"] == cost


def test_all_that_is_known_of_a_face_as_columns_and_as_json(photos):
    folder, keys, _ = photos
    keys["checkpoint_file"] = str(calibrated(folder, keys["checkpoint_file"]))
    inference.infer(InferenceConfig(**keys, format="json"))
    loaded = aligner.FaceAligner.load(keys["checkpoint_file"])
    row = table(folder)[0]
    box = [float(row[corner]) for corner in ("x0", "y0", "x1", "y1")]
    face = loaded.align(row["image"], box)
    found = json.loads((folder / "results/a.json").read_text())
    assert row["landmarks"] == "a.json" and found["image"] == row["image"]
    np.testing.assert_allclose(found["box"], box)
    np.testing.assert_allclose(found["landmarks"], face.as_xy(), atol=2e-3)
    assert found["error_estimate"] == pytest.approx(face.error_estimate, rel=1e-4)
    assert found["failed"] is False and found["iterations"] == face.iterations == 3
    assert found["expected_nme"] == face.expected_nme == 0.04
    assert found["pose"] == pytest.approx(face.pose._asdict(), abs=0.1)
    assert found["openness"] == pytest.approx(face.openness._asdict(), abs=1e-2)
    assert found["landmark_errors"] == pytest.approx(0.04 * np.linspace(0, 2, 68), abs=1e-5)
    for name, value in {**found["pose"], **found["openness"]}.items():
        column = name if name in row else f"{name}_openness"
        assert float(row[column]) == pytest.approx(value, abs=0.01)
    errors = [float(error) for error in row["landmark_errors"].split()]
    np.testing.assert_allclose(errors, found["landmark_errors"], rtol=1e-3, atol=1e-5)


def calibrated(folder, path):
    """The model with expected errors: 4 %, the last landmark twice the mean, the first none."""
    model = loading.load_musica(path)
    shares = np.linspace(0, 2, 68)
    model.change_settings(calibration=[[[0.1], [0.04]]] * 3, landmark_profile=[shares] * 3)
    model.save(folder / "calibrated.keras")
    return folder / "calibrated.keras"


def test_what_is_left_out_of_a_folder_is_counted_and_named(photos, capsys):
    folder, keys, _ = photos
    (folder / "images/bad.png").unlink()
    (folder / "images/none.webp").unlink()
    (folder / "images/a.pts").touch()
    assert not inference.infer(InferenceConfig(**keys))
    assert "left out" not in capsys.readouterr().out
    for name in ("b.CR2", "sub/c.cr2", "movie.mp4"):
        (folder / "images" / name).touch()
    assert inference.infer(InferenceConfig(**keys))  # although all pictures are done
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith(", 3 files left out: .cr2 2, .mp4 1")


def test_large_pictures_are_refused_above_a_limit(data, capsys):
    folder, keys = data
    keys["eval_filenames"] = write_list(folder, "a.png")
    assert inference.infer(InferenceConfig(**keys, max_megapixels=0.01))
    assert "more than 0.01 megapixels" in capsys.readouterr().err


def test_a_killed_run_goes_on(photos, capsys):
    folder, keys, counting = photos
    config = InferenceConfig(**keys)
    inference.infer(config)
    whole = table(folder)
    assert counting.pictures == 4
    inference.infer(config)
    assert "0 faces written" in capsys.readouterr().out.splitlines()[-1]
    assert counting.pictures == 5  # the one without a face
    assert table(folder) == whole

    path = folder / "results/predictions.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]) + "/half,of a")
    (folder / "results/a.txt").unlink()
    (folder / "results/a.pts").unlink()
    inference.infer(config)
    assert "3 faces written" in capsys.readouterr().out
    assert counting.pictures == 8
    assert sorted(map(str, table(folder))) == sorted(map(str, whole))

    inference.infer(InferenceConfig(**keys, skip_existing=False))
    assert "4 faces written" in capsys.readouterr().out
    assert table(folder) == whole


def test_a_list_is_always_done_again(data, capsys):
    for options in ({}, {}, {"skip_existing": True}):
        inference.infer(InferenceConfig(**data[1], **options))
    lines = capsys.readouterr().out.splitlines()
    assert "2 faces" in lines[1] and "2 skipped" not in lines[1]
    assert "0 faces" in lines[2] and "2 pictures were done before" in lines[2]


def test_a_list_without_boxes(photos, data):
    folder, keys = data
    keys["eval_filenames"] = write_list(folder, "sub/two.BMP")
    assert not inference.infer(InferenceConfig(**{**keys, "bb_root": None}))
    assert [row["landmarks"] for row in table(folder)] == ["sub/two.pts", "sub/two_face2.pts"]


def test_arguments_are_images(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "musica.inference", "missing.jpg", "--resDir", "results", "--draw"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(inference.__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path / 'missing.jpg'}: no such file or folder\n"


def test_names_of_results(tmp_path):
    names = ("a.jpg", "a.png", "b_face2.jpg", "c.d.tif", "sub/a.gif", "out/a.png")
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    listed, _ = photo_tasks([tmp_path], tmp_path / "out")
    found = {task.name: task.image for task in listed}
    assert found == {
        "a": tmp_path / "a.jpg",
        "a.png": tmp_path / "a.png",
        "b_face2.jpg": tmp_path / "b_face2.jpg",
        "c.d": tmp_path / "c.d.tif",
        "sub/a": tmp_path / "sub/a.gif",
    }
    two = [tmp_path / "sub", tmp_path / "a.jpg"]
    listed, _ = photo_tasks(two, tmp_path / "out")
    assert [task.name for task in listed] == ["a", "a.jpg"]


def test_refused_photos(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("one/a.jpg", "two/a.jpg", "three/a.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    for paths, results, message in (
        (["missing.jpg"], "out", "no such file"),
        (["empty"], "out", "no pictures"),
        (["one"], "one", "another folder"),
        (["one/a.jpg"], "one", "another folder"),
        (["one", "two", "three"], "out", "would both be written"),
    ):
        with pytest.raises(InputError, match=message):
            photo_tasks([tmp_path / path for path in paths], tmp_path / results)


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\0", b'image,face\n"', b"\xff"])
def test_an_unreadable_table_is_replaced(tmp_path, content):
    (tmp_path / "predictions.csv").write_bytes(content)
    task = Task("a", tmp_path / "a\udcff.jpg")
    predictions = Predictions(tmp_path, ".pts")
    assert not predictions.has(task, draw=False)
    predictions.start([task])
    face = aligner.Face(np.zeros((1, 2)), 0.5, 2, True, 0.25, 99)
    predictions.add(task, [np.array([1, 2, 3, 4.5])], [face])
    (tmp_path / "a.pts").touch()
    again = Predictions(tmp_path, ".pts")
    assert again.has(task, draw=False) and not again.has(task, draw=True)
    assert not again.has(Task("a", tmp_path / "another.jpg"), draw=False)
    line = (tmp_path / "predictions.csv").read_bytes().splitlines()[1]
    assert line.endswith(b"a\xff.jpg,1,a.pts,1.00,2.00,3.00,4.50,0.5,0.25,2,99,,,,,,,,1")
