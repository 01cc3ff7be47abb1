"""Shows which patches a model attends to: ``python -m musica.attention``.

A patch has one gate in (0, 1) for each of its features, computed from that patch alone; its weight
is their mean. The layer behind the gates can undo any of them, so a weight alone does not tell what
a patch is worth: every patch is also closed (all its gates 0) and the error measured again.
"""

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from musica import command, metrics, selection, shape_io
from musica.config import option
from musica.errors import InputError
from musica.landmarks import scheme_for
from musica.report import FORMATS, STYLE

if TYPE_CHECKING:
    from musica.dataset import FaceSamples
    from musica.layers import PatchAttention
    from musica.model import MuSiCa

# The scale of colours ends here, or the rarest patch would leave all others pale.
SHOWN = 0.98


@dataclass(frozen=True)
class AttentionConfig:
    """Keys of the command."""

    checkpoint_file: str | None = option(None, "model (.keras); None: the shipped one", path=True)
    image_dir: str = option("", "folder the lists' image names are relative to", path=True)
    gt_path: str = option("", "folder of the true landmarks (default: image_dir)", path=True)
    bb_root: str = option("", "folder of the boxes (default: tight landmark boxes)", path=True)
    eval_filenames: list[str] = option([], "lists of image names", path=True)
    batch_size: int = option(16, "faces computed together")
    output_dir: str = option("", "folder for attention.json, attention.csv and plots", path=True)
    drawn_faces: int = option(4, "how many single faces are drawn, spread over the lists")


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured of F faces, K iterations and M patches.

    Attributes:
        positions: (F,) of the faces in their list.
        weights: (F, K, M) mean of a patch's gates.
        passed: (F, K, M) what the gates let through, a share of the sum of a patch's features.
        spread: (F, K, M) deviation of a patch's gates.
        points: (F, K, M, 2) where the patches were cut, (y, x) level-0 crop pixels.
        errors: (F,) NME after the last iteration, a fraction.
        closed_errors: (F, M) the same with one patch closed in every iteration.
    """

    positions: np.ndarray
    weights: np.ndarray
    passed: np.ndarray
    spread: np.ndarray
    points: np.ndarray
    errors: np.ndarray
    closed_errors: np.ndarray


def analyse(config: AttentionConfig) -> bool:
    """Measures, prints, and writes tables and plots if asked for.

    Returns:
        Whether some faces could not be used; each was named on stderr.

    Raises:
        InputError: the model, a list or a key cannot be used.
    """
    for key in ("image_dir", "eval_filenames"):
        if not getattr(config, key):
            raise InputError(f"{key} is missing: say it in the JSON or as --{key}")
    if config.batch_size < 1 or config.drawn_faces < 0:
        raise InputError("batch_size must be at least 1, drawn_faces at least 0")
    command.import_tensorflow()
    from musica import dataset
    from musica.aligner import load_model
    from musica.model import MuSiCa

    model = load_model(config.checkpoint_file)
    if not (isinstance(model, MuSiCa) and model.use_attention):
        raise InputError("the model is no .keras model with attention")
    if model.reference_shape is None:
        raise InputError("the model has no reference shape, without which no face is aligned")
    scheme_for(model.landmark_count)  # the NME needs eye corners
    folders = config.image_dir, config.gt_path, config.bb_root
    faces = dataset.read_faces(config.eval_filenames, *folders, model.landmark_count)
    samples = dataset.FaceSamples(
        faces,
        np.array(model.reference_shape),
        levels=max(model.levels) + 1,
        box_size=model.box_size,
        margin=model.margin,
    )
    measured = measure(model, samples, config.batch_size)
    summary = summarise(model, measured)
    print("\n".join(lines(summary)), flush=True)
    if config.output_dir:
        written = write(config, model, samples, measured, summary)
        print(f"wrote {written} files to {config.output_dir}")
    return len(measured.positions) < len(faces)


def measure(model: "MuSiCa", samples: "FaceSamples", batch_size: int) -> Measurements:
    """Runs all iterations for every face; an unusable face is reported and left out.

    Args:
        model: a MuSiCa model with attention.
        samples: ``dataset.FaceSamples`` without augmentation.
        batch_size: faces computed together.

    Raises:
        InputError: no face is usable.
    """
    import keras
    import tensorflow as tf

    from musica.preprocess import pad_batch

    run = tf.function(model, reduce_retracing=True)
    total = len(samples.faces)
    bar = keras.utils.Progbar(total, unit_name="face", verbose=int(sys.stdout.isatty()))
    results = []
    for start in range(0, total, batch_size):
        listed = range(start, min(start + batch_size, total))
        usable = list(_usable(samples, listed))
        if usable:
            positions, *levels, initial, truth = zip(*usable, strict=True)
            pyramid = [tf.constant(pad_batch(level)) for level in levels]
            inputs = {"pyramid": pyramid, "initial": tf.constant(np.array(initial))}
            landmarks, truth = run(inputs)["landmarks"], np.array(truth)
            closed = [
                metrics.nme(run(inputs)["landmarks"][-1], truth) for _ in _closing_each(model)
            ]
            errors = metrics.nme(landmarks[-1], truth), np.stack(closed, axis=1)
            results.append((positions, *attention(model, inputs, landmarks), *errors))
        bar.add(len(listed))
    if not results:
        raise InputError("no face is usable")
    return Measurements(*map(np.concatenate, zip(*results, strict=True)))


def _usable(samples, positions: Sequence[int]) -> Iterator[tuple]:
    """Yields position, pyramid levels, initial and true landmarks of the usable faces."""
    for position in positions:
        try:
            sample = samples.sample(position)
            metrics.normalising_distance(sample[-1])
            yield position, *sample
        except InputError as error:
            print(f"skipped {error}", file=sys.stderr)


def attention(model: "MuSiCa", inputs: dict, landmarks: Sequence) -> tuple[np.ndarray, ...]:
    """The attention that B faces get (``method.md`` section 3).

    Args:
        model: a MuSiCa model with attention.
        inputs: of the model.
        landmarks: the model's output of this name.

    Returns:
        Weights, passed, spread (B, K, M) and points (B, K, M, 2), as in ``Measurements``.
    """
    results = []
    before = [inputs["initial"], *landmarks[:-1]]
    for step, level, current in zip(model.steps, model.levels, before, strict=True):
        points = np.asarray(current)[:, model.patch_indices]
        patches = step.extractor(inputs["pyramid"][level], points / 2.0**level)
        features = np.asarray(step.encoder(patches))
        gates = np.asarray(cast("PatchAttention", step.attention).gate(features))
        active = np.maximum(features.sum(axis=-1), np.finfo(np.float32).tiny)
        passed = (gates * features).sum(axis=-1) / active
        results.append((gates.mean(axis=-1), passed, gates.std(axis=-1), points))
    return tuple(np.stack(values, axis=1) for values in zip(*results, strict=True))


def _closing_each(model) -> Iterator[None]:
    """Closes one patch after the other: the recurrent layer no longer sees its features."""
    kernels = [step.recurrent.kernel for step in model.steps]
    opened = [kernel.numpy() for kernel in kernels]
    size = model.steps[0].encoder.feature_size
    for patch in range(len(model.patch_indices)):
        for kernel, values in zip(kernels, opened, strict=True):
            closed = values.copy()
            closed[patch * size : (patch + 1) * size] = 0
            kernel.assign(closed)
        yield
    for kernel, values in zip(kernels, opened, strict=True):
        kernel.assign(values)


def summarise(model: "MuSiCa", measured: Measurements) -> dict:
    """The numbers that are printed and go into attention.json; NMEs are fractions."""
    weights, deviation = measured.weights.mean(axis=0), measured.weights.std(axis=0)  # (K, M)
    passed = measured.passed.mean(axis=0)
    rises = measured.closed_errors - measured.errors[:, None]
    rise, uncertainty = rises.mean(axis=0), rises.std(axis=0) / len(rises) ** 0.5
    correlation = selection.rank_correlation(weights.T, np.tile(rise[:, None], len(weights)))
    indices, parts = np.array(model.patch_indices), {}
    for part, landmarks in model.scheme.parts.items():
        chosen = np.isin(indices, landmarks)
        if chosen.any():
            parts[part] = {
                "points": indices[chosen].tolist(),
                "weight": weights[:, chosen].mean(axis=1).tolist(),
                "passed": passed[:, chosen].mean(axis=1).tolist(),
                "nme_rise": float(rise[chosen].mean()),
            }
    return {
        "faces": len(measured.positions),
        "nme": float(measured.errors.mean()),
        "weight": weights.mean(axis=1).tolist(),
        "passed": passed.mean(axis=1).tolist(),
        "deviation_between_points": weights.std(axis=1).tolist(),
        "deviation_between_faces": deviation.mean(axis=1).tolist(),
        "deviation_within_a_patch": measured.spread.mean(axis=(0, 2)).tolist(),
        "rank_correlation_with_nme_rise": [
            None if np.isnan(value) else float(value) for value in correlation
        ],
        "parts": parts,
        "points": [
            {
                "point": int(index),
                "weight": weights[:, m].tolist(),
                "deviation": deviation[:, m].tolist(),
                "passed": passed[:, m].tolist(),
                "nme_rise": float(rise[m]),
                "standard_error": float(uncertainty[m]),
            }
            for m, index in enumerate(indices)
        ],
    }


def lines(summary: dict) -> Iterator[str]:
    """The lines to print: a table with a column for each iteration."""
    faces, patches = summary["faces"], len(summary["points"])
    yield f"{faces} faces, {patches} patches, NME (ocular) {summary['nme']:.2%}"
    numbers = [str(k + 1) for k in range(len(summary["weight"]))]
    yield f"| weight in iteration | {' | '.join(numbers)} | NME rise by closing a patch, points |"
    yield "|---|" + "---|" * (len(numbers) + 1)
    for part, values in summary["parts"].items():
        yield _row(part, values["weight"], f"{100 * values['nme_rise']:+.3f}")
    yield _row("all", summary["weight"])
    yield _row("share of the features passed", summary["passed"])
    for name in ("between_points", "between_faces", "within_a_patch"):
        yield _row(f"deviation {name.replace('_', ' ')}", summary[f"deviation_{name}"])
    yield _row("rank correlation with NME rise", summary["rank_correlation_with_nme_rise"])
    errors = [point["standard_error"] for point in summary["points"]]
    yield f"standard error of one patch's NME rise: {100 * np.median(errors):.3f} points (median)"


def _row(name: str, values: Sequence[float | None], last: str = "") -> str:
    """A row of the printed table."""
    cells = ["-" if value is None else f"{value:.3f}" for value in values]
    return f"| {' | '.join([name, *cells, last])} |"


def write(
    config: AttentionConfig,
    model: "MuSiCa",
    samples: "FaceSamples",
    measured: Measurements,
    summary: dict,
) -> int:
    """Writes attention.json, attention.csv and the plots, each whole or not at all.

    Returns:
        How many files were written.
    """
    import matplotlib

    folder = Path(config.output_dir)
    shape_io.write_text(folder / "attention.json", json.dumps(summary, indent=2) + "\n")
    shape_io.write_text(folder / "attention.csv", _table(summary))
    relative = 100 * (measured.weights / np.array(summary["weight"])[:, None] - 1)
    chosen = np.linspace(0, len(relative) - 1, config.drawn_faces).round().astype(int)
    chosen = np.unique(chosen)
    with matplotlib.rc_context({**STYLE, "text.parse_math": False}):
        _draw_mean_face(model, relative.mean(axis=0), summary, folder / "mean_face")
        limit = np.quantile(np.abs(relative), SHOWN)
        for face, position in zip(chosen, measured.positions[chosen], strict=True):
            name, crop = samples.faces[position].name, samples.sample(position)[0]
            path = folder / "faces" / Path(name).with_suffix("")
            _draw_face(crop, measured.points[face], relative[face], limit, name, path)
    return 2 + (1 + len(chosen)) * len(FORMATS)


def _table(summary: dict) -> str:
    """attention.csv: one line for each iteration and patch point."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    columns = ["weight", "deviation", "passed"]
    table.writerow(["iteration", "point", *columns, "nme_rise", "standard_error"])
    for k in range(len(summary["weight"])):
        for point in summary["points"]:
            values = [point[column][k] for column in columns]
            closed = point["nme_rise"], point["standard_error"]
            table.writerow([k + 1, point["point"], *values, *closed])
    return text.getvalue()


def _draw_mean_face(model, relative: np.ndarray, summary: dict, path: Path) -> None:
    """Draws the reference shape, its patch points coloured by weight, then by NME rise."""
    shape = np.array(model.reference_shape)
    count = len(relative)
    figure, panels = _panels(count + 1)
    for axes in panels:
        for contour in model.scheme.contours:
            line = shape[[*contour.points, *contour.points[:1] * contour.closed]]
            axes.plot(line[:, 1], line[:, 0], color="#999999", linewidth=1, zorder=1)
        axes.invert_yaxis()
    points = shape[list(model.patch_indices)]
    limit = np.abs(relative).max()
    for k, axes in enumerate(panels[:count]):
        axes.set_title(f"iteration {k + 1}, mean weight {summary['weight'][k]:.3f}")
        marks = _marks(axes, points, relative[k], limit)
    _scale(figure, marks, panels[:count], "weight against the iteration's mean, %")
    rise = 100 * np.array([point["nme_rise"] for point in summary["points"]])
    panels[count].set_title("what a patch is worth")
    marks = _marks(panels[count], points, rise, np.abs(rise).max())
    _scale(figure, marks, panels[count:], "NME rise by closing the patch, points")
    _save(figure, path)


def _draw_face(crop, points, relative, limit: float, name: str, path: Path) -> None:
    """Draws a face's crop, the points of its patches coloured by weight."""
    figure, panels = _panels(len(relative))
    picture = np.broadcast_to(crop, (*crop.shape[:2], 3))
    picture = (picture - crop.min()) / max(np.ptp(crop), 1e-6)
    for k, axes in enumerate(panels):
        axes.imshow(picture)
        axes.set_title(f"iteration {k + 1}")
        marks = _marks(axes, points[k], relative[k], limit)
    _scale(figure, marks, panels, "weight against the iteration's mean over all faces, %")
    figure.suptitle(name)
    _save(figure, path)


def _panels(count: int) -> tuple:
    """A figure and its panels, without axes, to scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.8 * count, 3.6), layout="constrained")
    panels = figure.subplots(1, count, squeeze=False)[0]
    for axes in panels:
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_visible(False)
    return figure, panels


def _marks(axes, points: np.ndarray, values: np.ndarray, limit: float):
    """Dots at points (y, x), coloured by values: blue below 0, red above."""
    return axes.scatter(
        points[:, 1],
        points[:, 0],
        c=values,
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        s=32,
        edgecolors="#333333",
        linewidths=0.6,
        zorder=2,
    )


def _scale(figure, marks, panels, label: str) -> None:
    """Says under the panels what the colours of their dots mean."""
    aspect = 15 * len(panels)
    figure.colorbar(marks, ax=list(panels), location="bottom", label=label, aspect=aspect)


def _save(figure, path: Path) -> None:
    """Writes a figure in all formats."""
    for kind in FORMATS:
        with shape_io.replacing(path.with_name(f"{path.name}.{kind}")) as temporary:
            figure.savefig(temporary)


def main() -> None:
    """Entry point of the command."""
    command.run(AttentionConfig, analyse, __doc__)


if __name__ == "__main__":
    main()
