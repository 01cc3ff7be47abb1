"""What ``musica.attention`` has measured, as numbers, as a table and as plots."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import spearmanr

from musica.evaluation.report import FORMATS, STYLE
from musica.files import table_files, writing
from musica.geometry.landmarks import scheme_for
from musica.jobs.attention_measurement import Measurements, patch_points

if TYPE_CHECKING:
    from musica.models.musica import MuSiCa
    from musica.training.dataset import FaceSamples

# Columns of attention.csv that differ between iterations.
MEASURED = ("weight", "deviation", "passed")
# The scale of colours ends here, or the rarest patch would leave all others pale.
SHOWN = 0.98


def summarise(model: "MuSiCa", measured: Measurements) -> dict:
    """The numbers that are printed and go into attention.json; NMEs are fractions."""
    weights, deviation = measured.weights.mean(axis=0), measured.weights.std(axis=0)  # (K, M)
    scheme = scheme_for(model.settings.landmark_count)
    passed = measured.passed.mean(axis=0)
    rises = measured.closed_errors - measured.errors[:, None]
    rise, uncertainty = rises.mean(axis=0), rises.std(axis=0) / len(rises) ** 0.5
    correlation = [_rank_correlation(own, rise) for own in weights]
    indices, parts = np.array(patch_points(model)), {}
    for part, landmarks in scheme.parts.items():
        chosen = np.isin(indices, landmarks)
        if chosen.any():
            parts[part] = {
                "points": indices[chosen].tolist(),
                "weight": _means(weights[:, chosen]),
                "passed": _means(passed[:, chosen]),
                "nme_rise": float(rise[chosen].mean()),
            }
    return {
        "faces": len(measured.positions),
        "nme": float(measured.errors.mean()),
        "weight": _means(weights),
        "passed": _means(passed),
        "deviation_between_points": np.nanstd(weights, axis=1).tolist(),
        "deviation_between_faces": _means(deviation),
        "deviation_within_a_patch": _means(measured.spread.mean(axis=0)),
        "rank_correlation_with_nme_rise": correlation,
        "parts": parts,
        "points": [
            {
                "point": int(index),
                "weight": _numbers(weights[:, m]),
                "deviation": _numbers(deviation[:, m]),
                "passed": _numbers(passed[:, m]),
                "nme_rise": float(rise[m]),
                "standard_error": float(uncertainty[m]),
            }
            for m, index in enumerate(indices)
        ],
    }


def _numbers(values: np.ndarray) -> list[float | None]:
    """Values as JSON; None where an iteration cuts no such patch."""
    return [None if np.isnan(value) else float(value) for value in values]


def _means(values: np.ndarray) -> list[float | None]:
    """The mean of each iteration's (K, M) values over the patches that it cuts."""
    cut = ~np.isnan(values)
    totals, counts = np.where(cut, values, 0).sum(axis=1), cut.sum(axis=1)
    return [
        float(total / count) if count else None for total, count in zip(totals, counts, strict=True)
    ]


def _rank_correlation(weights: np.ndarray, rise: np.ndarray) -> float | None:
    """Spearman's correlation over the patches that an iteration cuts; None without one."""
    cut = ~np.isnan(weights)
    if min(len(np.unique(weights[cut])), len(np.unique(rise[cut]))) < 2:
        return None
    return float(spearmanr(weights[cut], rise[cut]).statistic)


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
    folder: Path,
    model: "MuSiCa",
    samples: "FaceSamples",
    measured: Measurements,
    summary: dict,
    drawn_faces: int,
) -> int:
    """Writes attention.json, attention.csv and the plots, each whole or not at all.

    Args:
        folder: gets all of them.
        model: the model that was measured.
        samples: the faces on which it was.
        measured: the measurements.
        summary: from ``summarise``.
        drawn_faces: how many single faces are drawn, spread over the lists.

    Returns:
        How many files were written.
    """
    import matplotlib

    writing.write_text(folder / "attention.json", json.dumps(summary, indent=2) + "\n")
    columns = ["iteration", "point", *MEASURED, "nme_rise", "standard_error"]
    table_files.write_table(folder / "attention.csv", columns, _rows(summary))
    relative = 100 * (measured.weights / np.array(summary["weight"])[:, None] - 1)
    chosen = np.linspace(0, len(relative) - 1, drawn_faces).round().astype(int)
    chosen = np.unique(chosen)
    with matplotlib.rc_context({**STYLE, "text.parse_math": False}):
        _draw_mean_face(model, relative.mean(axis=0), summary, folder / "mean_face")
        limit = np.nanquantile(np.abs(relative), SHOWN)
        for face, position in zip(chosen, measured.positions[chosen], strict=True):
            name, crop = samples.faces[position].name, samples.sample(position)[0]
            path = folder / "faces" / Path(name).with_suffix("")
            _draw_face(crop, measured.points[face], relative[face], limit, name, path)
    return 2 + (1 + len(chosen)) * len(FORMATS)


def _rows(summary: dict) -> Iterator[list[object]]:
    """The rows of attention.csv: one for each iteration and patch point."""
    for k in range(len(summary["weight"])):
        for point in summary["points"]:
            values = ["" if point[column][k] is None else point[column][k] for column in MEASURED]
            yield [k + 1, point["point"], *values, point["nme_rise"], point["standard_error"]]


def _draw_mean_face(model: "MuSiCa", relative: np.ndarray, summary: dict, path: Path) -> None:
    """Draws the reference shape, its patch points coloured by weight, then by NME rise."""
    shape = np.array(model.settings.reference_shape)
    count = len(relative)
    figure, panels = _panels(count + 1)
    for axes in panels:
        for contour in scheme_for(model.settings.landmark_count).contours:
            line = shape[[*contour.points, *contour.points[:1] * contour.closed]]
            axes.plot(line[:, 1], line[:, 0], color="#999999", linewidth=1, zorder=1)
        axes.invert_yaxis()
    points = shape[patch_points(model)]
    limit = np.nanmax(np.abs(relative))
    for k, axes in enumerate(panels[:count]):
        axes.set_title(f"iteration {k + 1}, mean weight {summary['weight'][k]:.3f}")
        marks = _marks(axes, points, relative[k], limit)
    _scale(figure, marks, panels[:count], "weight against the iteration's mean, %")
    rise = 100 * np.array([point["nme_rise"] for point in summary["points"]])
    panels[count].set_title("what a patch is worth")
    marks = _marks(panels[count], points, rise, np.abs(rise).max())
    _scale(figure, marks, panels[count:], "NME rise by closing the patch, points")
    _save(figure, path)


def _draw_face(
    crop: np.ndarray,
    points: np.ndarray,
    relative: np.ndarray,
    limit: float,
    name: str,
    path: Path,
) -> None:
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


def _marks(axes: Any, points: np.ndarray, values: np.ndarray, limit: float) -> Any:
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


def _scale(figure: Any, marks: Any, panels: Any, label: str) -> None:
    """Says under the panels what the colours of their dots mean."""
    aspect = 15 * len(panels)
    figure.colorbar(marks, ax=list(panels), location="bottom", label=label, aspect=aspect)


def _save(figure: Any, path: Path) -> None:
    """Writes a figure in all formats."""
    for kind in FORMATS:
        with writing.replacing(path.with_name(f"{path.name}.{kind}")) as temporary:
            figure.savefig(temporary)
