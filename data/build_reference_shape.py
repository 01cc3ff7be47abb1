"""Averages the faces of any lists to a reference shape.

    python data/build_reference_shape.py --image_dir=data/example/images --bb_root=data/example/bb \
        --train_filenames=data/example/lists/all.txt --output=reference_shape.ljson

Training does so itself. This script keeps the shape, so that several runs can share it
(``reference_shape_path``). Release: ``build_reference_shape_per_pose_by_files``.
"""

from dataclasses import dataclass

from musica.cli import command
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option, require
from musica.errors import InputError
from musica.files import annotated_faces, reference_shape_files
from musica.geometry import reference_shape
from musica.geometry.crops import BOX_SIZE
from musica.preprocessing.preprocessor import PREPROCESSORS


@dataclass(frozen=True)
class ReferenceShapeConfig(AnnotatedFolders):
    """Keys of the command."""

    train_filenames: list[str] = option([], "lists of images", path=True)
    box_size: int = option(BOX_SIZE, "the box's longer side in crop pixels")
    preprocessing: str = option("release", "of the model that gets the shape: release, area or mdm")
    output: str = option("", "the .ljson (full precision) or .pts file to write", path=True)


def build(config: ReferenceShapeConfig) -> None:
    """Writes the reference shape, whole or not at all."""
    require(config, "output")
    if config.preprocessing not in PREPROCESSORS:
        known = ", ".join(PREPROCESSORS)
        raise InputError(f"preprocessing must be one of {known}, not {config.preprocessing!r}")
    faces = annotated_faces.read_faces(config.train_filenames, *config.folders)
    landmarks, boxes = [face.landmarks for face in faces], [face.box for face in faces]
    if config.preprocessing == "mdm":
        shape = reference_shape.diagonal_shape(landmarks)
    else:
        shape = reference_shape.reference_shape(
            landmarks, boxes, config.box_size, config.preprocessing
        )
    reference_shape_files.write_reference_shape(config.output, shape)
    print(f"wrote {config.output}: the mean of {len(faces)} faces, {len(shape)} landmarks")


if __name__ == "__main__":
    command.run(ReferenceShapeConfig, build, __doc__)
