"""Weights that are rounded while they are trained, so that the model bears few bits.

The recurrent products hold nine tenths of a model's weights, and at inference most time goes into
reading them. Rounded to 4 bits afterwards they cost 2 % of the NME; trained like this, next to
nothing. The optimizer keeps unrounded weights. The cascade computes with rounded ones, and their
gradient passes on as if nothing had been rounded: Y. Bengio et al., "Estimating or Propagating
Gradients Through Stochastic Neurons for Conditional Computation", 2013.

PORT: the release has float32 weights. Without ``recurrent_bits`` nothing is rounded here, either.
"""

from typing import Any

import keras
from keras import ops

# The largest rounded weight of a unit, in root mean squares of its weights: the rounding's mean
# squared error is smallest there.
LARGEST = 3.0


def rounded(kernel: Any, bits: int) -> Any:
    """Rounds each unit's weights to whole multiples of a step of its own.

    Args:
        kernel: (inputs, units) float32.
        bits: b; the multiples are -(2^(b-1) - 1) to 2^(b-1) - 1.

    Returns:
        (inputs, units) float32.
    """
    most = 2 ** (bits - 1) - 1
    size = ops.sqrt(ops.mean(ops.square(kernel), axis=0))
    step = ops.where(size > 0, LARGEST / most * size, 1.0)
    return step * ops.clip(ops.round(kernel / step), -most, most)


def recurrent_kernels(cascade: keras.Model) -> list[keras.Variable]:
    """The (inputs, units) weights of a cascade's recurrent products."""
    return [step.recurrent.kernel for step in cascade.steps]


def call_rounded(cascade: keras.Model, inputs: Any, bits: int) -> Any:
    """Calls a cascade with rounded recurrent weights; gradients reach its own weights."""
    kernels = recurrent_kernels(cascade)
    values = [kernel + ops.stop_gradient(rounded(kernel, bits) - kernel) for kernel in kernels]
    with keras.StatelessScope(list(zip(kernels, values, strict=True))) as scope:
        outputs = cascade(inputs)
    for variable in cascade.non_trainable_variables:  # the state of a random dropout
        changed = scope.get_current_value(variable)
        if changed is not None:
            variable.assign(changed)
    return outputs


def round_weights(cascade: keras.Model, bits: int) -> None:
    """Rounds a cascade's recurrent weights for good."""
    for kernel in recurrent_kernels(cascade):
        kernel.assign(rounded(kernel, bits))
