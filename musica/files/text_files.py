"""Text of a limited length, from ordinary files."""

import os
import stat
from pathlib import Path

from musica.errors import InputError

MAX_TEXT_BYTES = 100_000_000


def check_file(path: str | os.PathLike) -> Path:
    """Returns the path of an ordinary file: reading a pipe or a device might never end.

    Raises:
        InputError: there is no such file, or it is a folder, a pipe or a device.
    """
    try:
        ordinary = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', error)}") from error
    if not ordinary:
        raise InputError(f"{path}: not a file that can be read")
    return Path(path)


def read_text(path: Path | str) -> str:
    """Reads a UTF-8 text file, or a pipe; a byte-order mark at its beginning is dropped.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8, or longer than ``MAX_TEXT_BYTES``.
    """
    with open(path, "rb") as file:
        content = file.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError("it is too long")
    return content.decode("utf-8-sig")
