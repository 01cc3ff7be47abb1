"""How commands start and end: streams, Ctrl-C, notebooks, Python's and Keras's settings."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tiny
from absl import flags
from commands import CONFIGS

import musica
from musica.cli import command
from musica.cli.config import option
from musica.errors import InputError
from musica.files import landmark_files
from musica.jobs.inference import InferenceConfig, infer

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Tiny:
    batch_size: int = option(4, "faces at once")


def start(folder, *arguments, **options):
    """Starts Python in a folder, with our package."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(folder)}
    environment |= options.pop("environment", {})
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env=environment, text=True, **options
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_a_notebook_calls_main_again_and_again(name, capsys):
    main = importlib.import_module(f"musica.{name}").main
    for _ in range(2):
        main(["--help"])
        assert "--config" in capsys.readouterr().out
        with pytest.raises(SystemExit, match="1"):
            main(["--nonsense=1"])
        assert capsys.readouterr().err == "error: Unknown command line flag 'nonsense'\n"


def test_flags_of_other_programs_do_not_matter(capsys):
    if "batch_size" not in flags.FLAGS:
        flags.DEFINE_string("batch_size", "many", "of another program")
    for size in (3, 5):
        command.run(Tiny, print, "", argv=[f"--batch_size={size}"])
        assert capsys.readouterr().out == f"Tiny(batch_size={size})\n"
    command.run(Tiny, print, "", argv=[])
    assert capsys.readouterr().out == "Tiny(batch_size=4)\n"


def test_a_notebook_goes_on_after_an_interrupt(capsys):
    def interrupted(configuration):
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)  # a shell's background job ignores it
    with pytest.raises(SystemExit, match="130"):
        command.run(Tiny, interrupted, "", argv=[])
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGINT) is before


INTERRUPTED = """
import dataclasses, pathlib, sys, threading, time
from musica.cli import command, interruption

interruption.GRACE_SECONDS = 0.5

@dataclasses.dataclass(frozen=True)
class Empty:
    pass

def work(configuration):
    pathlib.Path("started").touch()
    for _ in range(6000):  # a signal just before one long nap waits until it ends
        time.sleep(0.01)

def swallow(configuration):  # as a destructor does
    try:
        work(configuration)
    except KeyboardInterrupt:
        time.sleep(60)

def swallow_quietly(configuration):
    with command.quiet():
        swallow(configuration)

def finish(configuration):
    try:
        work(configuration)
    except KeyboardInterrupt:
        pass

def wrap(configuration):  # as TensorFlow does
    try:
        work(configuration)
    except KeyboardInterrupt:
        raise ValueError("wrapped")

def leave_a_thread(configuration):
    threading.Thread(target=time.sleep, args=(60,)).start()
    work(configuration)

command.run(Empty, globals()[sys.argv.pop()], "")
"""


@pytest.mark.parametrize(
    "kind", ["work", "swallow", "swallow_quietly", "finish", "wrap", "leave_a_thread"]
)
def test_ctrl_c_ends_a_command_with_one_line(tmp_path, kind):
    (tmp_path / "script.py").write_text(INTERRUPTED)

    def heed_interrupts():  # also where the shell that started the tests ignores them
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = start(tmp_path, "script.py", kind, stderr=subprocess.PIPE, preexec_fn=heed_interrupts)
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "interrupted\n")


def test_standard_streams_may_be_missing(monkeypatch, tmp_path):
    def work(configuration):
        with command.quiet():
            print("lost")
            print("lost too", file=sys.stderr)

    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    command.run(Tiny, work, "", argv=[])
    with open(tmp_path / "closed", "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
    command.run(Tiny, work, "", argv=[])


def test_output_that_cannot_be_written_is_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        process = start(
            tmp_path,
            *("-m", "musica.inference", "--help"),
            stdout=full,
            stderr=subprocess.PIPE,
        )
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "error: [Errno 28] No space left on device\n")


def test_without_docstrings_there_is_help_and_one_line(tmp_path):
    script = "from musica.evaluate import main; main(['--help']); main([])"
    process = start(tmp_path, "-OO", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    helped, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "--output_dir" in helped
    assert said == "error: menpo needs docstrings, which python -OO removes; use python -O\n"


def test_hostile_settings_of_python_and_keras_change_nothing(tmp_path):
    # A daemon without streams and assertions, whose user prefers another backend and layout.
    shape = np.random.default_rng(0).uniform(0, 142, (68, 2))
    model = tiny.musica_model(
        landmark_count=68, patch_indices=[30, 48], levels=[0], reference_shape=shape
    )
    path = str(tmp_path / "model.keras")
    model.save(path)
    keras_json = tmp_path / ".keras" / "keras.json"
    keras_json.parent.mkdir()
    keras_json.write_text(json.dumps({"image_data_format": "channels_first", "backend": "torch"}))

    def close_streams():
        for number in range(3):
            os.close(number)

    process = start(
        tmp_path,
        *("-O", "-m", "musica.inference", f"--checkpoint_file={path}", "--resDir=found"),
        environment={"KERAS_BACKEND": "jax"},
        preexec_fn=close_streams,
    )
    assert process.wait(timeout=120) == 0

    infer(InferenceConfig(checkpoint_file=path, resDir=str(tmp_path / "expected")))
    found = sorted((tmp_path / "found").rglob("*.pts"))
    assert len(found) == 4
    for file in found:
        expected = tmp_path / "expected" / file.relative_to(tmp_path / "found")
        np.testing.assert_allclose(
            landmark_files.read_landmarks(file, 68),
            landmark_files.read_landmarks(expected, 68),
            atol=0.01,
        )


def test_another_backend_of_keras_is_one_line(monkeypatch):
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match=r"Keras runs on jax; .* KERAS_BACKEND=tensorflow$"):
        musica.load_model(runner="keras")
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(InputError, match=r"Keras cannot be imported \(.*KERAS_BACKEND=tensorflow$"):
        musica.load_model(runner="keras")


def test_an_interrupt_of_the_first_imports_is_one_line():
    code = (
        "import runpy, sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'musica.jobs':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "runpy.run_module('musica.inference', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_switched_off_eager_mode_is_one_line():
    code = (
        "import tensorflow as tf, musica\n"
        "tf.compat.v1.disable_eager_execution()\n"
        "try:\n"
        "    musica.load_model(runner='keras')\n"
        "except musica.InputError as error:\n"
        "    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("TensorFlow's eager mode is off") and done.returncode == 0
