"""Converts a checkpoint of the 2021 release to a Keras model."""

from collections.abc import Sequence

from musica.cli import command
from musica.formats.checkpoint import ConvertConfig, convert


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(ConvertConfig, convert, __doc__, argv=argv)


if __name__ == "__main__":
    main()
