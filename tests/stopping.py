"""Where faces stop by a rule, for tests."""

import numpy as np


def last_iterations(rule, scores):
    """The iteration, from 0, after which each face stops: (F,) int; ``scores`` (F, K - 1)."""
    stops = [rule.stops(k, own, own) for k, own in enumerate(np.transpose(scores))]
    return np.stack([*stops, np.ones(len(scores), bool)]).argmax(axis=0)
