"""Tables as CSV files."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from musica.files.writing import replacing

Rows = Iterable[Sequence[object]]


@contextmanager
def new_table(path: Path | str, columns: Sequence[str]) -> Iterator[Callable[[Rows], None]]:
    """Gives a function that adds rows to a new table.

    The table replaces ``path`` when the block succeeds. Names of files need not be UTF-8: their
    bytes are written as they are.
    """
    with replacing(path) as temporary, open_table(temporary, "w") as file:
        add_rows(file, [columns])
        yield lambda rows: add_rows(file, rows)


def write_table(path: Path | str, columns: Sequence[str], rows: Rows) -> None:
    """Writes a table whole or not at all."""
    with new_table(path, columns) as add:
        add(rows)


def open_table(path: Path, mode: str) -> IO[str]:
    """Opens a table as the ``csv`` module wants it."""
    return path.open(mode, newline="", encoding="utf-8", errors="surrogateescape")


def add_rows(file: IO[str], rows: Rows) -> None:
    """Writes rows to an open table."""
    csv.writer(file, lineterminator="\n").writerows(rows)
