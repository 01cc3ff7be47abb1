"""Do the labels of a list lie off to one side?  ``python measure_label_shift.py --help``.

A model that was trained on mirrored pictures cannot know which side is meant. So where its
landmarks and the labels differ by the same shift in pictures and, with the other sign, in the
mirrored ones, it is the labels that are off.
"""

from dataclasses import dataclass

import numpy as np

from musica.alignment.aligner import FaceAligner
from musica.cli import command
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option, require
from musica.files import annotated_faces
from musica.files.image_files import read_image
from musica.geometry.landmarks import scheme_for
from musica.training.augment import mirror


@dataclass(frozen=True)
class LabelShiftConfig(AnnotatedFolders):
    """Keys of the script."""

    checkpoint_file: str | None = option(None, "model; None: the shipped one", path=True)
    eval_filenames: list[str] = option([], "lists of image names", path=True)
    held_out_share: float = option(1.0, "only the faces that training left out; 1: all")


def measure(config: LabelShiftConfig) -> None:
    """Prints how far the labels lie from the model's landmarks, in both kinds of pictures."""
    require(config, "image_dir", "eval_filenames")
    aligner = FaceAligner.load(config.checkpoint_file)
    order = scheme_for(aligner.model.settings.landmark_count).mirror
    for path in config.eval_filenames:
        faces = annotated_faces.read_faces(
            [path],
            *config.folders,
            aligner.model.settings.landmark_count,
            lambda name: annotated_faces.is_held_out(name, config.held_out_share),
        )
        shifts = {"as they are": [], "mirrored": []}
        for face in faces:
            given = read_image(face.image), face.landmarks, face.box
            views = zip(shifts.values(), (given, mirror(*given, order)), strict=True)
            for found, (image, labels, box) in views:
                found.append((labels - aligner.align(image, box).landmarks).mean(axis=0))
        print(f"{path}: {len(faces)} faces")
        for view, found in shifts.items():
            (y, x), error = np.mean(found, axis=0), np.std(found, axis=0) / len(found) ** 0.5
            print(f"  {view}: y {y:+.2f} +- {error[0]:.2f}, x {x:+.2f} +- {error[1]:.2f} pixels")


if __name__ == "__main__":
    command.run(LabelShiftConfig, measure, __doc__)
