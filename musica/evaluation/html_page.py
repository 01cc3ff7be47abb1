"""What the HTML pages of results are made of: self-contained, without scripts or links.

All text is escaped, because names of files and methods may contain anything.
"""

import base64
import itertools
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>TITLE</title>
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
<h1>TITLE</h1>
"""
END = "</body>\n</html>\n"


def head(title: str) -> str:
    """The beginning of a page, with its heading."""
    return _HEAD.replace("TITLE", escape(title))


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of measure, method, values; a block of rows for each measure."""
    header, *body = [[escape(cell) for cell in row] for row in rows]
    yield '<div class="wide"><table><thead><tr><th>' + "</th><th>".join(header[1:])
    yield "</th></tr></thead>"
    for measure, block in itertools.groupby(body, key=lambda row: row[0]):
        yield f'<tbody><tr><th colspan="{len(header) - 1}">{measure}</th></tr>'
        for _, method, *cells in block:
            yield f"<tr><th>{method}</th><td>" + "</td><td>".join(cells) + "</td></tr>"
        yield "</tbody>"
    yield "</table></div>"


def plot(path: Path) -> str:
    """A plot, embedded."""
    return f'<img alt="{escape(path.stem)}" src="{data_uri(path.read_bytes(), "png")}">'


def data_uri(content: bytes, kind: str) -> str:
    """An image file's content as an address."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
