import numpy as np
import pytest

from musica.drawing.iterations import UNSEEN, draw_iterations
from musica.geometry.square_crops import square_crop

LEVELS = (2, 0)


def row_of(crop, image, patch_points):
    landmarks = [np.array([[70.0, 60.0], [120.0, 60.0]])] * len(LEVELS)
    captions = [f"iteration {k + 1}" for k in range(len(LEVELS))]
    return np.asarray(
        draw_iterations(image, crop, landmarks, patch_points, LEVELS, captions), float
    )


@pytest.mark.parametrize("side", (120, 400))
def test_patches_are_squares_of_level_pixels(side):
    image = np.full((600, 700, 3), 200, np.uint8)
    crop = square_crop((200, 150, 199 + side, 149 + side))
    points = np.array([[100.0, 100.0]])
    row = row_of(crop, image, [points, points])
    width = (row.shape[1] - 8) // 2
    panels = row[:-36, :width], row[:-36, width + 8 :]
    scale = []
    for panel, level in zip(panels, LEVELS, strict=True):
        unseen = np.abs(panel - UNSEEN * 200).max(axis=2) < 2
        assert 0.02 < unseen.mean() < 0.98 or level == 2
        lit = np.abs(panel - 200).max(axis=2) < 2
        rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
        assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=2)
        scale.append((np.ptp(rows) + 1) / 2**level)
    assert scale[0] == pytest.approx(scale[1], rel=0.1)
    assert row[-30:, :width].max() > 250  # the caption


def test_landmarks_move_and_patches_may_reach_outside():
    image = np.full((90, 80, 3), 120, np.uint8)
    crop = square_crop((5, 5, 70, 80))
    first, second = np.array([[0.0, 0.0], [220.0, 220.0]]), np.array([[110.0, 110.0]])
    row = row_of(crop, image, [first, second])
    width = (row.shape[1] - 8) // 2
    assert np.abs(row[:, :width] - row[:, width + 8 :]).max() > 50
    far = [np.array([[-1e4, 1e4]]), second]
    assert row_of(crop, image, far).shape[2] == 3


def test_each_iteration_has_patches_and_a_caption():
    image, crop = np.zeros((90, 80, 3), np.uint8), square_crop((5, 5, 70, 80))
    points = [np.zeros((1, 2))]
    with pytest.raises(ValueError, match="zip"):
        draw_iterations(image, crop, points, points, (2, 1), ["one"])
    with pytest.raises(ValueError, match="zip"):
        draw_iterations(image, crop, points, points, (2,), [])
