"""The pose of a head, from its landmarks and a three-dimensional mean face.

The mean face was factorised out of two-dimensional landmarks (``experiments/pose``). Inside this
module points are (x, y) and (x, y, depth): x to the right, y down, depth toward the camera.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

TABLES = Path(__file__).parents[1] / "weights"
COLUMNS = ("x", "y", "depth", "weight")
# Steps are turns in radians, and logarithms of the scale. None follows once all are small.
STEPS = 10
LARGEST_STEP, SMALL_STEP = 0.5, 1e-4


class Pose(NamedTuple):
    """The pose of a head in degrees; all 0: it looks straight into the camera.

    Attributes:
        yaw: -90 to 90, positive: the nose points to the right in the image.
        pitch: positive: the nose points down. 0 is the mean of studio portraits.
        roll: positive: the head leans to the left in the image, so the line of its eyes rises to
            the right. It is the angle that ``FaceAligner.align`` takes as ``roll``.
    """

    yaw: float
    pitch: float
    roll: float


class MeanFace(NamedTuple):
    """A three-dimensional mean face; its unit is the distance of the outer eye corners.

    Attributes:
        points: (N, 3) float64, (x, y, depth).
        weights: (N,) float64, how much a landmark tells of the pose; their sum is 1.
    """

    points: np.ndarray
    weights: np.ndarray


@lru_cache
def mean_face(count: int) -> MeanFace | None:
    """The mean face of the scheme with so many landmarks; None: there is none."""
    path = TABLES / f"mean_face_{count}.csv"
    if not path.is_file():
        return None
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    return MeanFace(table[:, :3], table[:, 3] / table[:, 3].sum())


def head_pose(landmarks: np.ndarray) -> Pose | None:
    """The pose that explains landmarks best.

    The camera is a scaled orthographic one: near a wide lens the perspective is left out.

    Args:
        landmarks: (N, 2), (y, x) image pixels.

    Returns:
        The pose; None if no mean face has N points, or a landmark is not finite.
    """
    face = mean_face(len(landmarks))
    if face is None or not np.isfinite(landmarks).all():
        return None
    turns, _ = turns_and_scales(landmarks[None, :, ::-1], face)
    return Pose(*angles(turns)[0].tolist())


def angles(turns: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll in degrees of F rotations (F, 3, 3): (F, 3).

    A head nods by its pitch, then turns by its yaw, then leans by its roll.
    """
    yaw = np.arcsin(np.clip(-turns[:, 2, 0], -1, 1))
    pitch = np.arctan2(-turns[:, 2, 1], turns[:, 2, 2])
    roll = np.arctan2(-turns[:, 1, 0], turns[:, 0, 0])
    return np.rad2deg(np.stack([yaw, pitch, roll], axis=1))


def turns_and_scales(points: np.ndarray, face: MeanFace) -> tuple[np.ndarray, np.ndarray]:
    """The rotations and scales that map a mean face onto F faces with weighted least squares.

    Gauss-Newton steps follow an affine fit.

    Args:
        points: (F, N, 2), (x, y) pixels.
        face: the mean face.

    Returns:
        (F, 3, 3) rotations, and (F,) pixels of the mean face's unit.
    """
    shape = face.points - face.weights @ face.points
    points = points - (face.weights @ points)[:, None]
    # In units of their own, since squares of very large numbers are infinite.
    units = np.abs(points).max(axis=(1, 2))
    points = points / np.where(units > 0, units, 1)[:, None, None]
    weighted = face.weights[:, None] * shape
    affine = points.mT @ weighted @ np.linalg.inv(shape.T @ weighted)
    left, stretches, right = np.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    turns = np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)
    scales = stretches.mean(axis=1)
    for _ in range(STEPS):
        placed = scales[:, None, None] * (shape @ turns.mT)
        slopes = _slopes(placed) * np.sqrt(face.weights)[:, None, None]
        slopes = slopes.reshape(len(points), -1, 4)
        gaps = (points - placed[..., :2]) * np.sqrt(face.weights)[:, None]
        gaps = gaps.reshape(len(points), -1, 1)
        steps = (np.linalg.pinv(slopes.mT @ slopes) @ (slopes.mT @ gaps))[..., 0]
        steps = np.clip(steps, -LARGEST_STEP, LARGEST_STEP)  # points that are no face diverge
        turns, scales = _turned(turns, steps[:, :3]), scales * np.exp(steps[:, 3])
        if (np.abs(steps) < SMALL_STEP).all():
            break
    return turns, scales * units


def _slopes(placed: np.ndarray) -> np.ndarray:
    """How placed points (F, N, 3) move with a turn about each axis and the scale: (F, N, 2, 4)."""
    x, y, depth = np.moveaxis(placed, -1, 0)
    still = np.zeros_like(x)
    return np.stack([[still, depth, -y, x], [-depth, still, x, y]]).transpose(2, 3, 0, 1)


def _turned(turns: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Rotations (F, 3, 3) after further small turns (F, 3) about the axes."""
    x, y, z = steps.T
    one = np.ones_like(x)
    small = np.stack([[one, -z, y], [z, one, -x], [-y, x, one]]).transpose(2, 0, 1)
    left, _, right = np.linalg.svd(small @ turns)
    return left @ right
