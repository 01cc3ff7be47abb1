"""Counts what the detector finds where there is no face, and among many small ones.

    python experiments/box_conventions/count_faces.py --image_dir=../shared/data/faces68/images \
        --filenames=../shared/data/faces68/lists/helen_train.txt

Each picture's face is blurred away; what is found then is false, or a face without annotation. Then
pictures are put together to mosaics, of which each face must be found.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from musica.alignment.detector import FaceDetector
from musica.cli import command
from musica.cli.config import option, require
from musica.files.annotated_faces import AnnotatedFace, read_faces
from musica.files.image_files import read_image
from musica.geometry.box_conventions import overlaps
from musica.geometry.crops import bounding_box

# The sides of a mosaic, in pixels and in pictures.
MOSAIC, SIDES = 1800, (4, 6)
MOSAICS = 12
# A found box is that of a face above this intersection over union.
OVERLAP = 0.3


@dataclass(frozen=True)
class CountConfig:
    """Keys of the script."""

    image_dir: str = option("", "folder of pictures and landmarks", path=True)
    filenames: list[str] = option([], "lists of images", path=True)
    every: int = option(4, "every so many pictures are blurred")
    seed: int = option(0, "decides which pictures are in a mosaic")


def count(config: CountConfig) -> None:
    """Prints how many faces are found."""
    require(config, "image_dir", "filenames")
    faces = read_faces(config.filenames, config.image_dir)
    detector, rng = FaceDetector(), np.random.default_rng(config.seed)
    some = faces[:: config.every]
    found = [len(detector.detect(without_face(face))) for face in some]
    print(f"{len(some)} pictures whose face is blurred: {sum(found)} boxes")
    for side in SIDES:
        hits = others = 0
        for _ in range(MOSAICS):
            picture, boxes = mosaic(rng.choice(np.array(faces), (side, side)))
            detected = np.array(detector.detect(picture)).reshape(-1, 4)
            hit = [(overlaps(box, detected) > OVERLAP).any() for box in boxes]
            hits += sum(hit)
            others += len(detected) - sum(hit)
        print(f"mosaics of {side}x{side}: {hits} of {MOSAICS * side**2} faces, {others} others")


def without_face(face: AnnotatedFace) -> np.ndarray:
    """The picture (H, W, 3) with its face, and what surrounds it, blurred away."""
    image = read_image(face.image).copy()
    side = (face.box[2:] - face.box[:2]).max()
    x0, y0, x1, y1 = np.rint(face.box + side * np.array([-0.25, -0.45, 0.25, 0.25])).astype(int)
    part = image[max(y0, 0) : y1, max(x0, 0) : x1]
    part[:] = cv2.GaussianBlur(part, (0, 0), side / 3)
    return image


def mosaic(faces: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Puts (R, R) pictures together: (MOSAIC, MOSAIC, 3), and the box (4,) of each face."""
    cell = MOSAIC // len(faces)
    result = np.zeros((MOSAIC, MOSAIC, 3), np.uint8)
    boxes = []
    for (row, column), face in np.ndenumerate(faces):
        image = read_image(face.image)
        zoom = cell / max(image.shape[:2])
        small = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
        corner = np.array([row, column]) * cell
        small = small[:cell, :cell]
        result[corner[0] :, corner[1] :][: small.shape[0], : small.shape[1]] = small
        boxes.append(bounding_box((face.landmarks + 0.5) * zoom - 0.5 + corner))
    return result, boxes


if __name__ == "__main__":
    command.run(CountConfig, count, __doc__)
