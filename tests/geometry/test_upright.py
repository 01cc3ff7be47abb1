"""Crops that are turned upright."""

import numpy as np
import pytest
from tiny_faces import blobs

from musica.errors import InputError
from musica.geometry import crops, upright
from musica.geometry.crops import transform_points
from musica.preprocessing import release_pyramid

ROLLS = (-150.0, -75.0, -30.0, 0.0, 45.0, 90.0)


@pytest.fixture
def reference():
    """A mean face: eyes are level, the box's longer side is 142 pixels."""
    return np.array([[10.0, 0], [0, 30], [0, 100], [12, 130], [141, 66], [70, 64], [100, 20]])


def rolled(points, roll, centre=(150, 170), scale=0.5):
    """Points as they lie in an image whose turn by ``roll`` makes them upright."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    return scale * transform_points(crops.rotation(-roll), points - middle) + centre


@pytest.mark.parametrize("roll", ROLLS)
def test_the_roll_is_found_whatever_place_and_size(reference, roll):
    found = rolled(reference, roll)
    assert upright.roll_of(found, reference) == pytest.approx(roll)
    noise = np.random.default_rng(0).normal(0, 2, found.shape)
    assert upright.roll_of(found + noise, reference) == pytest.approx(roll, abs=4)


def test_the_sign_of_the_roll_is_the_crops(reference):
    found = rolled(reference, 40)
    crop = crops.crop_of_box(crops.bounding_box(found), roll=40)
    assert np.ptp(crop.to_crop(found)[[1, 2], 0]) < 1e-9  # the eyes are level
    crop = upright.upright_crop(upright.upright_box(found, 40), 40)
    assert np.ptp(crop.to_crop(found)[[1, 2], 0]) < 1e-9


@pytest.mark.parametrize("roll", ROLLS)
def test_the_crop_is_tight_in_the_upright_frame(reference, roll):
    found = rolled(reference, roll)
    crop = upright.upright_crop(upright.upright_box(found, roll), roll)
    in_crop = crop.to_crop(found)
    np.testing.assert_allclose(crop.to_image(in_crop), found)
    # The longer side of the box, both corner pixels included, is 142 pixels.
    assert crop.scale == pytest.approx(142 / (141 * 0.5 + 1))
    np.testing.assert_allclose(in_crop.min(axis=0), crop.origin, atol=0.51)
    np.testing.assert_allclose(
        np.ptp(in_crop, axis=0), np.ptp(reference, axis=0) * 0.5 * crop.scale
    )
    margins = np.array([*crop.origin, *(np.array(crop.shape) - in_crop.max(axis=0))])
    np.testing.assert_allclose(margins, 0.3 * np.tile(np.ptp(in_crop, axis=0), 2), atol=4)


@pytest.mark.parametrize("roll", ROLLS)
def test_pixels_are_where_the_points_are_and_corners_are_filled(reference, roll):
    found = rolled(reference, roll)
    pixels = blobs((300, 340), found, sigma=2.5)
    crop = upright.upright_crop(upright.upright_box(found, roll), roll)
    cut = release_pyramid.crop_image(pixels, crop)[..., 0]
    rows, columns = np.indices(cut.shape)
    for y, x in crop.to_crop(found):
        weights = cut * (np.hypot(rows - y, columns - x) < 14)
        centroid = [np.average(rows, weights=weights), np.average(columns, weights=weights)]
        # As everywhere, points have no half-pixel term where pixels have one.
        np.testing.assert_allclose(centroid, np.add([y, x], (crop.scale - 1) / 2), atol=0.3)
    white = release_pyramid.crop_image(np.full((300, 340, 3), 255, np.uint8), crop)
    assert white.min() > 0.999


def test_the_box_that_a_box_of_a_rolled_face_stands_for(reference):
    for roll in ROLLS:
        found = rolled(reference, roll)
        box = upright.upright_box_in(crops.bounding_box(found), reference, roll)
        np.testing.assert_allclose(box, upright.upright_box(found, roll))
    # Of another shape than the face, it has the same area.
    box = upright.upright_box_in(np.array([10, 20, 50, 110]), reference, 0.0)
    np.testing.assert_allclose(box[:2] + box[2:], [60, 130])
    assert np.prod(box[2:] - box[:2]) == pytest.approx(3600)
    assert np.divide(*(box[2:] - box[:2])) == pytest.approx(130 / 141)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([0, 0, np.nan, 9], "finite"),
        ([5, 5, 5, 9], "empty"),
        ([0, 0, 30, 9e5], "too"),
        ([9.9e5, 0, 9.9e5 + 40, 50], None),
        ([9.9e6, 0, 9.9e6 + 40, 50], "too far away"),
    ],
)
def test_boxes_that_no_landmarks_should_have(box, message):
    if message is None:
        assert np.isfinite(upright.upright_crop(np.array(box), 30.0).image_to_crop).all()
        return
    with pytest.raises(InputError, match=message):
        upright.upright_crop(np.array(box, np.float64), 30.0)
