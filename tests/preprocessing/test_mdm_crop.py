"""MDM's crop, against a restatement in NumPy and menpo's own operations."""

import menpo.image
import menpo.shape
import numpy as np
import numpy_reference as reference
import pytest

from musica.errors import InputError
from musica.geometry import reference_shape
from musica.geometry.crops import bounding_box
from musica.models.settings import ModelSettings

SHAPE = np.random.default_rng(0).uniform((40, 70), (181, 211), (9, 2))
# The second reaches beyond three borders of the image, the third is wholly inside.
BOXES = [(20.3, 15.6, 130.2, 121.9), (-8.5, 30, 99.5, 170), (60, 50, 84.5, 91)]
MARGIN = 0.3


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).integers(0, 256, (140, 150, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def preprocessor():
    return ModelSettings(9, (0,), (0,), preprocessing="mdm", margin=MARGIN).preprocessor


def restated(image, box):
    """Crops and rescales by loops: pixels, initial shape, and what maps points to the crop."""
    x0, y0, x1, y1 = box
    reach = MARGIN * min(x1 - x0, y1 - y0)
    top, left = max(int(np.floor(y0 - reach)), 0), max(int(np.floor(x0 - reach)), 0)
    bottom = min(int(np.ceil(y1 + reach)), len(image))
    right = min(int(np.ceil(x1 + reach)), image.shape[1])
    low, high = SHAPE.min(axis=0), SHAPE.max(axis=0)
    ratio = np.hypot(x1 - x0, y1 - y0) / np.hypot(*(high - low))
    part = image[top:bottom, left:right] / 255
    sides = np.array(part.shape[:2])
    shape = np.ceil(sides / ratio).astype(int)
    factors = (sides / ratio - 1) / (sides - 1)
    pixels = np.array(
        [
            [
                reference.bilinear(part, row / factors[0], column / factors[1], clamp=True)
                for column in range(shape[1])
            ]
            for row in range(shape[0])
        ]
    )
    aligned = [
        [
            (y - (low[0] + high[0]) / 2) * ratio + (y0 + y1) / 2,
            (x - (low[1] + high[1]) / 2) * ratio + (x0 + x1) / 2,
        ]
        for y, x in SHAPE
    ]
    return pixels, (np.array(aligned) - [top, left]) * factors


@pytest.mark.parametrize("box", BOXES)
def test_crop_equals_the_restatement(box, image, preprocessor):
    crop = preprocessor.crop(box, SHAPE, image_shape=image.shape)
    found = preprocessor.pyramid(image, crop).level(0)
    pixels, initial = restated(image, box)
    assert found.shape == pixels.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, pixels, atol=1e-5)
    np.testing.assert_allclose(crop.initial_shape(SHAPE), initial, atol=1e-9)
    np.testing.assert_allclose(crop.to_image(crop.to_crop(SHAPE)), SHAPE)


@pytest.mark.parametrize("box", BOXES)
def test_crop_equals_menpos(box, image, preprocessor):
    x0, y0, x1, y1 = box
    own = menpo.image.Image(np.moveaxis(image / 255, -1, 0))
    corners = np.array([[y0, x0], [y1, x0], [y1, x1], [y0, x1]])
    own.landmarks["box"] = menpo.shape.PointCloud(corners)
    crop = preprocessor.crop(box, SHAPE, image_shape=image.shape)
    own.landmarks["initial"] = menpo.shape.PointCloud(
        crop.to_image(crop.initial_shape(SHAPE))  # in the image, where menpo aligns it
    )
    own = own.crop_to_landmarks_proportion(MARGIN, group="box")
    own = own.rescale_to_pointcloud(menpo.shape.PointCloud(SHAPE), group="initial")
    found = preprocessor.pyramid(image, crop).level(0)
    # With OpenCV, menpo reads between pixels in steps of 1/32 pixel.
    np.testing.assert_allclose(found, np.moveaxis(own.pixels, 0, -1), atol=0.03)
    np.testing.assert_allclose(crop.initial_shape(SHAPE), own.landmarks["initial"].points)


def test_grey_images_and_patches(image, preprocessor):
    crop = preprocessor.crop(BOXES[0], SHAPE, image_shape=image.shape)
    pyramid = preprocessor.pyramid(image[..., 0], crop)
    level = pyramid.level(0)
    np.testing.assert_allclose(level, preprocessor.pyramid(image, crop).level(0)[..., :1])
    inside, outside = pyramid.patches(0, np.array([[40.2, 30.9], [0.0, 0.0]]), 4)
    np.testing.assert_array_equal(inside, level[38:42, 28:32])
    assert (outside[:3] == 0).all() and (outside[3, 3] == level[1, 1]).all()


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((400, 10, 480, 90), "outside the image"),
        ((50, 10, 50, 90), "is empty"),
        ((50, 10, 50.5, 90), "too narrow"),
        ((50.2, 50.2, 50.4, 50.4), "too narrow"),
        ((50, 50, 50.002, 50.002), "too narrow"),
        ((np.nan, 10, 50, 90), "finite"),
    ],
)
def test_boxes_that_cannot_be_cut(box, message, image, preprocessor):
    with pytest.raises(InputError, match=message):
        preprocessor.crop(box, SHAPE, image_shape=image.shape)


def test_crops_are_not_turned(preprocessor):
    with pytest.raises(InputError, match="turns no crop"):
        preprocessor.turned_crop(BOXES[0], SHAPE, 40.0)


def test_the_reference_shape_has_the_diagonal_of_mdm():
    faces = [SHAPE, 3 * SHAPE + 9]
    found = reference_shape.diagonal_shape(faces)
    x0, y0, x1, y1 = bounding_box(found)
    assert np.hypot(x1 - x0, y1 - y0) == pytest.approx(200)
    mean = (faces[0] + faces[1]) / 2
    np.testing.assert_allclose(found / found[0], mean / mean[0])
    with pytest.raises(InputError, match="same number"):
        reference_shape.diagonal_shape([SHAPE, SHAPE[:5]])
