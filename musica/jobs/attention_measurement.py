"""How a model's patch attention weighs its patches, and what each patch is worth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np

from musica.cli.progress import progress_bar
from musica.errors import InputError
from musica.evaluation import metrics
from musica.files import annotated_faces

if TYPE_CHECKING:
    from musica.layers import PatchAttention
    from musica.models.musica import MuSiCa
    from musica.training.dataset import FaceSamples


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured of F faces, K iterations and M patch points.

    Iterations may cut patches around different landmarks: M counts all of them, and the numbers of
    a patch that an iteration does not cut are NaN.

    Attributes:
        positions: (F,) of the faces in their list.
        weights: (F, K, M) mean of a patch's gates.
        passed: (F, K, M) what the gates let through, a share of the sum of a patch's features.
        spread: (F, K, M) deviation of a patch's gates.
        points: (F, K, M, 2) where the patches were cut, (y, x) level-0 crop pixels.
        errors: (F,) NME after the last iteration, a fraction.
        closed_errors: (F, M) the same with one patch closed in every iteration.
    """

    positions: np.ndarray
    weights: np.ndarray
    passed: np.ndarray
    spread: np.ndarray
    points: np.ndarray
    errors: np.ndarray
    closed_errors: np.ndarray


def measure(model: "MuSiCa", samples: "FaceSamples", batch_size: int) -> Measurements:
    """Runs all iterations for every face; an unusable face is reported and left out.

    Args:
        model: a MuSiCa model with attention.
        samples: ``dataset.FaceSamples`` without augmentation.
        batch_size: faces computed together.

    Raises:
        InputError: no face is usable.
    """
    import tensorflow as tf

    from musica.preprocessing.release_pyramid import pad_batch

    run = tf.function(model, reduce_retracing=True)
    total = len(samples.faces)
    results = []
    with progress_bar(total, "face") as bar:
        for start in range(0, total, batch_size):
            listed = range(start, min(start + batch_size, total))
            batch = list(annotated_faces.usable(listed, partial(_sample, samples), name=None))
            if batch:
                positions, prepared = zip(*batch, strict=True)
                *levels, initial, truth = zip(*prepared, strict=True)
                pyramid = [tf.constant(pad_batch(level)) for level in levels]
                inputs = {"pyramid": pyramid, "initial": tf.constant(np.array(initial))}
                landmarks, truth = run(inputs)["landmarks"], np.array(truth)
                closed = [
                    metrics.nme(run(inputs)["landmarks"][-1], truth) for _ in _closing_each(model)
                ]
                errors = metrics.nme(landmarks[-1], truth), np.stack(closed, axis=1)
                results.append((positions, *attention(model, inputs, landmarks), *errors))
            bar.update(len(listed))
    if not results:
        raise InputError("no face is usable")
    return Measurements(*map(np.concatenate, zip(*results, strict=True)))


def _sample(samples: "FaceSamples", position: int) -> tuple[np.ndarray, ...]:
    """Pyramid levels, initial and true landmarks of a face that has an NME."""
    sample = samples.sample(position)
    metrics.normalising_distance(sample[-1])
    return sample


def attention(model: "MuSiCa", inputs: dict, landmarks: Sequence) -> tuple[np.ndarray, ...]:
    """The attention that B faces get (``METHOD.md`` section 3).

    Args:
        model: a MuSiCa model with attention.
        inputs: of the model.
        landmarks: the model's output of this name.

    Returns:
        Weights, passed, spread (B, K, M) and points (B, K, M, 2), as in ``Measurements``.
    """
    results = []
    everywhere = patch_points(model)
    before = [inputs["initial"], *landmarks[:-1]]
    for k, (step, current) in enumerate(zip(model.steps, before, strict=True)):
        level, indices = model.settings.levels[k], list(model.settings.patch_indices[k])
        points = np.asarray(current)[:, indices]
        patches = step.extractor(inputs["pyramid"][level], points / 2.0**level)
        features = np.asarray(step.encoder(patches))
        gates = np.asarray(cast("PatchAttention", step.attention).gate(features))
        active = np.maximum(features.sum(axis=-1), np.finfo(np.float32).tiny)
        passed = (gates * features).sum(axis=-1) / active
        own = gates.mean(axis=-1), passed, gates.std(axis=-1), points
        places = np.searchsorted(everywhere, indices)
        results.append([_spread_out(values, places, len(everywhere)) for values in own])
    return tuple(np.stack(values, axis=1) for values in zip(*results, strict=True))


def patch_points(model: "MuSiCa") -> list[int]:
    """The landmarks around which some iteration cuts a patch, ascending."""
    return sorted({point for points in model.settings.patch_indices for point in points})


def _spread_out(values: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """The (B, m, ...) values of an iteration at their places among ``count``; NaN elsewhere."""
    result = np.full((len(values), count, *values.shape[2:]), np.nan)
    result[:, places] = values
    return result


def _closing_each(model: "MuSiCa") -> Iterator[None]:
    """Closes one patch after the other: the recurrent layer no longer sees its features."""
    kernels = [step.recurrent.kernel for step in model.steps]
    opened = [kernel.numpy() for kernel in kernels]
    size = model.steps[0].encoder.feature_size
    for point in patch_points(model):
        for k, points in enumerate(model.settings.patch_indices):
            closed = opened[k].copy()
            for patch in np.flatnonzero(np.equal(points, point)):
                closed[patch * size : (patch + 1) * size] = 0
            kernels[k].assign(closed)
        yield
    for kernel, values in zip(kernels, opened, strict=True):
        kernel.assign(values)
