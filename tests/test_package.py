"""What ``import musica`` gives, and what ``python -m pydoc musica`` says."""

import json
import pydoc
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny

import musica
from musica.geometry.landmarks import scheme_for
from musica.jobs import inference
from musica.models.loading import SHIPPED

ROOT = Path(__file__).parents[1]


def test_public_names_are_there_and_described():
    for name in musica.__all__:
        assert getattr(musica, name).__doc__
        assert name in dir(musica)
    with pytest.raises(AttributeError, match="has no attribute 'Nobody'"):
        _ = musica.Nobody
    names = {}
    exec("from musica import *", names)
    assert set(musica.__all__) <= names.keys()


def test_documentation_is_complete():
    text = pydoc.plain(pydoc.render_doc(musica))
    for name in musica.__all__:
        assert re.search(rf"^    (class )?{name}\(", text, re.MULTILINE), name
    for name in re.findall(r"``musica\.(\w+)``", musica.__doc__):
        assert (Path(musica.__file__).parent / name).exists() or f"    {name}\n" in text
    setup = (ROOT / "setup.py").read_text("utf-8")
    (commands,) = re.findall(r"COMMANDS = \((.*?)\)", setup, re.DOTALL)
    for command in re.findall(r'"(\w+)"', commands):
        assert re.search(rf"\b{command}\b", musica.__doc__), command


def test_documentation_needs_no_tensorflow():
    code = (
        "import pydoc, sys, musica\n"
        "pydoc.render_doc(musica)\n"
        "sys.exit(bool({'tensorflow', 'keras', 'menpo', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_module_that_imports_keras_may_come_first():
    # Keras then registers the models while this module is only half imported.
    code = (
        "import musica.models.losses, keras; assert musica.models.losses.Tensor\n"
        "assert keras.saving.get_registered_object('musica>MDM')"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_shipped_model_is_read_without_a_path():
    assert musica.load_model().settings.landmark_count == 68


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_find_the_eyes(name):
    aligner = musica.FaceAligner.load(name)
    assert aligner.settings.landmark_count == int(name)
    corners = list(scheme_for(int(name)).eye_corners)
    truths = inference.builtin_truth()
    for task in inference.builtin_tasks():
        truth = truths[task.name][[36, 45]]
        distance = np.linalg.norm(truth[0] - truth[1])
        found = aligner.align(task.image, task.box).landmarks[corners]
        assert np.linalg.norm(found - truth, axis=1).max() < 0.1 * distance


@pytest.mark.parametrize("name", SHIPPED)
def test_both_files_of_a_shipped_model_estimate_the_same(name):
    tasks = inference.builtin_tasks()
    images, boxes = [task.image for task in tasks], [task.box for task in tasks]
    lite, exact = (musica.FaceAligner.load(name, runner) for runner in ("litert", "keras"))
    for iterations in range(1, len(lite.settings.levels) + 1):
        own, other = (
            np.mean([face.error_estimate for face in found])
            for found in (
                aligner.align_batch(images, boxes, iterations=iterations)
                for aligner in (lite, exact)
            )
        )
        assert own == pytest.approx(other, rel=0.1)


@pytest.mark.parametrize("load", [musica.load_model, keras.models.load_model])
def test_models_of_0_2_0_are_read(load, tmp_path):
    # Its modules had other names, which its files quote.
    model = tiny.musica_model()
    model.save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as new:
        members = {name: new.read(name) for name in new.namelist()}
    described = json.loads(members["config.json"])
    assert described["module"] == "musica.models.musica"
    members["config.json"] = json.dumps({**described, "module": "musica.model"}).encode()
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        for name, content in members.items():
            old.writestr(name, content)

    inputs = tiny.inputs()
    tiny.outputs_equal(load(tmp_path / "old.keras")(inputs), model(inputs), rtol=0, atol=0)


def test_the_version_is_that_of_the_distribution():
    setup = [sys.executable, "setup.py", "--version"]
    done = subprocess.run(setup, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == musica.__version__
