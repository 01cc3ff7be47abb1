"""Measures how well head poses are found.

    python experiments/pose/measure_pose.py --image_dir=images --eval_filenames=helen_dev.txt \
        --frontal_filenames=portraits.txt

Known turns: residuals of the listed faces about the mean face are added to the mean face in random
poses. Turned portraits: ``training/head_turn.py`` turns the portraits, about a depth of its own.
Found landmarks: poses and openness of the shipped model's landmarks against those of the labels.
Mirrored pairs: each listed picture and its mirror image are aligned; yaw and roll change sign.
"""

from dataclasses import dataclass

import numpy as np

from musica import Face, FaceAligner
from musica.cli import command
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option, require
from musica.files import annotated_faces, image_files
from musica.files.annotated_faces import AnnotatedFace
from musica.geometry.head_pose import MeanFace, angles, mean_face, turns_and_scales
from musica.training.head_turn import HeadTurn

YAWS, PITCHES, ROLLS = (-45, 45), (-25, 25), (-30, 30)
TURNS = (-30, -20, -10, 10, 20, 30)


@dataclass(frozen=True)
class MeasureConfig(AnnotatedFolders):
    """Keys of the script."""

    eval_filenames: list[str] = option([], "lists of images", path=True)
    frontal_filenames: list[str] = option([], "lists of frontal portraits", path=True)


def measure(config: MeasureConfig) -> None:
    """Prints all errors in degrees: yaw, pitch, roll."""
    require(config, "image_dir", "eval_filenames", "frontal_filenames")
    faces, frontal = (
        annotated_faces.read_faces(lists, *config.folders)
        for lists in (config.eval_filenames, config.frontal_filenames)
    )
    points, portraits = (
        np.array([face.landmarks[:, ::-1] for face in listed]) for listed in (faces, frontal)
    )
    face = mean_face(points.shape[1])
    print(f"known turns, mean absolute error: {_row(np.abs(known_turns(points, face)).mean(0))}")
    found = _angles(portraits, face)
    print(f"{len(portraits)} portraits: mean {_row(found.mean(0))}, deviation {_row(found.std(0))}")
    for turn in TURNS:
        yaws = _angles(turned(frontal, yaw=turn), face) - found
        pitches = _angles(turned(frontal, pitch=turn / 2), face) - found
        print(
            f"turned by yaw {turn}: {yaws[:, 0].mean():.1f}; "
            f"by pitch {turn / 2:g}: {pitches[:, 1].mean():.1f}"
        )
    aligner = FaceAligner.load(str(points.shape[1]))
    by_pose, by_openness = against_labels(faces, aligner)
    print(f"poses of found and true landmarks, mean absolute difference: {_row(by_pose)}")
    print("openness of left eye, right eye, mouth, mean absolute difference:", by_openness.round(3))
    pairs = mirrored_pairs(faces, aligner)
    print(f"{len(pairs)} mirrored pairs, mean absolute difference: {_row(np.abs(pairs).mean(0))}")


def known_turns(points: np.ndarray, face: MeanFace, seed: int = 0) -> np.ndarray:
    """Errors (F, 3) in degrees for (F, N, 2) faces' residuals on the mean face in random poses."""
    turns, scales = turns_and_scales(points, face)
    shape = face.points - face.weights @ face.points
    centred = points - (face.weights @ points)[:, None]
    residuals = centred / scales[:, None, None] - shape @ turns[:, :2].mT
    generator = np.random.default_rng(seed)
    ranges = np.transpose([YAWS, PITCHES, ROLLS])
    wanted = generator.uniform(*ranges, (len(points), 3))
    made = shape @ rotations(wanted)[:, :2].mT + residuals[generator.permutation(len(points))]
    return _angles(made, face) - wanted


def rotations(poses: np.ndarray) -> np.ndarray:
    """The rotations (F, 3, 3) of poses (F, 3), the inverse of ``head_pose.angles``."""
    yaw, pitch, roll = np.deg2rad(poses).T
    zero, one = np.zeros_like(yaw), np.ones_like(yaw)

    def matrices(rows: list) -> np.ndarray:
        return np.array(rows).transpose(2, 0, 1)

    cosine, sine = np.cos(yaw), np.sin(yaw)
    by_yaw = matrices([[cosine, zero, sine], [zero, one, zero], [-sine, zero, cosine]])
    cosine, sine = np.cos(pitch), np.sin(pitch)
    by_pitch = matrices([[one, zero, zero], [zero, cosine, sine], [zero, -sine, cosine]])
    cosine, sine = np.cos(roll), np.sin(roll)
    by_roll = matrices([[cosine, sine, zero], [-sine, cosine, zero], [zero, zero, one]])
    return by_roll @ by_yaw @ by_pitch


def turned(faces: list[AnnotatedFace], **turn: float) -> np.ndarray:
    """The landmarks (F, N, 2), (x, y), of faces after a turn of the head."""
    still = {"yaw": 0.0, "pitch": 0.0, **turn}
    return np.array([HeadTurn(own.box, **still).forward(own.landmarks[:, ::-1]) for own in faces])


def against_labels(
    faces: list[AnnotatedFace], aligner: FaceAligner
) -> tuple[np.ndarray, np.ndarray]:
    """Mean absolute differences of pose (3,) and openness (3,) of found and true landmarks."""
    found = [aligner.align(face.image, face.box) for face in faces]
    true = [Face(face.landmarks, 0.0, 1, False) for face in faces]
    poses = [np.subtract(a.pose, b.pose) for a, b in zip(found, true, strict=True)]
    ratios = [np.subtract(a.openness, b.openness) for a, b in zip(found, true, strict=True)]
    return np.abs(poses).mean(axis=0), np.abs(ratios).mean(axis=0)


def mirrored_pairs(faces: list[AnnotatedFace], aligner: FaceAligner) -> np.ndarray:
    """Differences (F, 3) in degrees of the poses in pictures and in their mirror images."""
    found = []
    for face in faces:
        image = image_files.read_image(face.image)
        x0, y0, x1, y1 = face.box
        last = image.shape[1] - 1
        pose = aligner.align(image, face.box).pose
        other = aligner.align(image[:, ::-1].copy(), (last - x1, y0, last - x0, y1)).pose
        found.append(np.subtract(pose, np.array(other) * [-1, 1, -1]))
    return np.array(found)


def _angles(points: np.ndarray, face: MeanFace) -> np.ndarray:
    """The poses (F, 3) of faces (F, N, 2)."""
    return angles(turns_and_scales(points, face)[0])


def _row(values: np.ndarray) -> str:
    """Angles of a line."""
    return " / ".join(f"{value:.1f}" for value in values)


if __name__ == "__main__":
    command.run(MeasureConfig, measure, __doc__)
