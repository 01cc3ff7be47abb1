"""One iteration of a model as a TensorFlow function, for what stores it outside Keras."""

from collections.abc import Sequence

from musica.models.iteration import IterationState

INPUTS = ("image", "initial", "displacement", "hidden")


def iteration_graph(model, k: int, outputs: Sequence[str]):
    """Makes the function of iteration k, for batches and crops of any size.

    It takes ``image`` (B, H_l, W_l, 3) of the iteration's level, ``initial`` (B, N, 2),
    ``displacement`` (B, N, 2) and ``hidden`` (B, H), all float32, as ``MuSiCa.iterate`` does.

    Args:
        model: a MuSiCa model.
        k: the iteration, from 0.
        outputs: what the function calls displacement (B, N, 2), hidden state (B, H), landmarks
            (B, N, 2) and estimated error (B,).

    Returns:
        A ``tf.function`` with an input signature; it gives the outputs by name.
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
    def iterate(image, initial, displacement, hidden):
        state = IterationState(displacement, hidden)
        result = model.iterate(k, image, initial, state)
        results = *result.state, result.landmarks, result.errors
        return dict(zip(outputs, results, strict=True))

    return iterate
