import csv
import json

import numpy as np
import pytest

from musica.evaluation import metrics, published, report

FACTS = {"skipped": 0, "metric": "NME", "normalization": "ocular", "normaliser": "something"}


def dataset(desc, faces, estimates=None):
    """A data set whose every group of points has the given errors."""
    faces = np.array(faces, float)
    groups = {name: faces for name in ("all points", "without jaw", "eyes")}
    names = [f"face{index}" for index in range(len(faces))]
    estimates = np.full(len(faces), np.nan) if estimates is None else np.array(estimates)
    return metrics.DatasetErrors(desc, names, groups, estimates, None, None)


def summary(errors, thresholds=(0.1,), subsets=()):
    return report.summarise(errors, FACTS, thresholds, -1, dict(subsets))


def test_summary_of_a_subset():
    subsets = {"pose": {"face0", "face2", "elsewhere"}, "blur": {"elsewhere"}}
    found = summary(dataset("x", [0.05, 0.5, 0.15]), subsets=subsets)["subsets"]
    assert found["blur"] == {"listed": 1, "faces": 0}
    assert (found["pose"]["listed"], found["pose"]["faces"]) == (3, 2)
    assert found["pose"]["mean"] == pytest.approx(0.1)
    assert found["pose"]["failure_rate"] == {"0.1": 0.5}
    assert found["pose"]["auc"] == pytest.approx({"0.1": 0.25})


def test_comparison_leaves_out_what_was_published_of_other_subsets():
    found = summary(dataset("x", [0.05]), subsets={"pose": {"face0"}})
    table = published.comparison([found], published.PUBLISHED["wflw"])
    methods = [row[1] for row in table if row[0] == "NME (ocular), %"]
    assert methods[:2] == ["x", "ESR (published)"]
    assert methods[-1] == "PFLD 1x, re-implemented (published)"
    found = summary(dataset("x", [0.05]), subsets={"expression": {"face0"}})
    table = published.comparison([found], published.PUBLISHED["wflw"])
    release = "Knowing When to Quit, 2021 release, 49 patches (published)"
    assert ["NME (ocular), %", release, "-", "8.8"] in table


@pytest.mark.parametrize("name", published.PUBLISHED)
def test_published_numbers_fit_their_sets(name):
    numbers = published.PUBLISHED[name]
    for measures in numbers.methods.values():
        for measure, values in measures.items():
            values = values.split("/")
            assert len(values) <= len(numbers.faces)
            limit = 1 if measure.startswith("AUC") else 100
            assert all(value == "-" or 0 < float(value) < limit for value in values)


def test_mdm_stands_beside_ours_on_the_private_test_set():
    found = summary(dataset("x", [0.05, 0.09]), thresholds=(0.08,))
    table = published.comparison([found], published.PUBLISHED["300w_private"])
    assert ["faces", "whole set (published)", "600"] in table
    assert ["FR@0.08, %", "x", "50.00"] in table
    assert ["FR@0.08, %", "MDM (published)", "8.67"] in table
    assert ["AUC@0.08", "MDM (published)", "0.4101"] in table


def test_the_whole_300w_is_its_two_parts():
    for name in ("300w_pupil", "300w_ocular"):
        numbers = published.PUBLISHED[name]
        for method, cells in numbers.rows("NME"):
            if len(cells) == 3:
                parts = 554 * float(cells["common"]) + 135 * float(cells["challenging"])
                assert parts / 689 == pytest.approx(float(cells["all"]), abs=0.1), method


def test_dollar_signs_in_names_are_drawn_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "FORMATS", ("png",))
    errors = dataset(r"$\frac{$", [0.05, 0.1], [0.04, 0.2])
    written = report.write_plots(tmp_path, [errors, errors], [summary(errors)] * 2)
    written += report.write_tables(tmp_path, [errors, errors], [summary(errors)] * 2)
    assert sum(path.suffix == ".png" for path in written) == 6


def test_tables_on_disk(tmp_path):
    errors = dataset('a "name", with a comma', [0.05, 0.1], [0.04, np.nan])
    report.write_tables(tmp_path, [errors], [summary(errors)])
    with (tmp_path / "per_image.csv").open() as file:
        first, second = csv.DictReader(file)
    assert first == {
        "desc": 'a "name", with a comma',
        "name": "face0",
        "estimated error": "0.04",
        "all points": "0.05",
        "without jaw": "0.05",
        "eyes": "0.05",
    }
    assert second["estimated error"] == ""
    assert json.loads((tmp_path / "metrics.json").read_text()) == [summary(errors)]
