"""Reproduces the paper's experiments on WFLW or 300W: ``python -m musica.reproduce``.

From the unpacked archives to one HTML page with the paper's numbers, other published ones and ours:
prepare, train, calibrate, infer, evaluate, compare. Every stage is a command that can also be run
by hand; ``--dry_run`` prints them and how long the trainings will take. A stage that is done is
passed over, and a training that was interrupted goes on. Run it in a checkout or in the Docker
image.
"""

from collections.abc import Sequence

from musica.cli import command
from musica.reproduction.reproduce import ReproduceConfig, reproduce


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(ReproduceConfig, reproduce, __doc__, argv=argv)


if __name__ == "__main__":
    main()
