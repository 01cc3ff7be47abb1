"""What ``import musica`` gives, and what ``python -m pydoc musica`` says."""

import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

import musica


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
    setup = (Path(musica.__file__).parents[1] / "setup.py").read_text("utf-8")
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
    # The models are imported as soon as Keras is, by then not all of such a module is there.
    code = "import musica.models.losses; assert musica.models.losses.Tensor"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
