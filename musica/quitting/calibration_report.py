"""A calibration as text, tables and plots (``musica.calibrate``). matplotlib loads on use."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from musica.evaluation.report import COLOURS, FORMATS, STYLE
from musica.files import writing
from musica.quitting import selection

ESTIMATE, ORACLE, FIXED, FAILURE = COLOURS[0], COLOURS[2], "#666666", COLOURS[1]
GUIDE = {"color": "#333333", "linewidth": 1.0, "linestyle": (0, (4, 2))}
# Plots end here, or the worst face would press all others into a corner.
SHOWN = 0.99


@dataclass(frozen=True, eq=False)
class Measurements:
    """What all iterations gave.

    Attributes:
        errors: (F, K) NME of each face after each iteration, a fraction.
        estimates: (F, K) the model's own, on the scale of ``losses.l1_error``.
        multiply_adds: (K,) of a face after each iteration.
    """

    errors: np.ndarray
    estimates: np.ndarray
    multiply_adds: Sequence[int]

    @cached_property
    def curves(self) -> dict[str, selection.Curve]:
        """The trade-offs, by who or what stops the faces."""
        measured = self.errors, self.estimates, self.multiply_adds
        return {
            "estimate": selection.curve(*measured),
            "per_iteration": selection.per_iteration_curve(*measured),
            "fixed": selection.fixed_curve(self.errors, self.multiply_adds),
            "oracle": selection.oracle_curve(self.errors, self.multiply_adds),
        }


def lines(summary: dict) -> Iterator[str]:
    """The lines to print: three short tables, then the thresholds."""
    yield f"{summary['faces']} faces, NME (ocular)"
    yield "| iterations | NME | correlation of estimate and NME | rank correlation |"
    yield "|---|---|---|---|"
    columns = (summary[key] for key in ("nme", "correlation", "rank_correlation"))
    for k, (nme, *correlations) in enumerate(zip(*columns, strict=True), 1):
        yield f"| {k} | {nme:.2%} | " + " | ".join(map(_number, correlations)) + " |"
    yield (
        "| NME may rise by | multiply-adds saved by the estimate | with a threshold per iteration "
        "| by fewer iterations for all | by the oracle |"
    )
    yield "|---|---|---|---|---|"
    for increase, saved in summary["savings_at_nme_increase"].items():
        cells = (saved[key] for key in ("estimate", "per_iteration", "fixed", "oracle"))
        yield f"| {float(increase):.0%} | " + " | ".join(f"{cell:.1%}" for cell in cells) + " |"
    yield "| stop when the expected NME is below | stop_threshold |"
    yield "|---|---|"
    for nme, threshold in summary["stop_threshold_for_nme"].items():
        yield f"| {float(nme):.0%} | {_number(threshold)} |"
    stopping, costs = summary["stopping"], summary["multiply_adds"]
    yield (
        f"stop_threshold {_threshold(summary['stop_threshold'])}: NME {stopping['nme']:.2%} "
        f"({stopping['nme'] / summary['nme'][-1] - 1:+.1%}), {stopping['iterations']:.2f} "
        f"iterations, {stopping['multiply_adds'] / 1e6:.2f} million multiply-adds "
        f"({stopping['multiply_adds'] / costs[-1] - 1:+.1%})"
    )
    failures = f"{summary['failures']} failures (NME above {summary['failure_nme']:.0%})"
    if summary["fail_threshold"] is None:
        yield f"fail_threshold none: {failures} of {summary['faces']} faces tell nothing"
    else:
        yield (
            f"fail_threshold {summary['fail_threshold']:.4g}: {summary['detected']:.1%} of "
            f"{failures} detected, {summary['false_alarms']:.1%} of the other faces flagged, "
            f"AUC {summary['failure_auc']:.3f}"
        )


def _threshold(stop: float | list[float]) -> str:
    """The stop threshold, or one for each iteration but the last."""
    return ", ".join(f"{value:.3g}" for value in np.atleast_1d(stop))


def _number(value: float | None, digits: int = 4) -> str:
    """A number of a table; there may be none."""
    return "-" if value is None else f"{value:.{digits}f}"


def write(folder: Path | str, measured: Measurements, summary: dict) -> list[Path]:
    """Writes calibration.json, curve.csv and the plots, each whole or not at all.

    Args:
        folder: where to; made if missing.
        measured: what all iterations gave.
        summary: from ``calibrate.summarise``.

    Returns:
        The files written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    folder = Path(folder)
    writing.write_text(folder / "calibration.json", json.dumps(summary, indent=2) + "\n")
    writing.write_text(folder / "curve.csv", _table(measured.curves))
    paths = [folder / "calibration.json", folder / "curve.csv"]
    drawings = {
        "estimates": partial(_estimates, measured, summary),
        "savings": partial(_savings, measured.curves, summary),
    }
    if summary["fail_threshold"] is not None:
        drawings["failure_roc"] = partial(_roc, measured, summary)
    with matplotlib.rc_context(STYLE):
        for name, draw in drawings.items():
            figure = Figure(layout="constrained")
            draw(figure)
            for kind in FORMATS:
                paths.append(folder / f"{name}.{kind}")
                with writing.replacing(paths[-1]) as temporary:
                    figure.savefig(temporary)
    return paths


def _table(curves: dict[str, selection.Curve]) -> str:
    """The trade-offs: one line for each stop threshold or price."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["chosen by", "stop_threshold or price", "nme", "multiply_adds", "iterations"])
    for name in ("estimate", "per_iteration", "oracle"):
        points = curves[name]
        columns = (points.settings, points.errors, points.multiply_adds, points.iterations)
        for row in zip(*columns, strict=True):
            table.writerow([name.replace("_", " "), *(f"{value:.8g}" for value in row)])
    return text.getvalue()


def _estimates(measured: Measurements, summary: dict, figure) -> None:
    """Draws, for each iteration, NME against estimate and the calibration curve."""
    count = measured.errors.shape[1]
    figure.set_size_inches(3.2 * count + 0.6, 3.8)
    right, top = (np.quantile(v, SHOWN) for v in (measured.estimates, measured.errors))
    left = min(0.0, np.quantile(measured.estimates, 1 - SHOWN))
    all_axes = figure.subplots(1, count, sharex=True, sharey=True, squeeze=False)[0]
    for k, axes in enumerate(all_axes):
        x, y = measured.estimates[:, k], measured.errors[:, k]
        axes.plot(x, 100 * y, ".", color=ESTIMATE, alpha=0.35, markersize=4, rasterized=True)
        knots, nme = (np.array(values) for values in summary["calibration"][k])
        axes.plot(knots, 100 * nme, ".", color=FAILURE)
        reach = np.sort([left, *knots, right])  # constant beyond the knots
        expected = 100 * np.interp(reach, knots, nme)
        axes.plot(reach, expected, color=FAILURE, label="expected NME")
        last = k == count - 1
        name = "T_f" if last else "T_s"
        stops = np.broadcast_to(summary["stop_threshold"], count - 1)
        threshold = summary["fail_threshold"] if last else stops[k]
        if threshold is not None and np.isfinite(threshold):
            axes.axvline(threshold, label=f"${name}$ = {threshold:.3g}", **GUIDE)
        correlation = _number(summary["correlation"][k], 2)
        axes.set(xlabel="estimated error", title=f"iteration {k + 1}, correlation {correlation}")
        axes.locator_params(axis="x", nbins=5)
        axes.legend(loc="upper left", frameon=True, framealpha=0.9, edgecolor="none")
    all_axes[0].set(xlim=(left, right), ylim=(0, 100 * top), ylabel="NME (ocular), %")


def _savings(curves: dict[str, selection.Curve], summary: dict, figure) -> None:
    """Draws NME against multiply-adds, by estimate, by oracle and without any choice."""
    figure.set_size_inches(6.4, 4.2)
    axes = figure.subplots()
    fixed = np.array(summary["multiply_adds"]) / 1e6, 100 * np.array(summary["nme"])
    axes.plot(*fixed, "o:", color=FIXED, markersize=5, label="1, 2, ... iterations for every face")
    for key, colour, name in (
        ("estimate", ESTIMATE, "stopped by the estimate"),
        ("per_iteration", COLOURS[3], "with a threshold per iteration"),
        ("oracle", ORACLE, "stopped by an oracle (true errors)"),
    ):
        points = curves[key]
        axes.plot(points.multiply_adds / 1e6, 100 * points.errors, color=colour, label=name)
    stopping = summary["stopping"]
    chosen = stopping["multiply_adds"] / 1e6, 100 * stopping["nme"]
    label = f"$T_s$ = {_threshold(summary['stop_threshold'])}"
    axes.plot(*chosen, "D", color=FAILURE, markersize=7, label=label)
    axes.set(
        xlabel="multiply-adds per face, million (mean)",
        ylabel="NME (ocular), % (mean)",
        title=f"What stopping early costs, {summary['faces']} faces",
    )
    axes.legend(loc="upper right")


def _roc(measured: Measurements, summary: dict, figure) -> None:
    """Draws the detection of failures over all fail thresholds."""
    figure.set_size_inches(4.8, 4.8)
    axes = figure.subplots()
    failed = measured.errors[:, -1] > summary["failure_nme"]
    detection = selection.roc(measured.estimates[:, -1], failed)
    label = f"last estimate, AUC {detection.area:.3f}"
    axes.plot(detection.false_alarms, detection.detected, color=ESTIMATE, label=label)
    axes.plot([0, 1], [0, 1], ":", color=FIXED, label="chance")
    label = f"$T_f$ = {summary['fail_threshold']:.3g}"
    chosen = summary["false_alarms"], summary["detected"]
    axes.plot(*chosen, "D", color=FAILURE, markersize=7, label=label, clip_on=False)
    axes.set(
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
        xlabel="share of good faces flagged",
        ylabel="share of failures flagged",
        title=f"{summary['failures']} faces with an NME above {summary['failure_nme']:.0%}",
    )
    axes.legend(loc="lower right")
