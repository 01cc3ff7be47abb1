"""What other programs do with an aligner and its faces; as ``hostile.py``."""

import copy
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
from hostile import Attempt, one_of
from hostile_pictures import portrait

from musica import Face, FaceAligner
from musica.geometry.head_pose import mean_face
from musica.jobs import face_values

EXTREMES = (0.0, -1.0, 1e-300, 1e9, -1e9, 1e200, np.inf, np.nan)


def odd_landmarks(generator: np.random.Generator, folder: Path) -> Attempt:
    """Landmarks of any kind: their pose, openness, cells and JSON are there or are None."""
    count = int(one_of(generator, (68, 98, 1, 5)))
    face = mean_face(count)
    points = generator.normal(size=(count, 2)) if face is None else face.points[:, 1::-1].copy()
    points *= 10.0 ** generator.integers(-9, 9)
    points += generator.normal(0, 10.0 ** generator.integers(-9, 9), points.shape)
    if generator.random() < 0.3:
        points[:] = one_of(generator, points)
    if generator.random() < 0.3:
        points.flat[generator.integers(points.size)] = one_of(generator, EXTREMES)
    found = Face(points, 0.1, 1, False, landmark_errors=generator.random(count))

    def attempt():
        for values in (found.pose, found.openness):
            assert values is None or np.isfinite(values).all(), values
        assert len(face_values.cells(found)) == len(face_values.COLUMNS)
        if np.isfinite(points).all():
            json.loads(face_values.as_json(found, "a.png", np.zeros(4)))

    return attempt


@lru_cache
def shipped() -> FaceAligner:
    """The shipped model."""
    return FaceAligner.load()


def shared_aligner(generator: np.random.Generator, folder: Path) -> Attempt:
    """Threads share an aligner, or each has a copy; every answer is that of one thread alone."""
    image, box = portrait()
    boxes = [box + generator.uniform(-5, 5, 4) for _ in range(8)]
    copied = one_of(generator, (None, copy.deepcopy, lambda own: pickle.loads(pickle.dumps(own))))
    threads = int(generator.integers(2, 9))

    def attempt():
        aligner = copied(shipped()) if copied else shipped()
        expected = [shipped().align(image, one).landmarks for one in boxes]
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(lambda one: aligner.align(image, one).landmarks, boxes))
        np.testing.assert_array_equal(found, expected)

    return attempt


KINDS = {"landmarks of faces": odd_landmarks, "shared aligners": shared_aligner}
