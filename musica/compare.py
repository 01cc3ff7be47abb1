"""Compares models on the same faces: ``python -m musica.compare --models=a.keras,b.keras ...``.

The models take turns face by face, each of them first in turn, on one CPU thread, so that all meet
the same conditions. A model with a stop threshold has two rows: all its iterations, and as many as
each face needs. Below the table stand each row's NME over the first one's, with an interval that
tells how sure that is, and how much stop rules know. The table is printed and written as Markdown.
"""

from collections.abc import Sequence

from musica.cli.interruption import interruptible_imports

with interruptible_imports():
    from musica.benchmarks.compare import CompareConfig, compare
    from musica.cli import command


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(CompareConfig, compare, __doc__, argv=argv)


if __name__ == "__main__":
    main()
