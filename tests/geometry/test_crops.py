import numpy as np
import pytest

from musica.errors import InputError
from musica.geometry import crops


def test_halves_round_away_from_zero():
    rounded = crops.round_half_away(np.array([0.5, -0.5, 1.5, 2.5, -2.5, 0.49, -0.49]))
    np.testing.assert_array_equal(rounded, [1, -1, 2, 3, -3, 0, 0])


def test_crop_of_an_even_box():
    crop = crops.crop_of_box([10, 20, 109, 119])  # 100 x 100, margin 30
    np.testing.assert_array_equal(crop.region, [-20, -10, 139, 149])
    scale = 142 / 101  # the usual inclusive width w + 1
    np.testing.assert_allclose(crop.scale, scale)
    assert crop.shape == (round(160 * scale), round(160 * scale))
    np.testing.assert_array_equal(crop.origin, [42, 42])  # 30 * scale = 42.2
    expected = [[scale, 0, 20 * scale], [0, scale, 10 * scale], [0, 0, 1]]
    np.testing.assert_allclose(crop.image_to_crop, expected)


def test_an_odd_crop_shifts_by_half_a_pixel():
    crop = crops.crop_of_box([10, 20, 110, 119])  # 101 wide, 100 high
    np.testing.assert_array_equal(crop.region, [-20, -10, 140, 149])
    np.testing.assert_allclose(crop.turned, [[1, 0, -0.5], [0, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(crop.to_crop([-10.0, -20.0]), [0, -0.5 * crop.scale], atol=1e-9)


def test_margin_and_box_size_are_kept():
    crop = crops.crop_of_box([0, 0, 99, 49], margin=0.1, box_size=64)
    np.testing.assert_array_equal(crop.region, [-10, -5, 109, 54])
    np.testing.assert_allclose(crop.scale, 64 / 101)


@pytest.mark.parametrize("roll", [0.0, 30.0, -75.0, 180.0])
def test_points_go_there_and_back(roll):
    crop = crops.crop_of_box([12.4, 30.5, 90.2, 141.7], roll=roll)
    points = np.random.default_rng(0).uniform(-50, 200, (2, 7, 2))
    np.testing.assert_allclose(crop.to_image(crop.to_crop(points)), points, atol=1e-9)


@pytest.mark.parametrize("roll", [0.0, 30.0, 90.0])
def test_turn_is_about_the_centre(roll):
    crop = crops.crop_of_box([10, 20, 109, 119], roll=roll)
    y, x = 70.0, 60.0  # the region's middle
    rows, columns = crop.turned_shape
    middle = np.array([rows // 2, columns // 2]) * crop.scale
    np.testing.assert_allclose(crop.to_crop(np.array([y, x])), middle, atol=1e-9)
    angle = np.deg2rad(roll)
    to_the_right = crop.to_crop(np.array([y, x + 10])) - middle  # x' = cos r x, y' = sin r x
    expected = 10 * crop.scale * np.array([np.sin(angle), np.cos(angle)])
    np.testing.assert_allclose(to_the_right, expected, atol=1e-9)


def test_initial_shape_starts_at_the_origin():
    crop = crops.crop_of_box([10, 20, 109, 119])
    shape = np.array([[0, 0], [10, 20.5]])
    np.testing.assert_allclose(crop.initial_shape(shape), [[42, 42], [52, 62.5]])


def test_bounding_box():
    points = np.array([[5, 1], [2, 9], [3, 4.5]])
    np.testing.assert_array_equal(crops.bounding_box(points), [1, 2, 9, 5])


@pytest.mark.parametrize(
    "box",
    [
        [1, 2, 3],
        [[1, 2, 3, 4]],
        [1, 2, np.nan, 4],
        [1, 2, np.inf, 4],
        [0, 0, 1e9, 1e9],
        [5, 5, 5, 9],
        [9, 5, 5, 9],
        "face",
        None,
        [1, 2, "x", 4],
    ],
)
def test_malformed_boxes_are_refused(box):
    with pytest.raises(InputError, match="box"):
        crops.crop_of_box(box)
