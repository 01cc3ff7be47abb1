"""The square crop: exact to the half pixel, at every box size and roll."""

import numpy as np
import pytest

from musica.errors import InputError
from musica.geometry import crops, square_crops

REFERENCE = np.random.default_rng(0).uniform(0, 142, (68, 2))


@pytest.mark.parametrize("box", [(10, 20, 59, 69), (3.4, -7.8, 45.1, 90.2), (0, 0, 900, 400)])
def test_the_crop_holds_the_box_in_its_middle(box):
    crop = square_crops.square_crop(box)
    assert crop.size == 228
    corners = np.array([[box[1] - 0.5, box[0] - 0.5], [box[3] + 0.5, box[2] + 0.5]])
    found = crop.to_crop(corners)
    # The square's corners are whole pixels of the image.
    assert np.abs(found.mean(axis=0) - 114).max() <= 0.5 * crop.scale + 1e-9
    assert (found[1] - found[0]).max() == pytest.approx(142, rel=0.5 / crop.side)
    left_top = crop.to_image(np.zeros(2)) + 0.5
    np.testing.assert_allclose(left_top, left_top.round(), atol=1e-9)


def test_points_of_the_crop_count_from_the_corners_of_pixels():
    """Pixel i of the image covers i to i + 1; so do pixels of the crop."""
    crop = square_crops.square_crop((0, 0, 141, 141))
    assert crop.side == crop.size
    np.testing.assert_allclose(crop.to_crop(np.array([0.0, 0.0])), [43.5, 43.5])


@pytest.mark.parametrize("roll", [0.001, 30, -100, 180])
def test_a_turned_crop_holds_the_turned_box(roll):
    box = np.array([40.0, 60.0, 140.0, 150.0])
    crop = square_crops.turned_square_crop(box, roll)
    upright = np.array([[60.0, 40.0], [150.0, 140.0]])
    in_image = crops.transform_points(crops.rotation(-roll), upright)
    expected = (upright - [105, 90]) * 142 / 101 + 114
    np.testing.assert_allclose(crop.to_crop(in_image), expected, atol=1e-9)
    np.testing.assert_allclose(crop.to_image(expected), in_image, atol=1e-9)


def test_the_initial_shape_is_the_same_for_every_face():
    first, second = (
        square_crops.square_crop(box).initial_shape(REFERENCE)
        for box in ((0, 0, 50, 50), (30, 40, 200, 190))
    )
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose((first.min(axis=0) + first.max(axis=0)) / 2, [114, 114])


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((5, 5, 5, 9), "empty"),
        ((0, 0, np.nan, 9), "finite"),
        ((0, 0, 1, 1e7), "finite"),
        ((0, 0, 1e5, 1e5), "too large"),
    ],
)
def test_unusable_boxes(box, message):
    with pytest.raises(InputError, match=message):
        square_crops.square_crop(box)
    with pytest.raises(InputError, match=message):
        square_crops.turned_square_crop(box, 40)


def test_an_unusable_roll():
    with pytest.raises(InputError, match="roll"):
        square_crops.turned_square_crop((0, 0, 50, 50), np.nan)
