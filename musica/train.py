"""Trains a model from a JSON configuration."""

from collections.abc import Sequence

from musica.cli.interruption import interruptible_imports

with interruptible_imports():
    from musica.cli import command
    from musica.training.configuration import TrainConfig
    from musica.training.launch import train


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(TrainConfig, train, __doc__, argv=argv)


if __name__ == "__main__":
    main()
