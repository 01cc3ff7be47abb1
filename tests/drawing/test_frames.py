import numpy as np
import pytest

from musica.drawing.faces import PART_COLOURS, DrawnFace
from musica.geometry.landmarks import IBUG_68

pytest.importorskip("cv2")
from musica.drawing.frames import draw_on_frame

LANDMARKS = np.stack(np.divmod(np.arange(68), 9), axis=1) * 14.0 + 40
GREY = np.full((200, 240, 3), 99, np.uint8)


def colours(picture):
    return {tuple(colour) for colour in np.unique(picture.reshape(-1, 3), axis=0).tolist()}


def test_parts_have_their_colours_and_the_frame_stays_as_it_is():
    frame = GREY.copy()
    picture = draw_on_frame(frame, [DrawnFace(LANDMARKS)])
    assert picture.shape == frame.shape and picture.dtype == np.uint8
    np.testing.assert_array_equal(frame, GREY)
    for part in IBUG_68.parts:
        assert PART_COLOURS[part][:3] in colours(picture)
    for (y, x), part in ((LANDMARKS[0], "jaw"), (LANDMARKS[30], "nose")):
        assert tuple(picture[round(y), round(x)]) == PART_COLOURS[part][:3]
    np.testing.assert_array_equal(draw_on_frame(frame, []), frame)


def test_failed_faces_are_red():
    box = np.array([30, 30, 170, 150])
    face = DrawnFace(LANDMARKS, box, failed=True, caption="1: error 0.300")
    picture = draw_on_frame(GREY, [face])
    y, x = np.nonzero((picture != 99).any(axis=2))
    assert x.min() == pytest.approx(29, abs=2) and y.min() == pytest.approx(29, abs=2)
    assert y.max() > 155  # the caption
    drawn = np.int32(picture[30, 60:100])
    assert (drawn[:, 0] - drawn[:, 1] > 150).all()
    assert not {colour[:3] for colour in PART_COLOURS.values()} & colours(picture) - {
        (255, 255, 255)
    }


@pytest.mark.parametrize("shift", [0, 190, -300, 1e7])
@pytest.mark.parametrize("count", [1, 5, 68])
def test_anything_can_be_drawn(shift, count):
    landmarks = LANDMARKS[:count] + np.array([shift, 0])
    box = np.array([30, 30 + shift, 170, 150 + shift])
    picture = draw_on_frame(GREY, [DrawnFace(landmarks, box, False, "2: a caption " * 5)])
    assert picture.shape == GREY.shape
    draw_on_frame(GREY[:3, :2], [DrawnFace(landmarks, box, True, "2")])
