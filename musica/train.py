"""Trains a model from a JSON configuration."""

from musica.cli import command
from musica.training.configuration import TrainConfig, train


def main() -> None:
    """Runs the command."""
    command.run(TrainConfig, train, __doc__)


if __name__ == "__main__":
    main()
