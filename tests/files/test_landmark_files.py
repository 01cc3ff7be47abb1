import json

import numpy as np
import pytest

from musica.errors import InputError
from musica.files import landmark_files

POINTS = np.array([[0.0, 1.0], [2.5, 3.25], [-4.125, 100.0]])


def test_pts_files_are_1_based_and_x_first(tmp_path):
    path = tmp_path / "a.pts"
    path.write_text("version: 1\nn_points: 2\n{\n11.0 21.0\n1 1.5\n}\n")
    np.testing.assert_allclose(landmark_files.read_landmarks(path), [[20, 10], [0.5, 0]])
    landmark_files.write_landmarks(path, [[20, 10], [0.5, 0]])
    numbers = path.read_text().split("{")[1].split("}")[0].split()
    assert [float(number) for number in numbers] == [11, 21, 1, 1.5]


@pytest.mark.parametrize(("suffix", "tolerance"), [(".pts", 5.1e-4), (".ljson", 0)])
def test_landmarks_come_back(tmp_path, suffix, tolerance):
    points = np.random.default_rng(0).normal(0, 100, (9, 2))
    landmark_files.write_landmarks(tmp_path / f"a{suffix}", points)
    found = landmark_files.read_landmarks(tmp_path / f"a{suffix}", 9)
    np.testing.assert_allclose(found, points, rtol=0, atol=tolerance)


def test_boxes_come_back(tmp_path):
    box = [10.5, 20.25, 110.0, 200.0]
    landmark_files.write_box(tmp_path / "a.pts", box)
    np.testing.assert_allclose(landmark_files.read_box(tmp_path / "a.pts"), box)
    landmark_files.write_landmarks(tmp_path / "b.pts", POINTS)
    with pytest.raises(InputError, match="3 points where 4 are needed"):
        landmark_files.read_box(tmp_path / "b.pts")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pts", ""),
        ("a.pts", "version: 1\nn_points: 2\n{\n1 2\n"),
        ("a.pts", "version: 1\nn_points: 1\n{\nx y\n}\n"),
        ("a.pts", "version: 1\nn_points: 1\n{\nnan 2\n}\n"),
        ("a.ljson", "{"),
        ("a.ljson", "[]"),
        ("a.ljson", json.dumps({"version": 2})),
        ("a.txt", "1 2"),
        ("missing.pts", None),
    ],
)
def test_malformed_landmark_files(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=name):
        landmark_files.read_landmarks(tmp_path / name)


def test_wrong_number_of_points(tmp_path):
    landmark_files.write_landmarks(tmp_path / "a.pts", POINTS)
    with pytest.raises(InputError, match="3 points where 68 are needed"):
        landmark_files.read_landmarks(tmp_path / "a.pts", 68)
    with pytest.raises(InputError, match="not a landmark file"):
        landmark_files.write_landmarks(tmp_path / "a.csv", POINTS)


def test_estimates_come_back(tmp_path):
    landmark_files.write_estimate(tmp_path / "a.txt", 0.0123456789)
    assert landmark_files.read_estimate(tmp_path / "a.txt") == pytest.approx(0.0123456789, rel=1e-7)
    for content in ("", "x", "1 2", "nan", "inf"):
        (tmp_path / "b.txt").write_text(content)
        with pytest.raises(InputError, match=r"b\.txt"):
            landmark_files.read_estimate(tmp_path / "b.txt")
    with pytest.raises(InputError, match=r"c\.txt"):
        landmark_files.read_estimate(tmp_path / "c.txt")
