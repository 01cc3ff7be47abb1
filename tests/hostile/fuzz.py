"""Feeds hostile inputs to everything that reads.

    PYTHONPATH=tests:tests/formats python tests/hostile/fuzz.py --count=1000 --seed=0

Each input is tried in a process that is watched: it must succeed, or refuse with InputError or
OSError and one line, in time and in bounded memory; it may start no program and no connection, may
write below its output folder alone, and leave nothing half-written. A table says how many inputs of
each kind did; the exit status is 1 if any did not. An input is a function of kind, seed and number:
``--kind=... --first=N --count=1`` repeats one.
"""

import argparse
import importlib
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np

SECONDS = 60  # for one input, on a busy machine
MEMORY = 2e9  # bytes that one input may add to a process's peak
LIMIT = 12 << 30  # of address space, so that a bomb ends the process, not the machine
AUTOGRAPH = "__autograph_generated_file"  # TensorFlow removes them when the process ends
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pty.spawn")
FORBIDDEN += ("socket.connect", "urllib.Request", "webbrowser.open", "ctypes.dlopen")
CHANGING = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod")


class Watch:
    """Notes, while it is on, what is started, and what is changed outside a folder."""

    def __init__(self):
        self.folder: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple) -> None:
        if self.folder is None:
            return
        if event in FORBIDDEN:
            self.seen.append(f"{event} {arguments}"[:200])
        writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if not (writing or event in CHANGING) or isinstance(arguments[0], int):
            return
        # os.rename and os.link name two paths, others a path and what it is relative to.
        pair = isinstance(arguments[1], str | bytes) and not writing
        base = "" if pair or writing else self._base(arguments[-1])
        for path in arguments[: 1 + pair]:
            name = os.path.abspath(os.path.join(base, os.fsdecode(path)))
            allowed = (f"{self.folder}/output", f"{self.folder}/temporary", "/dev/null")
            if not name.startswith(allowed):
                self.seen.append(f"{event} {name}")

    def _base(self, descriptor: object) -> str:
        """The folder that a path is relative to, if it is an open one."""
        if not isinstance(descriptor, int) or descriptor < 0:
            return ""
        return os.readlink(f"/proc/self/fd/{descriptor}")


def kinds(slow: bool | None = None) -> dict:
    """All kinds of inputs, or those that are slow, or the others: name -> function."""
    import hostile
    import hostile_models
    import hostile_oddities
    import hostile_pictures
    import hostile_programs
    import hostile_videos

    rooms = hostile, hostile_pictures, hostile_oddities, hostile_programs, hostile_videos
    quick = {kind: make for room in rooms for kind, make in room.KINDS.items()}
    return {**({} if slow else quick), **({} if slow is False else hostile_models.KINDS)}


def work(connection) -> None:
    """A process that tries what it is told to: (kind, seed, number) -> (outcome, what happened)."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    watch = Watch()
    makers = kinds()
    importlib.import_module("hostile_pictures").warm_up()
    while (task := connection.recv()) is not None:
        with tempfile.TemporaryDirectory() as folder:
            connection.send(attempt(makers[task[0]], task[1:], Path(folder), watch))


def attempt(make, seeds: tuple[int, int], folder: Path, watch: Watch) -> tuple[str, str]:
    """Makes an input and tries it: ("succeeded", "refused" or "violation", what happened)."""
    from hostile import REFUSALS

    reading = make(np.random.default_rng(seeds), folder)
    (folder / "temporary").mkdir()
    tempfile.tempdir = str(folder / "temporary")
    before, peak = snapshot(folder), peak_memory()
    watch.seen.clear()
    watch.folder = str(folder)
    outcome, text = "succeeded", ""
    try:
        reading()
    except REFUSALS as error:
        outcome, text = "refused", f"{type(error).__name__}: {error}"
    except (Exception, SystemExit):
        outcome, text = "violation", traceback.format_exc()
    finally:
        watch.folder = tempfile.tempdir = None
    if outcome == "refused" and len(text.splitlines()) > 1:
        outcome, text = "violation", f"more than one line: {text!r}"
    problems = [*watch.seen, *(f"changed {path}" for path in snapshot(folder) ^ before)]
    rests = (path for path in (folder / "temporary").iterdir() if AUTOGRAPH not in path.name)
    problems += [f"left {path}" for path in rests]
    problems += [f"left {path}" for path in (folder / "output").rglob(".*")]
    if peak_memory() - peak > MEMORY:
        problems.append(f"{(peak_memory() - peak) / 1e9:.1f} GB of memory")
    return ("violation", "\n".join([*problems, text])) if problems else (outcome, text)


def snapshot(folder: Path) -> set[tuple]:
    """What is in a folder besides its output: names, sizes, times of change."""
    files = (path for path in folder.rglob("*") if path.relative_to(folder).parts[0] != "output")
    states = ((path, path.lstat()) for path in files if path.name != "temporary")
    return {
        (str(path), state.st_size, state.st_mtime_ns)
        for path, state in states
        if not path.is_dir() and "temporary" not in path.parts
    }


def peak_memory() -> int:
    """Bytes of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Worker:
    """The process that tries inputs; another is started when it has crashed or hung."""

    def __init__(self):
        self._process = None

    def _start(self):
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=work, args=(other,), daemon=True)
        self._process.start()
        other.close()

    def attempt(self, kind: str, seed: int, number: int) -> tuple[str, str]:
        """Tries one input."""
        if self._process is None:
            self._start()
        self._connection.send((kind, seed, number))
        if self._connection.poll(SECONDS):
            try:
                return self._connection.recv()
            except EOFError:
                self._process.join()
                status = self._process.exitcode
                self._process = None
                return "violation", f"the process ended with status {status}"
        self.close(kill=True)
        return "violation", f"no answer within {SECONDS} s"

    def close(self, kill: bool = False) -> None:
        """Ends the process."""
        if self._process is not None:
            if kill:
                self._process.kill()
            else:
                self._connection.send(None)
            self._process.join()
            self._process = None


def fuzz(names: list[str], count: int, seed: int, first: int = 0) -> int:
    """Tries inputs of each kind, prints the table and the violations, and returns their number."""
    worker, violations = Worker(), []
    print(f"{'inputs':24}   tried  succeeded  refused  violations  slowest")
    total = Counter()
    for kind in names:
        outcomes, slowest = Counter(), 0.0
        for number in range(first, first + count):
            start = time.perf_counter()
            outcome, text = worker.attempt(kind, seed, number)
            slowest = max(slowest, time.perf_counter() - start)
            outcomes[outcome] += 1
            if outcome == "violation":
                violations.append(f"--- {kind}, seed {seed}, number {number}\n{text}")
        total += outcomes
        print_row(kind, outcomes, f"{slowest:7.1f} s")
    print_row("all", total, "")
    worker.close()
    print("\n".join(violations), file=sys.stderr)
    return len(violations)


def print_row(name: str, outcomes: Counter, slowest: str) -> None:
    """A line of the table."""
    counts = [outcomes[key] for key in ("succeeded", "refused", "violation")]
    print(f"{name:24}{sum(counts):8}{counts[0]:11}{counts[1]:9}{counts[2]:12}{slowest}", flush=True)


def main() -> None:
    """Reads the flags; exits."""
    names = list(kinds())
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--kind", action="append", choices=names, help="only this; may be repeated")
    given = parser.parse_args()
    sys.exit(fuzz(given.kind or names, given.count, given.seed, given.first) > 0)


if __name__ == "__main__":
    main()
