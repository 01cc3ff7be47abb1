"""Evaluation's results as one self-contained HTML file (``METHOD.md`` section 12).

Pictures are embedded. The file has neither scripts nor links. All text is escaped, because names of
files and methods may contain anything.
"""

import io
import sys
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from musica.errors import InputError
from musica.evaluation import html_page, report
from musica.evaluation.metrics import DatasetErrors
from musica.files import image_files, writing
from musica.files.image_files import find_image
from musica.geometry.landmarks import scheme_for

# Faces shown of the worst and of the best, and the side of their pictures in pixels.
SHOWN = 8
PICTURE_SIDE = 360
# A face's picture holds truth and estimate, but no more than this many times the true face.
MAX_VIEW = 3.0

LEGEND = """<p><span class="key truth">truth</span> <span class="key estimate">estimate</span>
Touch a face, or point at it, to see it without lines.</p>"""


def write(
    path: Path | str,
    results: Sequence[DatasetErrors],
    summaries: Sequence[dict],
    table: Sequence[Sequence[str]],
    note: str,
    plots: Sequence[Path],
) -> None:
    """Writes the report whole or not at all. A picture that cannot be read is named on stderr.

    Args:
        path: the file.
        results: the data sets' errors.
        summaries: for each, the result of ``report.summarise``.
        table: from ``published.comparison``.
        note: text below the table.
        plots: PNG files to embed.
    """
    printed = "\n".join(line for summary in summaries for line in report.lines(summary))
    divisors = dict.fromkeys(
        f"{report.metric_label(summary)}: errors divided by the {summary['normaliser']}."
        for summary in summaries
    )
    page = [
        html_page.head("Facial landmarks: evaluation"),
        *(f"<p>{escape(text)}</p>" for text in divisors),
        *html_page.table(table),
        f"<p>{escape(note)}</p>",
        f"<details><summary>As printed</summary><pre>{escape(printed)}</pre></details>",
        "<h2>Facial parts</h2>",
        *html_page.table(_parts(summaries)),
        '<h2>Plots</h2><div class="plots">',
        *(html_page.plot(plot) for plot in plots),
        "</div><h2>Worst and best faces</h2>",
        LEGEND if any(errors.image_dir for errors in results) else "",
    ]
    for errors in results:
        page += _faces(errors)
    writing.write_text(path, "\n".join([*page, html_page.END]))


def _parts(summaries: Sequence[dict]) -> list[list[str]]:
    """The table of the mean errors of every method's groups of points."""
    columns = list(dict.fromkeys(name for summary in summaries for name in summary["groups"]))
    table = [["measure", "method", *columns]]
    for summary in summaries:
        errors = (summary["groups"].get(name) for name in columns)
        cells = ("-" if error is None else f"{100 * error:.2f}" for error in errors)
        table.append([f"{report.metric_label(summary)}, %", summary["desc"], *cells])
    return table


def _faces(errors: DatasetErrors) -> Iterator[str]:
    """The worst and the best faces of a data set."""
    order = np.argsort(-errors.faces, kind="stable")
    worst = order[: min(SHOWN, len(order) - len(order) // 2)]
    best = order[len(worst) :][::-1][:SHOWN]
    for title, indices in (("worst", worst), ("best", best)):
        yield f'<h3>{escape(errors.desc)}: {title}</h3><div class="faces">'
        for index in indices:
            picture = _picture(errors, index) if errors.image_dir else ""
            yield f"<figure>{picture}<figcaption>{_caption(errors, index)}</figcaption></figure>"
        yield "</div>"


def _caption(errors: DatasetErrors, index: int) -> str:
    """A face's name and numbers."""
    estimate = errors.estimates[index]
    text = f"<b>{errors.faces[index]:.2%}</b>"
    if np.isfinite(estimate):
        text += f", estimated {estimate:.4f}"
    return f"{text}<br>{escape(errors.names[index])}"


def _picture(errors: DatasetErrors, index: int) -> str:
    """A face with its true and estimated landmarks; only these if the image cannot be read."""
    truth, estimated = errors.truth[index], errors.estimated[index]
    centre = (truth.min(axis=0) + truth.max(axis=0)) / 2
    reach = 1.15 * np.abs(np.concatenate([truth, estimated]) - centre).max()
    half = max(1.0, min(reach, MAX_VIEW / 2 * np.ptp(truth, axis=0).max()))
    (top, left), side = centre - half, 2 * half
    try:
        image = _image(errors, index, np.concatenate([centre - half, centre + half]))
    except InputError as error:
        print(f"no picture: {error}", file=sys.stderr)
        image = ""
    return (
        f'<svg viewBox="{left:.1f} {top:.1f} {side:.1f} {side:.1f}">{image}'
        f"{_landmarks(truth, 'truth')}{_landmarks(estimated, 'estimate')}</svg>"
    )


def _image(errors: DatasetErrors, index: int, window: np.ndarray) -> str:
    """The part of a face's image in a window (y0, x0, y1, x1), reduced and embedded.

    Raises:
        InputError: there is no such image, or it cannot be read.
    """
    name = Path(f"{errors.names[index]}.pts")
    image = Image.fromarray(image_files.read_image(find_image(Path(errors.image_dir), name)))
    whole = np.concatenate([np.floor(window[:2]), np.ceil(window[2:])])
    limits = np.array([image.height, image.width] * 2)
    top, left, bottom, right = (int(edge) for edge in np.clip(whole, 0, limits))
    if top >= bottom or left >= right:
        return ""
    part = image.crop((left, top, right, bottom))
    part.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    content = io.BytesIO()
    part.save(content, "JPEG", quality=80)
    return (
        f'<image x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" '
        f'preserveAspectRatio="none" href="{html_page.data_uri(content.getvalue(), "jpeg")}"/>'
    )


def _landmarks(points: np.ndarray, kind: str) -> str:
    """The contours and points of a face, in pixels of its image, whose centres are at 0.5."""
    xy = [f"{x + 0.5:.2f} {y + 0.5:.2f}" for y, x in points]
    lines = (
        f"M{'L'.join(xy[index] for index in contour.points)}{'Z' * contour.closed}"
        for contour in scheme_for(len(points)).contours
    )
    dots = (f"M{place}h0" for place in xy)
    return (
        f'<g class="{kind}"><path d="{"".join(lines)}"/>'
        f'<path class="dots" d="{"".join(dots)}"/></g>'
    )
