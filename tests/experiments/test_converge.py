"""The comparison of MuSiCa and MDM on one budget is planned right; it takes hours to run."""

import importlib
from pathlib import Path

import pytest

from musica.cli import config
from musica.errors import InputError
from musica.training import building
from musica.training.configuration import TrainConfig

converge = importlib.import_module("converge")


def trainings(**keys):
    planned = converge.stages(converge.ConvergeConfig(output="out", **keys))
    return {stage.experiment: stage for stage in planned if stage.kind == "train"}


def test_all_models_get_the_same_faces():
    found = {}
    for name, stage in trainings().items():
        given = config.define_flags(TrainConfig)
        assert given(["musica", *stage.command[2:]])[1:] == []
        found[name] = config.from_flags(TrainConfig, given)
        assert stage.product == Path("out/seed_0") / name / "model.keras"
    assert found.keys() == converge.MODELS.keys()
    budgets = {own.max_steps * own.batch_size for own in found.values()}
    assert len(budgets) == 1 and min(budgets) >= 3_000_000
    assert len({(*own.train_filenames, *own.train_weights) for own in found.values()}) == 1
    assert {own.model for name, own in found.items() if name.startswith("mdm")} == {"mdm"}
    assert [found[f"mdm_{side}"].patch_size for side in (14, 30)] == [14, 30]
    assert len(building.patch_indices(found["patches_17"])) == 17


def test_models_and_seeds_are_chosen(capsys):
    keys = {"only": ["mdm_14"], "seeds": [0, 1], "dry_run": True}
    assert not converge.converge(converge.ConvergeConfig(output="out", **keys))
    printed = capsys.readouterr().out
    assert printed.count("musica.train") == printed.count("musica.compare") == 2
    assert "--seed=1" in printed and not Path("out").exists()
    with pytest.raises(InputError, match="only: 'mdm' is none of"):
        trainings(only=["mdm"])
