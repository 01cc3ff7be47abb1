import numpy as np
import pytest

from musica.drawing.faces import FACE_SIZE
from musica.drawing.iterations import GAP, UNSEEN, DrawnIteration, draw_iterations, stacked
from musica.geometry.square_crops import square_crop

LEVELS = (2, 0)


def row_of(crop, image, patch_points, caption="a caption", heading=""):
    landmarks = np.array([[70.0, 60.0], [120.0, 60.0]])
    iterations = [
        DrawnIteration(landmarks, points, level, caption)
        for points, level in zip(patch_points, LEVELS, strict=True)
    ]
    return draw_iterations(image, crop, iterations, heading)


def panels_of(row):
    pixels = np.asarray(row, float)
    return pixels[:, :FACE_SIZE], pixels[:, FACE_SIZE + GAP :]


@pytest.mark.parametrize("side", (120, 400))
def test_patches_are_squares_of_level_pixels(side):
    image = np.full((600, 700, 3), 200, np.uint8)
    crop = square_crop((200, 150, 199 + side, 149 + side))
    points = np.array([[100.0, 100.0]])
    scale = []
    panels = panels_of(row_of(crop, image, [points, points], caption=""))
    for panel, level in zip(panels, LEVELS, strict=True):
        unseen = np.abs(panel - UNSEEN * 200).max(axis=2) < 2
        assert 0.02 < unseen.mean() < 0.98 or level == 2
        lit = np.abs(panel - 200).max(axis=2) < 2
        rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
        assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=2)
        scale.append((np.ptp(rows) + 1) / 2**level)
    assert scale[0] == pytest.approx(scale[1], rel=0.1)


def test_patches_move_and_may_reach_outside():
    image = np.full((90, 80, 3), 120, np.uint8)
    crop = square_crop((5, 5, 70, 80))
    first, second = np.array([[0.0, 0.0], [220.0, 220.0]]), np.array([[110.0, 110.0]])
    left, right = panels_of(row_of(crop, image, [first, second]))
    assert np.abs(left - right).max() > 50
    for far in (-1e4, 1e12, np.nan):
        assert row_of(crop, image, [np.array([[far, 1e4]]), second]).mode == "RGB"


def test_captions_and_headings_have_room():
    image, crop = np.zeros((90, 80, 3), np.uint8), square_crop((5, 5, 70, 80))
    points = [np.full((1, 2), 90.0)] * 2
    plain, three_lines, headed, broken = (
        row_of(crop, image, points, *texts)
        for texts in (("x",), ("x\n" * 2 + "x",), ("x", "a heading"), ("x", "a heading " * 20))
    )
    assert plain.height < three_lines.height and plain.height < headed.height < broken.height
    for row in (three_lines, headed, broken):
        assert row.width == plain.width == 2 * FACE_SIZE + GAP
    assert (np.asarray(three_lines)[-30:] > 250).any()  # its last line
    assert (np.asarray(headed)[:24] > 250).any()


def test_rows_lie_below_each_other():
    image, crop = np.full((90, 80, 3), 77, np.uint8), square_crop((5, 5, 70, 80))
    row = row_of(crop, image, [np.full((1, 2), 90.0)] * 2)
    both = np.asarray(stacked([row, row.crop((0, 0, 100, 50))]))
    assert both.shape == (row.height + GAP + 50, row.width, 3)
    np.testing.assert_array_equal(both[: row.height], np.asarray(row))
    np.testing.assert_array_equal(both[-50:, :100], np.asarray(row)[:50, :100])
