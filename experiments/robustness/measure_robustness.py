"""Aligns the dev faces in tight and in noisy boxes and rolled, each once and again, and evaluates.

    python experiments/robustness/measure_robustness.py --checkpoint_file=model.keras

``evaluate.json`` says what is aligned. An entry whose landmarks go to ``<variant>_again/<list>`` is
aligned a second time where the estimate asks for it, the others never. The data set of an entry
lies around its ``gt_dir``, in the layout of ``data/README.md``.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musica.cli import command, config
from musica.cli.config import option
from musica.errors import InputError
from musica.evaluation import metrics, published
from musica.evaluation.evaluate import DataEntry, EvaluateConfig, evaluate
from musica.files import landmark_files
from musica.jobs.inference import InferenceConfig, infer

AGAIN = "_again"
FAILURE = 0.1


@dataclass(frozen=True)
class MeasureConfig:
    """Keys of the script."""

    evaluation: str = option(
        str(Path(__file__).with_name("evaluate.json")), "what to align and evaluate", path=True
    )
    checkpoint_file: str | None = option(None, "model; None: the shipped one", path=True)
    batch_size: int = option(32, "faces computed together")


def measure(settings: MeasureConfig) -> bool:
    """Aligns, evaluates and prints a table; returns whether some faces could not be used.

    Raises:
        InputError: the model, a key or a data set cannot be used.
    """
    evaluation = config.load(EvaluateConfig, settings.evaluation)
    if not evaluation.Data:
        raise InputError(f"{settings.evaluation}: names no data")
    for entry in evaluation.Data:
        folder = Path(entry.gt_dir).parent
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; data/perturb.py writes it")
    skipped = [infer(_inference(entry, settings)) for entry in evaluation.Data]
    skipped.append(evaluate(evaluation))
    header = ["faces", "NME, outer-eye", f"FR@{FAILURE}", "iterations", "M multiply-adds"]
    print(published.markdown([header, *map(_row, evaluation.Data)]))
    return any(skipped)


def _inference(entry: DataEntry, settings: MeasureConfig) -> InferenceConfig:
    """How an entry is aligned."""
    results, data = Path(entry.estimated_dir), Path(entry.gt_dir).parent
    return InferenceConfig(
        eval_filenames=str(data / "lists" / f"{results.name}.txt"),
        image_dir=entry.gt_dir,
        bb_root=str(data / "bb"),
        resDir=entry.estimated_dir,
        checkpoint_file=settings.checkpoint_file,
        batch_size=settings.batch_size,
        realign=results.parent.name.endswith(AGAIN),
    )


def _row(entry: DataEntry) -> list[str]:
    """What the faces of an entry came out at, and what they cost."""
    folder = Path(entry.estimated_dir)
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        faces = list(csv.DictReader(file))
    errors = []
    for face in faces:
        estimated = landmark_files.read_landmarks(folder / face["landmarks"], entry.flm_count)
        truth = landmark_files.read_landmarks(
            Path(entry.gt_dir, face["landmarks"]), entry.flm_count
        )
        errors.append(metrics.nme(estimated, truth))
    iterations, costs = (
        np.mean([int(face[key]) for face in faces]) for key in ("iterations", "multiply_adds")
    )
    rate = metrics.failure_rate(errors, FAILURE)
    return [
        entry.desc,
        f"{np.mean(errors):.2%}",
        f"{rate:.1%}",
        f"{iterations:.2f}",
        f"{costs / 1e6:.2f}",
    ]


if __name__ == "__main__":
    command.run(MeasureConfig, measure, __doc__)
