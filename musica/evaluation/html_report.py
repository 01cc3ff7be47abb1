"""Evaluation's results as one self-contained HTML file (``METHOD.md`` section 12).

Pictures are embedded. The file has neither scripts nor links. All text is escaped, because names of
files and methods may contain anything.
"""

import base64
import io
import itertools
import sys
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from musica.errors import InputError
from musica.evaluation import report
from musica.evaluation.metrics import DatasetErrors
from musica.files import image_files, writing
from musica.files.image_files import find_image
from musica.geometry.landmarks import scheme_for

# Faces shown of the worst and of the best, and the side of their pictures in pixels.
SHOWN = 8
PICTURE_SIDE = 360
# A face's picture holds truth and estimate, but no more than this many times the true face.
MAX_VIEW = 3.0

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Facial landmarks: evaluation</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222; margin: 0 auto; max-width: 72rem;
 padding: 1rem; }
h1, h2, h3 { line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; }
pre, .wide { overflow-x: auto; }
pre { font-size: .8rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; }
tr > :first-child { background: #fff; left: 0; min-width: 7rem; overflow-wrap: break-word;
 position: sticky; text-align: left; white-space: normal; }
tbody th { font-weight: normal; }
tbody tr:first-child th { border-top: 1px solid #999; font-weight: bold; padding-top: .6rem; }
.plots, .faces { display: grid; gap: 1rem; }
.plots { grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }
.faces { grid-template-columns: repeat(auto-fill, minmax(min(45%, 15rem), 1fr)); }
.plots img { max-width: 100%; }
figure { margin: 0; }
figcaption { font-size: .8rem; line-height: 1.3; overflow-wrap: anywhere; }
svg { background: #ccc; display: block; width: 100%; }
path { fill: none; stroke-linecap: round; stroke-linejoin: round; stroke-width: 1.5px;
 vector-effect: non-scaling-stroke; }
.dots { stroke-width: 4px; }
g { filter: drop-shadow(0 0 1px #000); }
figure:hover g { opacity: 0; }
.truth { color: #56b4e9; stroke: currentColor; }
.estimate { color: #f0e442; stroke: currentColor; }
.key { background: #444; border-radius: .2rem; padding: 0 .4rem; }
</style>
</head>
<body>
"""
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
        HEAD,
        "<h1>Facial landmarks: evaluation</h1>",
        *(f"<p>{escape(text)}</p>" for text in divisors),
        *_table(table),
        f"<p>{escape(note)}</p>",
        f"<details><summary>As printed</summary><pre>{escape(printed)}</pre></details>",
        "<h2>Facial parts</h2>",
        *_table(_parts(summaries)),
        '<h2>Plots</h2><div class="plots">',
        *(_plot(plot) for plot in plots),
        "</div><h2>Worst and best faces</h2>",
        LEGEND if any(errors.image_dir for errors in results) else "",
    ]
    for errors in results:
        page += _faces(errors)
    writing.write_text(path, "\n".join([*page, "</body>", "</html>", ""]))


def _parts(summaries: Sequence[dict]) -> list[list[str]]:
    """The table of the mean errors of every method's groups of points."""
    columns = list(dict.fromkeys(name for summary in summaries for name in summary["groups"]))
    table = [["measure", "method", *columns]]
    for summary in summaries:
        errors = (summary["groups"].get(name) for name in columns)
        cells = ("-" if error is None else f"{100 * error:.2f}" for error in errors)
        table.append([f"{report.metric_label(summary)}, %", summary["desc"], *cells])
    return table


def _table(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of measure, method, values; a block of rows for each measure."""
    header, *rows = [[escape(cell) for cell in row] for row in table]
    yield '<div class="wide"><table><thead><tr><th>' + "</th><th>".join(header[1:])
    yield "</th></tr></thead>"
    for measure, block in itertools.groupby(rows, key=lambda row: row[0]):
        yield f'<tbody><tr><th colspan="{len(header) - 1}">{measure}</th></tr>'
        for _, method, *cells in block:
            yield f"<tr><th>{method}</th><td>" + "</td><td>".join(cells) + "</td></tr>"
        yield "</tbody>"
    yield "</table></div>"


def _plot(path: Path) -> str:
    """A plot, embedded."""
    return f'<img alt="{escape(path.stem)}" src="{_data_uri(path.read_bytes(), "png")}">'


def _data_uri(content: bytes, kind: str) -> str:
    """An image file's content as an address."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


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
        f'preserveAspectRatio="none" href="{_data_uri(content.getvalue(), "jpeg")}"/>'
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
