"""Chooses a model's thresholds on annotated faces: ``python -m musica.calibrate``.

All iterations run once for every face. From that: how well the estimated error tells the true one,
what stopping early saves and costs, which estimate stands for which NME, and both thresholds.
The faces should be ones the model was not trained on, or its estimates look better than they are.
"""

from collections.abc import Sequence

from musica.cli import command
from musica.jobs.calibration import CalibrateConfig, calibrate


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(CalibrateConfig, calibrate, __doc__, argv=argv)


if __name__ == "__main__":
    main()
