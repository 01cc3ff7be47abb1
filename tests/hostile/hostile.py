"""Hostile inputs, for ``fuzz.py``: files, names and values that try to break what reads them.

Each kind is a function of a seeded NumPy generator and an empty folder: it writes an input into the
folder and returns what is to be tried with it, a function without arguments. That must return, or
raise InputError or OSError, and may write to ``folder/output`` alone.
"""

import dataclasses
import importlib
import json
import os
import pickle
import tempfile
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from commands import CONFIGS

from musica.cli import config
from musica.drawing.folder import ShowConfig, show
from musica.errors import InputError
from musica.evaluation.evaluate import EvaluateConfig, evaluate
from musica.files import landmark_files, list_files, reference_shape_files

Attempt = Callable[[], object]

HUGE = 10**400
NUMBERS = (b"nan", b"inf", b"-inf", b"1e308", b"-1e308", b"1e999", b"1e7", b"-5", b"0", b"0x1f")
NUMBERS += (b"9" * 30, b"9" * 5000, b"1_0", b"", b"\xff", b"\0", "٣".encode(), b"None")
VALUES = (None, True, 0, -1, 7, 2**31, 2**63, HUGE, -HUGE, 0.5, -0.0, 1e308, float("nan"))
VALUES += (float("inf"), "", "x", "\0", "\n", "..", "../..", "/", "~nobody/x", "\ud800", "a" * 5000)
VALUES += ("a/" * 3000, [], {}, [[]], [None], {"a": 1}, [0, 1], "ocular", "68", ["x", 1], [HUGE])
# Configurations by the module of their command; all but these are tried.
UNTRIED = ("benchmark", "compare", "video")
CONFIGURATIONS = {name: CONFIGS[name] for name in CONFIGS if name not in UNTRIED}


def one_of(generator: np.random.Generator, options):
    """Draws one of some things, of any type."""
    return options[int(generator.integers(len(options)))]


def damaged(generator: np.random.Generator, content: bytes, near: int | None = None) -> bytes:
    """Content that was cut off, flipped, repeated, emptied and so on; at times left alone.

    Args:
        generator: decides.
        content: bytes.
        near: damage single bytes only so near to either end.
    """
    kind = one_of(generator, ("none", "cut", "bits", "bits", "bytes", "repeat", "remove", "other"))
    if not content or kind == "none":
        return content
    reach = min(near or len(content), len(content))
    places = generator.integers(0, reach, 1 + generator.poisson(3))
    if near is not None:
        places = np.where(generator.random(len(places)) < 0.5, places, len(content) - 1 - places)
    start, end = sorted(generator.integers(0, len(content) + 1, 2))
    if kind == "cut":
        return content[: places[0]]
    if kind == "repeat":
        return content[:end] + content[start : start + 10_000] + content[end:]
    if kind == "remove":
        return content[:start] + content[end:]
    if kind == "other":
        return one_of(generator, (b"", b"\0" * 99, b"\xff\xfe", generator.bytes(300), b"text\n"))
    changed = bytearray(content)
    for place in places:
        bit = 1 << int(generator.integers(8))
        changed[place] = changed[place] ^ bit if kind == "bits" else generator.integers(256)
    return bytes(changed)


def damaged_text(generator: np.random.Generator, content: bytes) -> bytes:
    """As ``damaged``, or with some words replaced by odd numbers, or with lines twice."""
    if generator.random() < 0.4:
        return damaged(generator, content)
    lines = content.split(b"\n")
    for _ in range(1 + generator.poisson(1)):
        row = int(generator.integers(len(lines)))
        words = lines[row].split(b" ")
        if generator.random() < 0.2:
            lines.insert(row, lines[row])
        else:
            words[int(generator.integers(len(words)))] = one_of(generator, NUMBERS)
            lines[row] = b" ".join(words)
    return b"\n".join(lines)


def written(generator: np.random.Generator, folder: Path, content: bytes, suffix: str) -> Path:
    """Writes content to a file of an ordinary or, at times, an odd name or kind."""
    kinds = ("bytes", "line", "long", "folder", "dangling", "loop", "device", "pipe", "linked")
    kind = one_of(generator, kinds) if generator.random() < 0.2 else "plain"
    stem = {"bytes": "a\udcff\udc80", "line": "a\nb\x1b[31m", "long": "a" * 240}.get(kind, "a")
    path = folder / f"{stem}{suffix}"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind in ("dangling", "loop", "device"):
        path.symlink_to({"dangling": "nowhere", "loop": path.name, "device": "/dev/zero"}[kind])
    elif kind == "linked":
        (folder / "target").write_bytes(content)
        path.symlink_to(folder / "target")
    else:
        path.write_bytes(content)
    return path


@lru_cache
def valid_points(suffix: str, count: int) -> bytes:
    """A landmark file that is all right."""
    points = np.random.default_rng(count).uniform(0, 200, (count, 2)).round(2)
    with tempfile.TemporaryDirectory() as folder:
        landmark_files.write_landmarks(Path(folder, f"a{suffix}"), points)
        return Path(folder, f"a{suffix}").read_bytes()


def points_file(generator: np.random.Generator, folder: Path, suffix: str) -> Attempt:
    """Landmarks of which whatever is read can be written and read again."""
    count = one_of(generator, (1, 4, 5, 68))
    content = valid_points(suffix, count)
    if suffix == ".ljson" and generator.random() < 0.6:
        content = json.dumps(exchanged(generator, json.loads(content))).encode()
    elif generator.random() < 0.9:
        content = damaged_text(generator, content)
    if generator.random() < 0.03:
        content = b'{"version": 3, "groups": ' + b"[" * 100_000
    path = written(generator, folder, content, suffix)
    wanted = one_of(generator, (None, None, 4, 68))

    def attempt():
        points = (
            landmark_files.read_box(path)
            if wanted == 4
            else landmark_files.read_landmarks(path, wanted)
        )
        assert np.isfinite(points).all()
        if points.ndim == 2:
            landmark_files.write_landmarks(folder / "output" / "a.ljson", points)
            np.testing.assert_array_equal(
                landmark_files.read_landmarks(folder / "output/a.ljson"), points
            )

    return attempt


def names_list(generator: np.random.Generator, folder: Path) -> Attempt:
    """A list of names; each must stay inside the folder that it is joined to."""
    odd = ("../a.png", "/etc/passwd", "a/../../b", "..\\b", "C:\\a", "a\0b", "a" * 300, "..", ".")
    odd += ("a.png", "A.png", "a.jpg", "sub/a.png", "./a.png", "a\x1bb.png", "\u2028..", "~/a")
    lines = [f"{index}.png" for index in range(5)]
    lines += [one_of(generator, odd) for _ in range(generator.integers(3))]
    path = written(generator, folder, damaged(generator, "\n".join(lines).encode()), ".txt")
    if path.is_fifo():  # it is waited for, as a configuration
        return lambda: landmark_files.read_estimate(path)
    read = one_of(
        generator, (list_files.read_list, list_files.read_list, landmark_files.read_estimate)
    )

    def attempt():
        names = read(path)
        for name in names if read is list_files.read_list else ():
            joined = Path(os.path.normpath(folder / "images" / name))
            assert joined.is_relative_to(folder / "images")

    return attempt


def odd_value(generator: np.random.Generator, depth: int = 0):
    """A JSON value of any kind."""
    if depth < 3 and generator.random() < 0.2:
        entries = [odd_value(generator, depth + 1) for _ in range(generator.integers(4))]
        return entries if generator.random() < 0.5 else dict(zip("abcd", entries, strict=False))
    return one_of(generator, VALUES)


def exchanged(generator: np.random.Generator, value):
    """A JSON value of which one part, somewhere, is another."""
    if not value or not isinstance(value, list | dict) or generator.random() < 0.1:
        return odd_value(generator)
    key = one_of(generator, list(value) if isinstance(value, dict) else range(len(value)))
    value[key] = exchanged(generator, value[key])
    return value


def configuration(generator: np.random.Generator, folder: Path) -> Attempt:
    """A command's JSON; what is accepted of the commands that need no model is carried out."""
    module, name = one_of(generator, list(CONFIGURATIONS.items()))
    cls = getattr(importlib.import_module(f"musica.{module}"), name)
    keys = [field.name for field in dataclasses.fields(cls)]
    defaults = dataclasses.asdict(cls())
    content = {key: defaults[key] for key in keys if generator.random() < 0.2}
    for _ in range(generator.poisson(0.7)):
        content[one_of(generator, keys)] = odd_value(generator)
    if cls is EvaluateConfig and generator.random() < 0.5:
        entry = {"gt_dir": "truth", "estimated_dir": "truth", "flm_count": 68}
        entry[one_of(generator, list(entry))] = odd_value(generator)
        content["Data"] = one_of(generator, ([entry], [entry] * 2, entry))
    if generator.random() < 0.1:
        content[one_of(generator, ("no\nkey", "", "\0", "é", "d" * 9999))] = 1
    text = json.dumps(content)
    if generator.random() < 0.1:
        text = one_of(generator, ("[" * 10**5, '{"a":' * 10**5, "{}{}", "[]", "NaN", "9" * 5000))
    content = text.encode()
    if generator.random() < 0.25:
        content = damaged(generator, content)
    path = written(generator, folder, content, ".json")
    if path.is_fifo():  # a way to give a configuration: it is waited for
        path.unlink()
        path.write_bytes(b"{}")
    (folder / "truth").mkdir()
    (folder / "truth" / "a.pts").write_bytes(valid_points(".pts", 68))

    def attempt():
        given = config.load(cls, str(path), {"output_dir": str(folder / "output")} if run else None)
        config.save(given, folder / "output" / "again.json")
        if run and (cls is ShowConfig or given.Data):
            run(given)

    run = {EvaluateConfig: evaluate, ShowConfig: show}.get(cls)
    return attempt


class Call:
    """Its pickle calls a function when it is loaded."""

    def __init__(self, function: Callable, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def pickled_shape(generator: np.random.Generator, folder: Path) -> Attempt:
    """The release's reference shape, damaged, or a pickle that attacks."""
    points = np.random.default_rng(0).uniform(0, 142, (68, 2))
    witness = str(folder / "witness")
    attacks = (
        pickle.dumps(Call(os.system, f"touch {witness}")),
        pickle.dumps(Call(open, witness, "w")),
        pickle.dumps(Call(eval, f"open({witness!r}, 'w')"), protocol=2),
        b"\x80\x02]r\xff\xff\xff\x7f.",  # a memo of two thousand million entries
        b"\x80\x02]p4000000000\n.",
        b"\x80\x05\x96\x00\x00\x00\x00\x10\x00\x00\x00.",  # a bytearray of 64 GiB
        b"\x80\x04\x8e\x00\x00\x00\x00\x10\x00\x00\x00.",
        b"\x80\x02" + b"(" * 200_000 + b"t" * 200_000 + b".",
        b"I" + b"9" * 100_000 + b"\n.",
    )
    if generator.random() < 0.4:
        content = one_of(generator, attacks)
    else:
        content = damaged(generator, pickle.dumps(points, protocol=int(generator.integers(6))))
    path = written(generator, folder, content, ".pkl")

    def attempt():
        found = reference_shape_files.read_reference_shape(path, import_pickle=True)
        assert np.isfinite(found).all() and found.ndim == 2

    return attempt


def evaluation(generator: np.random.Generator, folder: Path) -> Attempt:
    """Folders of estimates and truth with damaged files and odd names."""
    for index in range(3):
        odd = one_of(generator, ("<b>&", "a\nb", "\udcff"))
        stem = f"{index}" if generator.random() < 0.8 else odd
        for side in ("estimated", "truth"):
            content = valid_points(".pts", 68)
            if generator.random() < 0.4:
                content = damaged_text(generator, content)
            path = folder / side / f"{stem}.pts"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        if generator.random() < 0.7:
            number = damaged_text(generator, b"0.05\n")
            (folder / "estimated" / f"{stem}.txt").write_bytes(number)
    contour = "contour_distance" if generator.random() < 0.3 else "points_distance"
    keys = {
        "Data": [{"gt_dir": "truth", "estimated_dir": "estimated"}],
        "dump_output_files": bool(generator.random() < 0.1),
        "metric": contour,
        "recall_rate": one_of(generator, (-1, 0, 0.5, 1)),
    }
    (folder / "evaluate.json").write_text(json.dumps(keys))
    # The plots take most of the time.
    written = keys["dump_output_files"] or generator.random() < 0.1
    output = {"output_dir": str(folder / "output") if written else ""}
    return lambda: evaluate(config.load(EvaluateConfig, str(folder / "evaluate.json"), output))


KINDS = {
    "landmarks .pts": partial(points_file, suffix=".pts"),
    "landmarks .ljson": partial(points_file, suffix=".ljson"),
    "lists, estimates": names_list,
    "configurations": configuration,
    "reference_shape.pkl": pickled_shape,
    "evaluations": evaluation,
}

# What an attempt may raise.
REFUSALS = (InputError, OSError)
