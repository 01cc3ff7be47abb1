"""Small cases worked out by hand, and the definitions restated slowly."""

import numpy as np
import pytest
from stopping import last_iterations

from musica.quitting import curves
from musica.quitting.rule import StopRule

# Two faces, three iterations. The first is good at once, the second only at the end.
ERRORS = np.array([[0.02, 0.02, 0.02], [0.10, 0.06, 0.02]])
ESTIMATES = np.array([[0.03, 0.02], [0.09, 0.05]])
COSTS = [10, 20, 30]


def sample(faces=60, seed=0):
    """Errors and estimates that are related, with equal values among them."""
    generator = np.random.default_rng(seed)
    errors = generator.gamma(3, 0.02, (faces, 3)) * [1.5, 1.1, 1.0]
    return errors, np.round(errors + generator.normal(0, 0.02, errors.shape), 2)[:, :-1]


def test_curve_by_hand():
    found = curves.rule_curve(ERRORS, ESTIMATES, COSTS)
    np.testing.assert_allclose(found.settings, [0.02, 0.025, 0.04, 0.07, 0.09])
    np.testing.assert_allclose(found.errors, [0.02, 0.02, 0.02, 0.04, 0.06])
    np.testing.assert_allclose(found.multiply_adds, [30, 25, 20, 15, 10])
    np.testing.assert_allclose(found.iterations, [3, 2.5, 2, 1.5, 1])


def test_curve_is_what_each_threshold_leads_to():
    errors, estimates = sample()
    found = curves.rule_curve(errors, estimates, COSTS)
    rows = np.arange(len(errors))
    reached = set()
    for place, threshold in enumerate(found.settings):
        chosen = last_iterations(StopRule.of(threshold, 3), estimates)
        reached.add(tuple(chosen))
        assert found.errors[place] == pytest.approx(errors[rows, chosen].mean())
        assert found.multiply_adds[place] == pytest.approx(np.take(COSTS, chosen).mean())
        assert found.iterations[place] == pytest.approx(1 + chosen.mean())
    every = np.linspace(estimates.min() - 0.01, estimates.max() + 0.01, 5000)
    assert reached == {tuple(last_iterations(StopRule.of(t, 3), estimates)) for t in every}
    assert found.errors[0] == errors[:, -1].mean()


def test_oracle_by_hand():
    found = curves.oracle_curve(np.array([[0.02, 0.02, 0.02], [0.10, 0.05, 0.02]]), COSTS)
    # The first face always stops at once; the second goes back at the prices 0.003 and 0.005.
    changes = np.flatnonzero(np.diff(found.multiply_adds, prepend=np.inf))
    np.testing.assert_allclose(found.multiply_adds[changes], [20, 15, 10])
    np.testing.assert_allclose(found.errors[changes], [0.02, 0.035, 0.06])
    np.testing.assert_allclose(found.settings[changes[1:]], [0.003, 0.005], atol=1e-5)


def test_the_oracle_is_below_every_choice_of_iterations():
    errors, _ = sample(5)
    found = curves.oracle_curve(errors, COSTS)
    assert (np.diff(found.multiply_adds) <= 0).all()
    assert found.errors[0] == pytest.approx(errors.min(axis=1).mean())
    assert found.multiply_adds[-1] == COSTS[0]
    choices = np.stack(np.meshgrid(*[range(3)] * 5), axis=-1).reshape(-1, 5)
    for chosen in choices:
        bound = np.interp(
            np.take(COSTS, chosen).mean(), found.multiply_adds[::-1], found.errors[::-1]
        )
        assert errors[np.arange(5), chosen].mean() >= bound - 1e-12


def test_knowledge_by_hand():
    # Two faces, costs 1 and 2: the first gains 0.04 by the second iteration, the other nothing.
    errors, costs = np.array([[0.06, 0.02], [0.02, 0.02]]), [1, 2]
    fixed, oracle = curves.fixed_curve(errors, costs), curves.oracle_curve(errors, costs)
    # The hull's area is 0.03. The oracle goes from (1, 0.04) to (1.5, 0.02) and stays: 0.025.
    for scores, expected in (
        ([[9.0], [1.0]], 1.0),  # the face without a gain stops first
        ([[5.0], [5.0]], 0.0),  # both at once
        ([[1.0], [9.0]], -1.0),  # the wrong one first: (1.5, 0.04)
    ):
        curve = curves.rule_curve(errors, np.array(scores), costs)
        assert curves.knowledge(curve, fixed, oracle) == pytest.approx(expected)
    assert curves.knowledge(fixed, fixed, oracle) == pytest.approx(0)
    assert curves.knowledge(oracle, fixed, oracle) == pytest.approx(1)


def test_knowledge_is_measured_from_the_hull():
    # The second iteration makes things worse: nobody would choose it for all faces.
    errors = np.array([[0.04, 0.05, 0.02], [0.06, 0.07, 0.02]])
    costs = [1, 2, 3]
    fixed, oracle = curves.fixed_curve(errors, costs), curves.oracle_curve(errors, costs)
    # The hull is the line from (1, 0.05) to (3, 0.02), area 0.07; the fixed polyline has 0.095.
    # The oracle: (1, 0.05), (2, 0.03), (3, 0.02), area 0.065.
    straight = curves.Curve(*np.array([[1.0, 3.0], [0.05, 0.02], [1.0, 3.0], [1.0, 3.0]]))
    assert curves.knowledge(straight, fixed, oracle) == pytest.approx(0)
    assert curves.knowledge(fixed, fixed, oracle) == pytest.approx((0.07 - 0.095) / 0.005)


def test_knowledge_of_indistinguishable_faces_is_zero():
    errors = np.tile([0.05, 0.03], (4, 1))
    fixed, oracle = curves.fixed_curve(errors, [1, 2]), curves.oracle_curve(errors, [1, 2])
    assert curves.knowledge(oracle, fixed, oracle) == 0


def test_cheapest_within_a_limit():
    fixed = curves.fixed_curve(ERRORS, COSTS)
    np.testing.assert_allclose(fixed.errors, [0.06, 0.04, 0.02])
    assert [curves.cheapest(fixed, limit) for limit in (0.02, 0.05, 1)] == [2, 1, 0]
