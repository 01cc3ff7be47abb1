"""The table of the faces of a video: a row for every face in every frame."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from musica.alignment.tracking import TrackedFace
from musica.files.table_files import new_table

# The first columns: the frame, from 0; its time; the face's id, from 1; the box in which it was
# aligned; the result as in predictions.csv. The others are landmark0_x, landmark0_y and so on.
COLUMNS = (
    *("frame", "seconds", "face", "x0", "y0", "x1", "y1"),
    *("error_estimate", "expected_nme", "iterations", "failed"),
)


@contextmanager
def track_table(
    path: Path, landmark_count: int
) -> Iterator[Callable[[int, float, Sequence[TrackedFace]], None]]:
    """Gives a function that adds a frame, its time and its faces to a table.

    The table replaces ``path`` when the block succeeds. Coordinates are image pixels, 0-based.
    """
    axes = (f"landmark{index}_{axis}" for index in range(landmark_count) for axis in "xy")
    with new_table(path, [*COLUMNS, *axes]) as add:
        yield lambda frame, seconds, faces: add(_row(frame, seconds, face) for face in faces)


def _row(frame: int, seconds: float, tracked: TrackedFace) -> list[object]:
    """The values of ``COLUMNS`` and the landmarks."""
    face = tracked.face
    return [
        *(frame, f"{seconds:.4f}", tracked.id),
        *(f"{corner:.2f}" for corner in tracked.box),
        f"{face.error_estimate:.8g}",
        "" if face.expected_nme is None else f"{face.expected_nme:.8g}",
        *(face.iterations, int(face.failed)),
        *(f"{value:.3f}" for value in face.as_xy().ravel()),
    ]
