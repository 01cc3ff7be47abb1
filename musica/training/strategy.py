"""Training on several GPUs or machines, by ``tf.distribute``.

A step sees the same faces as on one device, each replica its part of the batch, and the losses are
means over the whole batch: the number of devices changes the speed, not the result.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import keras
import tensorflow as tf
from keras.callbacks import CallbackList

from musica.errors import InputError
from musica.training.batches import Batches
from musica.training.dataset import FaceSamples

STRATEGIES = ("none", "mirrored", "multi_worker")


def create(name: str) -> tf.distribute.Strategy:
    """Makes a strategy; for several machines before anything else, and on all of them.

    Args:
        name: ``none`` for one device, ``mirrored`` for all GPUs of this machine, ``multi_worker``
            for the machines that TF_CONFIG names.

    Raises:
        InputError: TF_CONFIG is missing or wrong.
    """
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    try:
        jobs = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec().as_dict()
        if not jobs:
            raise ValueError("it names no cluster")
        with _waiting(chain.from_iterable(jobs.values())):
            return tf.distribute.MultiWorkerMirroredStrategy()
    except (AttributeError, TypeError, ValueError) as error:  # whatever wrong JSON leads to
        raise InputError(f"strategy multi_worker needs a valid TF_CONFIG: {error}") from error


@contextmanager
def _waiting(workers: Iterable[str]) -> Iterator[None]:
    """Names the workers that TensorFlow waits for, and lets Ctrl-C end the wait.

    TensorFlow keeps the GIL meanwhile, so no handler in Python would run: the system's does.
    """
    print(
        f"waiting for all workers of TF_CONFIG: {', '.join(workers)}", file=sys.stderr, flush=True
    )
    handler = signal.getsignal(signal.SIGINT)
    heeds = threading.current_thread() is threading.main_thread() and callable(handler)
    if heeds:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if heeds:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def lost_workers_named() -> Iterator[None]:
    """Turns the failure of a lost worker into an error of one line.

    Raises:
        InputError: another worker is gone.
    """
    try:
        yield
    except tf.errors.UnavailableError as error:
        raise InputError("another worker has ended; start all of them again to go on") from error


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes the run's files."""
    cluster = strategy.cluster_resolver
    if cluster is None:
        return True
    first = "chief" if "chief" in cluster.cluster_spec().jobs else "worker"
    return (cluster.task_type, cluster.task_id) == (first, 0)


def check_agreement(strategy: tf.distribute.Strategy, step: int) -> None:
    """Checks that all workers resume from the same step.

    Raises:
        InputError: the workers have different steps.
    """
    if strategy.reduce("MEAN", tf.constant(step, tf.float64), axis=None) != step:
        raise InputError("the workers do not find the same checkpoints: train_dir must be shared")


@contextmanager
def batches(
    strategy: tf.distribute.Strategy,
    samples: FaceSamples,
    batch_size: int,
    numbers: Sequence[int] | None = None,
    echo: int = 1,
    workers: int = 1,
) -> Iterator[Any]:
    """Gives the batches of ``Batches`` to all replicas; the context ends the workers.

    A training batch is split evenly, in order; a process prepares only the parts of its replicas.
    Validation faces, whose last batch need not be even, go to every replica, which changes no mean.

    Args:
        strategy: from ``create``.
        samples: the faces.
        batch_size: faces per batch of all replicas.
        numbers: as for ``Batches``.
        echo: as for ``Batches``; 1 if there are several replicas.
        workers: as for ``Batches``, in every process.

    Yields:
        A dataset, distributed if there are several replicas.

    Raises:
        InputError: the replicas cannot share a batch evenly, or a face cannot be used.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise InputError(f"batch_size {batch_size} cannot be shared evenly by {replicas} replicas")
    with ExitStack() as stack:

        def own(context: tf.distribute.InputContext) -> tf.data.Dataset:
            local = replicas // context.num_input_pipelines
            if numbers is None:
                whole = stack.enter_context(Batches(samples, batch_size, workers=workers)).dataset()
                return whole.flat_map(
                    lambda *data: tf.data.Dataset.from_tensors(data).repeat(local)
                )
            parts = own_parts(numbers, replicas, local, context.input_pipeline_id)
            prepared = Batches(samples, batch_size // replicas, parts, workers=workers)
            return stack.enter_context(prepared).dataset()

        if replicas == 1:
            yield stack.enter_context(
                Batches(samples, batch_size, numbers, echo, workers)
            ).dataset()
        else:
            yield strategy.distribute_datasets_from_function(own)


def own_parts(numbers: Sequence[int], replicas: int, local: int, process: int) -> list[int]:
    """The parts of batches that one process prepares.

    Args:
        numbers: of the batches.
        replicas: parts of a batch.
        local: replicas of each process.
        process: which process.

    Returns:
        The numbers of its parts, as if the run were cut into parts.
    """
    first = process * local
    return [number * replicas + first + place for number in numbers for place in range(local)]


def fit(
    training: keras.Model,
    strategy: tf.distribute.Strategy,
    data: tf.data.Dataset,
    validation_data: tf.data.Dataset | None,
    callbacks: list[keras.callbacks.Callback],
    initial_epoch: int,
    epochs: int,
    steps_per_epoch: int,
    verbose: int,
) -> None:
    """Keras' ``fit`` for several workers, which Keras 3.15 cannot do itself (its issue 20585).

    Its own fails before the first step, where it averages the workers' inputs, and would fail after
    it, where it averages scalars over an axis. Arguments as for ``fit``.
    """

    def compiled(step: Callable) -> Callable:
        def run(batch: Any) -> dict[str, Any]:
            logs = strategy.run(step, args=(batch,))
            return {name: strategy.reduce("MEAN", logs[name], axis=None) for name in logs}

        return tf.function(run, reduce_retracing=True)

    train_step, test_step = compiled(training.train_step), compiled(training.test_step)
    callbacks = CallbackList(
        callbacks,
        add_progbar=verbose > 0,
        model=training,
        verbose=verbose,
        epochs=epochs,
        steps=steps_per_epoch,
    )
    training.stop_training = False
    callbacks.on_train_begin()
    remaining = iter(data)
    for epoch in range(initial_epoch, epochs):
        training.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        for step, batch in zip(range(steps_per_epoch), remaining, strict=False):
            callbacks.on_train_batch_begin(step)
            callbacks.on_train_batch_end(step, train_step(batch))
        logs = training.get_metrics_result()
        if validation_data is not None:
            training.reset_metrics()
            callbacks.on_test_begin()
            for batch in validation_data:
                test_step(batch)
            callbacks.on_test_end()
            found = training.get_metrics_result()
            logs.update({f"val_{name}": value for name, value in found.items()})
        callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end()
