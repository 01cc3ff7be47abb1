"""Worker processes that prepare batches of faces in shared memory.

One process prepares faces on one core only, because of Python's GIL. The workers are spawned, since
a fork of a process that has loaded TensorFlow may hang, and never import TensorFlow themselves.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from math import prod
from typing import Any

import cv2
import numpy as np

from musica.errors import InputError
from musica.training.dataset import FaceSamples

# Batches that are prepared at the same time: a worker that got few faces of one goes on with the
# next. With 16 workers and 128 faces in a batch, 94 % of their time is used.
SLOTS = 4
# glibc reads them when a process starts. By default a worker would give the memory of a face back,
# and fault it in again for the next one, which costs a fifth of its time.
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}


class FaceWorkers:
    """Prepares batches in worker processes, some ahead of the one that is asked for.

    A face is always prepared by the same worker, so its image is read and kept once. The arrays lie
    in memory that belongs to no file: nothing is left of it however the processes end.

    Args:
        samples: the faces.
        batches: for every batch, the positions of its faces in the run.
        size: faces of the largest batch.
        count: number of workers.
    """

    def __init__(
        self, samples: FaceSamples, batches: Sequence[Sequence[int]], size: int, count: int
    ):
        for name, value in KEPT_MEMORY.items():
            os.environ.setdefault(name, value)
        context = multiprocessing.get_context("spawn")
        self._samples = samples
        self._batches = batches
        floats = size * sum(map(prod, samples.shapes))
        memory = [context.RawArray("f", floats) for _ in range(SLOTS)]
        self._slots = [_views(part, samples.shapes, size) for part in memory]
        self._jobs: list[list[Future]] = [[] for _ in range(SLOTS)]
        self._next = self._ahead = 0
        self._pools = [
            ProcessPoolExecutor(1, context, _begin, (samples, count, memory, size))
            for _ in range(count)
        ]
        with _interrupts_blocked():
            for pool in self._pools:
                pool.submit(_ready)

    def batch(self, index: int) -> list[np.ndarray]:
        """Returns a batch: arrays (B, ...) of the samples' shapes.

        Batches that are asked for in order are prepared ahead.

        Raises:
            InputError: a face cannot be used, or a worker has ended.
        """
        if index != self._next:
            wait([job for jobs in self._jobs for job in jobs])
            self._next = self._ahead = index
        try:
            while self._ahead < min(index + SLOTS, len(self._batches)):
                self._jobs[self._ahead % SLOTS] = self._submitted(self._ahead)
                self._ahead += 1
            for job in self._jobs[index % SLOTS]:
                job.result()
        except BrokenProcessPool as error:
            raise InputError(
                "a process that prepares faces has ended; fewer workers need less memory"
            ) from error
        self._next = index + 1
        batch = self._samples.empty(len(self._batches[index]))
        for array, slot in zip(batch, self._slots[index % SLOTS], strict=True):
            np.copyto(array, slot[: len(array)])
        return batch

    def _submitted(self, index: int) -> list[Future]:
        """Has a batch prepared, each worker its own faces."""
        jobs: list[list[tuple[int, int]]] = [[] for _ in self._pools]
        for row, position in enumerate(self._batches[index]):
            jobs[self._samples.face_number(position) % len(jobs)].append((row, position))
        return [
            pool.submit(_prepare, index % SLOTS, job)
            for pool, job in zip(self._pools, jobs, strict=True)
        ]

    def close(self) -> None:
        """Ends the workers."""
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)


# What a worker process works with: the samples and the slots.
_worker: dict[str, Any] = {}


def _begin(samples: FaceSamples, count: int, memory: Sequence[Any], size: int) -> None:
    """Starts a worker. It ends with its parent, also if that is killed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    samples.parts.capacity /= count
    _worker["samples"] = samples
    _worker["slots"] = [_views(part, samples.shapes, size) for part in memory]


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _ready() -> None:
    """A job that does nothing: the first job starts the process."""


def _prepare(slot: int, faces: Sequence[tuple[int, int]]) -> None:
    """Prepares some faces of a batch, given by row and position."""
    for row, position in faces:
        _worker["samples"].write(position, [array[row] for array in _worker["slots"][slot]])


def _views(memory: Any, shapes: Sequence[tuple[int, ...]], size: int) -> list[np.ndarray]:
    """The arrays (size, ...) float32 of a batch, which lie in a slot one after another."""
    ends = np.cumsum([size * prod(shape) for shape in shapes])
    parts = np.split(np.frombuffer(memory, np.float32), ends[:-1])
    return [part.reshape(size, *shape) for part, shape in zip(parts, shapes, strict=True)]


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Processes that are started meanwhile never see Ctrl-C; their parent ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
