"""Factorises the landmarks of many faces into poses and one three-dimensional mean face.

    python experiments/pose/fit_mean_face.py --image_dir=images --train_filenames=faces.txt \
        --frontal_filenames=portraits.txt --output=musica/weights/mean_face_68.csv

Structure from motion (Tomasi and Kanade, 1992) by alternating least squares: the poses that explain
the faces best, then the mean face that explains them best. Each face counts mirrored too, so the
mean face is symmetric. A landmark's weight is the inverse of its variance about the mean face.
"""

from dataclasses import dataclass

import numpy as np

from musica.cli import command
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option, require
from musica.files import annotated_faces, table_files
from musica.geometry.head_pose import COLUMNS, MeanFace, angles, turns_and_scales
from musica.geometry.landmarks import Scheme, scheme_for

# A first guess, in eye distances: the face is this deep, and falls off with the squared radius.
DEPTH, FALL = 0.8, 0.7


@dataclass(frozen=True)
class FitConfig(AnnotatedFolders):
    """Keys of the script."""

    train_filenames: list[str] = option([], "lists of images", path=True)
    frontal_filenames: list[str] = option([], "lists of faces whose mean pitch is 0", path=True)
    output: str = option("", "the .csv file to write", path=True)
    rounds: int = option(40, "how often poses and mean face are fitted in turn")


def fit(config: FitConfig) -> None:
    """Writes the table of a mean face and prints how well it explains the faces."""
    require(config, "image_dir", "train_filenames", "frontal_filenames", "output")
    points, frontal = (
        _points(config, lists) for lists in (config.train_filenames, config.frontal_filenames)
    )
    scheme = scheme_for(points.shape[1])
    points = np.concatenate([points, _mirrored(points, scheme)])
    face = first_guess(points, scheme)
    for _ in range(config.rounds):
        face, deviation = improved(points, face, scheme)
    face = levelled(face, frontal)
    rows = np.column_stack([face.points, face.weights])
    table_files.write_table(config.output, COLUMNS, [[f"{v:.5f}" for v in row] for row in rows])
    for part, indices in scheme.parts.items():
        print(f"{part}: deviation {deviation[list(indices)].mean():.1%} of the eye distance")
    print(f"wrote {config.output}, from {len(points) // 2} faces")


def first_guess(points: np.ndarray, scheme: Scheme) -> MeanFace:
    """The mean of (F, N, 2) faces on a paraboloid."""
    points = points - points.mean(axis=1, keepdims=True)
    mean = (points / np.linalg.norm(points, axis=(1, 2), keepdims=True)).mean(axis=0)
    mean /= _eye_distance(mean, scheme)
    depth = DEPTH - FALL * (mean**2).sum(axis=1)
    return MeanFace(np.column_stack([mean, depth]), np.full(len(mean), 1 / len(mean)))


def improved(points: np.ndarray, face: MeanFace, scheme: Scheme) -> tuple[MeanFace, np.ndarray]:
    """The mean face that explains (F, N, 2) faces best in their poses under the last one.

    Returns:
        The mean face, and (N,) the landmarks' standard deviations about it in eye distances.
    """
    turns, scales = turns_and_scales(points, face)
    rows = turns[:, :2]
    centred = (points - (face.weights @ points)[:, None]) / scales[:, None, None]
    seen = centred + (rows @ (face.weights @ face.points))[:, None]
    shape = np.linalg.solve((rows.mT @ rows).sum(axis=0), (rows.mT @ seen.mT).sum(axis=0)).T
    variance = ((seen - shape @ rows.mT) ** 2).sum(axis=(0, 2)) / len(points)
    flipped = shape[list(scheme.mirror)] * [-1, 1, 1]
    shape = (shape + flipped) / 2
    unit = _eye_distance(shape, scheme)
    weights = 1 / (variance + variance[list(scheme.mirror)])
    return MeanFace(shape / unit, weights / weights.sum()), np.sqrt(variance) / unit


def levelled(face: MeanFace, frontal: np.ndarray) -> MeanFace:
    """The mean face nodded so that the mean pitch of frontal faces is 0, about its centre."""
    turns, _ = turns_and_scales(frontal, face)
    pitch = np.deg2rad(angles(turns)[:, 1].mean())
    cosine, sine = np.cos(pitch), np.sin(pitch)
    nod = np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
    return MeanFace((face.points - face.points.mean(axis=0)) @ nod.T, face.weights)


def _points(config: FitConfig, lists: list[str]) -> np.ndarray:
    """(F, N, 2) landmarks (x, y) of listed faces."""
    faces = annotated_faces.read_faces(lists, *config.folders)
    return np.array([face.landmarks[:, ::-1] for face in faces])


def _mirrored(points: np.ndarray, scheme: Scheme) -> np.ndarray:
    """Faces (F, N, 2) seen in a mirror."""
    return points[:, list(scheme.mirror)] * [-1, 1]


def _eye_distance(points: np.ndarray, scheme: Scheme) -> float:
    """The distance of the outer eye corners."""
    first, second = scheme.eye_corners
    return float(np.linalg.norm(points[first] - points[second]))


if __name__ == "__main__":
    command.run(FitConfig, fit, __doc__)
