"""Keras callbacks of a training run: averaged weights, checkpoints, pictures."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from musica.errors import InputError
from musica.training.rounding import round_weights

Logs: TypeAlias = dict[str, Any] | None


def _steps(optimizer: keras.optimizers.Optimizer) -> int:
    """Steps done, as an int; a distributed variable cannot be used as one."""
    return int(tf.convert_to_tensor(optimizer.iterations))


class AveragedWeights(keras.callbacks.Callback):
    """Keeps moving averages of the weights, and validates with them.

    The decay is min(decay, (1 + t) / (10 + t)) at step t (``METHOD.md`` section 6), which Keras'
    own averaging does not offer.

    Args:
        variables: the weights to average.
        optimizer: whose ``iterations`` are t.
        decay: the largest decay.
    """

    def __init__(
        self,
        variables: Iterable[keras.Variable],
        optimizer: keras.optimizers.Optimizer,
        decay: float,
    ):
        super().__init__()
        self.variables = list(variables)
        self.averages = [tf.Variable(variable.value) for variable in self.variables]
        self._optimizer = optimizer
        self._decay = decay

    @tf.function
    def _update(self) -> None:
        step = tf.cast(self._optimizer.iterations.value, tf.float32)
        decay = tf.minimum(self._decay, (1 + step) / (10 + step))
        for average, variable in zip(self.averages, self.variables, strict=True):
            average.assign_sub((1 - decay) * (average - variable.value))

    def _swap(self) -> None:
        for average, variable in zip(self.averages, self.variables, strict=True):
            raw = tf.identity(variable.value)
            variable.assign(average)
            average.assign(raw)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Moves the averages towards the new weights."""
        self._update()

    def on_test_begin(self, logs: Logs = None) -> None:
        """Puts the averages in the model's place."""
        self._swap()

    def on_test_end(self, logs: Logs = None) -> None:
        """Puts the weights back."""
        self._swap()

    def save(self, model: keras.Model, path: Path, recurrent_bits: int | None = None) -> None:
        """Saves the model with its averaged weights, in float32, whole or not at all.

        Args:
            model: the cascade.
            path: the .keras file.
            recurrent_bits: as for ``CascadeTraining``.
        """
        from musica.files.writing import replacing

        exact = type(model).from_config({**model.get_config(), "dtype": "float32"})
        self._swap()
        try:
            exact.set_weights(model.get_weights())
        finally:
            self._swap()
        if recurrent_bits is not None:
            round_weights(exact, recurrent_bits)
        with replacing(path) as temporary:
            exact.save(temporary)


class StopOnBadLoss(keras.callbacks.Callback):
    """Ends the run at the first loss that is not finite, before it reaches a checkpoint.

    Weights that are not finite end it too: the next loss would show them only after the checkpoint.
    """

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """Checks the loss.

        Raises:
            InputError: it is infinite or not a number.
        """
        if not math.isfinite(logs["loss"]):
            self._fail("loss is")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Checks the weights.

        Raises:
            InputError: one is infinite or not a number.
        """
        for variable in self.model.trainable_variables:
            if not tf.reduce_all(tf.math.is_finite(variable.value)):
                self._fail("weights are")

    def _fail(self, what: str) -> NoReturn:
        step = _steps(self.model.optimizer)
        raise InputError(f"the {what} not finite at step {step}; a lower learning rate may help")


class StopAfter(keras.callbacks.Callback):
    """Ends the run at its last step, which need not end an epoch.

    A step without data could still count, since TensorFlow orders the two only by chance.

    Args:
        total: how many steps the run has.
    """

    def __init__(self, total: int):
        super().__init__()
        self._total = total

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Counts the steps."""
        if _steps(self.model.optimizer) >= self._total:
            self.model.stop_training = True


class Checkpoints(keras.callbacks.Callback):
    """Saves the whole state of the run after every epoch, and resumes from the newest.

    A checkpoint counts only once it is complete, so a kill at any moment loses at most the steps
    since the last one.

    Args:
        folder: where the checkpoints go.
        model: the cascade.
        optimizer: its optimizer, already built.
        averages: the moving averages.
        keep: how many are kept; 0 keeps all.
    """

    def __init__(
        self,
        folder: Path,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        averages: AveragedWeights,
        keep: int,
    ):
        super().__init__()
        self._optimizer = optimizer
        self._state = tf.train.Checkpoint(
            model=model.variables,
            optimizer=[variable.value for variable in optimizer.variables],
            averages=averages.averages,
        )
        self._manager = tf.train.CheckpointManager(
            self._state, str(folder), max_to_keep=keep or None
        )

    @property
    def step(self) -> int:
        """Steps done."""
        return _steps(self._optimizer)

    def resume(self) -> int:
        """Restores the newest checkpoint, if there is one, and returns the steps done.

        Raises:
            InputError: it is damaged, or of another model.
        """
        path = self._manager.latest_checkpoint
        if path:
            try:
                self._state.restore(path).assert_consumed()
            except (AssertionError, ValueError, tf.errors.OpError) as error:
                raise InputError(
                    f"{path}: cannot be resumed by the configured model; choose another train_dir"
                ) from error
        return self.step

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Saves the state."""
        self._manager.save(checkpoint_number=self.step)


class Pictures(keras.callbacks.Callback):
    """Writes TensorBoard pictures and histograms of a few validation faces after every epoch.

    Each level's picture shows initial (red), final (green) and true (blue) points; histograms
    show every iteration's errors, and its estimates (release: the summaries of ``train``).

    Args:
        folder: TensorBoard's folder.
        batch: inputs and truth of some faces.
        error: per-face error of (landmarks, truth), (B,).
        faces: how many faces are drawn.
    """

    COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))

    def __init__(
        self,
        folder: Path,
        batch: tuple[dict[str, Any], Any],
        error: Callable[[Any, Any], Any],
        faces: int = 4,
    ):
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(folder))
        self._inputs, self._truth = batch
        self._error = error
        self._faces = faces

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Writes the pictures."""
        outputs = self.model.cascade(self._inputs)
        step = _steps(self.model.optimizer)
        points = [self._inputs["initial"], outputs["landmarks"][-1], self._truth]
        with self._writer.as_default(step):
            for level, images in enumerate(self._inputs["pyramid"]):
                drawn = [
                    self._drawn(np.asarray(images[face]), [p[face] / 2**level for p in points])
                    for face in range(min(self._faces, len(images)))
                ]
                tf.summary.image(f"level_{level}", np.stack(drawn), max_outputs=self._faces)
            for k, landmarks in enumerate(outputs["landmarks"]):
                tf.summary.histogram(f"error_{k}", self._error(landmarks, self._truth))
                if "errors" in outputs:
                    tf.summary.histogram(f"estimate_{k}", outputs["errors"][k])
            for variable in self.model.cascade.trainable_variables:
                tf.summary.histogram(variable.path, variable.value)
        self._writer.flush()

    def _drawn(self, image: np.ndarray, point_sets: Sequence[Any]) -> np.ndarray:
        """Draws point sets (y, x) on a normalised image: (H, W, 3) uint8."""
        low, high = image.min(), image.max()
        picture = (255 * (image - low) / max(high - low, 1e-6)).astype(np.uint8)
        for colour, points in zip(self.COLOURS, point_sets, strict=True):
            rows, columns = np.rint(np.asarray(points)).astype(int).T
            inside = (rows >= 0) & (rows < len(picture))
            inside &= (columns >= 0) & (columns < picture.shape[1])
            picture[rows[inside], columns[inside]] = colour
        return picture
