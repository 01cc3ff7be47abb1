"""Aligns the faces of pictures, batch by batch, and writes what it finds."""

import errno
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from musica.errors import InputError, one_line
from musica.files import image_files, landmark_files
from musica.jobs.tasks import Predictions, Task

# Errors of writing that the next picture would meet too.
LASTING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


@dataclass
class Summary:
    """What became of the faces of a run."""

    iterations: list[int] = field(default_factory=list)
    multiply_adds: list[int] = field(default_factory=list)
    failed: int = 0
    skipped: int = 0

    def add(self, faces: Sequence) -> None:
        """Counts aligned faces."""
        self.iterations += [face.iterations for face in faces]
        self.multiply_adds += [face.multiply_adds for face in faces]
        self.failed += sum(face.failed for face in faces)

    def text(self, folder: Path | str) -> str:
        """The last line of a run."""
        parts = [f"{len(self.iterations)} faces written to {folder}"]
        if self.iterations:
            parts.append(f"{np.mean(self.iterations):.2f} iterations on average")
            parts.append(f"{np.mean(self.multiply_adds) / 1e6:.2f} million multiply-adds per face")
        if self.failed:
            parts.append(f"{self.failed} above the fail threshold")
        if self.skipped:
            parts.append(f"{self.skipped} skipped")
        return ", ".join(parts)


@dataclass(frozen=True)
class Picture:
    """A picture that is ready to be aligned.

    Attributes:
        task: what it was.
        boxes: (4,) of each face, x0, y0, x1, y1.
        prepared: the ``PreparedFace`` of each.
        image: (H, W, 3) uint8 if it is to be drawn, otherwise None: it may be large.
    """

    task: Task
    boxes: list[np.ndarray]
    prepared: list
    image: np.ndarray | None


def align_tasks(
    aligner,
    tasks: Sequence[Task],
    predictions: Predictions,
    boxes_of: Callable = Task.boxes,
    batch_size: int = 7,
    draw: bool = False,
    **options,
) -> Summary:
    """Aligns faces and writes, for each picture, its results and then its rows of the table.

    They are ``<name>.pts`` (or .ljson) and ``.txt`` for the first face, ``<name>_face2`` and so on
    for others. A picture that cannot be used is reported on stderr, counted and skipped.

    PORT: the .txt holds the face's own estimate, of the iteration that was returned; the release
    writes iteration 1's estimate of the last batch.

    Args:
        aligner: the ``FaceAligner``.
        tasks: the pictures.
        predictions: the table; its folder and suffix are those of all results.
        boxes_of: as ``Task.boxes``, with its detector and convention filled in.
        batch_size: pictures read, and faces computed together.
        draw: whether ``<name>.png`` is written too.
        **options: as for ``FaceAligner.align_prepared``.
    """
    summary = Summary()
    # Large pictures are kept in memory only if they may be looked at again.
    keep_images = options.get("iterations") is None and options.get("realign", True)
    advance = _progress(len(tasks))
    predictions.start(tasks)
    for start in range(0, len(tasks), batch_size):
        batch = tasks[start : start + batch_size]
        pictures = list(_prepared(aligner, batch, boxes_of, draw, keep_images))
        prepared = [face for picture in pictures for face in picture.prepared]
        faces = []
        for first in range(0, len(prepared), batch_size):
            faces += aligner.align_prepared(prepared[first : first + batch_size], **options)
        in_order = iter(faces)
        summary.skipped += len(batch) - len(pictures)
        for picture in pictures:
            own = list(islice(in_order, len(picture.boxes)))
            if _written(predictions, picture, own):
                summary.add(own)
            else:
                summary.skipped += 1
        advance(len(batch))
    return summary


def _prepared(
    aligner, tasks: Iterable[Task], boxes_of: Callable, draw: bool, keep_images: bool
) -> Iterator[Picture]:
    """Yields the pictures that can be used; reports the others."""
    for task in tasks:
        try:
            image = image_files.read_image(task.image)
            boxes = boxes_of(task, image)
            prepared = [aligner.prepare(image, box, keep_image=keep_images) for box in boxes]
        except InputError as error:
            _complain(task, error)
        else:
            yield Picture(task, boxes, prepared, image if draw else None)


def _complain(task: Task, error: Exception) -> None:
    """Says why a picture is skipped."""
    print(one_line(f"{task.name}: {error}"), file=sys.stderr)


def _written(predictions: Predictions, picture: Picture, faces: Sequence) -> bool:
    """Writes the results of a picture's faces; if that is impossible, reports it.

    Raises:
        OSError: others could not be written either, as on a full disk.
    """
    try:
        if not all(np.isfinite(face.landmarks).all() for face in faces):
            raise InputError("the model gives landmarks that are not finite")
        _write(predictions, picture, faces)
    except (InputError, OSError) as error:
        if isinstance(error, OSError) and error.errno in LASTING:
            raise
        _complain(picture.task, error)
        return False
    return True


def _write(predictions: Predictions, picture: Picture, faces: Sequence) -> None:
    """Writes the results of a picture's faces."""
    task, folder = picture.task, predictions.folder
    for index, face in enumerate(faces):
        path = folder / task.face_name(index)
        landmark_files.write_landmarks(f"{path}{predictions.suffix}", face.landmarks)
        if np.isfinite(face.error_estimate):  # an MDM has none
            landmark_files.write_estimate(f"{path}.txt", face.error_estimate)
    if picture.image is not None:
        from musica.drawing.faces import DrawnFace, draw_faces

        drawn = [
            DrawnFace.aligned(face, box) for box, face in zip(picture.boxes, faces, strict=True)
        ]
        image_files.write_image(folder / f"{task.name}.png", draw_faces(picture.image, drawn))
    predictions.add(task, picture.boxes, faces)


def _progress(total: int):
    """Returns what advances a progress bar; there is none but on a terminal."""
    if not sys.stdout.isatty():
        return lambda count: None
    import keras

    return keras.utils.Progbar(total, unit_name="face").add
