"""Speed from disk to results, start of the program included, beside other programs.

Every run is a process of its own, all programs in turn, so that all meet the same machine.
"""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from musica.benchmarks.configuration import BenchmarkConfig
from musica.errors import InputError
from musica.files.picture_folders import find_pictures
from musica.files.video_files import FrameReader

HEADER = (
    "| what | cores | pictures | seconds | CPU seconds | ms a picture | pictures a second "
    "| peak MB | ratio |",
    "|---|---|---|---|---|---|---|---|---|",
)


class Run(NamedTuple):
    """One run of a program: seconds, seconds of CPU time, and its peak of memory in MB."""

    seconds: float
    cpu_seconds: float
    megabytes: float


def measure(config: BenchmarkConfig, cores: int) -> list[str]:
    """Runs everything in turn on so many cores; run it in a process of its own.

    Args:
        config: a configuration with a folder or a video.
        cores: how many of this process's cores are used.

    Returns:
        Rows of the table that ``HEADER`` begins: medians, and their ratios to the first row's.

    Raises:
        InputError: there is nothing to read, or a program fails.
    """
    use_cores(cores)
    with tempfile.TemporaryDirectory() as results:
        programs = _programs(config, cores, results)
        runs: dict[str, list[Run]] = {name: [] for name in programs}
        for _ in range(config.rounds):
            for name, (command, _) in programs.items():
                runs[name].append(_run(command))
    rows = []
    for name, (_, count) in programs.items():
        seconds, cpu_seconds, megabytes = np.median(runs[name], axis=0)
        ratio = seconds / np.median([run.seconds for run in runs[next(iter(runs))]])
        cells = [name, cores, count, f"{seconds:.2f}", f"{cpu_seconds:.2f}"]
        cells += [f"{1000 * seconds / count:.1f}", f"{count / seconds:.1f}"]
        cells += [f"{megabytes:.0f}", f"{ratio:.2f}"]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return rows


def use_cores(count: int) -> None:
    """Keeps this process and its children on so many of its cores, where the system can do so."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def _programs(
    config: BenchmarkConfig, cores: int, results: str
) -> dict[str, tuple[list[str], int]]:
    """The commands by name, and how many pictures each reads; ours is the first."""
    ours = [sys.executable, "-m"]
    if config.video:
        with FrameReader(config.video) as reader:
            count = sum(1 for _ in reader)
        source, own = config.video, [*ours, "musica.video", config.video, "--nodraw"]
        programs = {"musica-video": ([*own, f"--resDir={results}"], count)}
    else:
        pictures = find_pictures(Path(config.folder), Path(results)).pictures
        if not pictures:
            raise InputError(f"{config.folder}: holds no pictures")
        source, own = config.folder, [*ours, "musica.inference", "--noskip_existing"]
        own += [f"--resDir={results}", f"--workers={cores}"]
        programs = {
            "musica-inference": ([*own, source], len(pictures)),
            "musica-inference, one picture": ([*own, str(pictures[0])], 1),
        }
        count = len(pictures)
    for line in config.commands:
        words = [word.format(source=source, results=results) for word in shlex.split(line)]
        programs[line] = (words, count)
    return programs


def _run(command: list[str]) -> Run:
    """Runs a program to its end.

    Raises:
        InputError: it cannot be started, or it fails.
    """
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        except OSError as error:
            raise InputError(f"{command[0]}: {error.strerror}") from error
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        if process.returncode:
            output.seek(0)
            last = output.read().decode(errors="replace").strip().splitlines()[-1:]
            raise InputError(f"{shlex.join(command)} failed: {' '.join(last)}")
    kilobytes = used.ru_maxrss / (1000 if sys.platform == "darwin" else 1)
    return Run(seconds, used.ru_utime + used.ru_stime, kilobytes * 1.024 / 1000)
