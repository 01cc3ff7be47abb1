"""The comparison of MuSiCa and MDM on one budget is planned right; it takes hours to run."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import tiny

from musica.cli import config
from musica.errors import InputError
from musica.models.loading import load_model
from musica.training import building
from musica.training.configuration import TrainConfig

converge = importlib.import_module("converge")


def trainings(**keys):
    planned = converge.stages(converge.ConvergeConfig(output="out", **keys))
    return {stage.experiment: stage for stage in planned if stage.kind == "train"}


def configurations(**keys):
    found = {}
    for name, stage in trainings(**keys).items():
        given = config.define_flags(TrainConfig)
        assert given(["musica", *stage.command[2:]])[1:] == []
        found[name] = config.from_flags(TrainConfig, given)
        assert stage.product.absolute() == Path(found[name].train_dir, "model.keras").absolute()
    return found


def test_all_models_get_the_same_faces():
    parts = [configurations(part=part) for part in (1, 2, 3)]
    for found in parts:
        assert found.keys() == converge.MODELS.keys()
        assert len({(own.max_steps, own.batch_size, own.seed) for own in found.values()}) == 1
    faces = [own.max_steps * own.batch_size for own in (found["mdm_14"] for found in parts)]
    assert sum(faces) >= 3_000_000
    assert len({found["mdm_14"].seed for found in parts}) == 3
    found = parts[0]
    assert len({(*own.train_filenames, *own.train_weights) for own in found.values()}) == 1
    assert {own.model for name, own in found.items() if name.startswith("mdm")} == {"mdm"}
    assert [found[f"mdm_{side}"].patch_size for side in (14, 30)] == [14, 30]
    assert len(building.patch_indices(found["patches_17"])) == 17


def test_a_part_goes_on_from_the_one_before():
    own = configurations(part=2, seeds=[1])["mdm_14"]
    before = trainings(part=1, seeds=[1])["mdm_14"].product
    assert Path(own.pretrained_model_checkpoint_path).absolute() == before.absolute()
    moved = configurations(part=2, seeds=[1], start="models")["mdm_14"]
    name = Path(moved.pretrained_model_checkpoint_path)
    assert name.absolute() == Path("models", "mdm_14-seed_1-part_1.keras").absolute()
    with pytest.raises(InputError, match="part must be 1 to 3, not 4"):
        trainings(part=4)


def test_models_are_kept_in_half_precision(tmp_path):
    keys = {"only": ["mdm_14"], "output": str(tmp_path / "out"), "keep": str(tmp_path / "kept")}
    own = converge.ConvergeConfig(**keys)
    product = converge.training(own, "mdm_14", 0).product
    product.parent.mkdir(parents=True)
    tiny.mdm_model().save(product)
    converge.keep(own)
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.name == "mdm_14-seed_0-part_1.keras"
    weights = (load_model(path).get_weights() for path in (product, kept))
    for exact, rounded in zip(*weights, strict=True):
        np.testing.assert_allclose(rounded, exact, rtol=1e-3, atol=1e-6)


def test_models_and_seeds_are_chosen(capsys):
    keys = {"only": ["mdm_14"], "seeds": [0, 1], "dry_run": True}
    assert not converge.converge(converge.ConvergeConfig(output="out", **keys))
    printed = capsys.readouterr().out
    assert printed.count("musica.train") == printed.count("musica.compare") == 2
    assert "--seed=1" in printed and not Path("out").exists()
    with pytest.raises(InputError, match="only: 'mdm' is none of"):
        trainings(only=["mdm"])
