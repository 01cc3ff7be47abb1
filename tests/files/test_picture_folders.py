from collections import Counter

import pytest

from musica.errors import InputError
from musica.files import picture_folders


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(folder):
    pictures, left_out = picture_folders.find_pictures(folder, folder / "results")
    return [path.relative_to(folder).as_posix() for path in pictures], left_out


def test_pictures_are_told_by_their_suffixes(tmp_path):
    make(tmp_path, "b.JPG", "a/c.png", ".hidden.png", ".git/d.png", "results/a.png")
    make(tmp_path, "b.pts", "list.txt", "faces.csv", "a/desktop.ini")
    assert found(tmp_path) == (["a/c.png", "b.JPG"], Counter())


def test_other_files_are_counted_by_kind(tmp_path):
    make(tmp_path, "a.png", "b.CR2", "sub/c.cr2", "d.mov", "e", "f.2024 in Rome", ".hidden.cr2")
    assert found(tmp_path) == (["a.png"], {".cr2": 2, ".mov": 1, "without suffix": 2})


@pytest.mark.parametrize("name", ["linked", "a_linked", "z_linked"])
def test_a_linked_folder_is_followed_once(tmp_path, name):
    make(tmp_path, "in/m/a.png", "elsewhere/sub/b.png", "elsewhere/c.raw")
    for link, target in ((name, "elsewhere"), ("again", "elsewhere"), ("here", "in/m")):
        (tmp_path / "in" / link).symlink_to(tmp_path / target)
    pictures, left_out = found(tmp_path / "in")
    # A folder that is there by itself keeps its own name.
    assert len(pictures) == 2 and "m/a.png" in pictures
    assert {path.split("/", 1)[1] for path in pictures} == {"a.png", "sub/b.png"}
    assert left_out == {".raw": 1}


def test_links_in_circles_and_upwards_are_not_followed(tmp_path):
    make(tmp_path, "in/a.png", "in/sub/b.png", "beside/c.png")
    for link, target in (("in/up", "."), ("in/sub/self", "in/sub"), ("in/root", "in")):
        (tmp_path / link).symlink_to(tmp_path / target)
    assert found(tmp_path / "in") == (["a.png", "sub/b.png"], Counter())
    (tmp_path / "link").symlink_to(tmp_path / "in")
    assert found(tmp_path / "link") == (["a.png", "sub/b.png"], Counter())


def test_a_path_that_is_not_a_folder(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        picture_folders.find_pictures(tmp_path / "missing", tmp_path / "results")


def test_left_out_files_are_described():
    assert picture_folders.describe(Counter({".raw": 1})) == "1 file left out: .raw 1"
    both = picture_folders.describe(Counter({".heif": 2, ".cr2": 3, ".arw": 2}))
    assert both.startswith("7 files left out: .cr2 3, .arw 2, .heif 2 (HEIC needs")
    many = picture_folders.describe(Counter({f".x{index}": 2 for index in range(10)}))
    assert many.endswith(".x7 2, others 4") and many.startswith("20 files")
