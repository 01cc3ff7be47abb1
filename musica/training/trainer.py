"""Training: a configuration -> a trained model (``METHOD.md`` sections 5-7; release ``train``)."""

import re
import sys
import warnings
from pathlib import Path

import keras
import tensorflow as tf

from musica.cli import config as configuration
from musica.errors import InputError
from musica.files import annotated_faces, reference_shape_files
from musica.geometry import reference_shape
from musica.geometry.landmarks import scheme_for
from musica.models import losses
from musica.models.loading import load_keras_model
from musica.models.mdm import MDM
from musica.models.musica import MuSiCa
from musica.training import dataset
from musica.training import strategy as distribution
from musica.training.callbacks import (
    AveragedWeights,
    Checkpoints,
    Pictures,
    StopAfter,
    StopOnBadLoss,
)
from musica.training.cascade_training import CascadeTraining
from musica.training.configuration import TrainConfig
from musica.training.optimizer import Adam


@distribution.lost_workers_named()
def train_and_evaluate(config: TrainConfig) -> Path:
    """Trains as configured, resuming where an earlier run of the same folder ended.

    Args:
        config: the configuration.

    Returns:
        The trained model's path, ``<train_dir>/model.keras``, with averaged weights.

    Raises:
        InputError: the configuration, the data, a diverging loss or a lost worker ends it.
    """
    _check(config)
    strategy = distribution.create(config.strategy)
    keras.utils.set_random_seed(config.seed)
    folder = Path(config.train_dir)
    faces = _read_faces(config, config.train_filenames, config.held_out_share)
    with strategy.scope():
        training = _build_training(config, faces)
    cascade, optimizer = training.cascade, training.optimizer
    averages = AveragedWeights(training.trainable_variables, optimizer, config.average_decay)
    checkpoints = Checkpoints(
        folder / "checkpoints", training, optimizer, averages, config.keep_checkpoints
    )
    done, total = checkpoints.resume(), _length(config, len(faces))
    distribution.check_agreement(strategy, done)
    callbacks, verbose = [StopOnBadLoss(), averages, StopAfter(total)], 0
    chief = distribution.is_chief(strategy)
    if chief:
        configuration.save(config, folder / "config.json")
        print(f"training on {len(faces)} faces from step {done} to {total}", flush=True)
        history = keras.callbacks.CSVLogger(str(folder / "history.csv"), append=done > 0)
        callbacks += [checkpoints, history, *_summaries(config, training)]
        verbose = 1 if sys.stdout.isatty() else 2
    if done < total:
        data = _samples(
            config, cascade, faces, augmentation=config, seed=config.seed, echo=config.echo
        )
        _fit(
            training,
            strategy,
            distribution.batches(strategy, data, config.batch_size, done, total),
            validation_data=_validation(config, cascade, strategy),
            **_epochs(config, done, total),
            callbacks=callbacks,
            verbose=verbose,
        )
    path = folder / "model.keras"
    if chief:
        averages.save(cascade, path)
        print(f"wrote {path} after {checkpoints.step} steps")
    return path


def _read_faces(
    config: TrainConfig, lists: list[str], held_out_share: float = 0.0
) -> list[annotated_faces.AnnotatedFace]:
    """Reads the annotations of listed faces, but not of those held out."""
    return annotated_faces.read_faces(
        lists,
        *config.folders,
        config.landmark_count,
        use=lambda name: not annotated_faces.is_held_out(name, held_out_share),
    )


def _samples(config: TrainConfig, cascade: keras.Model, faces, **options) -> dataset.FaceSamples:
    """The faces as inputs of the model."""
    levels = 1 if isinstance(cascade, MDM) else max(config.levels) + 1
    return dataset.FaceSamples(
        faces,
        cascade.settings.reference_shape,
        levels=levels,
        box_size=config.box_size,
        margin=config.margin,
        **options,
    )


def _fit(training: CascadeTraining, strategy: tf.distribute.Strategy, data, **options) -> None:
    """Runs a fit, whose epochs are the stretches that end in a checkpoint.

    Keras cannot count the validation batches of several devices, and would warn when they end.

    Raises:
        InputError: a face cannot be used; tf.data wraps it in an error of its own.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*ran out of data")
            if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
                distribution.fit(training, strategy, data, **options)
            else:
                training.fit(data, shuffle=False, **options)
    except tf.errors.InvalidArgumentError as error:
        problem = re.search(r"\bInputError: (.*)", error.message)
        if problem is None:
            raise
        raise InputError(problem[1]) from error


def _check(config: TrainConfig) -> None:
    """Checks what no type can say."""
    configuration.require(config, "train_dir", "image_dir", "train_filenames")
    choices = {
        "model": ("musica", "mdm"),
        "loss": tuple(losses.LOSSES),
        "optimizer": ("adam",),
        "learning_rate_schedule": ("staircase", "cosine"),
        "strategy": distribution.STRATEGIES,
        "precision": ("float32", "mixed_bfloat16"),
    }
    for key, allowed in choices.items():
        if getattr(config, key) not in allowed:
            raise InputError(f"{key} must be {' or '.join(allowed)}, not {getattr(config, key)!r}")
    for key in ("batch_size", "max_steps", "num_epochs", "checkpoint_steps", "hidden_size"):
        value = getattr(config, key)
        if value is not None and value < 1:
            raise InputError(f"{key} must be at least 1")
    if config.echo < 1 or config.batch_size % config.echo:
        raise InputError(f"echo must divide batch_size {config.batch_size}, not {config.echo}")
    if config.echo > 1 and config.strategy != "none":
        raise InputError("echo needs strategy none")
    if config.keep_checkpoints < 0:
        raise InputError("keep_checkpoints must be at least 0")
    if config.initializer != "release":
        try:
            keras.initializers.get(config.initializer)
        except ValueError as error:
            raise InputError(f"initializer: Keras has none named {config.initializer!r}") from error


def _build_training(config: TrainConfig, faces) -> CascadeTraining:
    """Builds the configured model with its loss and its optimizer."""
    training = CascadeTraining(_build_model(config, faces), config.loss, config.error_weight)
    optimizer = Adam(_learning_rate(config), epsilon=config.adam_epsilon)
    optimizer.build(training.trainable_variables)
    training.compile(optimizer=optimizer, jit_compile=False)
    return training


def _build_model(config: TrainConfig, faces) -> keras.Model:
    """Builds the configured model, with the weights of an earlier one if asked for."""
    pretrained = _pretrained(config)
    shared = {
        "landmark_count": config.landmark_count,
        "patch_indices": _patch_indices(config),
        "patch_size": config.patch_size,
        "hidden_size": config.hidden_size,
        "kernel_initializer": None if config.initializer == "release" else config.initializer,
        "reference_shape": _reference_shape(config, faces, pretrained),
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
            model.set_weights(pretrained.get_weights())
        except ValueError as error:
            path = config.pretrained_model_checkpoint_path
            raise InputError(f"{path}: its weights do not fit the configured model") from error
    return model


def _pretrained(config: TrainConfig) -> keras.Model | None:
    """Reads the model to start from, if one is named."""
    path = config.pretrained_model_checkpoint_path
    return load_keras_model(path) if path else None


def _reference_shape(config: TrainConfig, faces, pretrained: keras.Model | None):
    """Reads the reference shape, takes it from the model to start from, or computes it."""
    if config.reference_shape_path:
        return reference_shape_files.read_reference_shape(
            config.reference_shape_path, config.landmark_count
        )
    if pretrained is not None and pretrained.settings.reference_shape is not None:
        return pretrained.settings.reference_shape
    landmarks, boxes = [face.landmarks for face in faces], [face.box for face in faces]
    return reference_shape.reference_shape(landmarks, boxes, config.box_size)


def _patch_indices(config: TrainConfig):
    """The patch points: named, or the scheme's for their number, or None for its default."""
    if config.patch_indices is not None or config.patch_count is None:
        return config.patch_indices
    known = scheme_for(config.landmark_count).patch_indices
    if config.patch_count not in known:
        raise InputError(f"patch_count must be one of {sorted(known)}, or give patch_indices")
    return known[config.patch_count]


def _learning_rate(config: TrainConfig):
    """The learning rate's schedule."""
    if config.learning_rate_schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            config.initial_learning_rate, config.max_steps
        )
    return keras.optimizers.schedules.ExponentialDecay(
        config.initial_learning_rate,
        config.learning_rate_decay_steps,
        config.learning_rate_decay_factor,
        staircase=True,
    )


def _length(config: TrainConfig, faces: int) -> int:
    """How many steps the run has."""
    if config.num_epochs is None:
        return config.max_steps
    return min(config.max_steps, -(-config.num_epochs * faces // config.batch_size))


def _epochs(config: TrainConfig, done: int, total: int) -> dict[str, int]:
    """What Keras must know to go from step ``done`` to ``total``, with an epoch a checkpoint.

    An earlier run may have ended off the checkpoints' beat, or had another.
    """
    steps = min(config.checkpoint_steps, total)
    first = -(-done // steps)
    epochs = first - (done - total) // steps
    return {"initial_epoch": first, "epochs": epochs, "steps_per_epoch": steps}


def _validation(
    config: TrainConfig, cascade: keras.Model, strategy: tf.distribute.Strategy | None = None
):
    """The validation faces as batches, for one device without a strategy; or None."""
    if not config.eval_filenames:
        return None
    samples = _samples(config, cascade, _read_faces(config, config.eval_filenames))
    if strategy is None:
        return dataset.batches(samples, config.batch_size)
    return distribution.batches(strategy, samples, config.batch_size)


def _summaries(config: TrainConfig, training: CascadeTraining) -> list:
    """TensorBoard's callbacks, if a folder for them is named."""
    if not config.tensorboard_dir:
        return []
    # Any other frequency also drops what is written at the end of epochs in between, by whomever.
    callbacks = [keras.callbacks.TensorBoard(config.tensorboard_dir, update_freq="epoch")]
    if config.eval_filenames:
        batch = next(iter(_validation(config, training.cascade)))
        pictures = Path(config.tensorboard_dir) / "pictures"
        callbacks.append(Pictures(pictures, batch, training.face_error))
    return callbacks
