"""Tiny models with weights that matter, their inputs, and their weights as plain arrays."""

import numpy as np

from musica.models.mdm import MDM
from musica.models.musica import MuSiCa

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def randomise(model, seed=0):
    """Gives a model seeded weights that move the landmarks by some pixels."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        fan_in = np.prod(variable.shape[:-1]) or 1
        deviation = 0.3 if len(variable.shape) == 1 else 1.5 / np.sqrt(fan_in)
        if "head" in variable.path:
            deviation *= 3
        variable.assign(generator.normal(0, deviation, variable.shape))
    return model


def musica_model(seed=0, **arguments):
    defaults = {"landmark_count": 5, "patch_indices": (0, 3), "filters": 4, "hidden_size": 16}
    return randomise(MuSiCa(**{**defaults, **arguments}), seed)


def mdm_model(seed=0, **arguments):
    defaults = {"landmark_count": 4, "patch_indices": (0, 2), "patch_size": 18, "hidden_size": 16}
    return randomise(MDM(**{**defaults, **arguments}), seed)


def inputs(batch=2, count=5, size=(44, 52), seed=1):
    """Random pyramids, and initial points of which some lie outside the image."""
    generator = np.random.default_rng(seed)
    sizes = [(-(-size[0] // 2**level), -(-size[1] // 2**level)) for level in range(3)]
    pyramid = [generator.normal(size=(batch, *level, 3)).astype("float32") for level in sizes]
    initial = generator.uniform(-12, np.array(size) + 12, (batch, count, 2)).astype("float32")
    return {"pyramid": pyramid, "initial": initial}


def arrays(step):
    """A cascade step's weights, as numpy_reference wants them."""
    layers = {
        "conv_0": step.encoder.convolutions[0],
        "conv_1": step.encoder.convolutions[1],
        "recurrent": step.recurrent,
        "head": step.head,
    }
    if step.attention is not None:
        layers["attention"] = step.attention.gate
    if step.stop_predictor is not None:
        layers["error"] = step.stop_predictor.error
    return {name: (layer.kernel.numpy(), layer.bias.numpy()) for name, layer in layers.items()}


def outputs_equal(first, second, **tolerance):
    """Asserts that two models' outputs are the same."""
    assert first.keys() == second.keys()
    for name in first:
        assert len(first[name]) == len(second[name])
        for a, b in zip(first[name], second[name], strict=True):
            np.testing.assert_allclose(np.array(a), np.array(b), **(tolerance or TOLERANCE))
