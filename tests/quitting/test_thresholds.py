"""Small cases worked out by hand."""

import numpy as np
import pytest
from stopping import last_iterations

from musica.quitting import thresholds
from musica.quitting.curves import Curve, rule_curve
from musica.quitting.rule import StopRule


def test_efforts_save_most_within_their_limits():
    curve = Curve(
        np.array([0.0, 0.1, 0.2, 0.3, 0.4]),
        np.array([0.0400, 0.0408, 0.0404, 0.0419, 0.0600]),
        np.array([30.0, 25.0, 22.0, 20.0, 10.0]),
        np.array([3.0, 2.5, 2.2, 2.0, 1.0]),
    )
    low, balanced, full = thresholds.choose_efforts(curve)
    assert low == thresholds.Effort("low", 0.3, 0.0419, 2.0, 20.0)  # up to 0.042
    assert balanced == thresholds.Effort("balanced", 0.2, 0.0404, 2.2, 22.0)  # up to 0.0408
    assert full == thresholds.Effort("full", None, 0.04, 3.0, 30.0)


def test_the_rule_of_an_effort_leads_to_its_means():
    generator = np.random.default_rng(0)
    errors = np.sort(generator.gamma(3, 0.02, (80, 3)))[:, ::-1] + [0.0, 0.02, 0.03]
    scores, costs = generator.normal(size=(80, 2)), np.array([10, 20, 30])
    for effort in thresholds.choose_efforts(rule_curve(errors, scores, costs)):
        chosen = last_iterations(StopRule.of(effort.threshold, 3, "gain"), scores)
        assert errors[np.arange(80), chosen].mean() == pytest.approx(effort.nme)
        assert costs[chosen].mean() == pytest.approx(effort.multiply_adds)
        assert 1 + chosen.mean() == pytest.approx(effort.iterations)


def test_roc_by_hand():
    failed = np.array([False, False, True, False, True])
    found = thresholds.roc(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), failed)
    np.testing.assert_allclose(found.detected, [1, 1, 1, 0.5, 0.5, 0])
    np.testing.assert_allclose(found.false_alarms, [1, 2 / 3, 1 / 3, 1 / 3, 0, 0])
    assert found.area == pytest.approx(5 / 6)  # of the 6 pairs, one is in the wrong order
    # The failure below it could be detected only with a third of the others.
    assert thresholds.choose_fail_threshold(found) == pytest.approx(0.45)


def test_a_few_false_alarms_are_allowed_where_they_detect_more():
    failed = np.arange(103) % 50 == 2  # three among a hundred others
    estimates = np.arange(103) / 100
    estimates[failed] = [0.5, 2, 3]
    assert thresholds.choose_fail_threshold(thresholds.roc(estimates, failed)) == pytest.approx(
        1.505
    )
    estimates[failed] = [1.005, 2, 3]
    assert thresholds.choose_fail_threshold(thresholds.roc(estimates, failed)) == pytest.approx(
        1.0025
    )


def test_equal_estimates_count_half():
    failed = np.array([True, False, True, False])
    assert thresholds.roc(np.full(4, 0.3), failed).area == pytest.approx(0.5)
