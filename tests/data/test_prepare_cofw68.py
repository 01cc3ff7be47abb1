"""COFW68 from a MATLAB 7.3 file, which is HDF5, and its annotations."""

import importlib

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_array
from tiny_faces import landmarks

from musica.errors import InputError
from musica.files import image_files, landmark_files, list_files

prepare_cofw68 = importlib.import_module("prepare_cofw68")

GENERATOR = np.random.default_rng(0)
# The second is grey, as some of COFW are.
IMAGES = [GENERATOR.integers(0, 256, shape, np.uint8) for shape in ((76, 92, 3), (80, 70))]


def write_images(path, images=IMAGES):
    """Writes a cell array IsT of images the way MATLAB 7.3 does."""
    with h5py.File(path, "w", userblock_size=512) as file:
        cells = file.create_dataset("IsT", (1, len(images)), h5py.ref_dtype)
        cells.attrs["MATLAB_class"] = np.bytes_("cell")
        for index, image in enumerate(images):
            cell = file.create_dataset(f"#refs#/{index}", data=np.asarray(image).T)
            cell.attrs["MATLAB_class"] = np.bytes_("uint8")
            cells[0, index] = cell.ref
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")


@pytest.fixture
def source(tmp_path):
    write_images(tmp_path / "COFW_test_color.mat")
    (tmp_path / "test_annotations").mkdir()
    for seed in range(2):
        annotate(tmp_path, seed + 1, landmarks(seed)[:, ::-1] + 1)
    return tmp_path


def annotate(source, number, points):
    path = source / f"test_annotations/{number}_points.mat"
    savemat(path, {"Points": points, "Occ": np.zeros((68, 1))}, do_compression=True)


def config(source, **keys):
    defaults = {
        "images": str(source / "COFW_test_color.mat"),
        "annotation_dir": str(source / "test_annotations"),
        "output": str(source / "out"),
    }
    return prepare_cofw68.CofwConfig(**{**defaults, **keys})


def test_pixels_and_points(source, capsys):
    assert not prepare_cofw68.prepare(config(source))
    names = list_files.read_list(source / "out/lists/cofw68_test.txt")
    assert names == ["cofw68/001.png", "cofw68/002.png"]
    for seed, (name, image) in enumerate(zip(names, IMAGES, strict=True)):
        path = source / "out/images" / name
        expected = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        np.testing.assert_array_equal(image_files.read_image(path), expected)
        points = landmark_files.read_landmarks(path.with_suffix(".pts"), 68)
        np.testing.assert_allclose(points, landmarks(seed), atol=1e-3)
        box = landmark_files.read_box((source / "out/bb" / name).with_suffix(".pts"))
        np.testing.assert_allclose(box[:2], landmarks(seed).min(axis=0)[::-1], atol=1e-3)
    captured = capsys.readouterr()
    assert captured.out.endswith(f"cofw68_test: 2 faces\n2 faces written to {source / 'out'}\n")
    assert captured.err == "warning: cofw68_test was published with 507 faces\n"


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((29, 2)), "not 68 pairs"),
        (np.full((68, 2), np.nan), "not all finite"),
        (np.array([["a", "b"]] * 68), "not 68 pairs"),
        (np.array([[{}, {}]] * 68, object), "not 68 pairs"),
        (csc_array(np.ones((68, 2))), "not 68 pairs"),
        (None, "not a MATLAB file with Points"),
    ],
)
def test_bad_annotations_are_left_out(source, capsys, points, message):
    annotate(source, 2, [] if points is None else points)
    if points is None:
        (source / "test_annotations/2_points.mat").write_bytes(b"\x80\x04")
    assert prepare_cofw68.prepare(config(source))
    assert message in capsys.readouterr().err
    assert list_files.read_list(source / "out/lists/cofw68_test.txt") == ["cofw68/001.png"]


def test_annotations_without_an_image_are_left_out(source, capsys):
    annotate(source, 3, landmarks(3) + 1)
    (source / "test_annotations/4_points.mat").write_bytes(bytes(100_001))
    (source / "test_annotations/readme.txt").write_text("not an annotation")
    assert prepare_cofw68.prepare(config(source))
    captured = capsys.readouterr()
    assert "skipped image 3 of" in captured.err and "4_points.mat: too large" in captured.err
    assert captured.out.endswith("2 skipped\n")


def hostile_cell(kind, file, folder):
    """Puts something else than an image into the first cell."""
    if kind == "group":
        return file.create_group("group").ref
    if kind == "huge":
        return file.create_dataset("huge", (3, 10**6, 10**6), np.uint8, chunks=(1, 99, 99)).ref
    if kind == "external":
        (folder / "secret").write_bytes(b"secret" * 100)
        outside = [(str(folder / "secret"), 0, 600)]
        return file.create_dataset("external", (3, 20, 10), np.uint8, external=outside).ref
    if kind == "floats":
        return file.create_dataset("floats", data=np.zeros((3, 9, 9))).ref
    return file.create_dataset("flat", data=np.zeros(9, np.uint8)).ref


@pytest.mark.parametrize("kind", ["group", "huge", "external", "floats", "flat"])
def test_what_is_no_image_is_left_out(source, capsys, kind):
    with h5py.File(source / "COFW_test_color.mat", "r+") as file:
        file["IsT"][0, 0] = hostile_cell(kind, file, source)
    assert prepare_cofw68.prepare(config(source))
    assert "skipped image 1 of" in capsys.readouterr().err
    assert list_files.read_list(source / "out/lists/cofw68_test.txt") == ["cofw68/002.png"]


def test_what_is_no_file_of_images_is_refused(source):
    path = source / "other.mat"
    with h5py.File(path, "w") as file:
        file["IsT"] = np.zeros((2, 2))
    with h5py.File(source / "link.mat", "w") as file:
        file["IsT"] = h5py.ExternalLink(str(source / "COFW_test_color.mat"), "IsT")
    for name in ("other.mat", "link.mat"):
        with pytest.raises(InputError, match="no cell array IsT"):
            prepare_cofw68.prepare(config(source, images=str(source / name)))
    path.write_text("no HDF5")
    for images in (path, source / "missing.mat"):
        with pytest.raises(InputError, match="not a readable MATLAB"):
            prepare_cofw68.prepare(config(source, images=str(images)))
    with pytest.raises(InputError, match="images is missing"):
        prepare_cofw68.prepare(config(source, images=""))
    assert not (source / "out").exists()
