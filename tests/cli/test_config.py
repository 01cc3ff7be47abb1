import dataclasses
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from musica.cli import config
from musica.cli.config import option
from musica.errors import InputError
from musica.jobs.inference import InferenceConfig
from musica.training.configuration import TrainConfig

ROOT = Path(__file__).parents[2]
SCRIPT = """
import dataclasses
from musica.cli import command, config
from musica.cli.config import option
from musica.errors import InputError

@dataclasses.dataclass(frozen=True)
class Tiny:
    batch_size: int = option(4, "faces at once")
    rate: float = option(0.5, "learning rate")
    mirror: bool = option(False, "whether to mirror")
    folder: str = option("", "where to write", path=True, alias="directory")
    indices: list[int] | None = option(None, "points")

def main(tiny):
    if tiny.batch_size == 13:
        raise InputError("13 is no batch size")
    print(tiny)
    return tiny.batch_size == 14

command.run(Tiny, main, "A tiny command.")
"""


@dataclass(frozen=True)
class Entry:
    name: str = option("", "its name")
    points: str = option("", "its folder", path=True)


@dataclass(frozen=True)
class Settings:
    batch_size: int = option(128, "faces at once")
    rate: float = option(0.001, "learning rate")
    mirror: bool = option(True, "whether to mirror")
    folder: str = option("", "where to write", path=True, alias="directory")
    files: list[str] = option([], "file lists", path=True)
    indices: list[int] | None = option(None, "points")
    threshold: float | None = option(None, "when to stop")
    entries: list[Entry] = option([], "more of them")
    loss: str = option("l1", "the loss", any_case=True)


def load(tmp_path, content, **overrides):
    path = tmp_path / "settings.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return config.load(Settings, str(path), overrides)


def test_json_overrides_defaults_and_flags_override_json(tmp_path):
    settings = load(tmp_path, {"batch_size": 8, "rate": 1, "indices": [3, 4]}, batch_size=9)
    assert settings.batch_size == 9
    assert settings.rate == 1.0
    assert settings.indices == [3, 4]
    assert settings.mirror is True
    assert config.load(Settings) == Settings()


def test_paths_resolve_against_the_json_and_flags_against_the_current_folder(tmp_path):
    content = {"folder": "out", "files": ["a", "/b"], "entries": [{"name": "n", "points": "p"}]}
    settings = load(tmp_path, content)
    assert settings.folder == str(tmp_path / "out")
    assert settings.files == [str(tmp_path / "a"), "/b"]
    assert settings.entries == [Entry("n", str(tmp_path / "p"))]
    assert load(tmp_path, content, folder="out").folder == str(Path("out").absolute())
    assert load(tmp_path, {"folder": ""}).folder == ""


def test_older_names_stay_valid(tmp_path):
    assert load(tmp_path, {"directory": "/a"}).folder == "/a"
    with pytest.raises(InputError, match="both given"):
        load(tmp_path, {"directory": "/a", "folder": "/b"})


def test_a_saved_configuration_comes_back(tmp_path):
    settings = Settings(7, 0.5, False, "/out", ["/a"], [1], 0.1, [Entry("n", "/p")])
    config.save(settings, tmp_path / "saved.json")
    assert config.load(Settings, str(tmp_path / "saved.json")) == settings


def test_unknown_key_names_one_that_is_near(tmp_path):
    with pytest.raises(InputError, match=r"settings\.json.*'batchsize'.*mean 'batch_size'"):
        load(tmp_path, {"batchsize": 8})
    with pytest.raises(InputError, match=r"'nam'.*mean 'name'"):
        load(tmp_path, {"entries": [{"nam": "n"}]})
    with pytest.raises(InputError, match=r"'directry'.*mean 'directory'"):
        load(tmp_path, {"directry": "/a"})
    with pytest.raises(InputError, match=r"unknown key 'gt_contours'$"):
        load(tmp_path, {"gt_contours": []})


def test_numbers_may_be_strings_and_words_capitals(tmp_path):
    content = {"batch_size": "2", "rate": "1e-2", "indices": ["3", 4], "threshold": "inf"}
    settings = load(tmp_path, {**content, "loss": "L1", "folder": "/A"})
    assert (settings.batch_size, settings.rate) == (2, 0.01)
    assert settings.indices == [3, 4]
    assert settings.threshold == float("inf")
    assert (settings.loss, settings.folder) == ("l1", "/A")


def test_a_byte_order_mark_is_passed_over(tmp_path):
    assert load(tmp_path, '\ufeff{"batch_size": 8}').batch_size == 8


# Of the release's files for training and inference.
RELEASE_KEYS = [
    "dump_tf_weights",
    "model_dir",
    "eval_interval_secs",
    "run_once",
    "num_examples",
    "device",
    "writeResults",
    "writeGTlms",
    "eval_device",
    "with_pose",
    "face_detector",
    "num_preprocess_threads",
    "prev_frame_init",
    "is_finetune",
    "num_epochs_per_decay",
    "yaw_split",
    "pose_root",
    "pretrained_model_step",
    "weighted_loss",
    "optimizer",
    "train_device",
]


def test_keys_of_the_release_without_a_meaning_get_a_line_each(tmp_path, capsys):
    path = tmp_path / "release.json"
    for number, key in enumerate(RELEASE_KEYS):
        path.write_text(json.dumps({key: [None, "x", True, 3][number % 4]}))
        taken = 0
        for configuration in (TrainConfig, InferenceConfig):
            try:
                assert config.load(configuration, str(path)) == configuration()
            except InputError:
                continue
            taken += 1
            (line,) = capsys.readouterr().err.splitlines()
            assert line.startswith(f"{path}: {key!r} is ignored: ")
        assert taken, key
    for configuration in (TrainConfig, InferenceConfig):
        names = {field.name for field in dataclasses.fields(configuration)}
        assert not names & configuration.IGNORED_KEYS.keys()
    assert config.load(TrainConfig, None, {"loss": "L1"}) == TrainConfig()


def test_the_releases_parameters_load_as_they_are(tmp_path):
    """Its values, strings where it has strings; only the paths are changed."""
    shared = {"face_detector": "NFD", "with_pose": 0, "gt_path": "gt", "bb_root": "bb"}
    training = {
        **{"optimizer": "ADAM", "loss": "L1", "initial_learning_rate": "0.001", "margin": "0.3"},
        **{"num_epochs_per_decay": 5.0, "learning_rate_decay_factor": 0.1, "batch_size": "128"},
        **{"num_epochs": "30000", "max_steps": 100000, "patch_size": "14", "is_finetune": 0},
        **{"image_dir": "images", "train_filenames": "all.txt", "yaw_split": [-60, -15, 15, 60]},
        **{"weighted_loss": False, "train_device": "/gpu:0", "pretrained_model_step": ""},
    }
    inference = {
        **{"get_output_of_iteration": "2", "dump_tf_weights": False, "model_dir": "silhouette"},
        **{"eval_interval_secs": 600, "run_once": False, "num_examples": 314, "device": "/cpu:0"},
        **{"resDir": "out", "writeResults": True, "tensorboard_dir": "/tmp/", "data_dir": "images"},
        **{"num_preprocess_threads": 1, "prev_frame_init": False, "patch_size": 14},
    }
    path = tmp_path / "params.json"
    path.write_text(json.dumps({**shared, **training}))
    found = config.load(TrainConfig, str(path))
    assert (found.loss, found.batch_size, found.num_epochs, found.margin) == ("l1", 128, 30000, 0.3)
    path.write_text(json.dumps({**shared, **inference}))
    assert config.load(InferenceConfig, str(path)).get_output_of_iteration == 2


@pytest.mark.parametrize(
    "content",
    [
        {"batch_size": "8.5"},
        {"batch_size": "9" * 5000},
        {"rate": "nan"},
        {"batch_size": 8.5},
        {"batch_size": True},
        {"batch_size": None},
        {"rate": "fast"},
        {"mirror": 1},
        {"folder": 3},
        {"indices": ["a"]},
        {"files": [1]},
        {"entries": [3]},
        {"threshold": "x"},
    ],
)
def test_values_of_the_wrong_type(tmp_path, content):
    (key,) = content
    with pytest.raises(InputError, match=key):
        load(tmp_path, content)


@pytest.mark.parametrize("content", ["", "{", "[1]", "3"])
def test_other_json_than_an_object_is_refused(tmp_path, content):
    with pytest.raises(InputError, match=r"settings\.json"):
        load(tmp_path, content)
    with pytest.raises(InputError, match="missing"):
        config.load(Settings, str(tmp_path / "missing.json"))


def run(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_installed_commands_list_their_keys():
    command = Path(sys.executable).with_name("musica-inference")
    done = subprocess.run([command, "--help"], capture_output=True, text=True)
    assert "--resDir" in done.stdout and "--data_dir" in done.stdout


def test_help_does_not_import_tensorflow():
    done = run("-X", "importtime", "-m", "musica.convert_checkpoint", "--help")
    assert "--checkpoint_file" in done.stdout
    assert "musica.cli.config" in done.stderr
    assert "tensorflow" not in done.stderr
    assert "keras" not in done.stderr


def test_flags_override_the_json_and_errors_are_one_line(tmp_path):
    (tmp_path / "tiny.py").write_text(SCRIPT)
    (tmp_path / "tiny.json").write_text(json.dumps({"batch_size": 8, "rate": 2, "folder": "a"}))

    def tiny(*flags):
        return run("tiny.py", *flags, cwd=tmp_path)

    done = tiny("--config=tiny.json", "--batch_size=9", "--mirror", "--indices=1,2")
    assert done.returncode == 0
    expected = f"batch_size=9, rate=2.0, mirror=True, folder='{tmp_path / 'a'}', indices=[1, 2]"
    assert expected in done.stdout
    assert f"folder='{tmp_path / 'b'}'" in tiny("--directory=b").stdout
    assert tiny("--batch_size=14").returncode == 1
    for flags, message in (
        (["--batch_size=13"], "13 is no batch size"),
        (["--config=none.json"], "none.json: No such file"),
        (["--indices=1,x"], "--indices: cannot read"),
        (["stray"], "unexpected argument 'stray'"),
    ):
        done = tiny(*flags)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1


def test_arguments_without_a_flag_belong_to_one_key(tmp_path):
    (tmp_path / "tiny.py").write_text(SCRIPT.replace('tiny command."', 'command.", "indices"'))
    assert "indices=[3, 4]" in run("tiny.py", "3", "4", "--rate=1", cwd=tmp_path).stdout
    done = run("tiny.py", "3", "--indices=4", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: give either --indices or '3', not both\n"
