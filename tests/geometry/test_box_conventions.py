import numpy as np
import pytest

from musica.errors import InputError
from musica.geometry.box_conventions import CONVENTIONS, BoxConvention, overlaps, to_landmark_box


def test_a_detectors_box_is_moved_down_and_scaled():
    mapped = BoxConvention(down=0.1, width=0.5, height=1.2).to_landmark_box([10, 20, 110, 220])
    np.testing.assert_allclose(mapped, [35, 20, 85, 260])  # centre (60, 120 + 20)
    assert mapped.dtype == np.float64


def test_our_own_box_stays_as_it_is():
    np.testing.assert_array_equal(to_landmark_box([1, 2, 3, 5], "landmarks"), [1, 2, 3, 5])


@pytest.mark.parametrize("name", [name for name in CONVENTIONS if name != "landmarks"])
def test_detectors_draw_higher_boxes_that_lie_higher(name):
    x0, y0, x1, y1 = to_landmark_box([0, 0, 100, 100], name)
    assert x0 == pytest.approx(100 - x1)
    assert 80 < x1 - x0 < 110 and 75 < y1 - y0 < 100
    assert 50 < (y0 + y1) / 2 < 70


def test_unknown_convention():
    with pytest.raises(InputError, match=r"'mine' is unknown \(known: landmarks, blazeface"):
        to_landmark_box([0, 0, 1, 1], "mine")


def test_overlaps_are_intersection_over_union():
    others = np.array(
        [[0, 0, 10, 10], [5, 0, 15, 10], [0, 5, 5, 10], [20, 20, 30, 30], [0, 30, 9, 40]]
    )
    found = overlaps(np.array([0, 0, 10, 10]), others)
    np.testing.assert_allclose(found, [1, 1 / 3, 1 / 4, 0, 0])
    assert overlaps(np.zeros(4), np.empty((0, 4))).shape == (0,)
