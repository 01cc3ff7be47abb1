"""Runs a Keras model's iterations one by one, for a batch of faces."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from musica.models.iteration import IterationResult, IterationState
from musica.preprocessing.preprocessor import Pyramid
from musica.preprocessing.release_pyramid import pad_batch


class KerasRunner:
    """A ``Runner`` with TensorFlow; each iteration is a graph.

    Args:
        model: a ``MuSiCa`` or an ``MDM``.
        jit_compile: whether XLA compiles the graphs, anew for every batch and crop size.
    """

    def __init__(self, model: keras.Model, jit_compile: bool = False):
        self._model = model
        self._jit_compile = jit_compile
        self._graphs = [self._graph(k) for k in range(len(model.settings.levels))]
        self._process = os.getpid()

    def iterate(
        self, k: int, pyramids: Sequence[Pyramid], initial: np.ndarray, state: IterationState
    ) -> IterationResult:
        """As ``Runner.iterate``.

        Raises:
            RuntimeError: the process was forked after the model was loaded.
        """
        level = self._model.settings.levels[k]
        return self.compute(k, pad_batch([own.level(level) for own in pyramids]), initial, state)

    def compute(
        self, k: int, level: np.ndarray, initial: np.ndarray, state: IterationState
    ) -> IterationResult:
        """As ``iterate``, of a level that is one padded batch (B, H, W, 3) float32."""
        if os.getpid() != self._process:
            raise RuntimeError(
                "TensorFlow hangs in a process that was forked after it was loaded: "
                "start processes with multiprocessing.get_context('spawn')"
            )
        result = self._graphs[k](level, initial, state)
        return tf.nest.map_structure(lambda part: None if part is None else part.numpy(), result)

    def _graph(self, k: int) -> Any:
        """Iteration k as a graph, traced once for batches and crops of any size."""
        points = tf.TensorSpec([None, self._model.settings.landmark_count, 2], tf.float32)
        hidden = tf.TensorSpec([None, self._model.settings.hidden_size], tf.float32)
        image = tf.TensorSpec([None, None, None, 3], tf.float32)
        return tf.function(
            lambda *inputs: self._model.iterate(k, *inputs),
            input_signature=[image, points, IterationState(points, hidden)],
            jit_compile=self._jit_compile,
        )
