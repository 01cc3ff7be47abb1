"""The gain by hand, and its prediction on states that do and do not tell it."""

import numpy as np

from musica.quitting.gain import fit_gain, gain_to_be_had


def test_the_gain_is_to_the_best_later_stop():
    # In percent of NME for each million multiply-adds.
    errors = np.array([[0.05, 0.04, 0.01], [0.05, 0.01, 0.01], [0.02, 0.03, 0.04]])
    found = gain_to_be_had(errors, [1_000_000, 2_000_000, 4_000_000])
    # From the first: 1 % in one million, or 4 % in three; 4 % in one; a loss either way.
    np.testing.assert_allclose(found, [[4 / 3, 1.5], [4, 0], [-2 / 3, -0.5]])


def views(noise, seed=0):
    """Hidden states of 120 faces, three views each, and gains that are linear in them."""
    generator = np.random.default_rng(seed)
    hidden = np.tanh(generator.normal(size=(360, 2, 12))).astype(np.float32)
    kernels, biases = generator.normal(size=(2, 12)), np.array([0.5, -0.2])
    gains = np.einsum("vkh,kh->vk", hidden, kernels) + biases
    return hidden, gains + generator.normal(0, noise, gains.shape), kernels, biases


def test_a_linear_gain_is_found():
    hidden, gains, kernels, biases = views(0.0)
    fit = fit_gain(hidden, gains, np.repeat(np.arange(120), 3))
    np.testing.assert_allclose(fit.kernels, kernels, atol=0.02)
    np.testing.assert_allclose(fit.biases, biases, atol=0.02)
    np.testing.assert_allclose(fit.predicted, gains, atol=0.1)


def test_noise_leads_to_a_larger_penalty():
    hidden, gains, _, _ = views(20.0)
    fit = fit_gain(hidden, gains, np.repeat(np.arange(120), 3))
    for k in range(2):
        states = hidden[:, k] - hidden[:, k].mean(axis=0)
        unpenalised = np.linalg.lstsq(states, gains[:, k], rcond=None)[0]
        assert np.linalg.norm(fit.kernels[k]) < 0.7 * np.linalg.norm(unpenalised)
    assert (((fit.predicted - gains) ** 2).mean(axis=0) < 1.02 * gains.var(axis=0)).all()


def test_units_do_not_judge_faces_that_they_were_fitted_on():
    # States that name their face, and gains by chance: who peeked would know them.
    generator = np.random.default_rng(0)
    faces = np.repeat(np.arange(120), 3)
    hidden = np.repeat(generator.normal(size=(120, 1, 200)), 3, axis=0)
    gains = np.repeat(generator.normal(size=(120, 1)), 3, axis=0)
    fit = fit_gain(hidden, gains, faces)
    assert np.corrcoef(fit.predicted[:, 0], gains[:, 0])[0, 1] < 0.3
    told = fit_gain(hidden, gains, np.arange(360))
    assert np.corrcoef(told.predicted[:, 0], gains[:, 0])[0, 1] > 0.9
