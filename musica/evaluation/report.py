"""Evaluation's results as text, tables and plots (``METHOD.md`` section 12).

matplotlib is imported on use.
"""

import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from musica.evaluation import metrics
from musica.evaluation.metrics import DatasetErrors
from musica.files import table_files, writing

PART_THRESHOLDS = (0.05, 0.08)
FORMATS = ("pdf", "png")
# Okabe and Ito's colours, which colour-blind readers can tell apart; line styles tell the rest.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":")
STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#666666",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "figure.dpi": 150,
    "font.size": 10,
    "grid.color": "#e4e4e4",
    "legend.fontsize": "small",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "pdf.fonttype": 42,
}


def summarise(
    errors: DatasetErrors,
    facts: dict,
    thresholds: Sequence[float],
    recall_rate: float,
    subsets: Mapping[str, Collection[str]],
) -> dict:
    """The numbers of one data set, as they go into metrics.json.

    Args:
        errors: the faces' errors.
        facts: further entries: "skipped", "metric", "normalization" and "normaliser".
        thresholds: of failure rate and AUC.
        recall_rate: share of faces with the lowest estimates that also get numbers of their own;
            negative: none.
        subsets: name -> names of its faces, which get numbers of their own.
    """
    summary = {
        "desc": errors.desc,
        **facts,
        **_numbers(errors.faces, thresholds),
        "groups": {name: float(group.mean()) for name, group in errors.groups.items()},
        "subsets": {},
    }
    for name, listed in subsets.items():
        faces = errors.faces[[face in listed for face in errors.names]]
        summary["subsets"][name] = {"listed": len(listed), **_numbers(faces, thresholds)}
    if recall_rate >= 0:
        # PORT: the release's recall_rate changed the all-points CED only, not the printed mean.
        kept = metrics.lowest_estimates(errors.estimates, recall_rate)
        mean = float(errors.faces[kept].mean()) if len(kept) else None
        summary["lowest_estimates"] = {"share": recall_rate, "faces": len(kept), "mean": mean}
    return summary


def _numbers(errors: np.ndarray, thresholds: Sequence[float]) -> dict:
    """The numbers of the (F,) errors of a set of faces; for an empty set, only their number."""
    if not len(errors):
        return {"faces": 0}
    return {
        "faces": len(errors),
        "mean": float(errors.mean()),
        "std": float(errors.std()),
        "failure_rate": {str(t): metrics.failure_rate(errors, t) for t in thresholds},
        "auc": {str(t): metrics.area_under_curve(errors, t) for t in thresholds},
    }


def lines(summary: dict) -> Iterator[str]:
    """The lines to print for one data set; the first is the release's."""
    yield f"Average error for dataset {summary['desc']}: {summary['mean']}, std: {summary['std']}"
    metric = metric_label(summary)
    skipped = f", skipped: {summary['skipped']}" if summary["skipped"] else ""
    yield f"  normaliser: {summary['normalization']}, {summary['normaliser']}"
    yield f"  {metric}: {summary['mean']:.2%}, faces: {summary['faces']}{skipped}"
    for threshold, rate in summary["failure_rate"].items():
        area = summary["auc"][threshold]
        yield f"  {metric}: FR@{threshold} {rate:.2%}, AUC@{threshold} {area:.4f}"
    groups = [name for name in summary["groups"] if name != metrics.ALL_POINTS]
    yield f"  {metric}: " + ", ".join(f"{name} {summary['groups'][name]:.2%}" for name in groups)
    if "lowest_estimates" in summary:
        kept = summary["lowest_estimates"]
        mean = "no estimated errors" if kept["mean"] is None else f"{kept['mean']:.2%}"
        yield (
            f"  {metric}, share {kept['share']:g} with the lowest estimated errors: "
            f"{mean}, faces: {kept['faces']}"
        )


def metric_label(summary: dict) -> str:
    """The name of a face's error, with its normaliser."""
    return f"{summary['metric']} ({summary['normalization']})"


def write_tables(
    folder: Path | str, results: Sequence[DatasetErrors], summaries: Sequence[dict]
) -> list[Path]:
    """Writes metrics.json and per_image.csv, each whole or not at all.

    Args:
        folder: where to; made if missing.
        results: the data sets' errors.
        summaries: for each, the result of ``summarise``.

    Returns:
        The files written.
    """
    folder = Path(folder)
    writing.write_text(folder / "metrics.json", json.dumps(summaries, indent=2) + "\n")
    columns = ["desc", "name", "estimated error", *_group_names(results)]
    table_files.write_table(folder / "per_image.csv", columns, _rows(results))
    return [folder / "metrics.json", folder / "per_image.csv"]


def _rows(results: Sequence[DatasetErrors]) -> Iterator[list[str]]:
    """One row per face: data set, name, estimated error, error of each group of points."""
    groups = _group_names(results)
    for errors in results:
        columns = [errors.estimates, *(errors.groups.get(group) for group in groups)]
        for index, name in enumerate(errors.names):
            values = [np.nan if column is None else column[index] for column in columns]
            cells = [f"{value:.8g}" if np.isfinite(value) else "" for value in values]
            yield [errors.desc, name, *cells]


def _group_names(results: Sequence[DatasetErrors]) -> list[str]:
    """The groups of points of all data sets, in order; schemes differ in some."""
    return list(dict.fromkeys(name for errors in results for name in errors.groups))


def write_plots(
    folder: Path | str, results: Sequence[DatasetErrors], summaries: Sequence[dict]
) -> list[Path]:
    """Draws and writes every plot that the data allow, as PDF and PNG; as ``write_tables``."""
    import matplotlib
    from matplotlib.figure import Figure

    folder, paths = Path(folder), []
    # A dollar sign in a name does not begin a formula.
    with matplotlib.rc_context({**STYLE, "text.parse_math": False}):
        for name, draw in _drawings(results, summaries[0]).items():
            figure = Figure(figsize=(7, 4.5), layout="constrained")
            draw(figure.subplots())
            # Laid out once for all formats, which takes longest.
            figure.get_layout_engine().execute(figure)
            figure.set_layout_engine("none")
            for kind in FORMATS:
                paths.append(folder / f"{name}.{kind}")
                with writing.replacing(paths[-1]) as temporary:
                    figure.savefig(temporary)
    return paths


def _drawings(results: Sequence[DatasetErrors], summary: dict) -> dict[str, Callable]:
    """File name -> function that draws the plot on the axes it is given."""
    metric = metric_label(summary)
    ticks = [float(threshold) for threshold in summary["failure_rate"]]
    share = summary.get("lowest_estimates", {}).get("share")
    estimated = [errors for errors in results if np.isfinite(errors.estimates).any()]
    if share is None or not estimated:
        title, faces = "All points", [(errors.desc, errors.faces) for errors in results]
    else:
        title = f"All points, the share {share:g} of faces with the lowest estimated errors"
        kept = [metrics.lowest_estimates(errors.estimates, share) for errors in estimated]
        faces = [(e.desc, e.faces[k]) for e, k in zip(estimated, kept, strict=True)]
    no_jaw = [(errors.desc, errors.groups[metrics.WITHOUT_JAW]) for errors in results]
    drawings: dict[str, Callable] = {
        "ced_all_points": partial(_ced, faces, ticks, metric, title),
        "ced_without_jaw": partial(_ced, no_jaw, ticks, metric, "Without the jaw"),
    }
    if estimated:
        misses = [(errors.desc, _misses(errors)) for errors in estimated]
        label, title = f"|estimated error - {metric}|", "Error of the estimated error"
        drawings["ced_estimated_error"] = partial(_ced, misses, (), label, title)
        drawings["precision_recall"] = partial(_precision_recall, estimated, metric)
    for threshold in PART_THRESHOLDS:
        drawings[f"parts_at_{threshold}"] = partial(_parts, results, threshold, metric)
    return drawings


def _misses(errors: DatasetErrors) -> np.ndarray:
    """How far the estimated errors are off, for the faces that have one."""
    # PORT: the release drew faces without an estimate too, with an error of -1.
    misses = np.abs(errors.estimates - errors.faces)
    return misses[np.isfinite(misses)]


def _ced(
    curves: Sequence[tuple], ticks: Sequence[float], label: str, title: str, axes: Any
) -> None:
    """Draws cumulative error curves of (name, errors) pairs."""
    limit = max([0.1, *ticks])
    for style, (name, errors) in zip(_styles(), curves, strict=False):
        values, shares = metrics.cumulative_errors(errors)
        within = [f"{np.mean(errors <= tick):.1%} within {tick:g}" for tick in ticks]
        legend = f"{name}\n" + ", ".join([f"mean {errors.mean():.4f}", *within])
        # A share holds from its error to the next one; below the smallest error it is 0.
        steps = np.concatenate([[0, 0], shares, shares[-1:]])
        edges = np.concatenate([[0], values[:1], values, [max(limit, values[-1])]])
        axes.step(edges, steps, where="post", label=legend, **style)
    for tick in ticks:
        axes.axvline(tick, color="#999999", linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set(xlim=(0, limit), ylim=(0, 1.02), xlabel=label, ylabel="share of faces", title=title)
    axes.legend(loc="best")


def _precision_recall(results: Sequence[DatasetErrors], metric: str, axes: Any) -> None:
    """Draws precision against recall as ever more faces are kept, lowest estimates first."""
    for style, errors in zip(_styles(), results, strict=False):
        recall, precision = metrics.precision_recall(errors.faces, errors.estimates)
        axes.plot(recall, precision, label=errors.desc, **style)
    axes.set(
        xlim=(0, 1.01),
        ylim=(0, 1.02),
        xlabel="recall: share of faces kept, lowest estimated errors first",
        ylabel=f"precision: share with {metric} < {metrics.PRECISION_THRESHOLD}",
        title="Precision against recall",
    )
    axes.legend(loc="best")


def _parts(results: Sequence[DatasetErrors], threshold: float, metric: str, axes: Any) -> None:
    """Draws, for each group of points, the share of faces within the threshold."""
    groups = _group_names(results)
    width = 0.8 / len(results)
    for index, (style, errors) in enumerate(zip(_styles(), results, strict=False)):
        present = [group for group in groups if group in errors.groups]
        shares = [np.mean(errors.groups[group] <= threshold) for group in present]
        offset = (index - (len(results) - 1) / 2) * width
        places = [groups.index(group) + offset for group in present]
        bars = axes.bar(places, shares, 0.92 * width, label=errors.desc, color=style["color"])
        if len(results) <= 2:
            axes.bar_label(bars, fmt="{:.0%}", fontsize="x-small", padding=2)
    axes.set_xticks(range(len(groups)), [group.replace(" ", "\n") for group in groups])
    axes.grid(axis="x", visible=False)
    axes.set(
        ylim=(0, 1.1),
        yticks=np.linspace(0, 1, 6),
        ylabel=f"share of faces with {metric} within {threshold}",
        title="Facial parts",
    )
    axes.figure.legend(loc="outside lower center", ncols=4)


def _styles() -> Iterator[dict]:
    """Yields a colour and a line style for each data set, without end."""
    for colour, line in zip(itertools.cycle(COLOURS), itertools.cycle(LINES), strict=False):
        yield {"color": colour, "linestyle": line}
