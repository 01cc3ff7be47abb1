import menpo.image
import menpo.image.base
import numpy as np
import numpy_reference as reference
import pytest

from musica.errors import InputError
from musica.geometry import crops
from musica.preprocessing import release_pyramid


def picture(height=40, width=50, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "box", [[10, 8, 30, 27], [-6, -9, 13, 17], [35, 25, 60, 44], [12.5, 9.5, 31, 30]]
)
def test_crop_equals_the_restatement(box):
    image, crop = picture(), crops.crop_of_box(box, box_size=24)
    shift = crop.turned[1::-1, 2]
    expected = reference.upright_crop(image / 255, crop.region, shift, crop.scale, crop.shape)
    np.testing.assert_allclose(release_pyramid.crop_image(image, crop), expected, atol=1e-5)


def test_turned_crop_shows_what_its_matrix_says():
    image = np.zeros((80, 90), np.uint8)
    image[33:36, 52:55] = 255
    crop = crops.crop_of_box([25, 20, 64, 59], box_size=80, roll=25)
    pixels = release_pyramid.crop_image(image, crop)
    assert pixels.shape[:2] == crop.shape
    rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]]
    weight = pixels[..., 0] / pixels[..., 0].sum()
    found = [(rows * weight).sum(), (columns * weight).sum()]
    # The matrix has no half-pixel term, the resize has.
    half = 0.5 * crop.scale - 0.5
    np.testing.assert_allclose(found, crop.to_crop([34.0, 53.0]) + half, atol=0.05)


def test_turn_by_nothing_equals_the_upright_crop():
    image, box = picture(), [10, 8, 30, 27]
    upright = release_pyramid.crop_image(image, crops.crop_of_box(box, box_size=24))
    turned = release_pyramid.crop_image(image, crops.crop_of_box(box, box_size=24, roll=1e-9))
    np.testing.assert_allclose(turned, upright, atol=1e-4)


def test_grey_equals_three_equal_channels_and_other_shapes_are_refused():
    crop = crops.crop_of_box([10, 8, 30, 27])
    grey = picture()[..., 0]
    levels = [
        release_pyramid.pad_batch([level])
        for image in (grey, np.repeat(grey[..., None], 3, axis=2))
        for level in release_pyramid.pyramid(
            release_pyramid.normalise(release_pyramid.crop_image(image, crop))
        )
    ]
    for one_channel, three_channels in zip(levels[:3], levels[3:], strict=True):
        assert one_channel.shape == three_channels.shape
        np.testing.assert_allclose(one_channel, three_channels, atol=1e-5)
    for wrong in (np.zeros((4, 4, 4)), np.zeros(4), np.zeros((0, 5, 3))):
        with pytest.raises(InputError, match="an image is"):
            release_pyramid.crop_image(wrong, crop)


@pytest.mark.parametrize("box", [[-90, 5, -60, 30], [5, 200, 30, 230], [500, 5, 530, 30]])
def test_box_outside_the_image(box):
    with pytest.raises(InputError, match="outside the image"):
        release_pyramid.crop_image(picture(), crops.crop_of_box(box))


def test_normalised_crop_has_mean_0_and_deviation_1():
    pixels = release_pyramid.normalise(picture().astype(np.float32) / 255)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose([pixels.mean(), pixels.std()], [0, 1], atol=1e-5)
    assert not release_pyramid.normalise(np.full((5, 5, 3), 0.3, np.float32)).any()
    constant = release_pyramid.crop_image(
        np.full((50, 50, 3), 77, np.uint8), crops.crop_of_box([20, 20, 29, 29])
    )
    assert not release_pyramid.normalise(constant).any()


@pytest.mark.parametrize("shape", [(226, 221), (57, 100), (33, 34)])
def test_pyramid_is_menpo_s(shape, monkeypatch):
    # OpenCV, where it is installed, interpolates on a grid of 1/32 pixel.
    monkeypatch.setattr(menpo.image.base, "cv2_perspective_interpolation", None)
    pixels = np.random.default_rng(0).normal(size=(*shape, 3)).astype(np.float32)
    image = menpo.image.Image(pixels.transpose(2, 0, 1).astype(np.float64))
    levels = release_pyramid.pyramid(pixels)
    for level, expected in zip(levels, image.gaussian_pyramid(n_levels=3), strict=True):
        np.testing.assert_allclose(level, expected.pixels.transpose(1, 2, 0), atol=1e-4)


def test_levels_have_the_published_sizes():
    levels = release_pyramid.pyramid(np.zeros((226, 221, 3), np.float32))
    assert [level.shape[:2] for level in levels] == [(226, 221), (113, 111), (57, 56)]
    with pytest.raises(InputError, match="too narrow"):
        release_pyramid.pyramid(np.zeros((2, 40, 3), np.float32))


def test_batch_is_padded_at_the_bottom_and_right():
    batch = release_pyramid.pad_batch([np.ones((2, 5, 3)), np.ones((4, 3, 3))])
    assert batch.shape == (2, 4, 5, 3)
    np.testing.assert_array_equal(batch[0, :, :, 0].sum(axis=1), [5, 5, 0, 0])
    np.testing.assert_array_equal(batch[1, :, :, 0].sum(axis=0), [4, 4, 4, 0, 0])
