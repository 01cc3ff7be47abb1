import io
import sys

import pytest

from musica.cli.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, closed(), io.StringIO()], ids=["none", "closed", "file"])
def test_progress_needs_no_terminal(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(3, "face") as bar:
        bar.update(2)
    if stream and not stream.closed:
        assert stream.getvalue() == ""


@pytest.mark.parametrize("total", [3, None])
def test_a_terminal_shows_the_progress(monkeypatch, total):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(total, "face") as bar:
        bar.update(2)
        bar.refresh()
    assert "2/3" in terminal.getvalue() if total else "2face" in terminal.getvalue()
