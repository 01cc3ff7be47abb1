"""The fast pyramid beside the exact one; and the crop's edges, where it must not slip."""

import numpy as np
import pytest
from scipy import ndimage

from musica.errors import InputError
from musica.geometry import crops
from musica.layers import PatchExtractor
from musica.preprocessing import release_pyramid
from musica.preprocessing.lazy_pyramid import LazyPyramid

PATCH = 14


def picture(height=300, width=280, seed=0):
    """A picture about as smooth as photographs of faces."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (6, 6, 0))
    return (128 + 50 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


def exact_patches(image, crop, level, centres):
    levels = release_pyramid.pyramid(
        release_pyramid.normalise(release_pyramid.crop_image(image, crop))
    )
    batch = release_pyramid.pad_batch([levels[level]])
    return PatchExtractor(PATCH)(batch, centres[None].astype("float32")).numpy()[0]


def lazy_patches(image, crop, level, centres):
    patches = LazyPyramid(image, crop).patches(level, centres, PATCH)
    assert not patches[:, :, 3].any()
    return patches[:, :, :3].swapaxes(2, 3)


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize(
    "box", [(60, 70, 190, 210), (90, 80, 170, 150), (-30, 10, 120, 170), (150, 180, 330, 340)]
)
def test_patches_are_close_to_the_exact_ones(box, level):
    image, crop = picture(), crops.crop_of_box(box)
    generator = np.random.default_rng(1)
    # Where the crop ends the two differ more; there landmarks hardly ever are.
    centres = generator.uniform(32, np.array(crop.shape) - 32, (20, 2)) / 2**level
    exact = exact_patches(image, crop, level, centres)
    fast = lazy_patches(image, crop, level, centres)
    assert fast.shape == exact.shape and fast.dtype == np.float32
    # Against the picture's deviation, which is one.
    assert np.sqrt(np.square(fast - exact).mean()) < 0.08
    np.testing.assert_array_equal(fast[exact == 0], 0)


def test_a_turned_crop(level=1):
    image, crop = picture(), crops.crop_of_box((60, 70, 190, 210), roll=25)
    centres = np.random.default_rng(1).uniform(40, 170, (20, 2)) / 2**level
    exact = exact_patches(image, crop, level, centres)
    fast = lazy_patches(image, crop, level, centres)
    assert np.sqrt(np.square(fast - exact).mean()) < 0.08


def test_grey_equals_colour_with_equal_channels():
    image, crop = picture(), crops.crop_of_box((60, 70, 190, 210))
    centres = np.array([[30.0, 40.0], [50.5, 20.2]])
    grey = LazyPyramid(image[..., 0], crop).patches(1, centres, PATCH)
    colour = LazyPyramid(np.repeat(image[..., :1], 3, axis=2), crop).patches(1, centres, PATCH)
    np.testing.assert_allclose(grey, colour, atol=1e-5)


def test_patches_outside_and_lost_centres_are_zero():
    pyramid = LazyPyramid(picture(), crops.crop_of_box((60, 70, 190, 210)))
    centres = np.array([[-50.0, 30.0], [1e30, 1e30], [np.nan, -1e30]])
    assert not pyramid.patches(0, centres[:1], PATCH).any()
    assert not pyramid.patches(0, centres, PATCH).any()


def test_a_constant_crop_is_zero():
    pyramid = LazyPyramid(
        np.full((200, 200, 3), 90, np.uint8), crops.crop_of_box((50, 50, 150, 150))
    )
    assert not pyramid.patches(2, np.array([[20.0, 20.0]]), PATCH).any()


def test_what_is_no_image_is_refused():
    crop = crops.crop_of_box((60, 70, 190, 210))
    for image in (np.zeros((5, 5, 4), np.uint8), np.zeros((0, 5), np.uint8)):
        with pytest.raises(InputError, match="an image is"):
            LazyPyramid(image, crop)
    with pytest.raises(InputError, match="outside the image"):
        LazyPyramid(np.zeros((20, 20), np.uint8), crop)
