"""Faces of models with ``area`` preprocessing: squares, exact to a small part of a pixel."""

import dataclasses

import numpy as np
import pytest
from test_augment import MIRROR, WARP_ONLY, face, found, generators
from tiny_faces import landmarks, write_faces

from musica.files import annotated_faces, image_files
from musica.geometry.square_crops import square_crop
from musica.preprocessing.area import AreaPyramid
from musica.training import augment
from musica.training.augment import AugmentConfig
from musica.training.dataset import FaceSamples
from musica.training.face_crops import AreaCrops, ReleaseCrops
from musica.training.face_parts import FaceParts

AREA = AreaCrops()


def crop_pixels(image, box):
    """The finest level of a face's crop, and the crop."""
    crop = square_crop(box)
    return AreaPyramid(image, crop).pixels(0), crop


@pytest.mark.parametrize("scale", [1.0, 1.4, 5.0])
@pytest.mark.parametrize("turn", [0, 25])
def test_landmarks_lie_on_their_features(scale, turn):
    """In the crop that the model sees, at box sizes below, at and above that of the crop."""
    options = dataclasses.replace(WARP_ONLY, mirror_probability=0.5, turn=turn, colour_clip=0)
    gaps = []
    for rng in generators(20):
        image, points, box = augment.augment(*face(scale), rng, options, MIRROR, AREA)
        pixels, crop = crop_pixels(image, box)
        radius = 6 * max(1, crop.scale * scale)
        for point in crop.to_crop(points) - 0.5:  # from coordinates to pixel indices
            gaps.append(found(pixels, point, radius) - point)
    assert np.linalg.norm(gaps, axis=1).mean() < 0.6 + 0.4 * (turn > 0)
    assert np.abs(np.mean(gaps, axis=0)).max() < 0.12 + 0.2 * (turn > 0)


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_the_window_is_the_square_of_the_crop(scale):
    for rng in generators(30):
        image, _, box = augment.augment(*face(scale), rng, WARP_ONLY, None, AREA)
        side = image.shape[0]
        crop = square_crop(box)
        assert image.shape == (side, side, 3) and crop.side == side
        assert crop.centre == (side / 2, side / 2)  # nothing is cut again
        assert side <= crop.size
        if scale > 1:
            assert side == crop.size


def test_the_border_is_repeated():
    """A face at the edge of a grey picture stays all grey; the release's gets black."""
    image, points, box = face()
    image = np.full_like(image, 120)
    options = dataclasses.replace(WARP_ONLY, colour_clip=0, turn=20, turn_probability=0.5)
    for rng in generators(10):
        result, _, _ = augment.augment(image, points - 40, box - 40, rng, options, None, AREA)
        assert result.min() == result.max()
    darkest = [
        augment.augment(image, points - 40, box - 40, rng, options)[0].min()
        for rng in generators(10)
    ]
    assert min(darkest) == 0


def test_both_kinds_draw_the_same_random_numbers():
    options = AugmentConfig(
        augment_probability=1, turn=20, coarse_probability=1, occlusion_probability=0
    )
    draws = []
    for crops in (AREA, ReleaseCrops()):
        rng = np.random.default_rng(4)
        augment.augment(*face(), rng, options, None, crops)
        draws.append(rng.random())
    assert draws[0] == draws[1]


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_parts_of_large_faces_are_reduced(scale, tmp_path):
    """Landmarks stay on their features, and the box keeps its place."""
    image, points, box = face(scale)
    image_files.write_image(tmp_path / "face.png", image_files.Image.fromarray(image))
    box += [-10, 0, 10, 0]
    crops = AreaCrops(box_size=60)
    annotated = annotated_faces.AnnotatedFace("face", tmp_path / "face.png", points, box)
    pixels, moved, moved_box = FaceParts(crops, 0).load(annotated)
    longer = (moved_box[2:] - moved_box[:2] + 1).max()
    before = (box[2:] - box[:2] + 1).max()
    expected = 1.4 * 60 if scale > 1 else before
    np.testing.assert_allclose(longer, expected, rtol=0.01)
    gaps = [found(pixels, point, 9) - point for point in moved]
    assert np.abs(gaps).max() < 0.3 and np.abs(np.mean(gaps, axis=0)).max() < 0.1
    np.testing.assert_allclose(
        (moved.mean(axis=0) - moved_box[1::-1]) / longer,
        (points.mean(axis=0) - box[1::-1]) / before,
        atol=0.01,
    )


def test_a_part_reaches_as_far_in_both_directions():
    """A turned square looks beyond the shorter side of a narrow box."""
    narrow = np.array([0, 0, 99, 39])
    assert AREA.part_sides(narrow).tolist() == [240, 240]
    assert ReleaseCrops().part_sides(narrow).tolist() == [200, 80]


def test_a_validation_face_is_the_pyramid_of_its_crop(tmp_path):
    write_faces(tmp_path, 3, landmark_count=5)
    faces = annotated_faces.read_faces([tmp_path / "list.txt"], tmp_path)
    reference = landmarks(99, 5)
    samples = FaceSamples(faces, reference, levels=2, box_size=40, preprocessing="area")
    assert samples.shapes == [(64, 64, 3), (32, 32, 3), (5, 2), (5, 2)]
    for position, annotated in enumerate(faces):
        crop = square_crop(annotated.box, box_size=40, levels=2)
        pyramid = AreaPyramid(image_files.read_image(annotated.image), crop, 2)
        *levels, initial, truth = samples.sample(position)
        for level, pixels in enumerate(levels):
            np.testing.assert_array_equal(pixels, pyramid.level(level))
        np.testing.assert_allclose(initial, crop.initial_shape(reference), rtol=1e-6)
        np.testing.assert_allclose(truth, crop.to_crop(annotated.landmarks), rtol=1e-6)
