"""Progress bars for work that takes long."""

import sys

from tqdm import tqdm


def progress_bar(total: int | None, unit: str) -> tqdm:
    """A bar on stderr; it is shown on a terminal alone, and stderr need not exist.

    Args:
        total: the number of steps; None: unknown.
        unit: the name of a step.
    """
    stream = sys.stderr
    shown = stream is not None and not stream.closed and stream.isatty()
    return tqdm(total=total, unit=unit, disable=not shown, leave=False)
