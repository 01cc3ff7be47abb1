"""Chooses a model's thresholds on annotated faces: ``python -m musica.calibrate``.

All iterations run once for every face. The results tell how well the estimated error predicts the
true one, what stopping early saves and costs, which NME an estimate stands for, how the landmarks
share in it, the threshold of each effort and the fail threshold. With ``--fit_gain``, the model
also learns to predict the gain of further iterations. Use faces that the model was not trained on:
on others, every number looks too good.
"""

from collections.abc import Sequence

from musica.cli.interruption import interruptible_imports

with interruptible_imports():
    from musica.cli import command
    from musica.jobs.calibration import CalibrateConfig, calibrate


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(CalibrateConfig, calibrate, __doc__, argv=argv)


if __name__ == "__main__":
    main()
