"""Reference shapes on disk.

``METHOD.md`` section 1; release function ``build_reference_shape_per_pose_by_files``.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any, Literal

import numpy as np

from musica.errors import InputError
from musica.files.landmark_files import (
    LANDMARK_SUFFIXES,
    read_landmarks,
    write_landmarks,
)

# .ljson keeps full precision, .pts three decimals.
FILE_NAMES = ("reference_shape.ljson", "reference_shape.pts", "reference_shape.pkl")
MAX_PICKLE_BYTES = 1_000_000


def write_reference_shape(path: Path | str, shape: np.ndarray) -> None:
    """Writes a (N, 2) reference shape, (y, x), as .ljson (full precision) or .pts.

    Raises:
        InputError: another suffix.
    """
    write_landmarks(path, shape)


def read_reference_shape(
    path: Path | str, count: int | None = None, import_pickle: bool = False
) -> np.ndarray:
    """Reads a reference shape.

    PORT: the release unpickles ``reference_shape.pkl``, which runs any code that the file names.
    Here a pickle is read only if the caller allows it, and only as data.

    Args:
        path: a .ljson or .pts file, the release's .pkl, or a folder with ``reference_shape.*``.
        count: the required number of landmarks N, or None for any.
        import_pickle: whether a .pkl may be read.

    Returns:
        (N, 2) float64, (y, x) crop pixels from the box's top-left corner.

    Raises:
        InputError: the file is missing, unreadable, without ``count`` points, or a .pkl that is
            not allowed.
    """
    path = _found(Path(path))
    if path.suffix.lower() in LANDMARK_SUFFIXES:
        return read_landmarks(path, count)
    if path.suffix.lower() != ".pkl":
        raise InputError(f"{path}: not a reference shape (.ljson, .pts or the release's .pkl)")
    if not import_pickle:
        raise InputError(
            f"{path}: pickles are not read here; import it with its checkpoint: python -m "
            f"musica.convert_checkpoint --checkpoint_file=... --output=model.keras "
            f"--reference_shape_path={path}"
        )
    points = _pickled_points(path)
    if count is not None and len(points) != count:
        raise InputError(f"{path}: {len(points)} points where {count} are needed")
    return points


def _found(path: Path) -> Path:
    """Returns the file itself, or the reference shape in a folder."""
    if path.is_dir():
        names = [path / name for name in FILE_NAMES if (path / name).is_file()]
        if not names:
            raise InputError(f"{path}: holds none of {', '.join(FILE_NAMES)}")
        return names[0]
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return path


class _Described:
    """A pickle's description of an object; the object is never built."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _encode(text: str, encoding: str) -> bytes:
    """Stands for ``codecs.encode``, with which Python 3 writes bytes into old protocols."""
    return text.encode("latin1")


# The names that the pickle of an array or of a PointCloud contains.
_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Described,
    ("numpy._core.multiarray", "_reconstruct"): _Described,
    ("numpy", "ndarray"): _Described,
    ("numpy", "dtype"): _Described,
    ("menpo.shape.pointcloud", "PointCloud"): _Described,
    ("_codecs", "encode"): _encode,
}


class _PointsUnpickler(pickle.Unpickler):
    """Reads the pickle of a NumPy array or of a menpo PointCloud as a mere description.

    Nothing the pickle names is ever imported or called.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Returns the stand-in for a name that the pickle of an array needs."""
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _STAND_INS[module, name]


def _pickled_points(path: Path) -> np.ndarray:
    """Reads (N, 2) float64 points from the pickle of an array or of a PointCloud."""
    if path.stat().st_size > MAX_PICKLE_BYTES:
        raise InputError(f"{path}: too large for a reference shape")
    try:
        content = _checked_pickle(path.read_bytes())
        # Python 2 wrote bytes as text; latin1 is one byte a character.
        described = _PointsUnpickler(io.BytesIO(content), encoding="latin1").load()
        if isinstance(described.state, dict):
            described = described.state["points"]
        points = _array(*described.state)
    except Exception as error:  # a malformed pickle can raise any exception
        raise InputError(f"{path}: not the pickle of a NumPy array ({error})") from error
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InputError(f"{path}: its points are not all pairs of finite numbers")
    return points


def _checked_pickle(content: bytes) -> bytes:
    """Returns a pickle unchanged; refuses one that would reserve memory beyond its content."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "LONG_BINPUT") and (argument or 0) > len(content):
            raise ValueError("it numbers objects that it cannot have")
    return content


def _array(
    _version: int, shape: Any, described_dtype: Any, columns_first: bool, values: Any
) -> np.ndarray:
    """Builds an array from the state that NumPy pickles for it."""
    dtype = np.dtype(described_dtype.arguments[0]).newbyteorder(described_dtype.state[1])
    if dtype.kind not in "fiu":
        raise ValueError("its values are not numbers")
    values = values.encode("latin1") if isinstance(values, str) else values
    order: Literal["F", "C"] = "F" if columns_first else "C"
    return np.frombuffer(values, dtype).reshape(shape, order=order).astype(np.float64)
