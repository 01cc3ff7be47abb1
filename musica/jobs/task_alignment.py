"""Aligns the faces of pictures, batch by batch, and writes the results."""

import errno
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias, Unpack

import numpy as np
from PIL import Image

from musica.alignment.aligner import FaceAligner
from musica.alignment.face import Face, PreparedFace
from musica.alignment.options import Options
from musica.cli.progress import progress_bar
from musica.errors import InputError, one_line
from musica.files import image_files, landmark_files
from musica.files.writing import write_text
from musica.jobs.face_values import as_json
from musica.jobs.predictions import Predictions
from musica.jobs.tasks import Task

BoxesOf: TypeAlias = Callable[[Task, np.ndarray], list[np.ndarray]]
# Draws the faces of a picture from its pixels, their boxes and their results.
Draw: TypeAlias = Callable[[np.ndarray, Sequence[np.ndarray], Sequence[Face]], Image.Image]
# Errors of writing that the next picture would meet too.
LASTING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


@dataclass
class Summary:
    """The counts of a run.

    Attributes:
        iterations: of each aligned face.
        multiply_adds: of each aligned face.
        failed: faces above the fail threshold.
        skipped: pictures that could not be used.
    """

    iterations: list[int] = field(default_factory=list)
    multiply_adds: list[int] = field(default_factory=list)
    failed: int = 0
    skipped: int = 0

    def add(self, faces: Sequence[Face]) -> None:
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
    """A picture and its aligned faces.

    Attributes:
        task: its name and file.
        boxes: (4,) of each face, x0, y0, x1, y1.
        faces: the ``Face`` of each.
        image: (H, W, 3) uint8 if it is to be drawn; otherwise None, since it may be large.
        problem: why the picture could not be used; None if it could.
    """

    task: Task
    boxes: Sequence[np.ndarray] = ()
    faces: Sequence[Face] = ()
    image: np.ndarray | None = None
    problem: str | None = None


def align_tasks(
    aligner: FaceAligner,
    tasks: Sequence[Task],
    predictions: Predictions,
    boxes_of: BoxesOf = Task.boxes,
    batch_size: int = 7,
    workers: int = os.cpu_count() or 1,
    draw: Draw | None = None,
    max_pixels: float = image_files.MAX_IMAGE_PIXELS,
    **options: Unpack[Options],
) -> Summary:
    """Aligns faces and writes, for each picture, its results and then its rows of the table.

    The results of the first face are ``<name>.pts`` (or .ljson, .json) and ``<name>.txt``; the next
    face is called ``<name>_face2``, and so on. A picture that cannot be used is named on stderr,
    counted and skipped.

    PORT: the .txt holds the face's own estimate, of the iteration that was returned; the release
    writes iteration 1's estimate of the last batch.

    Args:
        aligner: the ``FaceAligner``.
        tasks: the pictures.
        predictions: the table; it names the folder of all results and the suffix of landmarks.
        boxes_of: ``Task.boxes`` with a detector and a convention.
        batch_size: pictures whose faces are computed together.
        workers: threads; each works on a batch of its own.
        draw: draws ``<name>.png``; None: there is none.
        max_pixels: as for ``read_image``.
        **options: as for ``FaceAligner.align_prepared``.
    """
    summary = Summary()
    predictions.start(tasks)
    work = partial(_aligned, aligner, boxes_of, draw is not None, max_pixels, options)
    batches = (tasks[start : start + batch_size] for start in range(0, len(tasks), batch_size))
    with progress_bar(len(tasks), "picture") as bar, ThreadPoolExecutor(workers) as threads:
        try:
            for pictures in _in_order(threads, work, batches, workers):
                for picture in pictures:
                    if _written(predictions, picture, draw):
                        summary.add(picture.faces)
                    else:
                        summary.skipped += 1
                bar.update(len(pictures))
        finally:
            threads.shutdown(cancel_futures=True)
    return summary


def _in_order(
    threads: ThreadPoolExecutor,
    work: Callable[[Sequence[Task]], list[Picture]],
    batches: Iterable[Sequence[Task]],
    ahead: int,
) -> Iterator[list[Picture]]:
    """Yields the results of work in order; only so many batches are worked on ahead."""
    waiting: deque[Future] = deque()
    for batch in batches:
        waiting.append(threads.submit(work, batch))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _aligned(
    aligner: FaceAligner,
    boxes_of: BoxesOf,
    draw: bool,
    max_pixels: float,
    options: Options,
    tasks: Sequence[Task],
) -> list[Picture]:
    """Reads pictures, finds their faces and aligns all faces together."""
    # A picture may be large; all of it stays in memory only for a second alignment.
    keep_image = options.get("iterations") is None and options.get("realign", True)
    prepared: list[PreparedFace] = []
    pictures = []
    for task in tasks:
        try:
            image = image_files.read_image(task.image, max_pixels)
            boxes = boxes_of(task, image)
            prepared += [aligner.prepare(image, box, keep_image=keep_image) for box in boxes]
        except InputError as error:
            pictures.append(Picture(task, problem=str(error)))
        else:
            pictures.append(Picture(task, boxes, image=image if draw else None))
    in_order = iter(aligner.align_prepared(prepared, **options))
    return [
        replace(picture, faces=list(islice(in_order, len(picture.boxes)))) for picture in pictures
    ]


def _complain(task: Task, problem: object) -> None:
    """Names a picture that is skipped, and the reason."""
    print(one_line(f"{task.name}: {problem}"), file=sys.stderr)


def _written(predictions: Predictions, picture: Picture, draw: Draw | None) -> bool:
    """Writes the results of a picture; names a picture that has none or cannot be written.

    Raises:
        OSError: no other results could be written either, as on a full disk.
    """
    try:
        if picture.problem is not None:
            raise InputError(picture.problem)
        if not all(np.isfinite(face.landmarks).all() for face in picture.faces):
            raise InputError("the model gives landmarks that are not finite")
        _write(predictions, picture, draw)
    except (InputError, OSError) as error:
        if isinstance(error, OSError) and error.errno in LASTING:
            raise
        _complain(picture.task, error)
        return False
    return True


def _write(predictions: Predictions, picture: Picture, draw: Draw | None) -> None:
    """Writes the results of a picture's faces."""
    task, faces, folder = picture.task, picture.faces, predictions.folder
    for index, face in enumerate(faces):
        path = folder / task.face_name(index)
        if predictions.suffix == ".json":
            text = as_json(face, str(task.image), picture.boxes[index])
            write_text(f"{path}.json", text)
        else:
            landmark_files.write_landmarks(f"{path}{predictions.suffix}", face.landmarks)
        if np.isfinite(face.error_estimate):  # MDM estimates no error
            landmark_files.write_estimate(f"{path}.txt", face.error_estimate)
    if draw is not None and picture.image is not None:
        drawn = draw(picture.image, picture.boxes, faces)
        image_files.write_image(folder / f"{task.name}.png", drawn)
    predictions.add(task, picture.boxes, faces)
