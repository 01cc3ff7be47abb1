"""Landmarks of a folder's faces by another system: ``python peer_folder.py PEER FOLDER RESULTS``.

PEER is ``mediapipe`` (``pip install mediapipe==0.10.21``, which needs NumPy 1 and therefore an
environment of its own) or ``dlib`` (``pip install 'musica[peers]'``). Pillow reads the pictures.
The points of each face are written as text, (x, y) a line.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image


def mediapipe_faces() -> Callable[[np.ndarray], list[np.ndarray]]:
    """MediaPipe's face mesh as its documentation runs it on still pictures."""
    import mediapipe

    mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=10)

    def find(image: np.ndarray) -> list[np.ndarray]:
        found = mesh.process(image).multi_face_landmarks or []
        sides = image.shape[1], image.shape[0]
        return [np.array([(point.x, point.y) for point in own.landmark]) * sides for own in found]

    return find


def dlib_faces() -> Callable[[np.ndarray], list[np.ndarray]]:
    """The detector of dlib and its 68 points."""
    import dlib
    from face_recognition_models import pose_predictor_model_location

    detect = dlib.get_frontal_face_detector()
    predict = dlib.shape_predictor(pose_predictor_model_location())

    def find(image: np.ndarray) -> list[np.ndarray]:
        shapes = [predict(image, box) for box in detect(image)]
        return [np.array([(point.x, point.y) for point in own.parts()]) for own in shapes]

    return find


def pictures(folder: str) -> Iterator[Path]:
    """The pictures of a folder, in order."""
    return (path for path in sorted(Path(folder).iterdir()) if path.suffix in (".jpg", ".png"))


if __name__ == "__main__":
    peer, folder, results = sys.argv[1:]
    find_faces = {"mediapipe": mediapipe_faces, "dlib": dlib_faces}[peer]()
    count = 0
    for path in pictures(folder):
        for points in find_faces(np.asarray(Image.open(path).convert("RGB"))):
            np.savetxt(Path(results, f"{path.stem}_{count}.txt"), points, "%.2f")
            count += 1
    print(f"{count} faces")
