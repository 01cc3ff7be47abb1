import dataclasses

import numpy as np
import pytest
from tiny_faces import blobs

from musica.errors import InputError
from musica.geometry import crops
from musica.preprocessing import release_pyramid
from musica.training import appearance, augment
from musica.training.augment import AugmentConfig

LANDMARKS = np.array([[30, 30], [32, 68], [50, 49], [66, 34], [68, 66]], float)
MIRROR = [1, 0, 2, 4, 3]
BOX = np.array([10.0, 10, 49, 49])
WARP_ONLY = AugmentConfig(
    augment_probability=1, occlusion_probability=0, grey_probability=0, mirror_probability=0
)
NOTHING = AugmentConfig(augment_probability=0, grey_probability=0, mirror_probability=0)


class Largest:
    """A random generator that always draws the end of the range."""

    def uniform(self, low, high, size=None):
        return high if size is None else np.full(size, high)


def generators(count):
    return [np.random.default_rng(seed) for seed in range(count)]


def face(scale=1.0):
    """An image with blobs at its landmarks, the landmarks and their tight box."""
    points = LANDMARKS * scale
    image = blobs((int(100 * scale), int(96 * scale)), points, 1.2 * scale)
    return image, points, crops.bounding_box(points)


def found(image, near, radius=6):
    """The centre of the blob near a point (y, x)."""
    rows, columns = np.indices(image.shape[:2])
    inside = (np.abs(rows - near[0]) <= radius) & (np.abs(columns - near[1]) <= radius)
    weights = np.where(inside, image[..., 1].astype(float), 0)
    assert weights.sum() > 0, "no blob there"
    return np.array([(rows * weights).sum(), (columns * weights).sum()]) / weights.sum()


def assert_at_blobs(image, points_of_runs):
    """Asserts that points lie on the blobs, without a common shift."""
    gaps = np.array(
        [
            found(picture, point) - point
            for picture, points in zip(image, points_of_runs, strict=True)
            for point in points
        ]
    )
    assert np.linalg.norm(gaps, axis=1).max() < 0.5
    assert np.abs(gaps.mean(axis=0)).max() < 0.05


def test_a_seed_decides_everything():
    options = AugmentConfig(augment_probability=1)
    results = [augment.augment(*face(), np.random.default_rng(seed), options) for seed in (5, 5, 6)]
    for first, again, other in zip(*results, strict=True):
        np.testing.assert_array_equal(first, again)
        assert first.shape != other.shape or (first != other).any()


def test_probability_zero_changes_nothing():
    image, points, box = face()
    result = augment.augment(image, points, box, np.random.default_rng(0), NOTHING)
    for before, after in zip((image, points, box), result, strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_input_is_not_written_to():
    arrays = face()
    copies = [array.copy() for array in arrays]
    options = AugmentConfig(augment_probability=1, mirror_probability=1, grey_probability=1)
    augment.augment(*arrays, np.random.default_rng(0), options, MIRROR)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_probabilities_are_shares_of_the_faces():
    options = dataclasses.replace(WARP_ONLY, augment_probability=0.3)
    image, points, box = face()
    runs = [augment.augment(image, points, box, rng, options)[1] for rng in generators(300)]
    share = np.mean([(moved != points).any() for moved in runs])
    assert 0.2 < share < 0.4


@pytest.mark.parametrize("scale", [1.0, 5.0])
@pytest.mark.parametrize("mirrored", [0, 1])
def test_landmarks_move_with_the_pixels(scale, mirrored):
    """At scale 5 the face is larger than its crop will be, and is shrunk."""
    options = dataclasses.replace(WARP_ONLY, mirror_probability=mirrored)
    runs = [augment.augment(*face(scale), rng, options, MIRROR) for rng in generators(25)]
    assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image, _, _ in runs)
    assert_at_blobs([image for image, _, _ in runs], [points for _, points, _ in runs])


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_the_result_is_just_what_its_crop_reads(scale):
    pixels, truths = [], []
    for rng in generators(15):
        image, points, box = augment.augment(*face(scale), rng, WARP_ONLY)
        crop = crops.crop_of_box(box)
        # Where a margin ends on half a pixel, its rounding depends on where the origin is.
        whole = [0, 0, image.shape[1] - 1, image.shape[0] - 1]
        assert np.abs(crop.region - whole).max() <= 1
        sides = box[2:] - box[:2] + 1
        assert sides.max() < crops.BOX_SIZE + 1
        if scale > 1:  # shrunk to the crop's size, no further
            assert sides.max() >= crops.BOX_SIZE - 1e-6
        pixels.append(255 * release_pyramid.crop_image(image, crop))
        truths.append(crop.to_crop(points))
    gaps = [
        found(crop, point, 12) - point
        for crop, points in zip(pixels, truths, strict=True)
        for point in points
    ]
    assert np.linalg.norm(gaps, axis=1).max() < 2.5
    # The crop's own arithmetic shifts by up to half a pixel of the box, 1.2 crop pixels here.
    assert np.abs(np.mean(gaps, axis=0)).max() < 1.5


def test_mirror():
    image, points, box = face()
    mirrored = augment.mirror(image, points, box, MIRROR)
    np.testing.assert_array_equal(mirrored[0], image[:, ::-1])
    np.testing.assert_array_equal(mirrored[1][0], [32, 95 - 68])  # x' = W - 1 - x of point 1
    np.testing.assert_array_equal(mirrored[2], crops.bounding_box(mirrored[1]))
    assert_at_blobs([mirrored[0]], [mirrored[1]])
    for before, after in zip(face(), augment.mirror(*mirrored, MIRROR), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_canvas_holds_all_of_twice_the_box():
    box = np.array([20.0, 30, 79, 69])
    x0, y0, x1, y1 = box + np.array([-1, -1, 1, 1]) * np.array([30, 20, 30, 20])
    corners = np.array([[y0, x0], [y0, x1], [y1, x0], [y1, x1]])  # outer pixels' outer edges
    corners += np.sign(corners - corners.mean(axis=0)) * 0.5
    for rng in generators(200):
        warp = augment.random_warp(box, rng, AugmentConfig())
        moved = crops.transform_points(warp.matrix, corners)
        assert (moved >= -0.5 - 1.5).all() and (moved <= warp.canvas - 0.5 + 1.5).all()
        # Nor is the canvas larger than that, up to the rounding and the box's outer pixels.
        assert (moved.max(axis=0) - moved.min(axis=0) > warp.canvas - 4).all()


def test_the_warp_is_rotation_then_shear_then_stretch():
    options = AugmentConfig(rotation=30, shear=0.2, stretch=0.3)
    warp = augment.random_warp(BOX, Largest(), options)
    cosine, sine = np.sqrt(3) / 2, 0.5
    x, y = 7.0, -3.0  # from the box's centre
    x, y = cosine * x - sine * y, sine * x + cosine * y
    x, y = x + 0.2 * y, 0.2 * x + y
    moved = crops.transform_points(warp.matrix, np.array([29.5 - 3, 29.5 + 7]))
    np.testing.assert_allclose(moved - (warp.canvas - 1) / 2, [y, 1.3 * x], atol=1e-9)


@pytest.mark.parametrize(
    ("key", "limit", "drawn"),
    [
        ("rotation", 20, lambda linear: np.rad2deg(np.arctan2(linear[1, 0], linear[0, 0]))),
        ("shear", 0.15, lambda linear: linear[0, 1]),
        ("shear", 0.15, lambda linear: linear[1, 0]),
        ("stretch", 0.25, lambda linear: linear[0, 0] - 1),
    ],
)
def test_warps_fill_their_configured_ranges(key, limit, drawn):
    options = AugmentConfig(**{**dict.fromkeys(("rotation", "shear", "stretch"), 0.0), key: limit})
    warps = [augment.random_warp(BOX, rng, options) for rng in generators(300)]
    values = np.array([drawn(warp.matrix[:2, :2]) for warp in warps])
    assert -limit <= values.min() < -0.9 * limit
    assert 0.9 * limit < values.max() <= limit


def test_a_share_of_the_faces_is_rotated_further():
    options = AugmentConfig(
        rotation=10, shear=0, stretch=0, wide_rotation=90, wide_rotation_probability=0.3
    )
    warps = [augment.random_warp(BOX, rng, options).matrix for rng in generators(300)]
    angles = np.abs([np.rad2deg(np.arctan2(matrix[1, 0], matrix[0, 0])) for matrix in warps])
    assert 80 < angles.max() <= 90
    assert 0.17 < (angles > 10).mean() < 0.37  # 0.3 of them, but for 1 in 9


def test_coarsened_faces_lose_detail_and_stay_in_place():
    image = np.kron(np.array([[0, 255], [255, 0]] * 16), np.ones((2, 32)))  # stripes on a ramp
    image = np.stack([image] * 3, axis=-1).astype(np.uint8)
    results = [appearance.coarsen(image, rng) for rng in generators(50)]
    for result in results:
        assert result.shape == image.shape
        assert result.dtype == np.uint8
        np.testing.assert_allclose(result.mean(), image.mean(), atol=6)
    details = [result.std() for result in results]
    assert min(details) < 0.5 * image.std() < max(details) <= image.std() + 1


def test_noisy_box_stays_in_its_bounds():
    box = np.array([10.0, 20, 110, 70])  # 100 wide, 50 high
    options = AugmentConfig(box_growth_x=0.2, box_growth_y=0.1, box_shift=0.2)
    boxes = np.array([augment.noisy_box(box, rng, options) for rng in generators(500)])
    growth = (boxes[:, 2:] - boxes[:, :2]) / [100, 50]
    shift = (boxes[:, 2:] + boxes[:, :2]) / 2 - [60, 45]
    assert (growth >= 1).all() and (growth <= [1.2, 1.1]).all()
    assert (growth.max(axis=0) > [1.19, 1.09]).all()
    assert (np.abs(shift) <= [20, 10]).all()
    assert (shift.max(axis=0) > [19, 9.5]).all() and (shift.min(axis=0) < [-19, -9.5]).all()


def test_boxes_also_shrink_if_asked():
    box = np.array([10.0, 20, 110, 70])
    options = AugmentConfig(box_growth_x=0.2, box_growth_y=0.1, box_shift=0, box_shrinkage=0.15)
    boxes = np.array([augment.noisy_box(box, rng, options) for rng in generators(500)])
    growth = (boxes[:, 2:] - boxes[:, :2]) / [100, 50]
    assert (growth >= 0.85).all() and (growth.min(axis=0) < 0.86).all()
    assert (growth <= [1.2, 1.1]).all() and (growth.max(axis=0) > [1.19, 1.09]).all()


def test_clip_colours_follows_the_formula():
    image = np.random.default_rng(0).integers(20, 230, (9, 11, 3), dtype=np.uint8)
    draws = np.random.default_rng(3)
    expected = np.empty(image.shape)
    for channel in range(3):
        low, high = draws.uniform(0, 0.4), draws.uniform(0.6, 1)
        values = image[..., channel] / 255
        values = np.where(values < low, 0, np.where(values > high, 1, values))
        expected[..., channel] = 255 * (values - values.min()) / values.max()
    result = appearance.clip_colours(image, np.random.default_rng(3))
    assert result.dtype == np.uint8
    np.testing.assert_allclose(result, expected, atol=0.5 + 1e-9)


def test_another_light_keeps_the_order_of_levels_and_brightens_a_side():
    levels = np.repeat(np.arange(10, 250, 24, dtype=np.uint8)[:, None], 40, axis=1)
    image = np.stack([levels] * 3, axis=2)
    ratios = []
    for rng in generators(50):
        lit = appearance.relight(image, rng).astype(float)
        assert lit.shape == image.shape and (np.diff(lit[:, 20], axis=0).mean(axis=0) > 0).all()
        ratios.append(lit[5, -1, 0] / lit[5, 0, 0])
    assert 1 / appearance.BRIGHTER_SIDE <= min(ratios) < 0.6 and 1.6 < max(ratios) <= 3.1


def test_a_black_channel_stays_black():
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0] = np.arange(16).reshape(4, 4) * 16
    result = appearance.clip_colours(image, np.random.default_rng(0))
    assert result[..., 0].max() == 255 and not result[..., 1:].any()


@pytest.mark.parametrize("zoom", [1.0, 0.5])
def test_the_occluder_is_one_rectangle_of_noise(zoom):
    canvas, image = np.array([60.0, 80.0]), np.full((60, 80, 3), 7, np.uint8)
    sides, centres = [], []
    for rng in generators(300):
        result = appearance.occlude(image, canvas, np.diag([zoom, zoom, 1.0]), rng)
        rows, columns = np.nonzero((result != 7).any(axis=2))
        if not len(rows):
            continue  # rounded to nothing
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) >= 0.9 * height * width  # filled: noise is hardly ever 7 three times
        sides.append([height, width])
        centres.append([rows.mean(), columns.mean()])
    assert (image == 7).all()
    sides, centres, canvas = np.array(sides), np.array(centres), canvas * zoom
    assert (sides <= canvas / 2 + 1).all() and (sides.max(axis=0) > 0.45 * canvas).all()
    assert (sides.min(axis=0) < 0.1 * canvas).all()
    assert (centres.max(axis=0) <= canvas).all() and (centres.max(axis=0) > 0.9 * canvas).all()
    assert (centres.min(axis=0) < 0.1 * canvas).all()


def test_occluders_come_with_their_probability():
    with_occluder = dataclasses.replace(WARP_ONLY, occlusion_probability=1)
    image = np.full((100, 96, 3), 128, np.uint8)
    _, points, box = face()
    changed = 0
    for seed in range(20):
        plain, covered = (
            augment.augment(image, points, box, np.random.default_rng(seed), options)[0]
            for options in (WARP_ONLY, with_occluder)
        )
        changed += (plain != covered).any()
    assert changed >= 10  # the rest lies outside the window


def test_grey_weights():
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    options = dataclasses.replace(NOTHING, grey_probability=1)
    _, points, box = face()
    grey = augment.augment(image, points, box, np.random.default_rng(0), options)[0]
    assert grey.dtype == np.uint8 and grey.shape == image.shape[:2]  # one channel
    expected = image @ np.array([0.2989, 0.5870, 0.1140])
    np.testing.assert_allclose(grey, expected, atol=1)


def test_pixels_and_landmarks_turn_together():
    images, points = [], []
    options = dataclasses.replace(WARP_ONLY, turn=25, colour_clip=0)
    for rng in generators(20):
        image, landmarks, _ = augment.augment(*face(2), rng, options)
        images.append(image)
        points.append(landmarks)
    gaps = [
        found(image, point, 8) - point
        for image, landmarks in zip(images, points, strict=True)
        for point in landmarks
    ]
    assert np.linalg.norm(gaps, axis=1).mean() < 0.5


@pytest.mark.parametrize("shrinkage", [-0.1, 1, float("nan")])
def test_impossible_shrinkages_are_refused(shrinkage):
    with pytest.raises(InputError, match="box_shrinkage must be"):
        AugmentConfig(box_shrinkage=shrinkage)


@pytest.mark.parametrize(
    ("key", "value"),
    [("rotation", -1), ("box_growth_x", -2), ("stretch", 1), ("augment_probability", 3)],
)
def test_impossible_amounts_are_refused(key, value):
    with pytest.raises(InputError, match=f"^{key} must be 0 "):
        AugmentConfig(**{key: value})


@pytest.mark.parametrize("turn", [-1, 36, float("nan")])
def test_impossible_turns_are_refused(turn):
    with pytest.raises(InputError, match="turn must be 0 to 35 degrees"):
        AugmentConfig(turn=turn)
