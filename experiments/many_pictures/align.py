"""Aligns the faces of very many pictures on a Dask cluster.

    python experiments/many_pictures/align.py --list=pictures.csv --output=results --workers=2

The list is a CSV file with the columns image, x0, y0, x1 and y1, a row for every face. Its rows are
cut into parts; a part is one task, and its results are one file. A part whose file is there is
done, so a run that was killed goes on. ``--scheduler=tcp://host:8786`` uses a running cluster,
whose workers see the same files.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dask.distributed import Client, as_completed

from musica import FaceAligner, InputError
from musica.cli import command
from musica.cli.config import option, require
from musica.files import table_files
from musica.jobs import face_values

BOX = ("x0", "y0", "x1", "y1")
COLUMNS = ("image", *BOX, *face_values.COLUMNS, "landmarks", "problem")


@dataclass(frozen=True)
class AlignConfig:
    """Keys of the script."""

    list: str = option("", "CSV file of pictures and boxes", path=True)
    output: str = option("", "folder for the results, rows0-999.csv and so on", path=True)
    model: str = option("68", "a shipped model, or the path of a .tflite file on all workers")
    scheduler: str = option("", "address of a Dask scheduler; empty: workers of this machine")
    workers: int = option(2, "processes of this machine, without a scheduler")
    part_size: int = option(1000, "faces of a task")


def align(config: AlignConfig) -> bool:
    """Aligns all parts that are not done; returns whether a face could not be aligned.

    Raises:
        InputError: a key or the list cannot be used.
    """
    require(config, "list", "output")
    if config.part_size < 1 or config.workers < 1:
        raise InputError("part_size and workers must be at least 1")
    rows, waiting = _rows(config.list), []
    for start in range(0, len(rows), config.part_size):
        part = rows[start : start + config.part_size]
        path = Path(config.output, f"rows{start}-{start + len(part) - 1}.csv")
        if not path.exists():
            waiting.append((part, str(path)))
    local = {"n_workers": config.workers, "threads_per_worker": 1, "dashboard_address": None}
    with Client(config.scheduler) if config.scheduler else Client(**local) as client:
        work = [client.submit(align_part, *pair, config.model, pure=False) for pair in waiting]
        problems = sum(done.result() for done in as_completed(work))
    print(f"{len(waiting)} parts written to {config.output}, {problems} faces not aligned")
    return problems > 0


def align_part(rows: Sequence[dict[str, str]], path: str, model: str) -> int:
    """Aligns the faces of a part and writes their table, whole or not at all.

    Returns:
        How many faces could not be aligned; their rows name the problem.
    """
    aligner = FaceAligner.load(model)
    results = [_aligned(row, aligner) for row in rows]
    table_files.write_table(path, COLUMNS, results)
    return sum(bool(cells[-1]) for cells in results)


def _aligned(row: dict[str, str], aligner: FaceAligner) -> list[object]:
    """The values of ``COLUMNS`` of a face; landmarks are x0 y0 x1 y1 ..., pixels from 0."""
    given = [row["image"], *(row[corner] for corner in BOX)]
    try:
        face = aligner.align(row["image"], [float(corner) for corner in given[1:]])
    except ValueError as error:  # InputError too
        return [*given, *[""] * (len(face_values.COLUMNS) + 1), str(error)]
    landmarks = " ".join(f"{value:.3f}" for value in face.as_xy().ravel())
    return [*given, *face_values.cells(face), landmarks, ""]


def _rows(path: str) -> list[dict[str, str]]:
    """The rows of the list.

    Raises:
        InputError: it has other columns, or no rows.
    """
    with table_files.open_table(Path(path), "r") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if not {"image", *BOX} <= set(reader.fieldnames or ()) or not rows:
        raise InputError(f"{path}: needs the columns image, {', '.join(BOX)}, and rows")
    if any(None in row.values() for row in rows):
        raise InputError(f"{path}: some rows have fewer values than there are columns")
    return rows


if __name__ == "__main__":
    command.run(AlignConfig, align, __doc__)
