import os

import pytest

from musica.files import writing


def test_half_written_output_is_never_visible(tmp_path):
    path = tmp_path / "folder" / "a.txt"
    writing.write_text(path, "first")
    with pytest.raises(RuntimeError), writing.replacing(path) as temporary:
        temporary.write_text("half of the sec")
        assert temporary.suffix == ".txt"
        assert path.read_text() == "first"
        raise RuntimeError
    assert path.read_text() == "first"
    assert os.listdir(path.parent) == ["a.txt"]
    writing.write_text(path, "second")
    assert path.read_text() == "second"
    assert os.listdir(path.parent) == ["a.txt"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_outputs_have_ordinary_permissions(tmp_path):
    (tmp_path / "ordinary").touch()
    writing.write_text(tmp_path / "a.txt", "")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "ordinary").stat().st_mode
