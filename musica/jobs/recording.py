"""Runs all iterations for annotated faces and records what each iteration makes of them."""

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from musica.alignment.aligner import FaceAligner
from musica.alignment.face import PreparedFace
from musica.cli.progress import progress_bar
from musica.errors import InputError, one_line
from musica.evaluation import metrics
from musica.files import image_files
from musica.files.annotated_faces import AnnotatedFace
from musica.models.iteration import IterationState
from musica.quitting.measurements import Measurements
from musica.training.augment import AugmentConfig, noisy_box

# Noisy boxes are shifted by up to this share of their sides.
NOISE = AugmentConfig(box_shift=0.12)
SEED = 0


class View(NamedTuple):
    """A face in one box.

    Attributes:
        place: of the face in the list.
        face: prepared for the runner.
        truth: (N, 2) true landmarks in the crop.
    """

    place: int
    face: PreparedFace
    truth: np.ndarray


class Recording(NamedTuple):
    """V views of faces after each of K iterations.

    Attributes:
        measured: their errors, estimates and gains.
        hidden: (V, K - 1, H) float32 hidden states after each iteration but the last.
        faces: (V,) int, the place of each view's face in the list.
    """

    measured: Measurements
    hidden: np.ndarray
    faces: np.ndarray


def record(
    aligner: FaceAligner, faces: Sequence[AnnotatedFace], batch_size: int, noisy_boxes: int = 0
) -> Recording:
    """Runs all iterations once for every view; an unusable face is reported and left out.

    Args:
        aligner: of a MuSiCa model.
        faces: of a scheme with eye corners.
        batch_size: views computed together, or a few more.
        noisy_boxes: how many views a face has in random boxes, besides the one in its own box.

    Raises:
        InputError: no face is usable, or an estimate is not finite.
    """
    parts, owners = [], []
    count = max(1, batch_size // (1 + noisy_boxes))
    with progress_bar(len(faces), "face") as bar:
        for start in range(0, len(faces), count):
            listed = enumerate(faces[start : start + count], start)
            views = [view for pair in listed for view in _views(aligner, *pair, noisy_boxes)]
            if views:
                parts.append(_run(aligner, views))
                owners += [view.place for view in views]
            bar.update(min(count, len(faces) - start))
    if not parts:
        raise InputError("no face is usable")
    points, estimates, gains, hidden = (np.concatenate(part) for part in zip(*parts, strict=True))
    errors = points.mean(axis=2)
    if not (np.isfinite(errors).all() and np.isfinite(estimates).all()):
        raise InputError("the model's landmarks or estimates are not all finite")
    predicts = np.isfinite(gains).all()
    measured = Measurements(
        errors, estimates, aligner.model.multiply_adds, gains if predicts else None, points
    )
    return Recording(measured, hidden, np.array(owners))


def _views(
    aligner: FaceAligner, place: int, face: AnnotatedFace, noisy_boxes: int
) -> Iterator[View]:
    """Yields the face in its own box and in noisy ones, if it is usable at all."""
    generator = np.random.default_rng([SEED, place])
    boxes = [face.box, *(noisy_box(face.box, generator, NOISE) for _ in range(noisy_boxes))]
    try:
        image = image_files.read_image(face.image)
        for box in boxes:
            prepared = aligner.prepare(image, box, keep_image=False)
            truth = prepared.crop.to_crop(face.landmarks)
            metrics.normalising_distance(truth)
            yield View(place, prepared, truth)
    except InputError as error:
        print(one_line(f"skipped {face.name}: {error}"), file=sys.stderr)


def _run(aligner: FaceAligner, views: Sequence[View]) -> tuple[np.ndarray, ...]:
    """Runs all iterations of B views.

    Returns:
        (B, K, N) errors of landmarks, (B, K) estimates, (B, K - 1) gains, NaN where they are not
        predicted, and (B, K - 1, H) hidden states.
    """
    pyramids = [view.face.pyramid for view in views]
    initial = np.array([view.face.initial for view in views])
    truth = np.array([view.truth for view in views])
    hidden = np.zeros((len(views), aligner.settings.hidden_size), np.float32)
    state, results = IterationState(np.zeros_like(initial), hidden), []
    for k in range(len(aligner.settings.levels)):
        results.append(aligner.runner.iterate(k, pyramids, initial, state))
        state = results[-1].state
    distances = metrics.normalising_distance(truth)[:, None]
    unknown = np.full(len(views), np.nan)
    gains = [unknown if own.gains is None else own.gains for own in results[:-1]]
    return (
        np.stack(
            [metrics.point_errors(own.landmarks, truth) / distances for own in results], axis=1
        ),
        np.stack([own.errors for own in results], axis=1).astype(np.float64),
        np.stack(gains, axis=1).astype(np.float64),
        np.stack([own.state.hidden for own in results[:-1]], axis=1),
    )
