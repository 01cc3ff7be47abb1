"""The recipe for very many pictures, on two workers of this machine."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from musica import FaceAligner
from musica.jobs.tasks import builtin_tasks

pytest.importorskip("dask.distributed")

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "experiments/many_pictures/align.py"


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--list=list.csv", "--output=results", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_two_workers_align_parts_and_a_second_run_goes_on(tmp_path):
    tasks = builtin_tasks()
    rows = [[str(task.image), *task.box] for task in tasks] + [["absent.png", 1, 2, 30, 40]]
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "x0", "y0", "x1", "y1"], *rows])
    done = run(tmp_path, "--part_size=2", "--workers=2")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert done.stdout.startswith("3 parts written")
    assert done.stdout.endswith("1 faces not aligned\n")
    results = []
    for name in ("rows0-1", "rows2-3", "rows4-4"):
        with (tmp_path / f"results/{name}.csv").open(newline="") as file:
            results += csv.DictReader(file)
    assert "absent.png" in results.pop()["problem"]
    aligner = FaceAligner.load()
    for task, row in zip(tasks, results, strict=True):
        face = aligner.align(task.image, task.box)
        assert (row["image"], row["problem"]) == (str(task.image), "")
        found = np.array(row["landmarks"].split(), float).reshape(-1, 2)
        np.testing.assert_allclose(found, face.as_xy(), atol=1e-3)
        assert float(row["yaw"]) == pytest.approx(face.pose.yaw, abs=0.01)
    (tmp_path / "results/rows2-3.csv").unlink()
    assert run(tmp_path, "--part_size=2").stdout.startswith("1 parts written")


def test_a_list_with_other_columns_is_refused_in_one_line(tmp_path):
    (tmp_path / "list.csv").write_text("picture,x0\na.png,1\n")
    done = run(tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "needs the columns image, x0, y0, x1, y1" in done.stderr
