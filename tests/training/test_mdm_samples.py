"""Faces as MDM trains on them."""

import dataclasses

import numpy as np
import pytest
import tiny_faces
from PIL import Image

from musica.files import image_files
from musica.files.annotated_faces import AnnotatedFace
from musica.geometry import landmarks
from musica.geometry.crops import bounding_box
from musica.geometry.reference_shape import diagonal_shape
from musica.training import mdm_samples
from musica.training.augment import AugmentConfig
from musica.training.mdm_samples import BoxModel, MdmSamples, jittered, turned

OPTIONS = AugmentConfig(mirror_probability=0.5)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Three faces in boxes that are larger than their landmarks' by different shares."""
    folder, found = tmp_path_factory.mktemp("faces"), []
    for seed in range(3):
        points = tiny_faces.landmarks(seed)
        path = folder / f"{seed}.png"
        image_files.write_image(path, Image.fromarray(tiny_faces.blobs(tiny_faces.SIZE, points)))
        box = bounding_box(points) + np.array([-4, -2, 3, 5]) * (1 + seed / 2)
        found.append(AnnotatedFace(path.name, path, points, box))
    return found


@pytest.fixture(scope="module")
def shape(faces):
    return diagonal_shape([face.landmarks for face in faces])


def normed(points):
    return (points - points.mean(axis=0)) / size(points)


def size(points):
    return np.linalg.norm(points - points.mean(axis=0))


def test_faces_have_the_size_of_the_reference_shape_on_one_canvas(faces, shape):
    samples = MdmSamples(faces, shape, augmentation=OPTIONS, seed=3)
    canvas, *_ = samples.shapes
    for position in range(24):
        pixels, initial, truth = samples.sample(position)
        assert pixels.shape == canvas and pixels.dtype == np.float32
        assert pixels.min() >= 0 and pixels.max() <= 1
        # The factors of the axes differ by less than a pixel over the crop.
        assert size(truth) == pytest.approx(size(shape), rel=0.02)
        assert initial.shape == truth.shape == shape.shape
        np.testing.assert_allclose(normed(initial), normed(shape), atol=1e-4)
        # Landmarks are bright, the rest of the face is dark.
        y, x = np.rint(truth[40]).astype(int)
        assert pixels[y - 1 : y + 2, x - 1 : x + 2].mean() > 0.35
    again = MdmSamples(faces, shape, augmentation=OPTIONS, seed=3).sample(7)
    for first, second in zip(samples.sample(7), again, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("probability", "mirrors"), [(0.0, 0), (1.0, 8), (0.5, 4)])
def test_faces_are_mirrored_as_often_as_asked(faces, shape, monkeypatch, probability, mirrors):
    calls = []

    def mirrored(points, order, columns):
        calls.append(order)
        return landmarks.mirrored(points, order, columns)

    monkeypatch.setattr(mdm_samples, "mirrored", mirrored)
    options = dataclasses.replace(OPTIONS, mirror_probability=probability)
    samples = MdmSamples(faces, shape, augmentation=options, seed=3)
    for position in range(8):
        samples.sample(position)
    assert abs(len(calls) - mirrors) <= (0 if probability in (0, 1) else 3)


def test_without_augmentation_faces_are_prepared_as_at_test(faces, shape):
    samples = MdmSamples(faces, shape)
    pixels, initial, truth = samples.sample(1)
    crop = samples._crop(faces[1], tiny_faces.SIZE)
    np.testing.assert_allclose(initial, crop.initial_shape(shape), rtol=1e-5)
    np.testing.assert_allclose(truth, crop.to_crop(faces[1].landmarks), rtol=1e-5)
    assert (np.array(pixels.shape[:2]) <= samples.shapes[0][:2]).all()


def test_boxes_are_drawn_like_the_given_ones(faces):
    offsets = np.random.default_rng(0).normal(0, 0.1, (200, 4))
    points = faces[0].landmarks
    true = bounding_box(points)
    sides = np.tile(true[2:] - true[:2], 2)
    given = [dataclasses.replace(faces[0], box=true + row * sides) for row in offsets]
    model, rng = BoxModel(given), np.random.default_rng(1)
    drawn = np.array([(model.draw(points, rng) - true) / sides for _ in range(400)])
    np.testing.assert_allclose(drawn.mean(axis=0), offsets.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(drawn.std(axis=0), offsets.std(axis=0), rtol=0.2)
    exact = BoxModel([dataclasses.replace(faces[0], box=true)])
    np.testing.assert_allclose(exact.draw(points, rng), true)


def test_pixels_turn_with_the_points():
    points = tiny_faces.landmarks(0)
    pixels = tiny_faces.blobs((90, 90), points).astype(np.float32) / 255
    found, moved = turned(pixels, points, 20.0)
    for y, x in np.rint(moved).astype(int):
        assert found[y, x].max() > 0.5


def test_colours_change_within_limits():
    pixels = np.random.default_rng(0).uniform(0.2, 0.8, (30, 40, 3)).astype(np.float32)
    means = []
    for seed in range(30):
        found = jittered(pixels, np.random.default_rng(seed))
        assert found.shape == pixels.shape and found.dtype == np.float32
        assert found.min() >= 0 and found.max() <= 1
        means.append(found.mean() - pixels.mean())
    assert 0.03 < np.max(np.abs(means)) < 0.25
