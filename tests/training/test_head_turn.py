import numpy as np
import pytest

from musica.training.head_turn import LARGEST_TURN, HeadTurn

BOX = np.array([100.0, 50.0, 299.0, 269.0])
CENTRE = np.array([199.5, 159.5])
GRID = np.stack(np.meshgrid(np.linspace(20, 380, 40), np.linspace(0, 320, 40)), axis=-1)


@pytest.mark.parametrize(("yaw", "pitch"), [(25, 0), (-30, 15), (0, -17.5), (LARGEST_TURN, 10)])
def test_backward_inverts_forward(yaw, pitch):
    turn = HeadTurn(BOX, yaw, pitch)
    np.testing.assert_allclose(turn.backward(turn.forward(GRID)), GRID, atol=0.2)
    np.testing.assert_allclose(turn.forward(turn.backward(GRID)), GRID, atol=0.2)


def test_no_turn_moves_nothing():
    np.testing.assert_allclose(HeadTurn(BOX, 0, 0).forward(GRID), GRID, atol=1e-9)


def test_the_nose_moves_furthest_and_cheeks_come_closer():
    turn = HeadTurn(BOX, 20, 0)
    nose, left, right = turn.forward(CENTRE + np.array([[0, 11], [-90, 11], [90, 11]]))
    assert nose[0] - CENTRE[0] > 30  # 0.6 box widths deep, sin 20 degrees, box 200 wide
    assert right[0] - nose[0] < nose[0] - left[0]
    assert right[0] - left[0] < 180
    assert nose[1] == pytest.approx(CENTRE[1] + 11)


def test_turning_left_mirrors_turning_right():
    flip = np.array([2 * CENTRE[0], 0]), np.array([-1, 1])
    right = HeadTurn(BOX, 18, 7).forward(GRID)
    left = HeadTurn(BOX, -18, 7).forward(flip[0] + flip[1] * GRID)
    np.testing.assert_allclose(flip[0] + flip[1] * left, right, atol=1e-9)
