import csv

import pytest

from musica.files import table_files


def test_a_table_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder/a.csv"
    table_files.write_table(path, ["name", "value"], [["a, b\udcff", 1], ['"', ""]])
    assert path.read_bytes() == b'name,value\n"a, b\xff",1\n"""",\n'
    with table_files.open_table(path, "r") as file:
        assert list(csv.reader(file)) == [["name", "value"], ["a, b\udcff", "1"], ['"', ""]]
    with pytest.raises(RuntimeError), table_files.new_table(path, ["other"]) as add:
        add([["row"]])
        raise RuntimeError
    assert path.read_bytes().startswith(b"name,value")
    with table_files.new_table(path, ["other"]) as add:
        add([[1], [2]])
        add([[3]])
    assert path.read_text() == "other\n1\n2\n3\n"
