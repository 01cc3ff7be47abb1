"""Keras on TensorFlow: the models run on no other backend."""

import importlib
from types import ModuleType

from musica.errors import InputError


def import_keras() -> ModuleType:
    """Imports Keras and checks its backend, which KERAS_BACKEND or keras.json chooses.

    Raises:
        InputError: Keras cannot be imported, or runs on another backend than TensorFlow, or
            TensorFlow's eager mode is off.
    """
    try:
        keras = importlib.import_module("keras")
        problem = f"Keras runs on {keras.backend.backend()}"
    except ImportError as error:
        problem = f"Keras cannot be imported ({error})"
    if problem != "Keras runs on tensorflow":
        raise InputError(f"{problem}; the models need KERAS_BACKEND=tensorflow")
    tensorflow = importlib.import_module("tensorflow")
    if not tensorflow.compat.v1.executing_eagerly_outside_functions():
        raise InputError("TensorFlow's eager mode is off; Keras models need it, LiteRT does not")
    return keras
