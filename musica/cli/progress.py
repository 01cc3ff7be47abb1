"""Progress bars for work that takes long."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any


class _NoBar:
    """Shows nothing."""

    def update(self, count: int = 1) -> None:
        """Counts steps."""


def progress_bar(total: int | None, unit: str) -> AbstractContextManager[Any]:
    """A bar on stderr, whose ``update`` counts steps, one or as many as it is given.

    It is shown on a terminal alone, and stderr need not exist.

    Args:
        total: the number of steps; None: unknown.
        unit: the name of a step.
    """
    stream = sys.stderr
    if stream is None or stream.closed or not stream.isatty():
        return nullcontext(_NoBar())
    from tqdm import tqdm  # takes longer to import than ten faces to align

    return tqdm(total=total, unit=unit, leave=False)
