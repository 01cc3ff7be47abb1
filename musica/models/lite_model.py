"""An exported model (.tflite), run by LiteRT without TensorFlow."""

import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from musica.errors import InputError
from musica.models.model_file import read_json, settings_of

DESCRIPTION = "musica.json"
# Faces that LiteRT computes at once: more of them leave the processor's caches, and cost more each.
TOGETHER = 8


class LiteModel:
    """An exported model: for each iteration k a signature ``iteration_<k>``, from 1.

    A signature takes ``patches`` (B, M, p, p, 3) and ``hidden`` (B, H), and gives ``displacement``
    (B, N, 2) in pixels of its level, ``hidden`` (B, H), ``error`` (B,) and, if the model predicts
    it, ``gain`` (B,), all float32. The file ends in a zip archive with the description: LiteRT's
    metadata tools put such files there.

    Threads may share a model: each has an interpreter of its own. A copy, also in another process,
    reads the file again.

    Args:
        path: the .tflite file.
        threads: threads of LiteRT for one call.

    Attributes:
        settings: the model's ``ModelSettings``.
        multiply_adds: of one face after each iteration.

    Raises:
        InputError: unreadable, not written by ``musica.export``, or LiteRT is not installed.
    """

    def __init__(self, path: Path | str, threads: int = 1):
        self._path, self._threads = Path(path).absolute(), threads
        self._own = threading.local()
        try:
            with zipfile.ZipFile(path) as archive:
                description = read_json(archive, DESCRIPTION)
            self.settings = settings_of(description, path)
            self.multiply_adds = _multiply_adds(description, len(self.settings.levels))
            patches = self._iterations()[0].get_input_details()["patches"]["shape"]
            # Files of version 0.2.0 take one face at a time, its pixels in four planes.
            self._in_planes = patches[3] == 4
            self._try()
        except (InputError, MemoryError):
            raise
        except ImportError as error:
            raise InputError(f"LiteRT cannot be imported: {error}") from error
        except Exception as error:  # zipfile and LiteRT raise many kinds on damaged files
            raise InputError(f"{path}: not a model that musica.export wrote") from error

    def __reduce__(self) -> tuple:
        return LiteModel, (self._path, self._threads)

    def step(self, k: int, patches: np.ndarray, hidden: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the signature of iteration k, from 0; arrays as in the class description."""
        run, count = self._iterations()[k], TOGETHER
        if self._in_planes:
            patches = np.pad(patches.swapaxes(3, 4), [(0, 0)] * 3 + [(0, 1), (0, 0)])
            count = 1
        if len(hidden) <= count:
            return run(patches=patches, hidden=hidden)
        parts = [
            run(patches=patches[start : start + count], hidden=hidden[start : start + count])
            for start in range(0, len(hidden), count)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _iterations(self) -> list[Any]:
        """The signatures of this thread's interpreter."""
        if not hasattr(self._own, "iterations"):
            from ai_edge_litert.interpreter import Interpreter

            interpreter = Interpreter(str(self._path), num_threads=self._threads)
            self._own.iterations = [
                interpreter.get_signature_runner(f"iteration_{k + 1}")
                for k in range(len(self.settings.levels))
            ]
        return self._own.iterations

    def _try(self) -> None:
        """Runs every iteration once: LiteRT finds some damage only then.

        Raises:
            ValueError: the outputs have other shapes than the description says.
        """
        settings = self.settings
        side = settings.patch_size
        hidden = np.zeros((1, settings.hidden_size), np.float32)
        for k, points in enumerate(settings.patch_indices):
            found = self.step(k, np.zeros((1, len(points), side, side, 3), np.float32), hidden)
            shapes = [found[name].shape for name in ("displacement", "hidden", "error")]
            if shapes != [(1, settings.landmark_count, 2), hidden.shape, (1,)]:
                raise ValueError(f"iteration {k + 1} gives {shapes}")


def _multiply_adds(description: dict[str, Any], iterations: int) -> list[int]:
    """The costs that a description declares.

    Raises:
        ValueError: they are not one whole number for each iteration.
    """
    costs = description["multiply_adds"]
    if not isinstance(costs, list) or len(costs) != iterations:
        raise ValueError("multiply_adds")
    if not all(isinstance(cost, int) and 0 < cost < 10**15 for cost in costs):
        raise ValueError("multiply_adds")
    return costs
