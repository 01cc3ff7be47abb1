"""Runs a Keras model's iterations one by one, for a batch of faces."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from musica.geometry.crops import Crop
from musica.models.musica import MuSiCa
from musica.preprocessing import release_pyramid


class KerasRunner:
    """Computes iterations with TensorFlow, each a graph.

    Args:
        model: the model.
        jit_compile: whether XLA compiles the graphs, anew for every batch and crop size.
    """

    def __init__(self, model: MuSiCa, jit_compile: bool = False):
        self._model = model
        self._jit_compile = jit_compile
        self._graphs = [self._graph(k) for k in range(len(model.levels))]

    def pyramid(self, image: np.ndarray, crop: Crop) -> list[np.ndarray]:
        """The normalised levels of a face, (H_l, W_l, C) float32, finest first.

        Raises:
            InputError: the image or the crop cannot be used.
        """
        pixels = release_pyramid.normalise(release_pyramid.crop_image(image, crop))
        return release_pyramid.pyramid(pixels, max(self._model.levels) + 1)

    def iterate(self, k: int, pyramids: Sequence, initial: np.ndarray, state: dict) -> tuple:
        """Runs iteration k of B faces.

        Args:
            k: which iteration.
            pyramids: B times what ``pyramid`` returned.
            initial: (B, N, 2) float32 initial landmarks, (y, x) level-0 pixels.
            state: ``displacement`` (B, N, 2) and ``hidden`` (B, H) float32, of the one before.

        Returns:
            The new state, the landmarks (B, N, 2) in level-0 pixels and the errors (B,).
        """
        level = release_pyramid.pad_batch([pyramid[self._model.levels[k]] for pyramid in pyramids])
        return self.compute(k, level, initial, state)

    def compute(self, k: int, level: np.ndarray, initial: np.ndarray, state: dict) -> tuple:
        """As ``iterate``, of a level that is one padded batch (B, H, W, 3) float32."""
        state, landmarks, errors = self._graphs[k](level, initial, state)
        state = {name: value.numpy() for name, value in state.items()}
        return state, landmarks.numpy(), errors.numpy()

    def _graph(self, k: int):
        """Iteration k as a graph, traced once for batches and crops of any size."""
        points = tf.TensorSpec([None, self._model.landmark_count, 2], tf.float32)
        hidden = tf.TensorSpec([None, self._model.hidden_size], tf.float32)
        image = tf.TensorSpec([None, None, None, 3], tf.float32)
        return tf.function(
            lambda *inputs: self._model.iterate(k, *inputs),
            input_signature=[image, points, {"displacement": points, "hidden": hidden}],
            jit_compile=self._jit_compile,
        )
