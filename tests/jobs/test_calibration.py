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
from musica.jobs.calibration import CalibrateConfig, calibrate, measure, summarise
from musica.models.loading import load_musica
from musica.quitting import calibration_report
from musica.quitting.calibration_report import Measurements

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
    return measure(load_musica(folder / "model.keras"), faces, 5)


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
    found = aligner.align_batch(images, boxes, **options)
    pairs = zip(found, listed, strict=True)
    return found, [metrics.nme(face.landmarks, truth.landmarks) for face, truth in pairs]


def test_measured_is_what_the_aligner_gives(folder, measured):
    assert measured.errors.shape == measured.estimates.shape == (FACES, 3)
    aligner = FaceAligner.load(folder / "model.keras")
    for k in range(3):
        found, errors = aligned(aligner, folder, iterations=k + 1)
        estimates = [face.error_estimate for face in found]
        np.testing.assert_allclose(measured.estimates[:, k], estimates, atol=1e-4)
        np.testing.assert_allclose(measured.errors[:, k], errors, rtol=1e-3)
        assert all(face.expected_nme is None for face in found)


@pytest.mark.parametrize("per_iteration", [False, True])
def test_calibrated_model_does_what_was_promised(
    folder, measured, keys, tmp_path, capsys, per_iteration
):
    config = CalibrateConfig(
        **keys,
        per_iteration=per_iteration,
        output=str(tmp_path / "calibrated.keras"),
        output_dir=str(tmp_path / "report"),
        allowed_increase=0.1,
        failure_nme=float(np.median(measured.errors[:, -1])),
    )
    assert not calibrate(config)

    output = capsys.readouterr().out.splitlines()
    assert output[0] == f"{FACES} faces, NME (ocular)"
    assert output[-2] == f"wrote 8 files to {tmp_path / 'report'}"
    assert output[-1] == f"wrote {config.output}"
    summary = json.loads((tmp_path / "report" / "calibration.json").read_text())
    aligner = FaceAligner.load(config.output)
    for key in ("stop_threshold", "fail_threshold", "calibration"):
        assert getattr(aligner.model, key) == summary[key] is not None
    found, errors = aligned(aligner, folder)
    stopping = summary["stopping"]
    assert np.mean(errors) == pytest.approx(stopping["nme"], rel=1e-3)
    assert np.mean(errors) <= 1.1 * summary["nme"][-1] + 1e-6
    assert np.mean([face.iterations for face in found]) == stopping["iterations"]
    for face in found:
        knots = summary["calibration"][face.iterations - 1]
        assert face.expected_nme == pytest.approx(np.interp(face.error_estimate, *knots))
    complete, _ = aligned(aligner, folder, iterations=3)
    flagged = np.array([face.failed for face in complete])
    failed = measured.errors[:, -1] > config.failure_nme
    assert summary["detected"] == pytest.approx(flagged[failed].mean())
    assert summary["false_alarms"] == pytest.approx(flagged[~failed].mean())

    with (tmp_path / "report" / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["chosen by"] for row in rows} == {"estimate", "per iteration", "oracle"}
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


def test_the_threshold_of_a_second_alignment(folder, keys, tmp_path, capsys):
    output = str(tmp_path / "calibrated.keras")
    options = {"realign_turn": 60.0, "allowed_increase": 0.02, "output": output}
    assert not calibrate(CalibrateConfig(**keys, **options))
    model = load_musica(output)
    assert model.realign_turn == 60.0
    header, *rows, chosen = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("| ")
    ]
    assert [float(cell) for cell in (rows[0][1].strip("%"), rows[-1][1].strip("%"))] == [0, 100]

    aligner = FaceAligner(model)
    for row, threshold in (
        (rows[0], np.inf),
        (chosen, model.realign_threshold),
        (rows[-1], -np.inf),
    ):
        found, errors = aligned(aligner, folder, realign_threshold=threshold, realign_turn=60.0)
        values = dict(zip(header, row, strict=True))
        share = np.mean([face.iterations > 3 for face in found])
        assert float(values["aligned again"].strip("%")) == pytest.approx(100 * share, abs=0.06)
        assert float(values["NME"].strip("%")) == pytest.approx(100 * np.mean(errors), rel=2e-3)
        iterations = np.mean([face.iterations for face in found])
        assert float(values["iterations"]) == pytest.approx(iterations, abs=0.006)
    nme = {row[0]: float(row[2].strip("%")) for row in rows}
    assert float(chosen[2].strip("%")) <= 1.021 * min(nme.values())


def test_report_without_failures():
    errors = np.array([[0.04, 0.02], [0.03, 0.02], [0.02, 0.02]])
    measured = Measurements(errors, errors, [10, 20])
    summary = summarise(measured, 0.2, 0.08)
    # The last face stops at no cost, the second raises 0.02 by a sixth, the first by a half.
    assert summary["stopping"]["nme"] == pytest.approx(0.07 / 3)
    assert summary["stopping"]["faces_stopped_at"] == [2, 1]
    assert summary["savings_at_nme_increase"]["0.05"] == pytest.approx(
        {"estimate": 1 / 6, "per_iteration": 1 / 6, "fixed": 0, "oracle": 1 / 6}
    )
    assert summary["correlation"] == [pytest.approx(1), None]
    text = "\n".join(calibration_report.lines(summary))
    assert "| 1 | 3.00% | 1.0000 | 1.0000 |" in text
    assert "| 5% | 16.7% | 16.7% | 0.0% | 16.7% |" in text
    assert "(+16.7%), 1.33 iterations, 0.00 million multiply-adds (-33.3%)" in text
    assert "fail_threshold none: 0 failures (NME above 8%) of 3 faces" in text
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
        ({"allowed_increase": -0.1}, "allowed_increase"),
        ({"failure_nme": 0.0}, "failure_nme"),
        ({"realign_turn": -1.0}, "realign_turn"),
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
