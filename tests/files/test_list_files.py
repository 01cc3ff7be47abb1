import pytest

from musica.errors import InputError
from musica.files import list_files


def test_lists_hold_names_inside_the_folder(tmp_path):
    path = tmp_path / "list.txt"
    for mark in (b"", b"\xef\xbb\xbf"):  # editors on Windows write the second
        path.write_bytes(mark + b"a.jpg\n\n  folder/b.jpg  \r\n")
        assert list_files.read_list(path) == ["a.jpg", "folder/b.jpg"]
    for name in ("../a.jpg", "folder/../../a.jpg", "/etc/a.jpg", "..\\a.jpg", "a\0.jpg"):
        path.write_text(f"good.jpg\n\n{name}\n")
        with pytest.raises(InputError, match=r"list\.txt, line 3: .* stay inside"):
            list_files.read_list(path)
    path.write_text("\n")
    with pytest.raises(InputError, match="empty"):
        list_files.read_list(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"cannot read .* byte 0xff"):
        list_files.read_list(path)
    with pytest.raises(InputError, match=r"cannot read .* No such file"):
        list_files.read_list(tmp_path / "missing.txt")
