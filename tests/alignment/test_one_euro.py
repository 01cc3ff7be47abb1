"""The filter on signals whose result is known."""

import numpy as np
import pytest

from musica.alignment.one_euro import OneEuroFilter
from musica.errors import InputError

RATE = 50.0


def filtered(signal, unit=1.0, rate=RATE, **parameters):
    smooth = OneEuroFilter(**parameters)
    return np.array([smooth(value, i / rate, unit) for i, value in enumerate(signal)])


def test_a_constant_stays():
    constant = np.broadcast_to([[3.0, -7.0]], (20, 2))
    np.testing.assert_array_equal(filtered(constant), constant)


def test_noise_at_rest_is_reduced():
    noise = np.random.default_rng(0).normal(0, 0.01, (400, 4))
    still = filtered(noise, min_cutoff=0.5, beta=0)[100:]
    assert still.std() < 0.25 * noise.std()
    assert np.abs(still.mean()) < 0.005
    # A higher beta lets more of it through.
    assert still.std() < filtered(noise, min_cutoff=0.5, beta=20)[100:].std() < noise.std()


def test_a_step_is_approached_as_by_a_low_pass_filter():
    step = np.concatenate([np.zeros(5), np.ones(200)])
    found = filtered(step, min_cutoff=2.0, beta=0)
    weight = 1 / (1 + RATE / (2 * np.pi * 2.0))
    expected = np.concatenate([np.zeros(5), 1 - (1 - weight) ** np.arange(1, 201)])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    faster = filtered(step, min_cutoff=2.0, beta=1.0)
    assert (np.diff(faster) >= 0).all() and faster.max() <= 1  # no overshoot
    assert (faster >= found - 1e-12).all() and faster[8] > found[8] + 0.1


@pytest.mark.parametrize("beta", [0.0, 0.3, 3.0])
def test_a_ramp_is_followed_at_a_distance(beta):
    speed = 4.0
    ramp = speed * np.arange(600) / RATE
    found = filtered(ramp, min_cutoff=1.5, beta=beta)
    distance = (ramp - found)[-1]
    # The filter sees the speed against its own last value, which is behind.
    seen = speed + distance * RATE
    cutoff = 1.5 + beta * seen
    assert distance / speed == pytest.approx(1 / (2 * np.pi * cutoff), rel=1e-3)


def test_only_the_unit_matters():
    signal = np.cumsum(np.random.default_rng(1).normal(size=(60, 3)), axis=0)
    np.testing.assert_allclose(filtered(10 * signal, unit=10.0), 10 * filtered(signal), rtol=1e-9)
    # A rate that is twice as high shows the same seconds.
    ramp = np.arange(0, 8, 0.02)
    fine = filtered(np.arange(0, 8, 0.01), rate=2 * RATE)
    assert fine[::2][-1] == pytest.approx(filtered(ramp)[-1], abs=0.01)


def test_each_number_is_smoothed_by_itself():
    signals = np.random.default_rng(2).normal(size=(30, 2))
    both = filtered(signals)
    np.testing.assert_allclose(both[:, 1], filtered(signals[:, 1]))


def test_time_that_stands_still():
    smooth = OneEuroFilter()
    smooth(np.zeros(2), 1.0)
    assert np.isfinite(smooth(np.ones(2), 1.0)).all()


@pytest.mark.parametrize("wrong", [{"min_cutoff": 0}, {"beta": -1}, {"speed_cutoff": np.nan}])
def test_parameters_are_checked(wrong):
    with pytest.raises(InputError, match="cut-offs above 0"):
        OneEuroFilter(**wrong)
