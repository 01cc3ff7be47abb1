"""Aligns the faces of pictures, batch by batch, and writes the results."""

import errno
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Unpack

import numpy as np
from tqdm import tqdm

from musica.alignment.aligner import FaceAligner, Options
from musica.alignment.face import Face, PreparedFace
from musica.errors import InputError, one_line
from musica.files import image_files, landmark_files
from musica.jobs.predictions import Predictions
from musica.jobs.tasks import Task

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
    """A picture that is ready to be aligned.

    Attributes:
        task: its name and file.
        boxes: (4,) of each face, x0, y0, x1, y1.
        prepared: the ``PreparedFace`` of each.
        image: (H, W, 3) uint8 if it is to be drawn; otherwise None, since it may be large.
    """

    task: Task
    boxes: list[np.ndarray]
    prepared: list[PreparedFace]
    image: np.ndarray | None


def align_tasks(
    aligner: FaceAligner,
    tasks: Sequence[Task],
    predictions: Predictions,
    boxes_of: Callable[[Task, np.ndarray], list[np.ndarray]] = Task.boxes,
    batch_size: int = 7,
    draw: bool = False,
    max_pixels: float = image_files.MAX_IMAGE_PIXELS,
    **options: Unpack[Options],
) -> Summary:
    """Aligns faces and writes, for each picture, its results and then its rows of the table.

    The results of the first face are ``<name>.pts`` (or .ljson) and ``<name>.txt``; the next face
    is called ``<name>_face2``, and so on. A picture that cannot be used is named on stderr, counted
    and skipped.

    PORT: the .txt holds the face's own estimate, of the iteration that was returned; the release
    writes iteration 1's estimate of the last batch.

    Args:
        aligner: the ``FaceAligner``.
        tasks: the pictures.
        predictions: the table; it names the folder of all results and the suffix of landmarks.
        boxes_of: ``Task.boxes`` with a detector and a convention.
        batch_size: pictures that are read, and faces that are computed, together.
        draw: whether ``<name>.png`` is written too.
        max_pixels: as for ``read_image``.
        **options: as for ``FaceAligner.align_prepared``.
    """
    summary = Summary()
    # A picture may be large; it stays in memory only for a second alignment.
    keep_images = options.get("iterations") is None and options.get("realign", True)
    progress = tqdm(total=len(tasks), unit="picture", disable=None)  # None: on a terminal alone
    predictions.start(tasks)
    for start in range(0, len(tasks), batch_size):
        batch = tasks[start : start + batch_size]
        pictures = list(_prepared(aligner, batch, boxes_of, draw, keep_images, max_pixels))
        prepared = [face for picture in pictures for face in picture.prepared]
        faces: list[Face] = []
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
        progress.update(len(batch))
    progress.close()
    return summary


def _prepared(
    aligner: FaceAligner,
    tasks: Iterable[Task],
    boxes_of: Callable[[Task, np.ndarray], list[np.ndarray]],
    draw: bool,
    keep_images: bool,
    max_pixels: float,
) -> Iterator[Picture]:
    """Yields the pictures that can be used; names the others on stderr."""
    for task in tasks:
        try:
            image = image_files.read_image(task.image, max_pixels)
            boxes = boxes_of(task, image)
            prepared = [aligner.prepare(image, box, keep_image=keep_images) for box in boxes]
        except InputError as error:
            _complain(task, error)
        else:
            yield Picture(task, boxes, prepared, image if draw else None)


def _complain(task: Task, error: Exception) -> None:
    """Names a picture that is skipped, and the reason."""
    print(one_line(f"{task.name}: {error}"), file=sys.stderr)


def _written(predictions: Predictions, picture: Picture, faces: Sequence[Face]) -> bool:
    """Writes the results of a picture's faces; names a picture whose results cannot be written.

    Raises:
        OSError: no other results could be written either, as on a full disk.
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


def _write(predictions: Predictions, picture: Picture, faces: Sequence[Face]) -> None:
    """Writes the results of a picture's faces."""
    task, folder = picture.task, predictions.folder
    for index, face in enumerate(faces):
        path = folder / task.face_name(index)
        landmark_files.write_landmarks(f"{path}{predictions.suffix}", face.landmarks)
        if np.isfinite(face.error_estimate):  # MDM estimates no error
            landmark_files.write_estimate(f"{path}.txt", face.error_estimate)
    if picture.image is not None:
        from musica.drawing.faces import DrawnFace, draw_faces

        drawn = [
            DrawnFace.aligned(face, box) for box, face in zip(picture.boxes, faces, strict=True)
        ]
        image_files.write_image(folder / f"{task.name}.png", draw_faces(picture.image, drawn))
    predictions.add(task, picture.boxes, faces)
