"""The gain that is still to be had, and a linear prediction of it from the hidden state.

The estimated error tells how hard a face is. Whether to go on depends on something else: how much
the next iterations would still lower the error, for what they cost. That is the gain. It is fitted
after the cascade is trained, on faces that the cascade did not train on.

V views of faces, K iterations, hidden size H. Gains are in percent of NME for each million
multiply-adds: numbers around 0.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FOLDS = 5
# Penalties of the weights' squares, as a share of the views.
PENALTIES = np.geomspace(1e-3, 30, 12)


@dataclass(frozen=True, eq=False)
class GainFit:
    """A linear unit for each iteration but the last: gain = hidden @ kernel + bias.

    Attributes:
        kernels: (K - 1, H).
        biases: (K - 1,).
        predicted: (V, K - 1) gains of the fitted views, each predicted by units that were fitted
            without its face.
    """

    kernels: np.ndarray
    biases: np.ndarray
    predicted: np.ndarray


def gain_to_be_had(errors: np.ndarray, multiply_adds: Sequence[int]) -> np.ndarray:
    """The gain after each iteration but the last, to the later stop where it is largest.

    Args:
        errors: (V, K) NMEs, fractions.
        multiply_adds: (K,) costs of a face after each iteration, ascending.

    Returns:
        (V, K - 1) gains; negative where every later iteration is worse.
    """
    errors, costs = 100 * np.asarray(errors, np.float64), np.asarray(multiply_adds) / 1e6
    gains = [
        ((errors[:, k, None] - errors[:, k + 1 :]) / (costs[k + 1 :] - costs[k])).max(axis=1)
        for k in range(len(costs) - 1)
    ]
    return np.stack(gains, axis=1)


def fit_gain(hidden: np.ndarray, gains: np.ndarray, faces: np.ndarray) -> GainFit:
    """Fits a linear unit for each iteration by ridge regression.

    The penalty is the one with the least squared error in cross-validation on faces: all views of a
    face are on one side.

    Args:
        hidden: (V, K - 1, H) hidden states.
        gains: (V, K - 1) from ``gain_to_be_had``.
        faces: (V,) the number of each view's face; at least two faces.
    """
    folds = np.unique(faces, return_inverse=True)[1] % FOLDS
    columns = zip(hidden.swapaxes(0, 1), gains.T, strict=True)
    units = [_fit_unit(states.astype(np.float64), target, folds) for states, target in columns]
    kernels, biases, predicted = zip(*units, strict=True)
    return GainFit(np.stack(kernels), np.array(biases), np.stack(predicted, axis=1))


def _fit_unit(states: np.ndarray, target: np.ndarray, folds: np.ndarray) -> tuple:
    """Kernel, bias and cross-validated predictions of one unit."""
    predicted = np.empty((len(PENALTIES), len(target)))
    for fold in np.unique(folds):
        others = folds != fold
        kernels, biases = _ridge(states[others], target[others], PENALTIES)
        predicted[:, ~others] = kernels @ states[~others].T + biases[:, None]
    best = np.argmin(((predicted - target) ** 2).sum(axis=1))
    kernels, biases = _ridge(states, target, PENALTIES[[best]])
    return kernels[0], biases[0], predicted[best]


def _ridge(states: np.ndarray, target: np.ndarray, penalties: np.ndarray) -> tuple:
    """Kernels (P, H) and biases (P,) of ridge regressions with different penalties."""
    mean, middle = states.mean(axis=0), target.mean()
    centred = states - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(states))
    moments = vectors.T @ (centred.T @ (target - middle)) / len(states)
    kernels = (moments / (values.clip(0) + penalties[:, None])) @ vectors.T
    return kernels, middle - kernels @ mean
