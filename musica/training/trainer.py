"""Training: a configuration -> a trained model (``METHOD.md`` sections 5-7; release ``train``)."""

import sys
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from musica.cli import config as configuration
from musica.cli.streams import prepare_streams
from musica.files import annotated_faces
from musica.files.annotated_faces import AnnotatedFace
from musica.models.mdm import MDM
from musica.training import checks
from musica.training import strategy as distribution
from musica.training.batches import Batches, core_count
from musica.training.building import build_training
from musica.training.callbacks import (
    AveragedWeights,
    Checkpoints,
    Pictures,
    StopAfter,
    StopOnBadLoss,
)
from musica.training.cascade_training import CascadeTraining
from musica.training.configuration import TrainConfig
from musica.training.dataset import FaceSamples, epoch_length
from musica.training.mdm_samples import MdmSamples


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
    checks.check(config)
    prepare_streams()
    strategy = distribution.create(config.strategy)
    keras.utils.set_random_seed(config.seed)
    folder = Path(config.train_dir)
    checks.tell_of_release(folder)
    faces, weights = _training_faces(config)
    total = run_length(config, epoch_length(len(faces), weights))
    with strategy.scope():
        training = build_training(config, faces, total)
    cascade, optimizer = training.cascade, training.optimizer
    averages = AveragedWeights(training.trainable_variables, optimizer, config.average_decay)
    checkpoints = Checkpoints(
        folder / "checkpoints", training, optimizer, averages, config.keep_checkpoints
    )
    done = checkpoints.resume()
    distribution.check_agreement(strategy, done)
    callbacks, verbose = [StopOnBadLoss(), averages, StopAfter(total)], 0
    chief = distribution.is_chief(strategy)
    if chief:
        configuration.save(config, folder / "config.json")
        print(f"training on {len(faces)} faces from step {done} to {total}", flush=True)
        history = keras.callbacks.CSVLogger(str(folder / "history.csv"), append=done > 0)
        callbacks += [checkpoints, history, *summaries(config, training)]
        verbose = 1 if sys.stdout.isatty() else 2
    if done < total:
        samples = face_samples(
            config, cascade, faces, augmentation=config, seed=config.seed, weights=weights
        )
        with (
            distribution.batches(
                strategy,
                samples,
                config.batch_size,
                range(done, total),
                config.echo,
                worker_count(config),
            ) as data,
            validation_batches(config, cascade, strategy) as validation_data,
        ):
            _fit(
                training,
                strategy,
                data,
                validation_data=validation_data,
                **epochs(config, done, total),
                callbacks=callbacks,
                verbose=verbose,
            )
    path = folder / "model.keras"
    if chief:
        averages.save(cascade, path, config.recurrent_bits)
        print(f"wrote {path} after {checkpoints.step} steps")
    return path


def run_length(config: TrainConfig, faces: int) -> int:
    """The number of steps of a run that draws so many faces in an epoch.

    As in the release, an epoch is as many whole batches as the faces fill.

    PORT: ``max_steps`` limits the run too, and an epoch has at least one step; the release reads
    ``num_epochs`` alone, and does nothing if the faces fill no batch.
    """
    if config.num_epochs is None:
        return config.max_steps
    return min(config.max_steps, config.num_epochs * max(1, faces // config.batch_size))


def epochs(config: TrainConfig, done: int, total: int) -> dict[str, int]:
    """The arguments of ``fit`` that lead from step ``done`` to ``total``, an epoch a checkpoint.

    An earlier run may have ended between two checkpoints, or written them at other steps.
    """
    steps = min(config.checkpoint_steps, total)
    first = -(-done // steps)
    last = first - (done - total) // steps
    return {"initial_epoch": first, "epochs": last, "steps_per_epoch": steps}


def validation_batches(
    config: TrainConfig, cascade: keras.Model, strategy: tf.distribute.Strategy
) -> AbstractContextManager:
    """A context that gives the validation faces as batches, or None if there are none."""
    if not config.eval_filenames:
        return nullcontext()
    samples = face_samples(config, cascade, _read_faces(config, config.eval_filenames))
    return distribution.batches(strategy, samples, config.batch_size, workers=worker_count(config))


def summaries(config: TrainConfig, training: CascadeTraining) -> list[keras.callbacks.Callback]:
    """TensorBoard's callbacks, if a folder for them is named."""
    if not config.tensorboard_dir:
        return []
    # Any other frequency also drops what other callbacks write at the end of epochs in between.
    callbacks = [keras.callbacks.TensorBoard(config.tensorboard_dir, update_freq="epoch")]
    if config.eval_filenames:
        faces = _read_faces(config, config.eval_filenames)
        samples = face_samples(config, training.cascade, faces[: config.batch_size])
        batch = next(iter(Batches(samples, config.batch_size).dataset()))
        pictures = Path(config.tensorboard_dir) / "pictures"
        callbacks.append(Pictures(pictures, batch, training.face_error))
    return callbacks


def _training_faces(config: TrainConfig) -> tuple[list[AnnotatedFace], list[float] | None]:
    """Reads the training faces, and their weights if the lists have any."""
    share = config.held_out_share
    if not config.train_weights:
        return _read_faces(config, config.train_filenames, share), None
    faces: list[AnnotatedFace] = []
    weights: list[float] = []
    for path, weight in zip(config.train_filenames, config.train_weights, strict=True):
        listed = _read_faces(config, [path], share)
        faces += listed
        weights += [weight] * len(listed)
    return faces, weights


def _read_faces(
    config: TrainConfig, lists: list[str], held_out_share: float = 0.0
) -> list[AnnotatedFace]:
    """Reads the annotations of listed faces, but not of those held out."""
    return annotated_faces.read_faces(
        lists,
        *config.folders,
        config.landmark_count,
        use=lambda name: not annotated_faces.is_held_out(name, held_out_share),
    )


def face_samples(
    config: TrainConfig, cascade: keras.Model, faces: Sequence[AnnotatedFace], **options: Any
) -> FaceSamples:
    """The faces as inputs of the model."""
    reference_shape = np.array(cascade.settings.reference_shape)
    if config.preprocessing == "mdm":
        return MdmSamples(
            faces,
            reference_shape,
            margin=config.margin,
            cache_gigabytes=config.cache_gigabytes,
            **options,
        )
    return FaceSamples(
        faces,
        reference_shape,
        levels=1 if isinstance(cascade, MDM) else max(config.levels) + 1,
        box_size=config.box_size,
        margin=config.margin,
        preprocessing=config.preprocessing,
        cache_gigabytes=config.cache_gigabytes,
        **options,
    )


def worker_count(config: TrainConfig) -> int:
    """How many processes prepare faces."""
    return core_count() if config.workers is None else config.workers


def _fit(
    training: CascadeTraining, strategy: tf.distribute.Strategy, data: Any, **options: Any
) -> None:
    """Runs a fit, whose epochs are the stretches that end in a checkpoint.

    Keras cannot count the validation batches of several devices, and would warn when they end.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*ran out of data")
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            distribution.fit(training, strategy, data, **options)
        else:
            training.fit(data, shuffle=False, **options)
