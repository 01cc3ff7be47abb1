import numpy as np
import pytest

from musica import Face
from musica.geometry.crops import rotation, transform_points
from musica.geometry.head_pose import mean_face
from musica.geometry.landmarks import SCHEMES


def face(count, left=0.0, right=0.0, mouth=0.0):
    """A mean face whose openings are rectangles 1 wide and so many high."""
    points = mean_face(count).points[:, 1::-1].copy()
    scheme = SCHEMES[count]
    contours = (*scheme.eyes, scheme.parts["inner mouth"])
    for contour, height in zip(contours, (right, left, mouth), strict=True):
        half = len(contour) // 2
        x = np.linspace(0, 1, half + 1)
        points[list(contour), 1] = [*x, *x[-2:0:-1]]
        points[list(contour), 0] = [0, *[-height / 2] * (half - 1), 0, *[height / 2] * (half - 1)]
    return Face(points, 0.0, 1, False)


@pytest.mark.parametrize("count", [68, 98])
def test_openness_is_height_over_width(count):
    found = face(count, left=0.3, right=0.1, mouth=0.7).openness
    assert found._asdict() == pytest.approx({"left_eye": 0.3, "right_eye": 0.1, "mouth": 0.7})
    assert tuple(face(count).openness) == (0, 0, 0)


def test_size_and_roll_change_nothing():
    whole = face(68, 0.3, 0.2, 0.5)
    moved = 40 + 90 * transform_points(rotation(65), whole.landmarks)
    assert Face(moved, 0.0, 1, False).openness == pytest.approx(whole.openness)


def test_what_has_no_openness():
    assert Face(np.zeros((68, 2)), 0.0, 1, False).openness is None
    assert Face(np.zeros((5, 2)), 0.0, 1, False).openness is None
    assert Face(np.full((68, 2), np.nan), 0.0, 1, False).openness is None
