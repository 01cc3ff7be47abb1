"""From a training configuration to the model, its loss and its optimizer."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from musica.errors import InputError
from musica.files import reference_shape_files
from musica.files.annotated_faces import AnnotatedFace
from musica.geometry import reference_shape
from musica.geometry.landmarks import scheme_for
from musica.models.loading import load_keras_model
from musica.models.mdm import MDM
from musica.models.musica import MuSiCa
from musica.training.cascade_training import CascadeTraining
from musica.training.configuration import TrainConfig
from musica.training.optimizer import Adam

# The rate at the first step of a warm-up, as a share of the rate after it.
WARMUP_START = 0.1


def build_training(
    config: TrainConfig, faces: Sequence[AnnotatedFace], steps: int
) -> CascadeTraining:
    """Builds the configured model with its loss and its optimizer.

    Args:
        config: the configuration.
        faces: the training faces, of which the reference shape may be made.
        steps: of the run, which ``num_epochs`` may make shorter than ``max_steps``.

    Raises:
        InputError: the configuration or a file that it names cannot be used.
    """
    training = CascadeTraining(
        build_model(config, faces),
        config.loss,
        config.error_weight,
        config.iteration_weights,
        config.recurrent_bits,
    )
    optimizer = Adam(learning_rate(config, steps), epsilon=config.adam_epsilon)
    optimizer.build(training.trainable_variables)
    training.compile(optimizer=optimizer, jit_compile=False)
    return training


def build_model(config: TrainConfig, faces: Sequence[AnnotatedFace]) -> keras.Model:
    """Builds the configured model, with the weights of an earlier one if asked for.

    The other arguments and the errors are those of ``build_training``.
    """
    path = config.pretrained_model_checkpoint_path
    pretrained = load_keras_model(path) if path else None
    shared: dict[str, Any] = {
        "landmark_count": config.landmark_count,
        "patch_indices": patch_indices(config),
        "patch_size": config.patch_size,
        "hidden_size": config.hidden_size,
        "kernel_initializer": None if config.initializer == "release" else config.initializer,
        "reference_shape": _reference_shape(config, faces, pretrained),
        "preprocessing": config.preprocessing,
        "dtype": config.precision,
    }
    if config.model == "mdm":
        model = MDM(**shared)
    else:
        model = MuSiCa(
            **shared,
            levels=config.levels,
            use_attention=config.use_attention,
            patch_dropout=config.patch_dropout,
            box_size=config.box_size,
            margin=config.margin,
        )
    if pretrained is not None:
        try:
            model.set_weights(weights_without_gain(pretrained))
        except ValueError as error:
            raise InputError(f"{path}: its weights do not fit the configured model") from error
    return model


def weights_without_gain(layer: keras.layers.Layer) -> list[np.ndarray]:
    """The weights that are trained: the unit of the gain is fitted later (``musica-calibrate``)."""
    return [each.numpy() for each in layer.weights if "gain" not in each.path.split("/")]


def patch_indices(config: TrainConfig) -> Sequence[int] | Sequence[Sequence[int]] | None:
    """The patch points: named, or the scheme's for their number, or None for its default.

    Raises:
        InputError: the scheme has no choice of so many.
    """
    if config.patch_indices is not None or config.patch_count is None:
        return config.patch_indices
    known = scheme_for(config.landmark_count).patch_indices
    if config.patch_count not in known:
        raise InputError(f"patch_count must be one of {sorted(known)}, or give patch_indices")
    return known[config.patch_count]


def learning_rate(
    config: TrainConfig, steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate's schedule for a run of so many steps.

    Raises:
        InputError: the warm-up is as long as the run.
    """
    if config.learning_rate_warmup_steps >= steps:
        raise InputError("learning_rate_warmup_steps must be less than the steps of the run")
    rate, warmup = config.initial_learning_rate, config.learning_rate_warmup_steps
    if config.learning_rate_schedule == "cosine" and warmup:
        return keras.optimizers.schedules.CosineDecay(
            WARMUP_START * rate, steps - warmup, warmup_target=rate, warmup_steps=warmup
        )
    if config.learning_rate_schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, steps)
    return keras.optimizers.schedules.ExponentialDecay(
        rate,
        config.learning_rate_decay_steps,
        config.learning_rate_decay_factor,
        staircase=True,
    )


def _reference_shape(
    config: TrainConfig, faces: Sequence[AnnotatedFace], pretrained: keras.Model | None
) -> Any:
    """Reads the reference shape, takes it from the model to start from, or computes it."""
    if config.reference_shape_path:
        return reference_shape_files.read_reference_shape(
            config.reference_shape_path, config.landmark_count
        )
    if pretrained is not None and pretrained.settings.reference_shape is not None:
        return pretrained.settings.reference_shape
    landmarks, boxes = [face.landmarks for face in faces], [face.box for face in faces]
    if config.preprocessing == "mdm":
        return reference_shape.diagonal_shape(landmarks)
    return reference_shape.reference_shape(landmarks, boxes, config.box_size, config.preprocessing)
