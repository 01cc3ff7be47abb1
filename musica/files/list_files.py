"""Lists of image names, and names that stay inside their folder."""

from pathlib import Path, PurePosixPath

from musica.errors import InputError
from musica.files.text_files import read_text


def read_list(path: Path | str) -> list[str]:
    """Reads a list of image names: one a line, relative to the image folder.

    Raises:
        InputError: unreadable, empty, or a name that leads out of its folder; names the line.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot read this list of names: {reason}") from error
    names = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
    if not names:
        raise InputError(f"{path}: the list is empty")
    for number, name in names.items():
        try:
            check_name(name)
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
    return list(names.values())


def check_name(name: str) -> str:
    """Returns a relative name unchanged if it stays inside the folder it is joined to.

    Raises:
        InputError: it is absolute, contains ``..`` or a NUL byte.
    """
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or "\0" in name or Path(name).is_absolute():
        raise InputError(f"{name!r}: a name must stay inside its folder")
    return name
