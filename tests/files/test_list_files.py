import pytest

from musica.errors import InputError
from musica.files import list_files


def test_lists_hold_names_inside_the_folder(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a.jpg\n\n  folder/b.jpg  \n")
    assert list_files.read_list(path) == ["a.jpg", "folder/b.jpg"]
    for name in ("../a.jpg", "folder/../../a.jpg", "/etc/a.jpg", "..\\a.jpg", "a\0.jpg"):
        path.write_text(f"good.jpg\n{name}\n")
        with pytest.raises(InputError, match="stay inside"):
            list_files.read_list(path)
    path.write_text("\n")
    with pytest.raises(InputError, match="empty"):
        list_files.read_list(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot read"):
        list_files.read_list(path)
    with pytest.raises(InputError, match="cannot read"):
        list_files.read_list(tmp_path / "missing.txt")
