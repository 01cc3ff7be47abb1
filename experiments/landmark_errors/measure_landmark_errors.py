"""Compares the expected errors of landmarks with the true ones, for each part of the face.

python experiments/landmark_errors/measure_landmark_errors.py --checkpoint_file=calibrated.keras \
        --image_dir=images --bb_root=bb --eval_filenames=helen_dev.txt
"""

from dataclasses import dataclass

import numpy as np

from musica.alignment.aligner import FaceAligner
from musica.cli import command
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option, require
from musica.errors import InputError
from musica.evaluation import metrics
from musica.files import annotated_faces
from musica.geometry.landmarks import scheme_for


@dataclass(frozen=True)
class MeasureConfig(AnnotatedFolders):
    """Keys of the script."""

    checkpoint_file: str | None = option(None, "model; None: the shipped one", path=True)
    eval_filenames: list[str] = option([], "lists of images", path=True)
    effort: str | None = option(None, "low, balanced or full; None: the model's")


def measure(config: MeasureConfig) -> None:
    """Prints a table of the parts: true and expected errors in % of the eye distance.

    Raises:
        InputError: the model is not calibrated for landmarks, or a list cannot be used.
    """
    require(config, "image_dir", "eval_filenames")
    with command.quiet():
        aligner = FaceAligner.load(config.checkpoint_file, effort=config.effort)
    if aligner.settings.landmark_profile is None:
        raise InputError(
            "the model tells no expected errors of landmarks: musica-calibrate fits it"
        )
    faces = annotated_faces.read_faces(config.eval_filenames, *config.folders)
    true, expected = [], []
    for face in faces:
        found = aligner.align(face.image, face.box)
        distance = metrics.normalising_distance(face.landmarks)
        true.append(metrics.point_errors(found.landmarks, face.landmarks) / distance)
        expected.append(found.landmark_errors)
    print("| part | true | expected | expected / true |\n|---|---|---|---|")
    for part, points in scheme_for(aligner.settings.landmark_count).parts.items():
        pair = [np.mean(errors, axis=0)[list(points)].mean() for errors in (true, expected)]
        print(f"| {part} | {pair[0]:.2%} | {pair[1]:.2%} | {pair[1] / pair[0]:.2f} |")


if __name__ == "__main__":
    command.run(MeasureConfig, measure, __doc__)
