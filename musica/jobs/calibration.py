"""Chooses a model's thresholds on annotated faces: ``python -m musica.calibrate``.

All iterations run once for every face. From that: how well the estimated error tells the true one,
what stopping early saves and costs, which estimate stands for which NME, and both thresholds.
The faces should be ones the model was not trained on, or its estimates look better than they are.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from musica.cli import command
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option, require
from musica.errors import InputError
from musica.evaluation import metrics
from musica.files import writing
from musica.geometry.landmarks import scheme_for
from musica.quitting import calibration_report, selection
from musica.quitting.calibration_report import Measurements
from musica.quitting.estimate_quality import (
    calibration_knots,
    correlation,
    rank_correlation,
    threshold_for,
)

if TYPE_CHECKING:
    from musica.models.musica import MuSiCa

INCREASES = (0.01, 0.02, 0.05)
EXPECTED_NMES = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08)


@dataclass(frozen=True)
class CalibrateConfig(AnnotatedFolders):
    """Keys of the command."""

    checkpoint_file: str | None = option(None, "model (.keras); None: the shipped one", path=True)
    output: str = option("", "the .keras file to write with thresholds; empty: none", path=True)
    eval_filenames: list[str] = option([], "lists of image names", path=True)
    held_out_share: float = option(
        1.0, "only the listed faces that training with this held_out_share left out; 1: all"
    )
    batch_size: int = option(16, "faces computed together")
    output_dir: str = option("", "folder for calibration.json, curve.csv and plots", path=True)
    allowed_increase: float = option(
        0.02, "how much stopping may raise the mean NME of all iterations, as a share of it"
    )
    stop_threshold: float | None = option(
        None, "stop threshold to store and to report; None: chosen by allowed_increase"
    )
    per_iteration: bool = option(
        False, "choose a stop threshold for every iteration; the paper has one for all"
    )
    failure_nme: float = option(0.08, "a face with an NME above it counts as failed")


def calibrate(config: CalibrateConfig) -> bool:
    """Measures, prints, and writes what the configuration asks for.

    Returns:
        Whether some faces could not be used; each was named on stderr.

    Raises:
        InputError: the model, a list or a key cannot be used.
    """
    _check(config)
    command.import_tensorflow()
    from musica.files import annotated_faces
    from musica.models.loading import load_musica

    model = load_musica(config.checkpoint_file)
    scheme_for(model.settings.landmark_count)  # the NME needs eye corners
    if len(model.settings.levels) < 2:
        raise InputError("the model has a single iteration: there is nothing to stop")
    faces = annotated_faces.read_faces(
        config.eval_filenames,
        *config.folders,
        model.settings.landmark_count,
        use=lambda name: annotated_faces.is_held_out(name, config.held_out_share),
    )
    measured = measure(model, faces, config.batch_size)
    summary = summarise(
        measured,
        config.allowed_increase,
        config.failure_nme,
        config.stop_threshold,
        config.per_iteration,
    )
    print("\n".join(calibration_report.lines(summary)), flush=True)
    if config.output_dir:
        written = calibration_report.write(config.output_dir, measured, summary)
        print(f"wrote {len(written)} files to {config.output_dir}")
    if config.output:
        keys = ("stop_threshold", "fail_threshold", "calibration")
        model.change_settings(**{key: summary[key] for key in keys})
        _save(model, config.output)
    return len(measured.errors) < len(faces)


def _save(model: "MuSiCa", path: str) -> None:
    """Writes the model whole or not at all."""
    with writing.replacing(path) as temporary:
        model.save(temporary)
    print(f"wrote {path}")


def _check(config: CalibrateConfig) -> None:
    """Raises InputError for values that no data can make right."""
    require(config, "image_dir", "eval_filenames")
    if config.output and Path(config.output).suffix != ".keras":
        raise InputError("output must name a .keras file")
    if config.batch_size < 1:
        raise InputError(f"batch_size must be at least 1, not {config.batch_size}")
    if config.allowed_increase < 0 or config.failure_nme <= 0:
        raise InputError("allowed_increase must be at least 0, failure_nme above 0")


def measure(model: "MuSiCa", faces: Sequence, batch_size: int) -> Measurements:
    """Runs all iterations once for every face; an unusable face is reported and left out.

    Args:
        model: a MuSiCa model with a reference shape.
        faces: ``annotated_faces.AnnotatedFace`` of a scheme with eye corners.
        batch_size: faces computed together.

    Raises:
        InputError: no face is usable, or an estimate is not finite.
    """
    import keras
    import tensorflow as tf

    from musica.alignment.aligner import FaceAligner
    from musica.preprocessing import release_pyramid

    aligner = FaceAligner(model)
    run = tf.function(model, reduce_retracing=True)
    bar = keras.utils.Progbar(len(faces), unit_name="face", verbose=int(sys.stdout.isatty()))
    errors, estimates = [], []
    for start in range(0, len(faces), batch_size):
        listed = faces[start : start + batch_size]
        batch = list(_prepared(aligner, listed))
        if batch:
            levels = zip(*(face.pyramid for face, _ in batch), strict=True)
            pyramid = [tf.constant(release_pyramid.pad_batch(level)) for level in levels]
            initial = tf.constant([face.initial for face, _ in batch])
            outputs = run({"pyramid": pyramid, "initial": initial})
            truth = np.array([points for _, points in batch])
            errors.append(np.stack([metrics.nme(x, truth) for x in outputs["landmarks"]], axis=1))
            estimates.append(np.stack(outputs["errors"], axis=1).astype(np.float64))
        bar.add(len(listed))
    if not errors:
        raise InputError("no face is usable")
    errors, estimates = np.concatenate(errors), np.concatenate(estimates)
    if not (np.isfinite(errors).all() and np.isfinite(estimates).all()):
        raise InputError("the model's landmarks or estimates are not all finite")
    return Measurements(errors, estimates, model.multiply_adds)


def _prepared(aligner, faces: Sequence) -> Iterator[tuple]:
    """Yields the prepared faces that are usable, each with its true landmarks in the crop."""
    for face in faces:
        try:
            prepared = aligner.prepare(face.image, face.box)
            truth = prepared.crop.to_crop(face.landmarks)
            metrics.normalising_distance(truth)
            yield prepared, truth
        except InputError as error:
            print(f"skipped {face.name}: {error}", file=sys.stderr)


def summarise(
    measured: Measurements,
    allowed_increase: float,
    failure_nme: float,
    stop: float | None = None,
    per_iteration: bool = False,
) -> dict:
    """The numbers that are printed and go into calibration.json; NMEs are fractions."""
    errors, estimates, costs = measured.errors, measured.estimates, measured.multiply_adds
    curves = measured.curves
    savings = {}
    for increase in INCREASES:
        limit = (1 + increase) * curves["estimate"].errors[0]
        savings[str(increase)] = {
            name: float(1 - c.multiply_adds[selection.cheapest(c, limit)] / costs[-1])
            for name, c in curves.items()
        }
    if stop is None:
        trade_off = curves["per_iteration" if per_iteration else "estimate"]
        stop = selection.choose_stop_threshold(trade_off, allowed_increase)
    chosen = selection.stopping_iterations(estimates, stop)
    calibration = [
        calibration_knots(*columns) for columns in zip(errors.T, estimates.T, strict=True)
    ]
    return {
        "faces": len(errors),
        "nme": errors.mean(axis=0).tolist(),
        "multiply_adds": list(costs),
        "correlation": _finite(correlation(errors, estimates)),
        "rank_correlation": _finite(rank_correlation(errors, estimates)),
        "savings_at_nme_increase": savings,
        "allowed_increase": allowed_increase,
        "stop_threshold": stop,
        "stopping": {
            "nme": float(errors[np.arange(len(errors)), chosen].mean()),
            "iterations": float(1 + chosen.mean()),
            "multiply_adds": float(np.asarray(costs)[chosen].mean()),
            "faces_stopped_at": np.bincount(chosen, minlength=len(costs)).tolist(),
        },
        **_failures(errors[:, -1], estimates[:, -1], failure_nme),
        "stop_threshold_for_nme": {
            str(nme): threshold_for(nme, calibration) for nme in EXPECTED_NMES
        },
        "calibration": calibration,
    }


def _failures(errors: np.ndarray, estimates: np.ndarray, failure_nme: float) -> dict:
    """How well the last (F,) estimates tell failures; None where all or no faces failed."""
    failed = errors > failure_nme
    summary = {"failure_nme": failure_nme, "failures": int(failed.sum())}
    keys = ("failure_auc", "fail_threshold", "detected", "false_alarms")
    if failed.all() or not failed.any():
        return {**summary, **dict.fromkeys(keys)}
    detection = selection.roc(estimates, failed)
    threshold = selection.choose_fail_threshold(detection, failed.mean())
    flagged = estimates > threshold
    rates = (float(flagged[failed].mean()), float(flagged[~failed].mean()))
    return {**summary, **dict(zip(keys, (detection.area, threshold, *rates), strict=True))}


def _finite(values: np.ndarray) -> list[float | None]:
    """JSON has no NaN."""
    return [float(value) if np.isfinite(value) else None for value in values]
