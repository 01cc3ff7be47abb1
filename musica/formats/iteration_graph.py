"""One iteration of a model as a TensorFlow function, for formats other than Keras's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musica.models.musica import MuSiCa

from musica.models.iteration import IterationState

INPUTS = ("image", "initial", "displacement", "hidden")


def iteration_graph(model: "MuSiCa", k: int, outputs: Sequence[str]) -> Any:
    """Makes the function of iteration k, for batches and crops of any size.

    It takes ``image`` (B, H_l, W_l, 3) of the iteration's level, ``initial`` (B, N, 2),
    ``displacement`` (B, N, 2) and ``hidden`` (B, H), all float32, as ``MuSiCa.iterate`` does.

    Args:
        model: a MuSiCa model.
        k: the iteration, from 0.
        outputs: the function's names for displacement (B, N, 2), hidden state (B, H), landmarks
            (B, N, 2), estimated error (B,) and predicted gain (B,).

    Returns:
        A ``tf.function`` with an input signature; it gives the outputs by name. All iterations have
        the same ones: the gain only if the model predicts it, and 0 after the last iteration.
    """
    import tensorflow as tf

    shapes = (
        (None, None, None, 3),
        (None, model.settings.landmark_count, 2),
        (None, model.settings.landmark_count, 2),
        (None, model.settings.hidden_size),
    )
    signature = [
        tf.TensorSpec(shape, name=name) for name, shape in zip(INPUTS, shapes, strict=True)
    ]

    @tf.function(input_signature=signature)
    def iterate(image: Any, initial: Any, displacement: Any, hidden: Any) -> dict[str, Any]:
        state = IterationState(displacement, hidden)
        result = model.iterate(k, image, initial, state)
        values = [*result.state, result.landmarks, result.errors]
        if model.predicts_gain:
            last = result.gains is None
            values.append(tf.zeros_like(result.errors) if last else result.gains)
        return dict(zip(outputs, values, strict=False))

    return iterate
