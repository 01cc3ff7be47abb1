import numpy as np
import pytest

from musica.errors import InputError
from musica.evaluation import metrics
from musica.geometry.landmarks import SCHEMES, scheme_for

SHIFT = np.array([3, 4])  # 5 px


def drawn_face(count=68):
    """A face whose every contour is a straight row with points 10 px apart, rows 40 px apart.

    The two eyes share a row, the second 100 px to the right of the first.
    """
    scheme = scheme_for(count)
    face = np.zeros((count, 2))
    for row, contour in enumerate(scheme.contours):
        for place, point in enumerate(contour.points):
            face[point] = 40 * row, 10 * place
    face[list(scheme.eyes[1])] = face[list(scheme.eyes[0])] + [0, 100]
    return face


def test_ocular_and_pupil_nme():
    truth = drawn_face()
    estimated = truth + SHIFT
    # Corners: place 0 of one eye, place 3 of the other; the eyes' means are 100 px apart.
    assert metrics.nme(estimated, truth) == pytest.approx(5 / 130)
    assert metrics.nme(estimated, truth, "pupil") == pytest.approx(5 / 100)


def test_98_points_use_their_own_eye_corners():
    truth = drawn_face(98)
    truth[60], truth[72] = (0, 0), (0, 50)
    assert metrics.nme(truth + SHIFT, truth) == pytest.approx(0.1)


def test_box_normalisers_take_the_given_box_or_that_of_the_truth():
    truth = np.zeros((68, 2))
    truth[1] = 40, 90  # height 40, width 90
    estimated = truth + np.array([0, 6])
    assert metrics.nme(estimated, truth, "box") == pytest.approx(6 / 60)
    assert metrics.nme(estimated, truth, "diagonal") == pytest.approx(6 / np.hypot(40, 90))
    box = np.array([10.0, 20.0, 40.0, 60.0])
    assert metrics.nme(estimated, truth, "box", box) == pytest.approx(6 / np.sqrt(1200))
    assert metrics.nme(estimated, truth, "diagonal", box) == pytest.approx(6 / 50)


def test_faces_in_a_batch_equal_faces_alone():
    generator = np.random.default_rng(0)
    truth = drawn_face() + generator.normal(size=(3, 68, 2))
    estimated = truth + generator.normal(size=truth.shape)
    boxes = np.array([[0, 0, 10, 20], [5, 5, 30, 40], [1, 2, 3, 4]], float)
    for normaliser in metrics.NORMALISERS:
        for to_contour in (False, True):
            together = metrics.group_errors(estimated, truth, normaliser, boxes, to_contour)
            for index in range(3):
                alone = metrics.group_errors(
                    estimated[index], truth[index], normaliser, boxes[index], to_contour
                )
                for group, value in alone.items():
                    assert together[group][index] == pytest.approx(value)


def test_normalisers_say_their_points():
    say = metrics.describe_normaliser
    assert say("ocular", 68) == "distance of the outer eye corners (36, 45)"
    assert say("pupil", 98) == "distance of the means of the eye points (60-67, 68-75)"
    assert say("box", 68) == "square root of the box's area (tight box of the true points)"
    assert say("diagonal", 68, given_box=True) == "diagonal of the box (rect_dir)"


def test_unusable_normalisers():
    with pytest.raises(InputError, match="known: ocular, pupil, box, diagonal"):
        metrics.normalising_distance(drawn_face(), "iris")
    with pytest.raises(InputError, match="outer eye corners is zero"):
        metrics.normalising_distance(np.zeros((68, 2)))
    with pytest.raises(InputError, match="5 points"):
        metrics.normalising_distance(np.zeros((5, 2)))


def test_part_errors_are_means_over_all_points_of_the_part():
    truth = drawn_face()
    estimated = truth.copy()
    estimated[8, 0] += 17  # in the middle of the jaw
    errors = metrics.group_errors(estimated, truth)
    assert errors["all points"] == pytest.approx(17 / 68 / 130)
    assert errors["jaw"] == pytest.approx(1 / 130)
    assert errors["without jaw"] == errors["eyes"] == errors["inner mouth"] == 0


@pytest.mark.parametrize("count", SCHEMES)
def test_groups_split_the_points(count):
    groups = metrics.groups_of(scheme_for(count))
    everything = groups.pop("all points")
    without_jaw = groups.pop("without jaw")
    assert sorted(sum(groups.values(), ())) == list(everything) == list(range(count))
    assert sorted(without_jaw + groups["jaw"]) == list(everything)


def test_part_errors_of_98_points_use_98_point_indices():
    truth = drawn_face(98)
    estimated = truth.copy()
    estimated[[96, 97], 1] += 3
    errors = metrics.group_errors(estimated, truth, "pupil")
    assert errors["pupils"] == pytest.approx(0.03)
    assert errors["eyes"] == errors["jaw"] == 0


def test_contour_error_weighs_contours_by_length():
    truth = drawn_face()
    estimated = truth.copy()
    estimated[:17, 0] -= 3
    # Lengths: jaw 160, brows 2 x 40, nose 30 + 40; closed: eyes 2 x 100, mouth 220 + 140.
    errors = metrics.group_errors(estimated, truth, "pupil", to_contour=True)
    assert errors["all points"] == pytest.approx(3 * 160 / 870 / 100)
    assert errors["jaw"] == pytest.approx(0.03)
    assert errors["without jaw"] == 0


def test_contour_error_is_the_distance_to_the_nearest_segment():
    truth = drawn_face()
    estimated = truth.copy()
    estimated[5:8, 1] += [4, -7, 12]  # along the jaw
    estimated[16] += [3, 4]  # beyond its end
    distances, _ = metrics.contour_errors(estimated, truth)
    assert distances[16] == pytest.approx(5)
    assert np.delete(distances, 16) == pytest.approx(0)


def test_closed_contours_close():
    truth = drawn_face()
    truth[60:] = [[0, 0], [0, 10], [0, 20], [10, 20], [20, 20], [20, 10], [20, 0], [10, 0]]
    estimated = truth.copy()
    estimated[61] = 5, 1  # beside the segment from 67 back to 60
    distances, weights = metrics.contour_errors(estimated, truth)
    assert distances[61] == pytest.approx(1)
    assert weights[61] == pytest.approx(80 / 8)


def test_contour_error_of_a_contour_shrunk_to_a_point():
    truth = drawn_face()
    truth[60:] = 500, 500
    estimated = truth.copy()
    estimated[60:] += [3, 4]
    errors = metrics.group_errors(estimated, truth, "pupil", to_contour=True)
    assert errors["inner mouth"] == pytest.approx(0.05)
    assert errors["all points"] == pytest.approx(0)


def test_pupils_have_no_contour_error():
    truth = drawn_face(98)
    estimated = truth.copy()
    estimated[[96, 97]] += 50
    errors = metrics.group_errors(estimated, truth, to_contour=True)
    assert errors["all points"] == 0
    assert "pupils" not in errors


def test_failure_rate_and_area_under_curve():
    errors = [0.02, 0.08, 0.2]
    assert metrics.failure_rate(errors, 0.08) == pytest.approx(1 / 3)
    assert metrics.area_under_curve(errors, 0.08) == pytest.approx(0.25)
    assert metrics.area_under_curve([0, 0], 0.1) == 1


def test_area_under_curve_is_the_area_of_the_cumulative_errors():
    errors = np.random.default_rng(0).gamma(2, 0.03, size=50)
    values, shares = metrics.cumulative_errors(errors)
    inside = values < 0.1
    edges = np.concatenate([values[inside], [0.1]])
    area = np.sum(np.diff(edges) * shares[inside]) / 0.1
    assert metrics.area_under_curve(errors, 0.1) == pytest.approx(area)


def test_cumulative_errors_share_is_at_or_below():
    values, shares = metrics.cumulative_errors([0.3, 0.1, 0.1, 0.2])
    assert values.tolist() == [0.1, 0.1, 0.2, 0.3]
    assert shares.tolist() == [0.5, 0.5, 0.75, 1]


def test_precision_recall():
    errors = [0.01, 0.09, 0.02, 0.5]
    recall, precision = metrics.precision_recall(errors, np.array([0.1, 0.3, 0.2, 0.4]))
    assert recall.tolist() == [0.25, 0.5, 0.75, 1]
    assert precision == pytest.approx([1, 1, 2 / 3, 0.5])


def test_precision_recall_with_equal_and_missing_estimates():
    errors = [0.01, 0.09, 0.02, 0.03]
    recall, precision = metrics.precision_recall(errors, np.array([0.1, 0.1, 0.2, np.nan]))
    assert recall.tolist() == [0.5, 0.75]
    assert precision == pytest.approx([0.5, 2 / 3])


def test_lowest_estimates():
    estimates = np.array([0.3, np.nan, 0.1, 0.2])
    assert metrics.lowest_estimates(estimates, 0.5).tolist() == [2, 3]
    assert metrics.lowest_estimates(estimates, 0).tolist() == [2]
    assert metrics.lowest_estimates(estimates, 1).tolist() == [2, 3, 0]
    assert metrics.lowest_estimates(np.full(3, np.nan), 1).tolist() == []
