"""Converts a checkpoint of the 2021 release to a Keras model."""

from musica.cli import command
from musica.formats.checkpoint import ConvertConfig, convert


def main() -> None:
    """Runs the command."""
    command.run(ConvertConfig, convert, __doc__)


if __name__ == "__main__":
    main()
