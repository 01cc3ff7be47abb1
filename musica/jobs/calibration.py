"""The keys and the work of ``musica.calibrate``, whose module describes them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musica.cli import command
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option, require
from musica.errors import InputError
from musica.files import writing
from musica.geometry.landmarks import scheme_for
from musica.quitting import report
from musica.quitting.gain import GainFit, fit_gain, gain_to_be_had
from musica.quitting.measurements import summarise

if TYPE_CHECKING:
    from musica.models.musica import MuSiCa


@dataclass(frozen=True)
class CalibrateConfig(AnnotatedFolders):
    """Keys of the command."""

    checkpoint_file: str | None = option(None, "model (.keras); None: the shipped one", path=True)
    output: str = option("", "the .keras file to write with thresholds; empty: none", path=True)
    eval_filenames: list[str] = option([], "lists of image names", path=True)
    held_out_share: float = option(
        1.0, "only the listed faces that training with this held_out_share left out; 1: all"
    )
    noisy_boxes: int = option(
        0, "how many more times each face is aligned, in random boxes like a face detector's"
    )
    fit_gain: bool = option(
        False, "the model learns from these faces to predict the gain, and stops by it"
    )
    batch_size: int = option(16, "faces computed together")
    output_dir: str = option("", "folder for calibration.json, curve.csv and plots", path=True)
    failure_nme: float = option(0.08, "a face counts as failed if its NME is above")


def calibrate(config: CalibrateConfig) -> bool:
    """Measures, prints, and writes what the configuration asks for.

    Returns:
        Whether some faces could not be used; each was named on stderr.

    Raises:
        InputError: the model, a list or a key cannot be used.
    """
    _check(config)
    command.import_tensorflow()
    from musica.alignment.aligner import FaceAligner
    from musica.files import annotated_faces
    from musica.jobs.recording import record
    from musica.models.loading import load_musica

    model = load_musica(config.checkpoint_file)
    scheme_for(model.settings.landmark_count)  # the NME needs eye corners
    if len(model.settings.levels) < 2:
        raise InputError("the model has a single iteration and cannot stop earlier")
    faces = annotated_faces.read_faces(
        config.eval_filenames,
        *config.folders,
        model.settings.landmark_count,
        use=lambda name: annotated_faces.is_held_out(name, config.held_out_share),
    )
    if config.fit_gain:
        model = with_gain(model)
    measured, hidden, places = record(
        FaceAligner(model), faces, config.batch_size, config.noisy_boxes
    )
    if config.fit_gain:
        gains = gain_to_be_had(measured.errors, measured.multiply_adds)
        fit = fit_gain(hidden, gains, places)
        set_gain(model, fit)
        measured = replace(measured, gains=fit.predicted)
    summary = summarise(measured, config.failure_nme)
    print("\n".join(report.lines(summary)), flush=True)
    if config.output_dir:
        written = report.write(config.output_dir, measured, summary)
        print(f"wrote {len(written)} files to {config.output_dir}")
    if config.output:
        model.change_settings(**settings_of(summary))
        _save(model, config.output)
    return len(np.unique(places)) < len(faces)


def with_gain(model: "MuSiCa") -> "MuSiCa":
    """A model with the same weights and units for the gain, which are still to be fitted."""
    if model.predicts_gain:
        return model
    own = type(model).from_config({**model.get_config(), "predicts_gain": True})
    values = {variable.path: variable.numpy() for variable in model.variables}
    for variable in own.variables:
        if variable.path in values:
            variable.assign(values[variable.path])
    return own


def set_gain(model: "MuSiCa", fit: GainFit) -> None:
    """Stores a fit in the units of a model that predicts the gain."""
    for step, kernel, bias in zip(model.steps[:-1], fit.kernels, fit.biases, strict=True):
        unit = step.stop_predictor and step.stop_predictor.gain
        assert unit is not None, "the model predicts no gain"
        unit.set_weights([kernel[:, None], np.array([bias])])


def settings_of(summary: dict) -> dict[str, Any]:
    """The model's settings that follow from a summary; the default effort is ``balanced``."""
    keys = ("stop_score", "efforts", "fail_threshold", "calibration", "landmark_profile")
    return {key: summary[key] for key in keys}


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
    if config.noisy_boxes < 0 or config.failure_nme <= 0:
        raise InputError("noisy_boxes must be at least 0, failure_nme above 0")
