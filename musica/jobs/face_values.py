"""What is known of an aligned face, as the cells of a table and as JSON."""

import json
import math
from typing import Any

import numpy as np

from musica.alignment.face import Face
from musica.geometry.head_pose import Pose
from musica.geometry.openness import Openness

# Of ``cells``.
COLUMNS = (
    *("error_estimate", "expected_nme", "iterations", "multiply_adds"),
    *Pose._fields,
    *(f"{opening}_openness" for opening in Openness._fields),
    *("landmark_errors", "failed"),
)


def cells(face: Face) -> list[object]:
    """The values of ``COLUMNS``; what is not known is empty, landmark errors are one cell."""
    errors = () if face.landmark_errors is None else face.landmark_errors.tolist()
    return [
        f"{face.error_estimate:.8g}",
        "" if face.expected_nme is None else f"{face.expected_nme:.8g}",
        *(face.iterations, face.multiply_adds),
        *([""] * len(Pose._fields) if face.pose is None else (f"{v:.2f}" for v in face.pose)),
        *(
            [""] * len(Openness._fields)
            if face.openness is None
            else (f"{v:.4f}" for v in face.openness)
        ),
        " ".join(f"{error:.4g}" for error in errors),
        int(face.failed),
    ]


def as_json(face: Face, image: str, box: np.ndarray) -> str:
    """A face as a JSON object; what is not known is null.

    Args:
        face: the face; its landmarks are written as (x, y) image pixels, counted from 0.
        image: the picture's file.
        box: (4,) x0, y0, x1, y1.
    """
    errors = face.landmark_errors
    values = {
        "image": image,
        "box": _rounded(box, 2),
        "landmarks": _rounded(face.as_xy(), 3),
        "error_estimate": face.error_estimate if math.isfinite(face.error_estimate) else None,
        "expected_nme": face.expected_nme,
        "iterations": face.iterations,
        "multiply_adds": face.multiply_adds,
        "failed": face.failed,
        "pose": face.pose and face.pose._asdict(),
        "openness": face.openness and face.openness._asdict(),
        "landmark_errors": None if errors is None else _rounded(errors, 5),
    }
    return json.dumps(values, allow_nan=False) + "\n"


def _rounded(values: np.ndarray, digits: int) -> Any:
    """An array as lists of short numbers."""
    return np.round(values, digits).tolist()
