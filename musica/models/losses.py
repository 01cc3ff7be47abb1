"""The training losses (``METHOD.md`` section 5), on tensors.

Landmarks are (B, N, 2) float32, (y, x) pixels; ``eye_corners`` are the indices of the two outer eye
corners, whose distance in the truth is the normaliser. All errors are per face, (B,).

PORT: the release's ``normalized_rmse_weighted`` calls a function that does not exist, and is left
out.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from keras import ops

# The backends' tensors have no type in common.
Tensor: TypeAlias = Any
SMALL_ERROR = 0.01
ERROR_WEIGHT = 0.05


def _distances(predicted: Tensor, truth: Tensor) -> Tensor:
    """Euclidean distance of each point: (B, N) pixels; its gradient is 0 where it is 0."""
    squared = ops.sum(ops.square(predicted - truth), axis=-1)
    return ops.where(squared > 0, ops.sqrt(ops.where(squared > 0, squared, 1.0)), 0.0)


def _eye_vector(truth: Tensor, eye_corners: Sequence[int]) -> Tensor:
    """From one outer eye corner to the other: (B, 2)."""
    return truth[:, eye_corners[0]] - truth[:, eye_corners[1]]


def l1_error(predicted: Tensor, truth: Tensor, eye_corners: Sequence[int]) -> Tensor:
    """Mean L1 distance over the eye corners' L1 distance; the loss the stop predictor predicts.

    Point errors below 0.01 px count as zero. Release: ``L1_loss``.
    """
    point_errors = ops.sum(ops.abs(predicted - truth), axis=-1)
    point_errors = ops.where(point_errors < SMALL_ERROR, 0.0, point_errors)
    normaliser = ops.sum(ops.abs(_eye_vector(truth, eye_corners)), axis=-1)
    return ops.mean(point_errors, axis=-1) / normaliser


def normalised_rmse(predicted: Tensor, truth: Tensor, eye_corners: Sequence[int]) -> Tensor:
    """Mean of sqrt(0.001 + squared distance) over the eye corners' distance.

    Release: ``normalized_rmse``.
    """
    squared = ops.sum(ops.square(predicted - truth), axis=-1)
    return ops.mean(ops.sqrt(0.001 + squared), axis=-1) / _eye_distance(truth, eye_corners)


def nme(predicted: Tensor, truth: Tensor, eye_corners: Sequence[int]) -> Tensor:
    """Mean distance over the eye corners' distance: what evaluation prints, and MDM's loss."""
    return ops.mean(_distances(predicted, truth), axis=-1) / _eye_distance(truth, eye_corners)


def _eye_distance(truth: Tensor, eye_corners: Sequence[int]) -> Tensor:
    """Euclidean distance of the outer eye corners: (B,) pixels."""
    return ops.sqrt(ops.sum(ops.square(_eye_vector(truth, eye_corners)), axis=-1))


LOSSES: dict[str, Callable] = {
    "l1": l1_error,
    "normalised_rmse": normalised_rmse,
    "nme": nme,
}


def iteration_loss(
    face_errors: Tensor, estimates: Tensor = None, error_weight: float = ERROR_WEIGHT
) -> Tensor:
    """Loss of one iteration: mean error, and how far its estimate is off.

    No gradient is stopped: the landmarks also learn to be predictable, as in the release.

    Args:
        face_errors: (B,) errors e_k of the faces.
        estimates: (B,) estimated errors E_k, or None for a model without a stop predictor.
        error_weight: weight of the second term, 0.05 in the release.

    Returns:
        Scalar ``(1 - w) mean(e_k) + w mean(|e_k - E_k|)``, or ``mean(e_k)`` without estimates.
    """
    if estimates is None:
        return ops.mean(face_errors)
    gap = ops.mean(ops.abs(face_errors - estimates))
    return (1 - error_weight) * ops.mean(face_errors) + error_weight * gap
