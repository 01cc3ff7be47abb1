"""The stop rule, case by case."""

import numpy as np
import pytest
from stopping import last_iterations

from musica.errors import InputError
from musica.quitting.rule import StopRule

SCORES = np.array([[0.03, 0.02], [0.09, 0.05]])


def test_a_face_stops_below_the_threshold_only():
    rule = StopRule.of(0.2, 3)
    assert rule.stops(0, np.array([0.1, 0.2, 0.3]), None).tolist() == [True, False, False]
    assert rule.stops(2, np.array([9.0, np.nan]), None).tolist() == [True, True]


def test_a_threshold_just_above_a_float32_score_stops_it():
    score = np.float32([-0.07310784])
    assert StopRule.of(np.nextafter(np.float64(score[0]), np.inf), 2).stops(0, score, None).all()


def test_the_score_is_what_the_rule_names():
    errors, gains = np.array([0.1, 0.3]), np.array([0.3, 0.1])
    assert StopRule.of(0.2, 2).stops(0, errors, gains).tolist() == [True, False]
    assert StopRule.of(0.2, 2, "gain").stops(0, errors, gains).tolist() == [False, True]
    with pytest.raises(InputError, match="predicts no gain"):
        StopRule.of(0.2, 2, "gain").stops(0, errors, None)
    with pytest.raises(InputError, match="estimate or gain"):
        StopRule.of(0.2, 2, "mood")


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (None, [2, 2]),
        (0.02, [2, 2]),
        (0.03, [1, 2]),
        (0.06, [0, 1]),
        (1, [0, 0]),
        ([0.03, 0.06], [1, 1]),
        ([0.05, -np.inf], [0, 2]),
    ],
)
def test_the_first_score_below_the_threshold_decides(threshold, expected):
    assert last_iterations(StopRule.of(threshold, 3), SCORES).tolist() == expected


@pytest.mark.parametrize("threshold", [[], [0.1], [0.1, 0.2]])
def test_thresholds_fit_the_iterations(threshold):
    if len(threshold) == 1:
        assert StopRule.of(threshold, 4) == StopRule.of(0.1, 4)
    else:
        with pytest.raises(InputError, match="one or 3 numbers"):
            StopRule.of(threshold, 4)


@pytest.mark.parametrize("threshold", [np.nan, "low", [0.1, np.nan, 0.1]])
def test_thresholds_are_numbers(threshold):
    with pytest.raises(InputError, match="one or 3 numbers"):
        StopRule.of(threshold, 4)


def test_a_single_iteration_has_nothing_to_stop():
    assert last_iterations(StopRule.of(0.1, 1), np.empty((2, 0))).tolist() == [0, 0]
