"""The area pyramid: features stay where the matrix says, at every size, level and roll."""

import tracemalloc

import numpy as np
import pytest

from musica.errors import InputError
from musica.geometry import crops, square_crops
from musica.layers import PatchExtractor
from musica.preprocessing.area import AreaPyramid
from musica.preprocessing.patches import cut_patches

ROLLS = [0, 37, -120]


def picture(side, centres, width):
    """A grey picture (side, side) of bright blobs at centres (y, x)."""
    y, x = np.mgrid[:side, :side]
    light = sum(np.exp(-((y - v) ** 2 + (x - u) ** 2) / 2 / width**2) for v, u in centres)
    return np.rint(200 * light.clip(0, 1)).astype(np.uint8)


def crop_of(box, roll):
    if not roll:
        return square_crops.square_crop(box)
    middle = np.array([[(box[1] + box[3]) / 2, (box[0] + box[2]) / 2]])
    y, x = crops.transform_points(crops.rotation(roll), middle)[0]
    half = (box[2] - box[0]) / 2
    return square_crops.turned_square_crop((x - half, y - half, x + half, y + half), roll)


@pytest.mark.parametrize("roll", ROLLS)
@pytest.mark.parametrize("face", [60, 142, 301, 700])
def test_features_lie_where_the_matrix_says(face, roll):
    side, width = int(2.4 * face), 0.03 * face + 1
    centres = np.array([[0.41, 0.45], [0.6, 0.55], [0.5, 0.7]]) * side + 0.3
    start = 0.3 * side
    crop = crop_of((start, start, start + face - 1, start + face - 1), roll)
    pyramid = AreaPyramid(picture(side, centres, width), crop)
    for level in range(3):
        pixels = pyramid.pixels(level).astype(float)
        y, x = np.mgrid[: len(pixels), : len(pixels)] + 0.5
        for point in crop.to_crop(centres) / 2**level:
            near = np.hypot(y - point[0], x - point[1]) < 3 * width * crop.scale / 2**level
            weight = np.where(near, pixels, 0)
            found = np.array([(weight * y).sum(), (weight * x).sum()]) / weight.sum()
            # The eyes of such a face are 80 crop pixels apart: 0.1 crop pixels are 0.12 %.
            assert np.abs(found - point).max() * 2**level < 0.1


def test_a_huge_square_costs_little_memory():
    image = np.full((60, 80, 3), 90, np.uint8)
    image[:, 40:] = 10
    crop = square_crops.square_crop((-4000, -4000, 4079, 4059))
    tracemalloc.start()
    try:
        pixels = AreaPyramid(image, crop).pixels(0)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert (pixels[:, :110] == 90).all() and (pixels[:, -110:] == 10).all()


@pytest.mark.parametrize("face", [1000, 1160])  # on both sides of the limit
def test_a_far_larger_square_is_thinned_out_evenly(face):
    side = round(1.3 * face)
    y, x = np.mgrid[:side, :side]
    image = np.rint(255 * (x + 2 * y) / (3 * side)).astype(np.uint8)
    start = round(0.15 * face)
    box = (start, start, start + face - 1, start + face - 1)
    crop = square_crops.square_crop(box)
    pixels = AreaPyramid(image, crop).pixels(0).astype(float)
    rows, columns = np.mgrid[40:190, 40:190]
    points = crop.to_image(np.stack([rows, columns], axis=-1) + 0.5)
    expected = 255 * (points[..., 1] + 2 * points[..., 0]) / (3 * side)
    assert np.abs(pixels[40:190, 40:190] - expected).max() < 1


def test_levels_do_not_depend_on_which_is_looked_at_first():
    image = np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)
    crop = square_crops.square_crop((100, 90, 300, 310))
    first, second = AreaPyramid(image, crop), AreaPyramid(image, crop)
    for level in (0, 1, 2):
        first.level(level)
    for level in (2, 1, 0):
        np.testing.assert_array_equal(first.level(level), second.level(level))
        assert first.level(level).shape == (228 >> level, 228 >> level, 3)
    assert first.level(2).mean() == pytest.approx(0, abs=1e-5)
    assert first.level(2).std() == pytest.approx(1, abs=1e-5)


def test_a_grey_picture_is_one_of_equal_channels():
    grey = np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)
    crop = square_crops.square_crop((80, 90, 200, 210))
    one = AreaPyramid(grey, crop)
    three = AreaPyramid(np.repeat(grey[..., None], 3, axis=2), crop)
    for level in range(3):
        np.testing.assert_allclose(
            np.repeat(one.level(level), 3, axis=2), three.level(level), atol=1e-5
        )


@pytest.mark.parametrize("roll", ROLLS)
def test_the_border_is_repeated_outside(roll):
    image = np.full((80, 80, 3), 200, np.uint8)
    image[30:40, 30:40] = 0
    pyramid = AreaPyramid(image, crop_of((-20, -20, 69, 69), roll))
    assert pyramid.pixels(0).min() < 50
    assert (pyramid.pixels(0)[[0, 0, -1, -1], [0, -1, 0, -1]] == 200).all()


def test_a_flat_crop_becomes_zeros():
    pyramid = AreaPyramid(np.full((99, 99), 7, np.uint8), square_crops.square_crop((9, 9, 59, 59)))
    assert not pyramid.level(1).any()


@pytest.mark.parametrize("roll", ROLLS)
def test_a_crop_outside_the_image(roll):
    with pytest.raises(InputError, match="outside"):
        AreaPyramid(np.zeros((50, 50), np.uint8), crop_of((500, 500, 560, 560), roll))


def test_patches_equal_the_layers():
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (300, 300, 3), np.uint8)
    pyramid = AreaPyramid(image, square_crops.square_crop((90, 80, 200, 190)))
    for level, size in enumerate((228, 114, 57)):
        spread = [(8, size - 8), (-20, size + 20)]
        for lowest, highest in spread:
            centres = generator.uniform(lowest, highest, (9, 2)).astype(np.float32)
            expected = PatchExtractor(14)(pyramid.level(level)[None], centres[None])[0]
            found = pyramid.patches(level, centres, 14)
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_patches_at_points_that_lie_nowhere():
    patches, copied = cut_patches(np.ones((20, 20, 1)), np.array([[np.nan, 3], [1e30, -1e30]]), 4)
    assert patches.shape == (2, 4, 4, 1) and not copied.any()
