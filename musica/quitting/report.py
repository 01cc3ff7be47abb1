"""A calibration as text, tables and plots (``musica.calibrate``). matplotlib loads on use."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from musica.evaluation.report import COLOURS, FORMATS, STYLE
from musica.files import table_files, writing
from musica.quitting import thresholds
from musica.quitting.curves import Curve
from musica.quitting.measurements import Measurements

ESTIMATE, GAIN, ORACLE, FIXED, FAILURE = COLOURS[0], COLOURS[3], COLOURS[2], "#666666", COLOURS[1]
GUIDE = {"color": "#333333", "linewidth": 1.0, "linestyle": (0, (4, 2))}
# Plots end at this quantile; otherwise the worst face would press all others into a corner.
SHOWN = 0.99
LABELS = {
    "estimate": ("stopped by the estimate", ESTIMATE),
    "gain": ("stopped by the gain", GAIN),
    "oracle": ("stopped by an oracle (true errors)", ORACLE),
}

# Of curve.csv.
COLUMNS = ("stopped by", "threshold or price", "nme", "multiply_adds", "iterations")


def lines(summary: dict) -> Iterator[str]:
    """The lines to print: short tables, then the fail threshold."""
    yield f"{summary['views']} faces, NME (ocular)"
    yield "| iterations | NME | correlation of estimate and NME | rank correlation |"
    yield "|---|---|---|---|"
    columns = (summary[key] for key in ("nme", "correlation", "rank_correlation"))
    for k, (nme, *correlations) in enumerate(zip(*columns, strict=True), 1):
        yield f"| {k} | {nme:.2%} | " + " | ".join(map(_number, correlations)) + " |"
    names = list(summary["knowledge"])
    yield (
        "| stopped by | knowledge | saved at "
        + " | ".join(
            f"+{float(increase):.0%} NME" for increase in summary["savings_at_nme_increase"]
        )
        + " |"
    )
    yield "|---|---|" + "---|" * len(summary["savings_at_nme_increase"])
    for name in names:
        saved = [savings[name] for savings in summary["savings_at_nme_increase"].values()]
        cells = (f"{summary['knowledge'][name]:.2f}", *(f"{share:.1%}" for share in saved))
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield from _efforts(summary)
    yield "| stop when the expected NME is below | stop_threshold |"
    yield "|---|---|"
    for nme, threshold in summary["stop_threshold_for_nme"].items():
        yield f"| {float(nme):.0%} | {_number(threshold)} |"
    failures = f"{summary['failures']} failures (NME above {summary['failure_nme']:.0%})"
    if summary["fail_threshold"] is None:
        yield (
            "fail_threshold: none; its choice needs failures and other faces, not "
            f"{failures} among {summary['views']} faces"
        )
    else:
        yield (
            f"fail_threshold {summary['fail_threshold']:.4g}: {summary['detected']:.1%} of "
            f"{failures} detected, {summary['false_alarms']:.1%} of the other faces flagged, "
            f"AUC {summary['failure_auc']:.3f}"
        )


def _efforts(summary: dict) -> Iterator[str]:
    """The table of the efforts, with their changes from all iterations."""
    yield f"| effort | {summary['stop_score']} below | NME | iterations | million multiply-adds |"
    yield "|---|---|---|---|---|"
    nme, cost = summary["nme"][-1], summary["multiply_adds"][-1]
    for effort in summary["efforts"]:
        cells = (
            _number(effort["threshold"]),
            f"{effort['nme']:.2%} ({effort['nme'] / nme - 1:+.1%})",
            f"{effort['iterations']:.2f}",
            f"{effort['multiply_adds'] / 1e6:.2f} ({effort['multiply_adds'] / cost - 1:+.1%})",
        )
        yield f"| {effort['name']} | " + " | ".join(cells) + " |"


def _number(value: float | None, digits: int = 4) -> str:
    """A number of a table; a dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def write(folder: Path | str, measured: Measurements, summary: dict) -> list[Path]:
    """Writes calibration.json, curve.csv and the plots, each whole or not at all.

    Args:
        folder: where to; made if missing.
        measured: what all iterations gave.
        summary: from ``summarise``.

    Returns:
        The files written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    folder = Path(folder)
    writing.write_text(folder / "calibration.json", json.dumps(summary, indent=2) + "\n")
    table_files.write_table(folder / "curve.csv", COLUMNS, _rows(measured.curves))
    paths = [folder / "calibration.json", folder / "curve.csv"]
    drawings = {
        "estimates": partial(_estimates, measured, summary),
        "savings": partial(_savings, measured, summary),
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


def _rows(curves: dict[str, Curve]) -> Iterator[list[str]]:
    """The trade-offs: one row for each threshold or price."""
    for name, curve in curves.items():
        columns = (curve.settings, curve.errors, curve.multiply_adds, curve.iterations)
        for row in zip(*columns, strict=True):
            yield [name, *(f"{value:.8g}" for value in row)]


def _estimates(measured: Measurements, summary: dict, figure: Any) -> None:
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
        fail = summary["fail_threshold"]
        if k == count - 1 and fail is not None and np.isfinite(fail):
            axes.axvline(fail, label=f"$T_f$ = {fail:.3g}", **GUIDE)
        correlation = _number(summary["correlation"][k], 2)
        axes.set(xlabel="estimated error", title=f"iteration {k + 1}, correlation {correlation}")
        axes.locator_params(axis="x", nbins=5)
        axes.legend(loc="upper left", frameon=True, framealpha=0.9, edgecolor="none")
    all_axes[0].set(xlim=(left, right), ylim=(0, 100 * top), ylabel="NME (ocular), %")


def _savings(measured: Measurements, summary: dict, figure: Any) -> None:
    """Draws NME against multiply-adds: by estimate, by gain, by oracle and without a rule."""
    figure.set_size_inches(6.4, 4.2)
    axes = figure.subplots()
    fixed = measured.curves["fixed"]
    label = "1, 2, ... iterations for every face"
    _draw(axes, fixed, fmt="o:", color=FIXED, markersize=5, label=label)
    for name, (label, colour) in LABELS.items():
        if name in measured.curves:
            label += f", knowledge {summary['knowledge'][name]:.2f}" * (name != "oracle")
            _draw(axes, measured.curves[name], fmt="-", color=colour, label=label)
    for effort in summary["efforts"]:
        place = effort["multiply_adds"] / 1e6, 100 * effort["nme"]
        axes.plot(*place, "D", color=FAILURE, markersize=6)
        axes.annotate(effort["name"], place, (4, 5), textcoords="offset points", fontsize="small")
    axes.set(
        xlabel="multiply-adds per face, million (mean)",
        ylabel="NME (ocular), % (mean)",
        title=f"What stopping early costs, {summary['views']} faces",
    )
    axes.legend(loc="upper right")


def _draw(axes: Any, curve: Curve, fmt: str, **style: Any) -> None:
    """Draws a trade-off."""
    axes.plot(curve.multiply_adds / 1e6, 100 * curve.errors, fmt, **style)


def _roc(measured: Measurements, summary: dict, figure: Any) -> None:
    """Draws the detection of failures over all fail thresholds."""
    figure.set_size_inches(4.8, 4.8)
    axes = figure.subplots()
    failed = measured.errors[:, -1] > summary["failure_nme"]
    detection = thresholds.roc(measured.estimates[:, -1], failed)
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
