"""A cascade and its loss, as Keras trains them (``METHOD.md`` section 5)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from musica.geometry.landmarks import scheme_for
from musica.models import losses
from musica.training.rounding import call_rounded


class CascadeTraining(keras.Model):
    """A cascade with its loss, as Keras ``fit`` wants it.

    Args:
        cascade: MuSiCa or MDM.
        loss: name of the face error in ``losses.LOSSES``.
        error_weight: weight of the error estimate's loss.
        iteration_weights: weights of the iterations' losses; all 1 if None.
        recurrent_bits: bits that MuSiCa's recurrent weights are rounded to; None: not rounded.
    """

    def __init__(
        self,
        cascade: keras.Model,
        loss: str,
        error_weight: float,
        iteration_weights: Sequence[float] | None = None,
        recurrent_bits: int | None = None,
    ):
        super().__init__()
        self.cascade = cascade
        self.error_weight = error_weight
        self.recurrent_bits = recurrent_bits
        self.iteration_weights = list(iteration_weights or [1.0] * len(cascade.multiply_adds))
        eye_corners = scheme_for(cascade.settings.landmark_count).eye_corners
        self.face_error = partial(losses.LOSSES[loss], eye_corners=eye_corners)
        self.nme = partial(losses.nme, eye_corners=eye_corners)
        self.means = {}
        for k in range(len(cascade.multiply_adds)):
            for name in ("loss", "nme"):
                self.means[f"{name}_{k}"] = keras.metrics.Mean(name=f"{name}_{k}")
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> dict[str, list]:
        """Runs the cascade; Keras tells its layers whether it is training."""
        if self.recurrent_bits is None:
            return self.cascade(inputs)
        return call_rounded(self.cascade, inputs, self.recurrent_bits)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The mean loss, then loss and NME of each iteration."""
        return [self._loss_tracker, *self.means.values()]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Sums the iterations' losses (``METHOD.md`` section 5), weighted."""
        estimates = y_pred.get("errors", [None] * len(y_pred["landmarks"]))
        total = 0.0
        for k, (landmarks, estimate) in enumerate(zip(y_pred["landmarks"], estimates, strict=True)):
            face_errors = self.face_error(landmarks, y)
            loss = losses.iteration_loss(face_errors, estimate, self.error_weight)
            self.means[f"loss_{k}"].update_state(loss, sample_weight=ops.shape(y)[0])
            self.means[f"nme_{k}"].update_state(self.nme(landmarks, y))
            total = total + self.iteration_weights[k] * loss
        # The replicas' gradients are summed.
        return total / tf.distribute.get_strategy().num_replicas_in_sync
