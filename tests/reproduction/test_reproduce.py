"""From archives to one page; .ci/run runs all stages of a small reproduction."""

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from commands import CONFIGS

from musica.cli import config
from musica.errors import InputError
from musica.evaluation import report
from musica.evaluation.metrics import DatasetErrors
from musica.files import list_files
from musica.reproduction import page, reproduce, step_time
from musica.reproduction.archives import ARCHIVES, Available
from musica.reproduction.experiments import SETS, copy_configurations
from musica.reproduction.reproduce import ReproduceConfig
from musica.reproduction.stages import Journal, Stage
from musica.training.configuration import TrainConfig

ROOT = Path(__file__).parents[2]
prepare_wflw, stand_in = map(importlib.import_module, ("prepare_wflw", "stand_in"))


def plan_of(output, name, **keys):
    return reproduce._plan(ReproduceConfig(set=name, output=str(output), **keys))


def archives(folder, *names):
    for name in names:
        (folder / name).mkdir(parents=True)
    return str(folder)


@pytest.mark.parametrize("name", SETS)
def test_every_stage_is_a_command_that_exists(name, tmp_path):
    plan = plan_of(tmp_path, name, small=True)
    copy_configurations(ROOT, tmp_path, plan.experiments)
    before, products = set(), []
    for stage in plan.stages():
        assert set(stage.after) <= before
        before.add(stage.name)
        products.append(stage.product)
        words = list(stage.command)
        if words[0] != "-m":
            assert (ROOT / words[0]).is_file()
            continue
        command = words[1].removeprefix("musica.")
        cls = getattr(importlib.import_module(words[1]), CONFIGS[command])
        given = config.define_flags(cls)
        assert given(["musica", *words[2:]])[1:] == []
        read = config.from_flags(cls, given)
        # What a stage reads was written by an earlier one.
        model = getattr(read, "checkpoint_file", None)
        assert model is None or Path(model) in products
    assert len(set(products)) == len(products)
    kinds = {stage.kind for stage in plan.stages()}
    assert kinds == set(reproduce.KINDS)


def test_subsets_without_a_list_are_left_out(tmp_path):
    (tmp_path / "data/300w/lists").mkdir(parents=True)
    (tmp_path / "data/300w/lists/300w_common.txt").write_text("a.png")
    copy_configurations(ROOT, tmp_path, ("300w_68_17",))
    copied = json.loads((tmp_path / "experiments/300w_68_17/evaluate.json").read_text())
    assert [subset["name"] for subset in copied["subsets"]] == ["common"]


def test_training_archives_alone_are_enough_to_train(tmp_path):
    copy_configurations(ROOT, tmp_path, ("300w_68_17",))
    path = tmp_path / "experiments/300w_68_17/train.json"
    assert config.load(TrainConfig, str(path)).eval_filenames == []
    (tmp_path / "data/300w/lists").mkdir(parents=True)
    (tmp_path / "data/300w/lists/300w_full.txt").write_text("a.png")
    copy_configurations(ROOT, tmp_path, ("300w_68_17",))
    assert len(config.load(TrainConfig, str(path)).eval_filenames) == 1


def test_missing_archives_are_named_with_their_page(tmp_path):
    found = Available.of("300w", Path(archives(tmp_path / "a", "AFW", "ibug", "helen/testset")))
    assert found.parts == {"train", "test"}
    assert len(found.missing) == len(ARCHIVES["300w"]) - 3
    (line,) = [line for line in found.lines() if "bbs" in line]
    assert line == "missing: bbs (for: boxes), from https://github.com/trigeorgis/mdm"
    plan = plan_of(tmp_path / "out", "300w", source=str(tmp_path / "a"))
    stages = {stage.name: stage for stage in plan.stages()}
    assert "--boxes=detector" in stages["prepare"].command
    assert "infer-mdm_300w" in stages and "infer-mdm_300w-private" not in stages
    listed = next(word for word in stages["compare"].command if "eval_filenames" in word)
    assert re.findall(r"300w_\w+\.txt", listed) == [
        "300w_full.txt",
        "300w_common.txt",
        "300w_challenging.txt",
    ]
    # A part of WFLW is of no use alone.
    images = archives(tmp_path / "b", "WFLW_images")
    with pytest.raises(InputError, match=r"from https://wywu\.github\.io"):
        plan_of(tmp_path / "out", "wflw", source=images)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"set": "cofw"}, "set must be wflw or 300w"),
        ({"only": ["training"]}, "only: 'training' is none of wflw_98_49"),
        ({"held_out_share": 1.0}, "held_out_share"),
        ({"source": ""}, "source is missing"),
        ({"output": ""}, "output is missing"),
    ],
)
def test_bad_keys(keys, message, tmp_path):
    needed = {"set": "wflw", "source": str(tmp_path), "output": str(tmp_path / "out")}
    with pytest.raises(InputError, match=message):
        reproduce.reproduce(ReproduceConfig(**{**needed, **keys}))


def scripted(tmp_path, name, code, after=(), **facts):
    """A stage whose command is a line of Python, which writes what it is named after."""
    product = tmp_path / name
    line = f"from pathlib import Path; p = Path({str(product)!r}); {code}"
    return Stage(name, "", ("-c", line), product, after, **facts)


def test_stages_that_are_done_are_passed_over(tmp_path, capsys):
    plan = plan_of(tmp_path, "300w", small=True)
    count = "p.write_text(p.read_text() + 'x' if p.exists() else 'x')"
    first = scripted(tmp_path, "prepare", count)
    second = scripted(tmp_path, "stand_in", count, ("prepare",))
    object.__setattr__(plan, "stages", lambda: [first, second])
    journal = Journal(tmp_path / "stages", tmp_path)
    for _ in range(2):
        assert reproduce._run(plan, [first, second], journal, ROOT) == []
    assert first.product.read_text() == second.product.read_text() == "x"
    assert capsys.readouterr().out.count("done before") == 2
    # Another command runs again, and so does what reads its result.
    first = scripted(tmp_path, "prepare", f"{count} # again")
    assert reproduce._run(plan, [first, second], journal, ROOT) == []
    assert first.product.read_text() == second.product.read_text() == "xx"


def test_a_stage_that_fails_leaves_out_what_needs_it(tmp_path, capfd):
    plan = plan_of(tmp_path, "300w", small=True)
    stages = [
        scripted(tmp_path, "prepare", "raise SystemExit(3)"),
        scripted(tmp_path, "train", "p.touch()", ("prepare",)),
        scripted(tmp_path, "faces_left_out", "p.touch(); raise SystemExit(1)"),
        scripted(tmp_path, "begun", "p.touch(); raise SystemExit(1)", whole=False),
    ]
    object.__setattr__(plan, "stages", lambda: stages)
    journal = Journal(tmp_path / "stages", tmp_path)
    assert reproduce._run(plan, stages, journal, ROOT) == ["prepare", "train", "begun"]
    assert not stages[1].product.exists()
    assert journal.entry(stages[2])["status"] == 1
    assert "train: left out, since prepare failed" in capfd.readouterr().out


def test_the_plan_has_commands_and_hours(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reproduce, "_seconds_per_step", lambda training: 2.0)
    assert not reproduce.reproduce(
        ReproduceConfig(
            set="wflw", source=str(tmp_path), output=str(tmp_path / "out"), dry_run=True
        )
    )
    assert "missing: WFLW_images" in capsys.readouterr().out
    source = archives(tmp_path / "source", *(archive.folder for archive in ARCHIVES["wflw"]))
    keys = {"set": "wflw", "source": source, "output": str(tmp_path / "out"), "dry_run": True}
    assert not reproduce.reproduce(ReproduceConfig(**keys, only=["wflw_98_49"]))
    printed = capsys.readouterr().out
    assert "train-wflw_98_49: to do: 21300 steps of 128 faces, 2.00 s a step, 11.8 hours" in printed
    assert "python data/prepare_wflw.py" in printed and "on a GPU: unknown" in printed
    assert "wflw_98_98" not in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions")
def test_steps_are_measured():
    tf.config.run_functions_eagerly(True)
    try:
        small = {"landmark_count": 68, "patch_count": 17, "hidden_size": 8, "batch_size": 2}
        assert 0 < step_time.seconds_per_step(TrainConfig(**small, workers=1)) < 60
    finally:
        tf.config.run_functions_eagerly(False)


def test_the_page_has_the_papers_numbers_beside_ours(tmp_path):
    plan = plan_of(tmp_path, "wflw", small=True)
    stages = plan.stages()
    (stage,) = [s for s in stages if s.name == "evaluate-wflw_98_49"]
    names = ["a", "b"]
    errors = {name: np.array([0.05, 0.07]) for name in ("all points", "without jaw")}
    found = DatasetErrors("Ours <i>", names, errors, np.full(2, np.nan), None, None)
    facts = {"skipped": 0, "metric": "NME", "normalization": "ocular", "normaliser": "eyes"}
    summary = report.summarise(found, facts, [0.1], -1, {"expression": {"b"}})
    stage.product.parent.mkdir(parents=True)
    stage.product.write_text(json.dumps([summary]))
    journal = Journal(tmp_path / "stages", tmp_path)
    (tmp_path / "stages").mkdir()
    entry = {"command": list(stage.command), "seconds": 3.5, "status": 0}
    (tmp_path / "stages" / f"{stage.name}.json").write_text(json.dumps(entry))
    page.write(plan, stages, journal, ["train-wflw_98_98"])
    text = (tmp_path / page.NAME).read_text("utf-8")
    claim = "<tr><th>wflw_98_49</th><td>expression</td><td>8.8</td><td>7.00</td></tr>"
    assert claim in text
    assert "Ours &lt;i&gt;" in text and "<i>" not in text
    assert "LAB (published)" in text
    assert "<tr><th>evaluate-wflw_98_49</th><td>done</td><td>3.5</td>" in text
    assert "<tr><th>train-wflw_98_98</th><td>failed</td>" in text


def test_the_stand_in_is_prepared_like_wflw(tmp_path):
    stand_in.write(stand_in.StandInConfig(set="wflw", output=str(tmp_path / "a")))
    prepared = prepare_wflw.WflwConfig(
        image_dir=str(tmp_path / "a/WFLW_images"),
        annotation_dir=str(tmp_path / "a/WFLW_annotations/list_98pt_rect_attr_train_test"),
        output=str(tmp_path / "data"),
        boxes="official",
    )
    assert not prepare_wflw.prepare(prepared)
    lists = tmp_path / "data/lists"
    assert len(list_files.read_list(lists / "wflw_train.txt")) == 12
    assert len(list_files.read_list(lists / "wflw_test_pose.txt")) == 4
