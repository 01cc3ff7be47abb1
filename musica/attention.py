"""Shows which patches a model attends to: ``python -m musica.attention``.

A patch has one gate in (0, 1) for each of its features, computed from that patch alone; its weight
is their mean. The layer behind the gates can undo any of them, so a weight alone does not tell what
a patch is worth. So each patch is also closed (all its gates 0), and the error is measured again.
"""

from collections.abc import Sequence

from musica.cli.interruption import interruptible_imports

with interruptible_imports():
    from musica.cli import command
    from musica.jobs.attention import AttentionConfig, analyse


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(AttentionConfig, analyse, __doc__, argv=argv)


if __name__ == "__main__":
    main()
