import fit_mean_face
import numpy as np
import pytest
import tiny_faces
from fit_mean_face import FitConfig
from measure_pose import rotations

from musica import Face, InputError
from musica.files import landmark_files
from musica.geometry.head_pose import COLUMNS, mean_face
from musica.geometry.landmarks import SCHEMES

POSES = [(0, 0, 0), (30, 0, 0), (-40, 0, 0), (0, 15, 0), (0, -20, 0), (0, 0, 40), (-25, 12, -150)]


def seen(pose, count=68, scale=100.0, noise=0.0):
    """A face with the mean face in a pose; landmarks are (y, x) pixels."""
    turned = mean_face(count).points @ rotations(np.array([pose]))[0].T
    points = 300 + scale * turned[:, 1::-1]
    points += np.random.default_rng(0).normal(0, noise * scale, points.shape)
    return Face(points, 0.0, 1, False)


@pytest.mark.parametrize("count", [68, 98])
@pytest.mark.parametrize("pose", POSES)
def test_a_known_pose_is_found(pose, count):
    assert seen(pose, count).pose == pytest.approx(pose, abs=0.01)
    assert seen(pose, count, noise=0.03).pose == pytest.approx(pose, abs=4)


def test_the_signs_are_those_of_the_documentation():
    tip, (left, right) = 30, SCHEMES[68].eye_corners
    still = seen((0, 0, 0)).landmarks
    y, x = (seen((20, 15, 0)).landmarks - still)[tip] - (seen((20, 15, 0)).landmarks - still)[8]
    assert x > 0 and y > 0  # to the right and down, compared with the chin
    leaning = seen((0, 0, 20)).landmarks
    assert leaning[right, 0] < leaning[left, 0]  # the eye line rises to the right


def test_roll_is_what_turns_the_face_upright():
    from musica.geometry.upright import roll_of

    assert roll_of(seen((0, 0, 35)).landmarks, seen((0, 0, 0)).landmarks) == pytest.approx(35)


@pytest.mark.parametrize("count", [68, 98])
def test_a_mirrored_face_has_the_mirrored_pose(count):
    face = seen((-25, 12, 20), count, noise=0.02)
    mirrored = face.landmarks[list(SCHEMES[count].mirror)] * [1, -1]
    yaw, pitch, roll = face.pose
    assert Face(mirrored, 0.0, 1, False).pose == pytest.approx((-yaw, pitch, -roll), abs=0.01)


def test_faces_of_other_schemes_or_without_numbers_have_no_pose():
    points = seen((0, 0, 0)).landmarks
    assert Face(points[:5], 0.0, 1, False).pose is None
    points[3, 1] = np.nan
    assert Face(points, 0.0, 1, False).pose is None


def test_any_points_have_a_finite_pose():
    generator = np.random.default_rng(0)
    line = np.repeat(np.arange(68.0)[:, None], 2, axis=1)
    clouds = [generator.normal(0, 10**power, (68, 2)) for power in range(-6, 7, 2)]
    for points in (line, np.ones((68, 2)), *clouds):
        assert np.isfinite(Face(points, 0.0, 1, False).pose).all()


def test_a_mean_face_is_factorised_out_of_turned_faces(tmp_path):
    generator = np.random.default_rng(0)
    poses = generator.uniform((-40, -20, -10), (40, 20, 10), (60, 3))
    for index, pose in enumerate(poses):
        points = seen(pose, noise=0.01).landmarks
        landmark_files.write_landmarks(tmp_path / f"{index}.pts", points)
        (tmp_path / f"{index}.png").touch()
    landmark_files.write_landmarks(tmp_path / "frontal.pts", seen((0, 0, 0)).landmarks)
    (tmp_path / "frontal.png").touch()
    turned = tiny_faces.write_list(tmp_path / "turned.txt", *(f"{i}.png" for i in range(60)))
    frontal = tiny_faces.write_list(tmp_path / "frontal.txt", "frontal.png")
    output = tmp_path / "mean.csv"
    lists = {"train_filenames": [turned], "frontal_filenames": [frontal]}
    fit_mean_face.fit(FitConfig(str(tmp_path), **lists, output=str(output)))
    assert output.read_text().splitlines()[0] == ",".join(COLUMNS)
    found = np.loadtxt(output, delimiter=",", skiprows=1)[:, :3]
    expected = mean_face(68).points
    gaps = (found - found.mean(axis=0)) - (expected - expected.mean(axis=0))
    assert np.abs(gaps).max() < 0.03
    with pytest.raises(InputError, match="output is missing"):
        fit_mean_face.fit(FitConfig(str(tmp_path), **lists))
