"""The command from end to end, on tiny faces with a tiny model."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import tiny
from tiny_faces import write_faces, write_list

from musica.alignment.aligner import FaceAligner
from musica.errors import InputError
from musica.evaluation import metrics
from musica.files import annotated_faces, landmark_files
from musica.geometry import reference_shape
from musica.jobs.calibration import CalibrateConfig, calibrate, with_gain
from musica.jobs.recording import record
from musica.models.loading import load_musica
from musica.quitting import report
from musica.quitting.gain import gain_to_be_had
from musica.quitting.measurements import Measurements, summarise

FACES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Faces, their list, and a model that was not calibrated."""
    folder = tmp_path_factory.mktemp("faces")
    write_faces(folder, FACES)
    faces = annotated_faces.read_faces([folder / "list.txt"], folder)
    model = tiny.musica_model(
        landmark_count=68,
        patch_indices=(30, 36, 45),
        patch_size=10,
        box_size=40,
        reference_shape=reference_shape.reference_shape(
            [face.landmarks for face in faces], [face.box for face in faces], 40
        ),
    )
    model.save(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def measured(folder):
    faces = annotated_faces.read_faces([folder / "list.txt"], folder)
    return record(FaceAligner.load(folder / "model.keras"), faces, 5).measured


@pytest.fixture
def keys(folder):
    return {
        "checkpoint_file": str(folder / "model.keras"),
        "image_dir": str(folder),
        "eval_filenames": [str(folder / "list.txt")],
    }


def aligned(aligner, folder, **options):
    """The listed faces as aligned, and their NMEs."""
    listed = annotated_faces.read_faces([folder / "list.txt"], folder)
    images, boxes = [face.image for face in listed], [face.box for face in listed]
    found = aligner.align_batch(images, boxes, realign=False, **options)
    pairs = zip(found, listed, strict=True)
    return found, [metrics.nme(face.landmarks, truth.landmarks) for face, truth in pairs]


def test_measurements_equal_the_aligners_results(folder, measured):
    assert measured.errors.shape == measured.estimates.shape == (FACES, 3)
    aligner = FaceAligner.load(folder / "model.keras")
    for k in range(3):
        found, errors = aligned(aligner, folder, iterations=k + 1)
        estimates = [face.error_estimate for face in found]
        np.testing.assert_allclose(measured.estimates[:, k], estimates, atol=1e-4)
        np.testing.assert_allclose(measured.errors[:, k], errors, rtol=1e-3)
        assert all(face.expected_nme is None for face in found)
        assert all(face.landmark_errors is None for face in found)


def test_noisy_boxes_are_further_views_of_the_same_faces(folder, measured):
    faces = annotated_faces.read_faces([folder / "list.txt"], folder)
    aligner = FaceAligner.load(folder / "model.keras")
    first, again = (record(aligner, faces, 5, noisy_boxes=2) for _ in range(2))
    assert first.faces.tolist() == np.repeat(np.arange(FACES), 3).tolist()
    np.testing.assert_allclose(first.measured.errors[::3], measured.errors, rtol=1e-3)
    assert np.abs(first.measured.errors[1::3] - measured.errors).min() > 1e-6
    np.testing.assert_array_equal(first.measured.errors, again.measured.errors)
    assert first.hidden.shape == (3 * FACES, 2, 16)


def calibrated(keys, folder, **options):
    """What the command writes: an aligner of the model, and the summary."""
    config = CalibrateConfig(
        **keys,
        output=str(folder / "calibrated.keras"),
        output_dir=str(folder / "report"),
        **options,
    )
    assert not calibrate(config)
    summary = json.loads((folder / "report" / "calibration.json").read_text())
    return FaceAligner.load(config.output), summary


def test_calibrated_model_does_what_was_promised(folder, measured, keys, tmp_path, capsys):
    failure_nme = float(np.median(measured.errors[:, -1]))
    aligner, summary = calibrated(keys, tmp_path, failure_nme=failure_nme)
    output = capsys.readouterr().out.splitlines()
    assert output[0] == f"{FACES} faces, NME (ocular)"
    assert output[-2] == f"wrote 8 files to {tmp_path / 'report'}"
    assert output[-1] == f"wrote {tmp_path / 'calibrated.keras'}"
    settings = aligner.settings.as_values()
    assert settings["fail_threshold"] == summary["fail_threshold"] is not None
    assert settings["calibration"] == summary["calibration"]
    efforts = {effort["name"]: effort for effort in summary["efforts"]}
    assert (settings["efforts"], settings["stop_score"]) == (summary["efforts"], "estimate")
    for name, increase in (("low", 0.05), ("balanced", 0.02)):
        found, errors = aligned(aligner, folder, effort=name)
        assert np.mean(errors) == pytest.approx(efforts[name]["nme"], rel=1e-3)
        assert np.mean(errors) <= (1 + increase) * summary["nme"][-1] + 1e-6
        assert np.mean([face.iterations for face in found]) == efforts[name]["iterations"]
    for face in found:
        knots = summary["calibration"][face.iterations - 1]
        assert face.expected_nme == pytest.approx(np.interp(face.error_estimate, *knots))
        assert face.landmark_errors.mean() == pytest.approx(face.expected_nme)
    complete, _ = aligned(aligner, folder, iterations=3)
    flagged = np.array([face.failed for face in complete])
    failed = measured.errors[:, -1] > failure_nme
    assert summary["detected"] == pytest.approx(flagged[failed].mean())
    assert summary["false_alarms"] == pytest.approx(flagged[~failed].mean())


def test_the_expected_errors_of_landmarks_are_true_on_average(folder, measured, keys, tmp_path):
    aligner, _ = calibrated(keys, tmp_path)
    listed = annotated_faces.read_faces([folder / "list.txt"], folder)
    distances = metrics.normalising_distance(np.array([face.landmarks for face in listed]))
    for k in range(3):
        found, _ = aligned(aligner, folder, iterations=k + 1)
        pairs = zip(found, listed, distances, strict=True)
        true = [
            metrics.point_errors(face.landmarks, truth.landmarks) / distance
            for face, truth, distance in pairs
        ]
        expected = [face.landmark_errors for face in found]
        np.testing.assert_allclose(np.mean(expected, axis=0), np.mean(true, axis=0), rtol=1e-3)
        assert np.std(expected[0]) > 0  # the landmarks differ


def test_what_is_written(keys, measured, tmp_path):
    failure_nme = float(np.median(measured.errors[:, -1]))
    _, summary = calibrated(keys, tmp_path, fit_gain=True, failure_nme=failure_nme)
    with (tmp_path / "report" / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["stopped by"] for row in rows} == {"estimate", "gain", "fixed", "oracle"}
    assert float(rows[0]["nme"]) == pytest.approx(summary["nme"][-1])
    plots = {
        f"{name}.{kind}"
        for name in ("estimates", "savings", "failure_roc")
        for kind in ("png", "pdf")
    }
    assert {path.name for path in (tmp_path / "report").iterdir()} == plots | {
        "calibration.json",
        "curve.csv",
    }


def test_a_model_learns_the_gain_and_stops_by_it(folder, measured, keys, tmp_path):
    aligner, summary = calibrated(keys, tmp_path, fit_gain=True, noisy_boxes=2)
    model = aligner.model
    assert (summary["stop_score"], summary["views"]) == ("gain", 3 * FACES)
    assert (aligner.settings.stop_score, model.predicts_gain) == ("gain", True)
    # The units' multiply-adds are counted, and nothing else has changed.
    assert np.subtract(model.multiply_adds, measured.multiply_adds).tolist() == [16, 32, 32]
    faces = annotated_faces.read_faces([folder / "list.txt"], folder)
    recorded = record(aligner, faces, 5).measured
    np.testing.assert_allclose(recorded.errors, measured.errors, rtol=1e-3)
    truth = gain_to_be_had(recorded.errors, recorded.multiply_adds)
    assert recorded.gains.shape == truth.shape
    assert np.abs(recorded.gains.mean(axis=0) - truth.mean(axis=0)).max() < truth.std()
    # The aligner stops where the gains fall below the price.
    (price,) = (e["threshold"] for e in summary["efforts"] if e["name"] == "balanced")
    stops = np.column_stack([recorded.gains < price, np.ones(FACES, bool)]).argmax(axis=1)
    found, _ = aligned(aligner, folder)
    assert [face.iterations for face in found] == (1 + stops).tolist()


def test_a_model_with_a_unit_for_the_gain_has_the_same_weights(folder):
    model = load_musica(folder / "model.keras")
    own = with_gain(model)
    assert with_gain(own) is own
    found = own(tiny.inputs(count=68))
    *gains, last = found.pop("gains")
    assert len(gains) == 2 and last is None
    tiny.outputs_equal(model(tiny.inputs(count=68)), found)


def test_report_without_failures():
    errors = np.array([[0.04, 0.02], [0.03, 0.02], [0.02, 0.02]])
    # The estimates know what there is to gain; these gains know the contrary.
    measured = Measurements(errors, errors, [10, 20], -errors[:, :1])
    summary = summarise(measured, 0.08)
    assert summary["savings_at_nme_increase"]["0.05"] == pytest.approx(
        {"estimate": 1 / 6, "gain": 0, "fixed": 0, "oracle": 1 / 6}
    )
    assert summary["knowledge"] == pytest.approx(
        {"estimate": 1, "gain": -1, "fixed": 0, "oracle": 1}
    )
    assert summary["correlation"] == [pytest.approx(1), None]
    text = "\n".join(report.lines(summary))
    assert "| 1 | 3.00% | 1.0000 | 1.0000 |" in text
    assert "| stopped by | knowledge | saved at +1% NME | +2% NME | +5% NME |" in text
    assert "| estimate | 1.00 | 16.7% | 16.7% | 16.7% |" in text
    assert "| gain | -1.00 | 0.0% | 0.0% | 0.0% |" in text
    assert "| full | - | 2.00% (+0.0%) | 2.00 | 0.00 (+0.0%) |" in text
    assert "fail_threshold: none; its choice needs failures and other faces" in text
    assert "not 0 failures (NME above 8%) among 3 faces" in text
    json.dumps(summary, allow_nan=False)


def test_only_faces_held_out_from_training_are_used(keys, capsys):
    held_out = [annotated_faces.is_held_out(f"face{index}.png", 0.5) for index in range(FACES)]
    assert 0 < sum(held_out) < FACES
    assert not calibrate(CalibrateConfig(**keys, held_out_share=0.5))
    assert capsys.readouterr().out.startswith(f"{sum(held_out)} faces")


def test_bad_faces_are_reported_and_left_out(folder, keys, tmp_path, capsys):
    (folder / "broken.png").write_text("not an image")
    landmark_files.write_landmarks(
        folder / "broken.pts", np.random.default_rng(0).uniform(9, 50, (68, 2))
    )
    names = [f"face{index}.png" for index in range(3)]
    listed = write_list(tmp_path / "list.txt", names[0], "broken.png", *names[1:])
    assert calibrate(CalibrateConfig(**{**keys, "eval_filenames": [listed]}))
    captured = capsys.readouterr()
    assert captured.out.startswith("3 faces")
    assert captured.err.count("\n") == 1 and captured.err.startswith("skipped broken.png")
    listed = write_list(tmp_path / "list.txt", "broken.png")
    with pytest.raises(InputError, match="no face is usable"):
        calibrate(CalibrateConfig(**{**keys, "eval_filenames": [listed]}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image_dir": ""}, "image_dir is missing"),
        ({"eval_filenames": []}, "eval_filenames is missing"),
        ({"output": "model.h5"}, "must name a .keras"),
        ({"held_out_share": 0.0}, "no usable face"),
        ({"batch_size": 0}, "batch_size"),
        ({"noisy_boxes": -1}, "noisy_boxes"),
        ({"failure_nme": 0.0}, "failure_nme"),
    ],
)
def test_bad_keys_are_refused(keys, values, message):
    with pytest.raises(InputError, match=message):
        calibrate(CalibrateConfig(**{**keys, **values}))


@pytest.mark.parametrize(
    "calibration",
    [
        [[[0.1], [0.2]]] * 2,
        [[[0.1], [0.2]]] * 2 + [[[0.1]]],
        [[[0.1], [0.2]]] * 2 + [[[0.1], [0.2, 0.3]]],
        [[[0.1], [0.2]]] * 2 + [[[], []]],
        [[[0.1], [0.2]]] * 2 + [[[0.2, 0.1], [0.2, 0.3]]],
        [[[0.1], [0.2]]] * 2 + [[[0.1, 0.2], [0.3, 0.2]]],
    ],
)
def test_model_refuses_another_calibration(calibration):
    with pytest.raises(InputError, match="calibration"):
        tiny.musica_model(calibration=calibration)


def test_help_needs_no_heavy_import():
    code = (
        "import sys, musica.calibrate;"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'menpo', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
