"""Small cases worked out by hand."""

import numpy as np
import pytest

from musica.quitting.estimates import (
    calibration_knots,
    correlation,
    rank_correlation,
    threshold_for,
)


def test_correlations():
    errors = np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [4.0, 3.0, 3.0]])
    # The mean of thrice 0.1 is not quite 0.1.
    estimates = np.array([[0.0, 3.0, 0.1], [1.0, 2.0, 0.1], [9.0, 1.0, 0.1]])
    expected = np.corrcoef(errors[:, 0], estimates[:, 0])[0, 1]
    np.testing.assert_allclose(correlation(errors, estimates), [expected, -1, np.nan])
    np.testing.assert_allclose(rank_correlation(errors, estimates), [1, -1, np.nan])
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
    tied = rank_correlation(*np.array([[[1.0], [2], [2], [9]], [[1.0], [2], [3], [4]]]))
    np.testing.assert_allclose(tied, [4.5 / np.sqrt(4.5 * 5)])


def test_calibration_pools_groups_that_are_out_of_order():
    # Four groups of ten faces: mean errors 1, 3, 2, 4, of which the middle two are pooled.
    estimates = np.arange(40.0)
    errors = np.repeat([1.0, 3.0, 2.0, 4.0], 10)
    knots, values = calibration_knots(errors[::-1], estimates[::-1])
    np.testing.assert_allclose(values, [1, 2.5, 4])
    np.testing.assert_allclose(knots, [4.5, 19.5, 34.5])


@pytest.mark.parametrize("faces", [1, 9, 25, 3000])
def test_calibration_is_increasing_and_keeps_the_mean(faces):
    generator = np.random.default_rng(0)
    errors = generator.gamma(3, 0.03, faces)
    estimates = np.round(errors + generator.normal(0, 0.02, faces), 2)
    knots, values = calibration_knots(errors, estimates)
    assert 1 <= len(knots) == len(values) <= min(32, max(1, faces // 10))
    assert (np.diff(knots) > 0).all() and (np.diff(values) > 0).all()
    if faces == 3000:
        assert len(knots) > 5
        expected = np.interp(estimates, knots, values)
        assert expected.mean() == pytest.approx(errors.mean(), rel=0.02)
        assert np.abs(expected - errors).mean() < 0.8 * np.abs(errors.mean() - errors).mean()


def test_calibration_of_a_constant_estimate_is_the_mean():
    assert calibration_knots(np.arange(40.0), np.full(40, 0.5)) == [[0.5], [19.5]]


def test_threshold_for_an_nme_is_the_strictest():
    calibration = [[[0.1, 0.2], [0.02, 0.06]], [[0.1, 0.3], [0.02, 0.04]], [[9.0], [9.0]]]
    assert threshold_for(0.03, calibration) == pytest.approx(0.125)
    assert threshold_for(0.05, calibration) is None
    assert threshold_for(0.01, calibration) is None
