import json
import warnings

import menpo.io
import menpo.shape
import numpy as np
import pytest

from musica.errors import InputError
from musica.files import landmark_files


def ljson(*points):
    """The text of an .ljson file of version 3."""
    group = {"landmarks": {"points": points}, "labels": []}
    return json.dumps({"version": 3, "groups": {"a": group}})


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


@pytest.mark.parametrize("suffix", [".pts", ".ljson"])
def test_files_are_those_of_menpo(tmp_path, suffix):
    points = np.random.default_rng(1).normal(0, 100, (9, 2))
    landmark_files.write_landmarks(tmp_path / f"a{suffix}", points)
    cloud = menpo.shape.PointCloud(points)
    exported = {"LJSON": cloud} if suffix == ".ljson" else cloud
    menpo.io.export_landmark_file(exported, tmp_path / f"b{suffix}")
    written, expected = (tmp_path / f"{name}{suffix}" for name in "ab")
    assert written.read_text() == expected.read_text()
    (group,) = menpo.io.import_landmark_file(expected).values()
    np.testing.assert_array_equal(landmark_files.read_landmarks(written), group.points)


def test_all_versions_of_ljson(tmp_path):
    points = [[1.5, 2], [3, 4], [5, 6]]
    first = {"label": "a", "landmarks": [{"point": point} for point in points[:2]]}
    second = {"label": "b", "landmarks": [{"point": points[2]}]}
    labels = [{"label": "all", "mask": [0, 1, 2]}]
    for content in (
        {"version": 1, "groups": [first, second]},
        {"version": 2, "landmarks": {"points": points}, "labels": labels},
        {"version": 3, "groups": {"a": {"landmarks": {"points": points}, "labels": labels}}},
    ):
        (tmp_path / "a.ljson").write_text(json.dumps(content), encoding="utf-8-sig")
        found = landmark_files.read_landmarks(tmp_path / "a.ljson")
        np.testing.assert_array_equal(found, points)
        (group,) = menpo_groups(tmp_path, content)
        np.testing.assert_array_equal(found, group.points)


def menpo_groups(folder, content):
    """The groups that menpo reads; it does not know byte-order marks."""
    (folder / "plain.ljson").write_text(json.dumps(content))
    with warnings.catch_warnings():  # menpo warns of old versions
        warnings.simplefilter("ignore")
        return menpo.io.import_landmark_file(folder / "plain.ljson").values()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_blank_lines_and_byte_order_marks_are_read_over(tmp_path, newline):
    lines = ["", "version: 1", " n_points:  2 ", "", "{", "11 21", "  ", "1\t1.5", "}", "", ""]
    path = tmp_path / "a.pts"
    path.write_bytes(b"\xef\xbb\xbf" + newline.join(lines).encode())
    np.testing.assert_allclose(landmark_files.read_landmarks(path), [[20, 10], [0.5, 0]])
    found = landmark_files.read_landmarks(path, index_base=0)
    np.testing.assert_allclose(found, [[21, 11], [1.5, 1]])


def pts(*lines, count=1):
    return "\n".join(["version: 1", f"n_points: {count}", "{", *lines])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pts", "", "no line {"),
        ("a.pts", "1 2\n", "no line {"),
        ("a.pts", pts("1 2", count=2), "1 points where it declares 2"),
        ("a.pts", pts("1 2"), "no line } .* cut off"),
        ("a.pts", pts("1 2", "}", "3 4"), "line 6: '3 4' after the line }"),
        ("a.pts", pts("1 2", "", "1 2 3", "}", count=2), "line 6: '1 2 3' where two numbers"),
        ("a.pts", pts("7", "}"), "line 4: '7' where two numbers"),
        ("a.pts", pts("1,5 2,5", "}"), "line 4: '1,5 2,5' where two numbers"),
        ("a.pts", pts("x y", "}"), "line 4: 'x y' where two numbers"),
        ("a.pts", pts("nan 2", "}"), "line 4: nan 2 is not finite"),
        ("a.pts", pts("1 -inf", "}"), "line 4: 1 -inf is not finite"),
        ("a.pts", b"\xff\xfe1\0", "can't decode byte 0xff"),
        ("a.ljson", "{", "line 1 column 2"),
        ("a.ljson", "[]", "lacks the groups"),
        ("a.ljson", json.dumps({"version": 4}), "version is 4, not 1, 2 or 3"),
        ("a.ljson", json.dumps({"version": 2}), "lacks the groups"),
        ("a.ljson", json.dumps({"version": 3, "groups": {}}), "lacks the groups"),
        ("a.ljson", ljson([1, 2], [None, 3]), "point 2: 'None 3' where two numbers"),
        ("a.ljson", ljson([1, 2, 3]), "point 1: '1 2 3' where two numbers"),
        ("a.ljson", ljson("12"), "point 1: '12' where two numbers"),
        ("a.ljson", ljson([1, 10**400]), "where two numbers are needed"),
        ("a.txt", "1 2", "not a landmark file"),
        ("missing.pts", None, "no such file"),
    ],
)
def test_malformed_landmark_files_are_refused_with_the_reason(tmp_path, name, content, message):
    if content is not None:
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: .*{message}"):
        landmark_files.read_landmarks(tmp_path / name)


@pytest.mark.parametrize("index_base", [0, 1])
def test_missing_points_are_kept_out_of_the_box(tmp_path, index_base):
    path = tmp_path / "a.pts"
    path.write_text(pts("11 21", "-1 -1", "0 0", "31 41", "-1 0", "}", count=5))
    points = landmark_files.read_landmarks(path, index_base=index_base)
    assert landmark_files.missing(points).tolist() == [False, True, True, False, False]
    box = landmark_files.tight_box(points[:4]) + index_base
    np.testing.assert_allclose(box, [11, 21, 31, 41])
    with pytest.raises(InputError, match="all of its landmarks are missing"):
        landmark_files.tight_box(points[1:3])


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
        with pytest.raises(InputError, match=rf"b\.txt: .*{content}"):
            landmark_files.read_estimate(tmp_path / "b.txt")
    with pytest.raises(InputError, match=r"c\.txt"):
        landmark_files.read_estimate(tmp_path / "c.txt")
