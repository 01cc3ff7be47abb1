"""Batches of a training run or of a validation, as tf.data datasets."""

import os
import threading
from collections.abc import Sequence
from typing import Self

import cv2
import numpy as np
import tensorflow as tf

from musica.errors import InputError
from musica.training.dataset import FaceSamples
from musica.training.face_workers import FaceWorkers


def core_count() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS, Windows


class Batches:
    """Batches of faces, in the order in which a run needs them.

    A batch depends on its place in that order alone, not on the workers or on what was asked for
    before. Used as a context, which ends the workers.

    Args:
        samples: the faces.
        size: faces per batch.
        numbers: the batches, numbered as if the run were cut into batches of this size; None: one
            pass over the faces, whose last batch may be smaller.
        echo: in how many successive batches a prepared face is used (Choi et al., "Faster Neural
            Network Training with Data Echoing", 2019); divides the size. ``numbers`` are then
            consecutive.
        workers: how many processes prepare faces; with 0 or 1 this process does.
    """

    def __init__(
        self,
        samples: FaceSamples,
        size: int,
        numbers: Sequence[int] | None = None,
        echo: int = 1,
        workers: int = 1,
    ):
        self._samples = samples
        self._echo = echo
        # A batch is made of ``echo`` pieces, and shares all but one of them with the next batch.
        piece, faces = size // echo, len(samples.faces)
        if numbers is None:
            self._count = -(-faces // size)
            self._pieces = [range(i, min(i + size, faces)) for i in range(0, faces, size)]
        else:
            self._count = len(numbers)
            later = range(numbers[-1] + 1, numbers[-1] + echo) if numbers else ()
            firsts = [number * piece for number in (*numbers, *later)]
            self._pieces = [range(first, first + piece) for first in firsts]
        self._kept: dict[int, list[np.ndarray]] = {}
        self._workers: FaceWorkers | None = None
        if workers > 1:
            self._workers = FaceWorkers(samples, self._pieces, piece, workers)
        else:
            # For images as small as crops its threads cost more than they save.
            cv2.setNumThreads(1)
        self._lock = threading.Lock()
        self._error: InputError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        """Ends the workers.

        Raises:
            InputError: a face could not be used; tf.data raises an error of its own for it.
        """
        if self._workers is not None:
            self._workers.close()
        if isinstance(error, tf.errors.OpError) and self._error is not None:
            raise self._error from error

    def batch(self, index: int) -> list[np.ndarray]:
        """Prepares a batch; several threads may ask.

        Returns:
            The levels (B, S_l, S_l, 3), then the initial and the true landmarks (B, N, 2), float32.

        Raises:
            InputError: a face cannot be used, or a worker has ended.
        """
        wanted = range(index, index + self._echo)
        with self._lock:
            try:
                self._kept = {i: self._kept.get(i) or self._piece(i) for i in wanted}
            except InputError as error:
                self._error = error
                raise
            if self._echo == 1:
                return self._kept.pop(index)
            batch = self._samples.empty(sum(len(piece[0]) for piece in self._kept.values()))
            for parts in zip(*self._kept.values(), batch, strict=True):
                np.concatenate(parts[:-1], out=parts[-1])
            return batch

    def _piece(self, index: int) -> list[np.ndarray]:
        """Prepares a piece, here or in the workers."""
        if self._workers is not None:
            return self._workers.batch(index)
        positions = self._pieces[index]
        arrays = self._samples.empty(len(positions))
        for row, position in enumerate(positions):
            self._samples.write(position, [array[row] for array in arrays])
        return arrays

    def dataset(self) -> tf.data.Dataset:
        """The batches as (inputs, truth), prepared while the model computes.

        Inputs are ``{"pyramid": [(B, S_l, S_l, 3), ...], "initial": (B, N, 2)}``, the truth is
        (B, N, 2), all float32. Levels have one size, so that a training step is compiled once.
        """
        shapes = self._samples.shapes

        def prepared(index: tf.Tensor) -> tuple[dict, tf.Tensor]:
            types = [tf.float32] * len(shapes)
            arrays = tf.numpy_function(lambda i: self.batch(int(i)), [index], types)
            for array, shape in zip(arrays, shapes, strict=True):
                array.set_shape((None, *shape))
            return {"pyramid": tuple(arrays[:-2]), "initial": arrays[-2]}, arrays[-1]

        options = tf.data.Options()
        # There is nothing to tune, and the tuner's thread delays the end of a pass by 2 seconds.
        options.autotune.enabled = False
        return tf.data.Dataset.range(self._count).map(prepared).prefetch(1).with_options(options)
