import pickle

import menpo.shape
import numpy as np
import pytest

from musica.errors import InputError
from musica.files import reference_shape_files
from musica.geometry import reference_shape

SHAPE = np.random.default_rng(0).uniform(0, 142, (5, 2))


def test_reference_shape_is_the_mean_over_faces():
    landmarks = [np.array([[20.0, 10.0], [70.0, 109.0]]), np.array([[5.0, 5.0], [44.0, 5.0]])]
    boxes = [[10, 20, 109, 69], [5.5, 5.0, 24.5, 44.0]]  # 100 x 50 and 20 x 40
    first = np.array([[0, 0], [50, 99]]) * 1.42
    second = np.array([[0, -0.5], [39, -0.5]]) * 142 / 40
    found = reference_shape.reference_shape(landmarks, boxes)
    np.testing.assert_allclose(found, (first + second) / 2)
    half = reference_shape.reference_shape(landmarks, boxes, box_size=71)
    np.testing.assert_allclose(half, found / 2)


def test_the_release_s_arithmetic():
    # Its sides count one corner; of a 60-pixel box this makes 1.7 %.
    points = np.array([[30.0, 15.0]])
    boxes = [[0, 0, 59, 29], [0, 0, 11, 5], [0, 0, 10, 99]]  # the last is left out
    found = reference_shape.reference_shape([points] * 3, boxes, preprocessing="release")
    np.testing.assert_allclose(found, points * 142 * (1 / 59 + 1 / 11) / 2)
    ours = reference_shape.reference_shape([points] * 3, boxes)
    np.testing.assert_allclose(ours, points * 142 * (1 / 60 + 1 / 100) / 2)


def test_one_factor_for_both_axes_beyond_4_to_1():
    found = reference_shape.reference_shape([np.array([[100.0, 10.0]])], [[0, 0, 19, 199]])
    np.testing.assert_allclose(found, [[71, 7.1]])


def test_small_boxes_are_skipped():
    landmarks, big, small = [SHAPE, SHAPE + 50], [0, 0, 10, 99], [0, 0, 9, 99]
    found = reference_shape.reference_shape(landmarks, [big, small])
    np.testing.assert_allclose(found, SHAPE * 1.42)
    for boxes in ([small, small], [[0, 0, 99, 9]] * 2):
        with pytest.raises(InputError, match="no face"):
            reference_shape.reference_shape(landmarks, boxes)


def test_faces_of_different_schemes():
    with pytest.raises(InputError, match="same number"):
        reference_shape.reference_shape([SHAPE, SHAPE[1:]], [[0, 0, 99, 99]] * 2)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".ljson", 0), (".pts", 5.1e-4)])
def test_shape_comes_back_from_a_file_and_from_its_folder(tmp_path, suffix, tolerance):
    path = tmp_path / f"reference_shape{suffix}"
    reference_shape_files.write_reference_shape(path, SHAPE)
    for place in (path, str(path), tmp_path):
        found = reference_shape_files.read_reference_shape(place, 5)
        np.testing.assert_allclose(found, SHAPE, rtol=0, atol=tolerance)
    with pytest.raises(InputError, match="5 points where 68 are needed"):
        reference_shape_files.read_reference_shape(path, 68)


def test_full_precision_comes_first(tmp_path):
    reference_shape_files.write_reference_shape(tmp_path / "reference_shape.pts", SHAPE)
    reference_shape_files.write_reference_shape(tmp_path / "reference_shape.ljson", SHAPE + 1)
    np.testing.assert_array_equal(reference_shape_files.read_reference_shape(tmp_path), SHAPE + 1)


def test_missing_files(tmp_path):
    with pytest.raises(InputError, match="holds none of"):
        reference_shape_files.read_reference_shape(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        reference_shape_files.read_reference_shape(tmp_path / "a.pts")
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError, match="not a reference shape"):
        reference_shape_files.read_reference_shape(tmp_path / "a.txt")
    with pytest.raises(InputError, match="not a landmark file"):
        reference_shape_files.write_reference_shape(tmp_path / "a.pkl", SHAPE)


def python_2_pickle(shape):
    """What Python 2 and an old NumPy write: bytes as text, numpy.core."""
    data = shape.astype("<f8").tobytes()
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K" + bytes([len(shape)]) + b"K\x02\x86cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U"
        + bytes([len(data)])
        + data
        + b"tb."
    )


def pickles():
    cloud = menpo.shape.PointCloud(SHAPE)
    return {
        "python 2": python_2_pickle(SHAPE),
        **{f"protocol {p}": pickle.dumps(SHAPE, protocol=p) for p in (2, 3, 4)},
        "columns first": pickle.dumps(np.asfortranarray(SHAPE), protocol=2),
        "big endian": pickle.dumps(SHAPE.astype(">f8"), protocol=2),
        "menpo": pickle.dumps(cloud, protocol=2),
    }


@pytest.mark.parametrize("kind", sorted(pickles()))
def test_the_release_s_pickle_is_imported_when_asked_for(tmp_path, kind):
    path = tmp_path / "reference_shape.pkl"
    path.write_bytes(pickles()[kind])
    with pytest.raises(InputError, match=r"musica\.convert_checkpoint"):
        reference_shape_files.read_reference_shape(path)
    for place in (path, tmp_path):
        found = reference_shape_files.read_reference_shape(place, 5, import_pickle=True)
        np.testing.assert_array_equal(found, SHAPE)
    with pytest.raises(InputError, match="5 points where 68 are needed"):
        reference_shape_files.read_reference_shape(path, 68, import_pickle=True)


class Attack:
    """Its pickle calls a function with arguments when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_a_pickle_runs_no_code(tmp_path):
    path, witness = tmp_path / "reference_shape.pkl", tmp_path / "witness"
    attack = pickle.dumps(Attack(open, str(witness), "w"))
    path.write_bytes(attack)
    with pytest.raises(InputError, match="it names"):
        reference_shape_files.read_reference_shape(path, import_pickle=True)
    assert not witness.exists()
    pickle.loads(attack).close()
    assert witness.exists()  # so the attack is a real one


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        python_2_pickle(SHAPE)[:-20],
        pickle.dumps([1, 2, 3]),
        pickle.dumps(SHAPE[0], protocol=2),
        pickle.dumps(SHAPE * np.nan, protocol=2),
        pickle.dumps(SHAPE[:, :1], protocol=2),
        pickle.dumps(SHAPE.astype(object), protocol=2),
        pickle.dumps(SHAPE.astype(str), protocol=2),
        pickle.dumps(Attack(eval, "1"), protocol=2),
        pickle.dumps(Attack(np.load, "file"), protocol=2),
        pickle.dumps(Attack(np.ndarray, (10**13,)), protocol=2),
        pickle.dumps(np.zeros((100_000, 2)), protocol=2),
    ],
    ids=range(13),
)
def test_other_pickles_are_refused(tmp_path, content):
    path = tmp_path / "reference_shape.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"reference_shape\.pkl"):
        reference_shape_files.read_reference_shape(path, import_pickle=True)
