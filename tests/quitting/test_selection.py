"""Small cases worked out by hand, and the definitions restated slowly."""

import numpy as np
import pytest

from musica.quitting import selection

# Two faces, three iterations. The first is good at once, the second only at the end.
ERRORS = np.array([[0.02, 0.02, 0.02], [0.10, 0.06, 0.02]])
ESTIMATES = np.array([[0.03, 0.02, 0.02], [0.09, 0.05, 0.04]])
COSTS = [10, 20, 30]


def sample(faces=60, seed=0):
    """Errors and estimates that are related, with equal values among them."""
    generator = np.random.default_rng(seed)
    errors = generator.gamma(3, 0.02, (faces, 3)) * [1.5, 1.1, 1.0]
    return errors, np.round(errors + generator.normal(0, 0.02, errors.shape), 2)


def test_stopping_iterations():
    for threshold, expected in ((0.02, [2, 2]), (0.03, [1, 2]), (0.06, [0, 1]), (1, [0, 0])):
        assert selection.stopping_iterations(ESTIMATES, threshold).tolist() == expected
    assert ESTIMATES[0, 2] == 0.02  # the argument is left alone


def test_curve_by_hand():
    found = selection.curve(ERRORS, ESTIMATES, COSTS)
    np.testing.assert_allclose(found.settings, [0.02, 0.025, 0.04, 0.07, 0.09])
    np.testing.assert_allclose(found.errors, [0.02, 0.02, 0.02, 0.04, 0.06])
    np.testing.assert_allclose(found.multiply_adds, [30, 25, 20, 15, 10])
    np.testing.assert_allclose(found.iterations, [3, 2.5, 2, 1.5, 1])


def test_curve_is_what_each_threshold_leads_to():
    errors, estimates = sample()
    found = selection.curve(errors, estimates, COSTS)
    rows = np.arange(len(errors))
    reached = set()
    for place, threshold in enumerate(found.settings):
        chosen = selection.stopping_iterations(estimates, threshold)
        reached.add(tuple(chosen))
        assert found.errors[place] == pytest.approx(errors[rows, chosen].mean())
        assert found.multiply_adds[place] == pytest.approx(np.take(COSTS, chosen).mean())
        assert found.iterations[place] == pytest.approx(1 + chosen.mean())
    every = np.linspace(estimates.min() - 0.01, estimates.max() + 0.01, 5000)
    assert reached == {tuple(selection.stopping_iterations(estimates, t)) for t in every}
    assert found.errors[0] == errors[:, -1].mean()


def test_oracle_by_hand():
    found = selection.oracle_curve(np.array([[0.02, 0.02, 0.02], [0.10, 0.05, 0.02]]), COSTS)
    # The first face always stops at once; the second goes back at the prices 0.003 and 0.005.
    changes = np.flatnonzero(np.diff(found.multiply_adds, prepend=np.inf))
    np.testing.assert_allclose(found.multiply_adds[changes], [20, 15, 10])
    np.testing.assert_allclose(found.errors[changes], [0.02, 0.035, 0.06])
    np.testing.assert_allclose(found.settings[changes[1:]], [0.003, 0.005], atol=1e-5)


def test_no_choice_of_iterations_is_below_the_oracle():
    errors, _ = sample(5)
    found = selection.oracle_curve(errors, COSTS)
    assert (np.diff(found.multiply_adds) <= 0).all()
    assert found.errors[0] == pytest.approx(errors.min(axis=1).mean())
    assert found.multiply_adds[-1] == COSTS[0]
    choices = np.stack(np.meshgrid(*[range(3)] * 5), axis=-1).reshape(-1, 5)
    for chosen in choices:
        bound = np.interp(
            np.take(COSTS, chosen).mean(), found.multiply_adds[::-1], found.errors[::-1]
        )
        assert errors[np.arange(5), chosen].mean() >= bound - 1e-12


def test_thresholds_per_iteration_by_hand():
    # After the first iteration estimates say nothing, after the second everything.
    errors = np.array([[0.04, 0.02, 0.02], [0.04, 0.03, 0.01]])
    estimates = np.array([[0.01, 0.02, 0.02], [0.01, 0.06, 0.01]])
    found = selection.per_iteration_curve(errors, estimates, COSTS)
    best = selection.cheapest(found, 0.015)
    assert found.errors[best] == pytest.approx(0.015)
    assert found.multiply_adds[best] == 25
    first, second = found.thresholds[best]
    assert first <= 0.01 and 0.02 < second <= 0.06
    assert selection.choose_stop_threshold(found, 0.0) == [first, second]
    assert found.multiply_adds[[0, -1]].tolist() == [30, 10]


def test_thresholds_per_iteration_lead_where_the_curve_says():
    errors, estimates = sample()
    found = selection.per_iteration_curve(errors, estimates, COSTS)
    rows = np.arange(len(errors))
    for bounds, error, cost in zip(
        found.thresholds, found.errors, found.multiply_adds, strict=True
    ):
        chosen = selection.stopping_iterations(estimates, bounds)
        assert errors[rows, chosen].mean() == pytest.approx(error)
        assert np.array(COSTS)[chosen].mean() == pytest.approx(cost)


def test_thresholds_per_iteration_use_what_each_estimate_promises():
    # The same estimate promises a large gain after the first iteration, none after the second.
    generator = np.random.default_rng(0)
    gains = generator.uniform(0, 0.1, 500)
    errors = np.stack([0.03 + gains, np.full(500, 0.03), np.full(500, 0.03)], axis=1)
    estimates = np.stack([gains, np.full(500, 0.05), np.full(500, 0.05)], axis=1)
    own, shared = (
        make(errors, estimates, COSTS) for make in (selection.per_iteration_curve, selection.curve)
    )
    saved = [c.multiply_adds[selection.cheapest(c, 0.0303)] for c in (own, shared)]
    assert saved[0] < 20 < saved[1]


def test_stop_threshold_saves_most_within_the_limit():
    trade_off = selection.curve(ERRORS, ESTIMATES, COSTS)
    assert selection.choose_stop_threshold(trade_off, 0.0) == pytest.approx(0.04)
    assert selection.choose_stop_threshold(trade_off, 0.99) == pytest.approx(0.04)
    assert selection.choose_stop_threshold(trade_off, 1.01) == pytest.approx(0.07)
    assert selection.choose_stop_threshold(trade_off, 5) == pytest.approx(0.09)
    fixed = selection.fixed_curve(ERRORS, COSTS)
    assert selection.cheapest(fixed, 0.05) == 1
    np.testing.assert_allclose(fixed.errors, [0.06, 0.04, 0.02])


def test_roc_by_hand():
    failed = np.array([False, False, True, False, True])
    found = selection.roc(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), failed)
    np.testing.assert_allclose(found.detected, [1, 1, 1, 0.5, 0.5, 0])
    np.testing.assert_allclose(found.false_alarms, [1, 2 / 3, 1 / 3, 1 / 3, 0, 0])
    assert found.area == pytest.approx(5 / 6)  # of the 6 pairs, one is in the wrong order
    # F1 at 0.25: 2 hits, 1 false alarm, 0.8; at 0.45: 1 hit, 1 miss, 0.67.
    assert selection.choose_fail_threshold(found, 0.4) == pytest.approx(0.25)
    # Were failures rare, the false alarm would weigh more.
    assert selection.choose_fail_threshold(found, 0.1) == pytest.approx(0.45)


def test_equal_estimates_count_half():
    failed = np.array([True, False, True, False])
    assert selection.roc(np.full(4, 0.3), failed).area == pytest.approx(0.5)


def test_who_is_aligned_again():
    errors = np.array([[0.05, 0.04], [0.30, 0.05], [0.04, 0.06], [0.04, 0.04]])
    estimates = np.array([0.06, 0.20, 0.03, 0.03])
    costs = np.array([[30, 90], [30, 100], [20, 90], [30, 90]])
    found = selection.realignment_curve(errors, estimates, costs, costs / 10)
    asking = [[estimates > threshold] for threshold in found.settings]
    assert [np.sum(mask) for mask in asking] == [4, 2, 1, 0]
    for column, amounts in (
        (found.errors, errors),
        (found.multiply_adds, costs),
        (found.iterations, costs / 10),
    ):
        expected = [np.where(mask, amounts[:, 1], amounts[:, 0]).mean() for mask in asking]
        np.testing.assert_allclose(column, expected)
    # 0.0425 is the least error, with two faces; 0.045 with the worst one alone.
    assert 0.03 < selection.choose_realign_threshold(found, 0.0) < 0.06
    assert 0.06 < selection.choose_realign_threshold(found, 0.1) < 0.20
    assert selection.choose_realign_threshold(found, 10.0) > 0.20
