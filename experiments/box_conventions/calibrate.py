"""Measures how a detector's boxes lie around the landmarks (``musica.geometry.box_conventions``).

    python experiments/box_conventions/calibrate.py --detector=blazeface

Prints the numbers, fitted on the train lists, and how well they map the boxes of the dev lists.
Each face is scaled and put at a random place of a grey picture of 640x480 pixels, because a crop
that holds little but the face is not what a detector was made for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from musica.cli import command
from musica.cli.config import option
from musica.errors import InputError
from musica.files import image_files, landmark_files, list_files
from musica.geometry import crops
from musica.geometry.box_conventions import BoxConvention, overlaps

WIDTH, HEIGHT = 640, 480
GREY = 128


@dataclass(frozen=True)
class CalibrationConfig:
    """Keys of the script."""

    detector: str = option("blazeface", "blazeface, haar, dlib or mtcnn")
    image_dir: str = option("../shared/data/faces68/images", "folder of the faces", path=True)
    list_dir: str = option("../shared/data/faces68/lists", "folder of the lists", path=True)
    sets: list[str] = option(["aflw80", "ytf_auto", "webmorph"], "each has a train and a dev list")
    faces: int = option(60, "at most so many of each list")
    min_side: float = option(100.0, "the face's longer side in the picture, from")
    max_side: float = option(240.0, "and to, in pixels")
    seed: int = option(0, "of the choice of faces, their sizes and places")


def blazeface() -> Callable:
    """BlazeFace as in ``musica.alignment.detector``."""
    from musica.alignment.detector import FaceDetector

    return FaceDetector().blazeface_boxes


def haar() -> Callable:
    """OpenCV's cascade for frontal faces; needs opencv-python-headless below version 5."""
    import cv2

    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    return lambda image: _corners(cascade.detectMultiScale(image[..., 1], 1.1, 5, minSize=(60, 60)))


def dlib() -> Callable:
    """The histogram-of-gradients detector of dlib; needs dlib or dlib-bin."""
    from dlib import get_frontal_face_detector

    detector = get_frontal_face_detector()
    return lambda image: np.array(
        [[r.left(), r.top(), r.right(), r.bottom()] for r in detector(image, 0)], np.float64
    )


def mtcnn() -> Callable:
    """MTCNN; needs the packages mtcnn, lz4 and joblib."""
    from mtcnn import MTCNN

    detector = MTCNN()
    return lambda image: _corners([face["box"] for face in detector.detect_faces(image) or ()])


DETECTORS = {maker.__name__: maker for maker in (blazeface, haar, dlib, mtcnn)}


def _corners(boxes) -> np.ndarray:
    """From x, y, width, height to inclusive corners, (F, 4)."""
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:] - 1])


def calibrate(config: CalibrationConfig) -> None:
    """Prints a detector's convention and how well it fits.

    Raises:
        InputError: an unknown detector, or the data cannot be read.
    """
    if config.detector not in DETECTORS:
        raise InputError(f"detector must be one of {', '.join(DETECTORS)}")
    detect = DETECTORS[config.detector]()
    train = [_pairs(config, detect, f"{name}_train") for name in config.sets]
    boxes, tight = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
    convention = _fitted(boxes, tight)
    print(f'"{config.detector}": {convention}')
    for name in config.sets:
        boxes, tight = _pairs(config, detect, f"{name}_dev")
        mapped = np.array([convention.to_landmark_box(box) for box in boxes])
        same = np.array([overlaps(*pair) for pair in zip(mapped, tight[:, None], strict=True)])
        right, down, width, height = _relative(mapped, tight).std(axis=0)
        print(
            f"{name}_dev: {len(boxes)} found, overlap {same.mean():.3f}, "
            f"of one face in twenty below {np.quantile(same, 0.05):.3f}; standard deviations: "
            f"x {right:.3f}, y {down:.3f}, width {width:.3f}, height {height:.3f} of the side"
        )


def _fitted(boxes: np.ndarray, tight: np.ndarray) -> BoxConvention:
    """The convention that maps (F, 4) boxes to tight ones: medians, which forgive wrong labels.

    Faces are as often turned to the left as to the right: there is no shift to either side.
    """
    _, down, width, height = np.median(_relative(boxes, tight), axis=0)
    return BoxConvention(*(round(float(value), 3) for value in (down, width, height)))


def _relative(boxes: np.ndarray, tight: np.ndarray) -> np.ndarray:
    """Shift and sides of (F, 4) tight boxes relative to the others' sides: (F, 4)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    shift = (tight[:, :2] + tight[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2
    return np.hstack([shift / sides, (tight[:, 2:] - tight[:, :2]) / sides])


def _pairs(config: CalibrationConfig, detect: Callable, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Detected and tight boxes, (F, 4) each, of the faces of a list that are found."""
    pairs = []
    for picture, box in _pictures(config, name):
        centre = (box[:2] + box[2:]) / 2
        for found in detect(picture):
            middle = (found[:2] + found[2:]) / 2
            ratio = np.ptp(found[::2]) / np.ptp(box[::2])
            if (abs(middle - centre) < (box[2:] - box[:2]) / 2).all() and 0.5 < ratio < 2.5:
                pairs.append((found, box))
                break
    return tuple(np.array(pairs).reshape(-1, 2, 4).swapaxes(0, 1))


def _pictures(config: CalibrationConfig, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pictures of one face each, and its tight box."""
    generator = np.random.default_rng(config.seed)
    files = list_files.read_list(Path(config.list_dir, f"{name}.txt"))
    for file in generator.permutation(files)[: config.faces]:
        image = Image.fromarray(image_files.read_image(Path(config.image_dir, file)))
        points = landmark_files.read_landmarks(Path(config.image_dir, file).with_suffix(".pts"))
        box = crops.bounding_box(points)
        side = generator.uniform(config.min_side, config.max_side)
        zoom = side / (box[2:] - box[:2]).max()
        scaled = image.resize((round(image.width * zoom), round(image.height * zoom)))
        # Zoomed are the pixels' edges, not their centres.
        box = (box + 0.5) * np.tile(np.divide(scaled.size, image.size), 2) - 0.5
        place = generator.uniform(side / 2, (WIDTH - side / 2, HEIGHT - side / 2))
        offset = np.rint(place - (box[:2] + box[2:]) / 2).astype(int)
        picture = Image.new("RGB", (WIDTH, HEIGHT), (GREY,) * 3)
        picture.paste(scaled, tuple(offset.tolist()))
        yield np.asarray(picture), box + np.tile(offset, 2)


if __name__ == "__main__":
    command.run(CalibrationConfig, calibrate, __doc__)
