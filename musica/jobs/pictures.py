"""The picture that is written for a photo: its faces, or what each of their iterations did."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from musica.alignment.aligner import FaceAligner
from musica.alignment.face import Face
from musica.alignment.options import Options
from musica.drawing import faces as drawing
from musica.drawing.iterations import stacked
from musica.jobs.explanation import explain


def draw_aligned(
    image: np.ndarray, boxes: Sequence[np.ndarray], faces: Sequence[Face]
) -> Image.Image:
    """Draws the faces on an (H, W, 3) uint8 photo, each in its box (4,)."""
    pairs = zip(faces, boxes, strict=True)
    return drawing.draw_faces(image, [drawing.DrawnFace.aligned(*pair) for pair in pairs])


def draw_explained(
    aligner: FaceAligner,
    options: Options,
    image: np.ndarray,
    boxes: Sequence[np.ndarray],
    faces: Sequence[Face],
) -> Image.Image:
    """Aligns the faces anew, by the options of the first time, and draws every iteration."""
    names = [f"Face {index + 1}" for index in range(len(boxes))] if len(boxes) > 1 else [""]
    pairs = zip(boxes, names, strict=True)
    return stacked([explain(aligner, image, box, name, **options) for box, name in pairs])
