"""What a second alignment gains and costs (``musica.calibrate --realign_turn``).

Every face is aligned once as it is, and once more as if its estimate had asked for that. From these
two, the trade-off over all thresholds is known.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from musica.alignment.realignment import Realignment, realign
from musica.errors import InputError
from musica.evaluation import metrics
from musica.quitting import selection

# Shares of the faces that are aligned again: the rows of the table.
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


@dataclass(frozen=True, eq=False)
class Measurements:
    """F faces as found at first, and if aligned again.

    Attributes:
        errors: (F, 2) NME, a fraction.
        estimates: (F,) the model's own, as found at first.
        multiply_adds: (F, 2) at first, and altogether.
        iterations: (F, 2) at first, and altogether.
    """

    errors: np.ndarray
    estimates: np.ndarray
    multiply_adds: np.ndarray
    iterations: np.ndarray

    @cached_property
    def curve(self) -> selection.Curve:
        """The trade-off over all thresholds."""
        return selection.realignment_curve(
            self.errors, self.estimates, self.multiply_adds, self.iterations
        )


def measure(model, faces: Sequence, batch_size: int, turn: float) -> Measurements:
    """Aligns every face once and twice; an unusable face is reported and left out.

    Args:
        model: a MuSiCa model with a reference shape.
        faces: ``annotated_faces.AnnotatedFace`` of a scheme with eye corners.
        batch_size: faces computed together.
        turn: as ``Realignment.turn``.

    Raises:
        InputError: no face is usable, or an estimate is not finite.
    """
    import keras

    from musica.alignment.aligner import FaceAligner

    aligner, everyone = FaceAligner(model), Realignment(-np.inf, turn)
    align = partial(aligner.align_prepared, realign_threshold=np.inf)
    bar = keras.utils.Progbar(len(faces), unit_name="face", verbose=int(sys.stdout.isatty()))
    rows = []
    for start in range(0, len(faces), batch_size):
        listed = faces[start : start + batch_size]
        batch = list(_prepared(aligner, listed))
        prepared = [face for face, _ in batch]
        found = align(prepared)
        again = realign(aligner, prepared, found, everyone, align)
        for (_, truth), *results in zip(batch, found, again, strict=True):
            rows.append([(metrics.nme(face.landmarks, truth), face) for face in results])
        bar.add(len(listed))
    if not rows:
        raise InputError("no face is usable")
    errors = np.array([[error for error, _ in row] for row in rows])
    estimates = np.array([row[0][1].error_estimate for row in rows])
    if not (np.isfinite(errors).all() and np.isfinite(estimates).all()):
        raise InputError("the model's landmarks or estimates are not all finite")
    return Measurements(
        errors,
        estimates,
        np.array([[face.multiply_adds for _, face in row] for row in rows], np.float64),
        np.array([[face.iterations for _, face in row] for row in rows], np.float64),
    )


def _prepared(aligner, faces: Sequence) -> Iterator[tuple]:
    """Yields the prepared faces that are usable, each with its true landmarks in the image."""
    for face in faces:
        try:
            metrics.normalising_distance(face.landmarks)
            yield aligner.prepare(face.image, face.box), face.landmarks
        except InputError as error:
            print(f"skipped {face.name}: {error}", file=sys.stderr)


def lines(measured: Measurements, threshold: float, turn: float) -> Iterator[str]:
    """The lines to print: a table of thresholds, then the one that was chosen."""
    settings = measured.curve.settings
    yield f"{len(measured.errors)} faces, NME (ocular), starts turned by {turn:g} degrees"
    yield "| realign_threshold | aligned again | NME | iterations | million multiply-adds |"
    yield "|---|---|---|---|---|"
    for share in SHARES:
        yield _row(measured, round((1 - share) * (len(settings) - 1)))
    yield "chosen:"
    yield _row(measured, int(np.searchsorted(settings, threshold)))


def _row(measured: Measurements, place: int) -> str:
    """What the threshold at a place on the curve leads to."""
    curve = measured.curve
    threshold = curve.settings[place]
    cells = (
        f"{threshold:.4g}",
        f"{(measured.estimates > threshold).mean():.1%}",
        f"{curve.errors[place]:.2%}",
        f"{curve.iterations[place]:.2f}",
        f"{curve.multiply_adds[place] / 1e6:.2f}",
    )
    return f"| {' | '.join(cells)} |"
