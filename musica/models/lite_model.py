"""Runs an exported model (.tflite) with LiteRT, without TensorFlow, one face at a time."""

import ctypes
import mmap
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musica.errors import InputError
from musica.geometry.crops import Crop
from musica.models.model_file import check_description, read_json
from musica.preprocessing.lazy_pyramid import PLANES, LazyPyramid

DESCRIPTION = "musica.json"
# What a model is besides its weights; these attributes of ``MuSiCa`` travel with an export.
DESCRIBED = (
    "landmark_count",
    "patch_indices",
    "levels",
    "patch_size",
    "hidden_size",
    "reference_shape",
    "box_size",
    "margin",
    "stop_threshold",
    "fail_threshold",
    "realign_threshold",
    "realign_turn",
    "calibration",
    "multiply_adds",
)


class LiteModel:
    """An exported model: for each iteration k a signature ``iteration_<k>``, from 1.

    A signature takes ``patches`` (1, M, p, 4, p), as ``LazyPyramid`` cuts them, and ``hidden``
    (1, H), and gives ``displacement`` (1, N, 2) in pixels of its level, ``hidden`` (1, H) and
    ``error`` (1,), all float32. The file ends in a zip archive with the description: LiteRT's
    metadata tools put such files there.

    Args:
        path: the .tflite file.
        threads: threads of LiteRT.

    Attributes: those named in ``DESCRIBED``, as in ``MuSiCa``.

    Raises:
        InputError: unreadable, not written by ``musica.export``, or LiteRT is not installed.
    """

    landmark_count: int
    patch_indices: list[int]
    levels: list[int]
    patch_size: int
    hidden_size: int
    reference_shape: list[list[float]] | None
    box_size: int
    margin: float
    stop_threshold: float | list[float] | None
    fail_threshold: float | None
    calibration: list[list[list[float]]] | None
    multiply_adds: list[int]

    def __init__(self, path: Path | str, threads: int = 1):
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise InputError(f"{path}: needs LiteRT: pip install 'musica[lite]'") from error
        try:
            with zipfile.ZipFile(path) as archive:
                description = read_json(archive, DESCRIPTION)
            check_description(description, path)
            for name in DESCRIBED:
                setattr(self, name, description[name])
            self._interpreter = Interpreter(str(path), num_threads=threads)
            self._iterations = [
                self._interpreter.get_signature_runner(f"iteration_{k + 1}")
                for k in range(len(self.levels))
            ]
            self._try()
        except InputError:
            raise
        except Exception as error:  # zipfile and LiteRT raise many kinds on damaged files
            raise InputError(f"{path}: not a model that musica.export wrote") from error
        _leave_on_disk(path)

    def _try(self) -> None:
        """Runs every iteration once: LiteRT finds some damage only then.

        Raises:
            ValueError: the shapes of what comes out are not those of the description.
        """
        side = self.patch_size
        patches = np.zeros((1, len(self.patch_indices), side, PLANES, side), np.float32)
        hidden = np.zeros((1, self.hidden_size), np.float32)
        for k in range(len(self.levels)):
            found = self.step(k, patches, hidden)
            shapes = [found[name].shape for name in ("displacement", "hidden", "error")]
            if shapes != [(1, self.landmark_count, 2), hidden.shape, (1,)]:
                raise ValueError(f"iteration {k + 1} gives {shapes}")

    def step(self, k: int, patches: np.ndarray, hidden: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the signature of iteration k, from 0; arrays as in the class description."""
        return self._iterations[k](patches=patches, hidden=hidden)


def _leave_on_disk(path: Path | str) -> None:
    """Gives back the memory that holds a file's pages; any that is needed again is read again.

    LiteRT maps the file into memory, and has copied the weights in the order of its kernels. Only
    Linux tells where.
    """
    maps, path = Path("/proc/self/maps"), os.path.realpath(path)
    if not maps.exists():
        return
    for line in maps.read_text(errors="surrogateescape").splitlines():
        addresses, _, _, _, _, *name = line.split(maxsplit=5)
        if name == [path]:
            start, end = (int(address, 16) for address in addresses.split("-"))
            size = ctypes.c_size_t(end - start)
            ctypes.pythonapi.madvise(ctypes.c_void_p(start), size, mmap.MADV_DONTNEED)


class LiteRunner:
    """Computes iterations with LiteRT; of the image only what the patches see.

    Args:
        model: the exported model.
    """

    def __init__(self, model: LiteModel):
        self._model = model
        self._patch_indices = np.array(model.patch_indices)

    def pyramid(self, image: np.ndarray, crop: Crop) -> LazyPyramid:
        """The face's pyramid, of which nothing is computed yet.

        Raises:
            InputError: the image or the crop cannot be used.
        """
        return LazyPyramid(image, crop)

    def iterate(self, k: int, pyramids: Sequence, initial: np.ndarray, state: dict) -> tuple:
        """Runs iteration k of B faces, one after the other; as ``KerasRunner.iterate``."""
        level = self._model.levels[k]
        before = self._model.levels[k - 1] if k else level
        displacement = state["displacement"] * np.float32(2.0 ** (before - level))
        current = initial / np.float32(2**level) + displacement
        centres = current.take(self._patch_indices, axis=1)
        hidden, errors = np.empty_like(state["hidden"]), np.empty(len(initial), np.float32)
        for face, pyramid in enumerate(pyramids):
            patches = pyramid.patches(level, centres[face], self._model.patch_size)
            outputs = self._model.step(k, patches[None], state["hidden"][face, None])
            displacement[face] += outputs["displacement"][0]
            hidden[face], errors[face] = outputs["hidden"][0], outputs["error"][0]
        landmarks = initial + displacement * np.float32(2**level)
        return {"displacement": displacement, "hidden": hidden}, landmarks, errors
