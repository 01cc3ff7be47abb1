"""The script that measures noisy boxes and rolled faces, on tiny faces with a tiny model."""

import importlib
import json
from pathlib import Path

import pytest
import tiny
from tiny_faces import landmarks, write_faces

from musica.alignment import realignment
from musica.errors import InputError
from musica.evaluation import metrics
from musica.files import landmark_files

ROOT = Path(__file__).parents[2]
perturb, measure = map(importlib.import_module, ("perturb", "measure_robustness"))


@pytest.fixture
def settings(tmp_path):
    """Rolled faces, aligned once and again, and a model."""
    (tmp_path / "set").mkdir()
    keys = write_faces(tmp_path / "set", 2)
    perturb.perturb(
        perturb.PerturbConfig(
            kind="roll",
            image_dir=keys["image_dir"],
            filenames=keys["train_filenames"],
            output=str(tmp_path / "roll"),
        )
    )
    model = tiny.musica_model(
        landmark_count=68,
        patch_indices=(30, 36),
        patch_size=10,
        box_size=40,
        reference_shape=landmarks(0) - 10,
    )
    model.save(tmp_path / "model.keras")
    entries = [
        {"desc": variant, "gt_dir": "roll/images", "estimated_dir": f"out/{variant}/list"}
        for variant in ("roll", "roll_again")
    ]
    (tmp_path / "evaluate.json").write_text(json.dumps({"Data": entries}))
    return measure.MeasureConfig(
        evaluation=str(tmp_path / "evaluate.json"),
        checkpoint_file=str(tmp_path / "model.keras"),
    )


def test_errors_and_costs_of_both_ways(settings, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(realignment, "MIN_ROLL", 0.0)
    assert not measure.measure(settings)
    _, _, once, again = capsys.readouterr().out.splitlines()[-4:]
    for variant, line in (("roll", once), ("roll_again", again)):
        errors = [
            metrics.nme(
                landmark_files.read_landmarks(tmp_path / f"out/{variant}/list/face{index}.pts"),
                landmark_files.read_landmarks(tmp_path / f"roll/images/face{index}.pts"),
            )
            for index in range(2)
        ]
        name, nme, _, iterations, _ = (cell.strip() for cell in line.strip("|").split("|"))
        assert (name, nme) == (variant, f"{sum(errors) / 2:.2%}")
        assert float(iterations) == (3 if variant == "roll" else 6)


def test_what_is_missing_is_said(settings, tmp_path):
    (tmp_path / "roll").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="perturb"):
        measure.measure(settings)


def test_the_committed_evaluation_names_each_variant_once_and_again():
    data = json.loads((ROOT / "experiments/robustness/evaluate.json").read_text())["Data"]
    folders = {Path(entry["estimated_dir"]).parts[-2:] for entry in data}
    assert folders == {
        (f"{variant}{again}", name)
        for variant in ("tight", "box", "roll")
        for again in ("", "_again")
        for name in ("aflw80_dev", "afw_dev", "helen_dev", "webmorph_dev")
    }
