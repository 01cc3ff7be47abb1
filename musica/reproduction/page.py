"""The page of a reproduction: the paper's numbers, other published ones and ours, with plots."""

import json
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from musica.evaluation import html_page, published
from musica.files import writing
from musica.files.text_files import read_text
from musica.reproduction.experiments import SETS
from musica.reproduction.plan import Plan
from musica.reproduction.stages import Journal, Stage

NAME = "report.html"
# What the paper, its release or MDM's authors report: experiment, variant of its evaluation, the
# published set and the method in it.
CLAIMS = (
    ("wflw_98_49", "", "wflw", "Knowing When to Quit, 2021 release, 49 patches"),
    ("300w_68_68", "", "300w_pupil", "Knowing When to Quit, 95 M multiply-adds"),
    ("mdm_300w", "", "300w_pupil", "MDM"),
    ("mdm_300w", "private", "300w_private", "MDM"),
)
# The published numbers that stand beside each variant of the evaluations.
PUBLISHED = {
    "wflw": {"": "wflw"},
    "300w": {"": "300w_pupil", "ocular": "300w_ocular", "private": "300w_private"},
}
PLOTS = ("scores/ced_all_points.png", "savings/savings.png", "savings/estimates.png")
TITLES = {"wflw": "WFLW", "300w": "300W"}


def write(plan: Plan, stages: Sequence[Stage], journal: Journal, failed: Sequence[str]) -> None:
    """Writes the page, whole or not at all, from the results that are there."""
    summaries = {
        (stage.experiment, stage.variant): json.loads(read_text(stage.product))[0]
        for stage in stages
        if stage.kind == "evaluate" and journal.entry(stage)
    }
    parts = [html_page.head(f"Knowing When to Quit on {TITLES[plan.set]}: reproduction")]
    parts += [f"<p>{escape(text)}</p>" for text in _notes(plan)]
    parts += _claims(summaries)
    for variant, name in PUBLISHED[plan.set].items():
        parts += _published(variant, name, summaries)
    parts += _compared(plan, stages, journal)
    parts += _plots(plan)
    parts += _stages(stages, journal, failed)
    writing.write_text(plan.output / NAME, "\n".join([*parts, html_page.END]))


def _notes(plan: Plan) -> Iterator[str]:
    """What a reader must know before the numbers."""
    if plan.small:
        yield "A stand-in of four faces, to try the stages: the numbers mean nothing."
    if plan.held_out_share:
        yield (
            f"{plan.held_out_share:.0%} of the training faces were held out to choose the "
            "thresholds; the published models were trained on all of them."
        )
    yield "All iterations run for every face, unless a row says that faces quit early."
    yield from plan.available.lines()


def _claims(summaries: dict[tuple[str, str], dict]) -> Iterator[str]:
    """The reported numbers of the models that were trained here, beside ours."""
    rows: list[list[str]] = []
    for experiment, variant, name, method in CLAIMS:
        summary = summaries.get((experiment, variant))
        if summary is None:
            continue
        (_, _, *parts), *body = published.comparison([summary], published.PUBLISHED[name])
        ours = {measure: cells for measure, title, *cells in body if title == summary["desc"]}
        for measure, title, *cells in body:
            if title == f"{method} (published)":
                found = zip(parts, cells, ours[measure], strict=True)
                rows += [
                    [measure, experiment, part, value, own]
                    for part, value, own in found
                    if value != "-"
                ]
    if rows:
        yield "<h2>The paper, its baseline, and ours</h2>"
        header = ["measure", "model", "set", "published", "ours"]
        yield from html_page.table([header, *sorted(rows)])


def _published(variant: str, name: str, summaries: dict[tuple[str, str], dict]) -> Iterator[str]:
    """Our models above the published methods, for one evaluation."""
    own = [summary for (_, kind), summary in summaries.items() if kind == variant]
    if own:
        numbers = published.PUBLISHED[name]
        yield f"<h2>Beside published methods ({escape(name)})</h2>"
        yield from html_page.table(published.comparison(own, numbers))
        yield f"<p>{escape(numbers.note)}</p>"


def _compared(plan: Plan, stages: Sequence[Stage], journal: Journal) -> Iterator[str]:
    """The table of ``musica.compare``: cost, milliseconds and errors on the same faces."""
    for stage in stages:
        if stage.kind == "compare" and journal.entry(stage):
            lines = read_text(stage.product).splitlines()
            rows = [
                [cell.strip() for cell in line.strip("|").split("|")]
                for line in lines
                if line.startswith("|") and not line.startswith("|---")
            ]
            yield "<h2>Cost and errors on the same faces</h2>"
            title = f"NME and FR by {SETS[plan.set].normalization}"
            yield from html_page.table([[title, *row] for row in rows])
            rest = [line for line in lines if line and not line.startswith("|")]
            yield f"<p>{escape(' '.join(rest))}</p>"


def _plots(plan: Plan) -> Iterator[str]:
    """The plots of every experiment that are there."""
    for experiment in plan.experiments:
        folder = plan.output / "output" / experiment
        paths: list[Path] = [folder / name for name in PLOTS if (folder / name).is_file()]
        if paths:
            yield f'<h2>{escape(experiment)}</h2><div class="plots">'
            yield from map(html_page.plot, paths)
            yield "</div>"


def _stages(stages: Sequence[Stage], journal: Journal, failed: Sequence[str]) -> Iterator[str]:
    """What ran, and how it is run by hand."""
    rows = [["", "stage", "state", "seconds", "command"]]
    for stage in stages:
        entry = journal.entry(stage)
        state = "failed" if stage.name in failed else "to do"
        if entry:
            state = "some faces left out" if entry["status"] else "done"
        rows.append(["", stage.name, state, f"{entry['seconds']:g}" if entry else "-", stage.text])
    yield "<h2>Stages</h2>"
    yield from html_page.table(rows)
