import numpy as np
import pytest

from musica.evaluation.paired import error_ratio


def errors(factor, noise, count=200, seed=0):
    """Errors of two methods, the second's larger by a factor on average."""
    rng = np.random.default_rng(seed)
    face = rng.uniform(0.02, 0.1, count)
    return np.stack([face, factor * face * np.exp(rng.normal(0, noise, count))], axis=1)


def test_a_ratio_lies_in_its_interval():
    pair = errors(1.1, 0.2)
    found = error_ratio([pair])
    assert found.value == pytest.approx(pair[:, 1].mean() / pair[:, 0].mean())
    assert found.low < found.value < found.high
    # The deviation of a mean of ratios, whose own deviation is the noise.
    assert found.high - found.low == pytest.approx(2 * 1.96 * 1.1 * 0.2 / np.sqrt(200), rel=0.3)


def test_faces_that_are_hard_for_both_make_it_no_less_sure():
    assert error_ratio([errors(1.1, 0.0)]) == pytest.approx((1.1, 1.1, 1.1))


def test_of_several_sets_it_is_the_geometric_mean_and_surer():
    first, second = errors(1.1, 0.2), errors(0.9, 0.2, seed=1)
    alone = [error_ratio([one]) for one in (first, second)]
    both = error_ratio([first, second])
    assert both.value == pytest.approx(np.sqrt(alone[0].value * alone[1].value))
    widths = [np.log(one.high / one.low) for one in (*alone, both)]
    assert widths[2] < min(widths[:2])


def test_the_interval_holds_the_truth_as_often_as_it_says():
    found = [error_ratio([errors(1.1, 0.2, seed=seed)]) for seed in range(60)]
    truth = 1.1 * np.exp(0.2**2 / 2)
    held = sum(one.low <= truth <= one.high for one in found)
    assert 52 <= held <= 60


def test_it_is_written_with_its_interval():
    assert str(error_ratio([np.array([[0.5, 1.0]])])) == "2.000 (2.000 to 2.000)"
