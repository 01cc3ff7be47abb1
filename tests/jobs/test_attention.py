"""The command from end to end, on tiny faces with a tiny model; its numbers against plain NumPy."""

import csv
import json
import subprocess
import sys

import numpy as np
import numpy_reference as reference
import pytest
import tiny
from tiny_faces import write_faces, write_list

from musica.errors import InputError
from musica.evaluation import metrics
from musica.files import annotated_faces, landmark_files
from musica.geometry import reference_shape
from musica.jobs.attention import AttentionConfig, analyse
from musica.jobs.attention_measurement import measure
from musica.jobs.attention_report import lines, summarise
from musica.training import dataset

FACES, PATCHES = 5, (8, 30, 36)


def tiny_model(**arguments):
    shape = np.stack(np.divmod(np.arange(68), 9), axis=1) * 5.0
    return tiny.musica_model(
        landmark_count=68,
        patch_indices=PATCHES,
        patch_size=10,
        box_size=40,
        **{"reference_shape": shape, **arguments},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Faces, their list, and a model."""
    folder = tmp_path_factory.mktemp("faces")
    write_faces(folder, FACES)
    faces = annotated_faces.read_faces([folder / "list.txt"], folder)
    landmarks, boxes = [face.landmarks for face in faces], [face.box for face in faces]
    tiny_model(reference_shape=reference_shape.reference_shape(landmarks, boxes, 40)).save(
        folder / "model.keras"
    )
    return folder


@pytest.fixture(scope="module")
def model(folder):
    from musica.models.loading import load_musica

    return load_musica(folder / "model.keras")


@pytest.fixture(scope="module")
def samples(folder, model):
    faces = annotated_faces.read_faces([folder / "list.txt"], folder)
    return dataset.FaceSamples(faces, model.settings.reference_shape, box_size=40)


@pytest.fixture(scope="module")
def measured(model, samples):
    return measure(model, samples, 2)


@pytest.fixture
def keys(folder):
    return {
        "checkpoint_file": str(folder / "model.keras"),
        "image_dir": str(folder),
        "eval_filenames": [str(folder / "list.txt")],
    }


def test_gates_equal_the_restatement(model, samples, measured):
    assert measured.weights.shape == measured.spread.shape == (FACES, 3, len(PATCHES))
    for face in (0, FACES - 1):
        *pyramid, initial, _ = samples.sample(face)
        steps = [tiny.arrays(step) for step in model.steps]
        landmarks = model({"pyramid": [level[None] for level in pyramid], "initial": initial[None]})
        before = [initial, *(np.array(x)[0] for x in landmarks["landmarks"][:-1])]
        for k, level in enumerate(model.settings.levels):
            for m, index in enumerate(PATCHES):
                point = before[k][index]
                np.testing.assert_allclose(measured.points[face, k, m], point, rtol=1e-5)
                patch = reference.extract_patch(pyramid[level], point / 2**level, 10)
                features = reference.encode(patch, steps[k])
                kernel, bias = steps[k]["attention"]
                gates = 1 / (1 + np.exp(-(features @ kernel + bias)))
                passed = reference.attend(features, steps[k]).sum() / features.sum()
                found = (measured.weights, measured.spread, measured.passed)
                for values, expected in zip(
                    found, (gates.mean(), gates.std(), passed), strict=True
                ):
                    np.testing.assert_allclose(values[face, k, m], expected, rtol=1e-4)


def test_a_closed_patch_is_a_patch_with_shut_gates(model, samples, measured):
    weights = [variable.numpy() for variable in model.weights]
    *pyramid, initial, truth = samples.sample(1)
    inputs = {"pyramid": [level[None] for level in pyramid], "initial": initial[None]}
    for m in range(len(PATCHES)):
        shut = tiny_model()
        shut.set_weights(weights)
        for step in shut.steps:
            size = step.encoder.feature_size
            kernel = step.recurrent.kernel.numpy()
            kernel[m * size : (m + 1) * size] = 0
            step.recurrent.kernel.assign(kernel)
        error = metrics.nme(np.array(shut(inputs)["landmarks"][-1])[0], truth)
        np.testing.assert_allclose(measured.closed_errors[1, m], error, rtol=1e-3)
    error = metrics.nme(np.array(model(inputs)["landmarks"][-1])[0], truth)
    np.testing.assert_allclose(measured.errors[1], error, rtol=1e-3)  # the model is as before


def test_the_command_writes_what_it_measured(keys, measured, tmp_path, capsys):
    folder = tmp_path / "attention"
    assert not analyse(AttentionConfig(**keys, output_dir=str(folder), drawn_faces=2))
    output = capsys.readouterr().out.splitlines()
    assert output[0] == f"{FACES} faces, 3 patches, NME (ocular) {measured.errors.mean():.2%}"
    assert output[-1] == f"wrote 8 files to {folder}"

    summary = json.loads((folder / "attention.json").read_text())
    assert summary["faces"] == FACES
    assert list(summary["parts"]) == ["jaw", "nose", "eyes"]
    points = {point["point"]: point for point in summary["points"]}
    assert tuple(points) == PATCHES
    rise = measured.closed_errors.mean(axis=0) - measured.errors.mean()
    for m, index in enumerate(PATCHES):
        weights = measured.weights[:, :, m]
        assert points[index]["weight"] == pytest.approx(weights.mean(axis=0), rel=1e-4)
        assert points[index]["deviation"] == pytest.approx(weights.std(axis=0), abs=1e-5)
        assert points[index]["nme_rise"] == pytest.approx(rise[m], abs=1e-5)
        rises = measured.closed_errors[:, m] - measured.errors
        expected = rises.std() / FACES**0.5
        assert points[index]["standard_error"] == pytest.approx(expected, abs=1e-5)
    with (folder / "attention.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["iteration"], row["point"]) for row in rows[:4]] == [
        *(("1", str(index)) for index in PATCHES),
        ("2", "8"),
    ]
    assert float(rows[4]["weight"]) == points[30]["weight"][1]
    plots = {path.relative_to(folder).as_posix() for path in folder.rglob("*.p*")}
    names = ("mean_face", "faces/face0", "faces/face4")
    assert plots == {f"{name}.{kind}" for name in names for kind in ("png", "pdf")}


def test_an_order_that_is_the_same_correlates_fully(model, measured):
    order = np.argsort(np.argsort(measured.weights.mean(axis=0)[0]))
    errors = measured.errors[:, None] + order / 100
    summary = summarise(model, measured.__class__(**{**vars(measured), "closed_errors": errors}))
    assert summary["rank_correlation_with_nme_rise"][0] == pytest.approx(1)
    assert summary["deviation_within_a_patch"] == pytest.approx(measured.spread.mean((0, 2)))
    same = np.repeat(measured.errors[:, None], len(PATCHES), axis=1)
    summary = summarise(model, measured.__class__(**{**vars(measured), "closed_errors": same}))
    assert summary["rank_correlation_with_nme_rise"] == [None] * 3
    *_, correlation, uncertainty = lines(summary)
    assert correlation == "| rank correlation with NME rise | - | - | - |  |"
    assert uncertainty.endswith("0.000 points (median)")


def test_bad_faces_are_reported_and_left_out(folder, keys, tmp_path, capsys):
    (folder / "broken.png").write_text("not an image")
    points = np.random.default_rng(0).uniform(9, 50, (68, 2))
    landmark_files.write_landmarks(folder / "broken.pts", points)
    listed = write_list(tmp_path / "list.txt", "broken.png", "face0.png", "face1.png")
    assert analyse(AttentionConfig(**{**keys, "eval_filenames": [listed]}))
    captured = capsys.readouterr()
    assert captured.out.startswith("2 faces")
    assert captured.err.count("\n") == 1 and captured.err.startswith("skipped broken.png")
    listed = write_list(tmp_path / "list.txt", "broken.png")
    with pytest.raises(InputError, match="no face is usable"):
        analyse(AttentionConfig(**{**keys, "eval_filenames": [listed]}))


@pytest.mark.parametrize("change", [{"use_attention": False}, {"reference_shape": None}])
def test_another_kind_of_model_is_refused(change, keys, tmp_path):
    path = tmp_path / "model.keras"
    tiny_model(**change).save(path)
    with pytest.raises(InputError, match=r"the model (must be|has no)"):
        analyse(AttentionConfig(**{**keys, "checkpoint_file": str(path)}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image_dir": ""}, "image_dir is missing"),
        ({"eval_filenames": []}, "eval_filenames is missing"),
        ({"batch_size": 0}, "batch_size"),
        ({"drawn_faces": -1}, "drawn_faces"),
    ],
)
def test_bad_keys_are_refused(keys, values, message):
    with pytest.raises(InputError, match=message):
        analyse(AttentionConfig(**{**keys, **values}))


def test_help_needs_no_heavy_import():
    code = (
        "import sys, musica.attention;"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'menpo', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
