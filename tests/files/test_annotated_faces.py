from types import SimpleNamespace

import numpy as np
import pytest
from tiny_faces import write_faces, write_list

from musica.errors import InputError
from musica.files import annotated_faces, landmark_files


def test_faces_are_read_in_order_and_bad_ones_are_named(tmp_path, capsys):
    write_faces(tmp_path, 3)
    (tmp_path / "face1.pts").unlink()
    listed = write_list(tmp_path / "list.txt", "face2.png", "face1.png", "face0.png", "gone.png")
    faces = annotated_faces.read_faces([listed, listed], tmp_path)
    assert [face.name for face in faces] == ["face2.png", "face0.png"] * 2
    truth = landmark_files.read_landmarks(tmp_path / "face2.pts")
    np.testing.assert_array_equal(faces[0].landmarks, truth)
    np.testing.assert_allclose(faces[0].box[:2], truth.min(axis=0)[::-1])
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["skipped face1.png", "skipped gone.png"] * 2
    with pytest.raises(InputError, match="no usable face"):
        annotated_faces.read_faces([listed], tmp_path, landmark_count=98)


def test_faces_with_missing_landmarks_are_left_out(tmp_path, capsys):
    keys = write_faces(tmp_path, 3)
    for name, place in (("face0", "-1 -1"), ("face2", "0 0")):
        path = tmp_path / f"{name}.pts"
        lines = path.read_text().splitlines()
        lines[lines.index("{") + 5] = place
        path.write_text("\n".join(lines))
    faces = annotated_faces.read_faces(keys["train_filenames"], tmp_path)
    assert [face.name for face in faces] == ["face1.png"]
    assert capsys.readouterr().err.count("1 of its landmarks are missing") == 2


def test_wanted_faces_alone_are_read(tmp_path, capsys):
    keys = write_faces(tmp_path, 2)
    faces = annotated_faces.read_faces(
        keys["train_filenames"], tmp_path, use=lambda name: name == "face1.png"
    )
    assert [face.name for face in faces] == ["face1.png"]
    assert not capsys.readouterr().err


def test_usable_faces_come_with_the_result_and_others_are_named(capsys):
    def half(face):
        if face.size % 2:
            raise InputError(f"{face.size} is odd")
        return face.size // 2

    faces = [SimpleNamespace(name=name, size=size) for name, size in (("a", 2), ("b\n", 3))]
    assert list(annotated_faces.usable(faces, half)) == [(faces[0], 1)]
    assert capsys.readouterr().err == "skipped b\\n: 3 is odd\n"
    assert not list(annotated_faces.usable(faces[1:], half, name=None))
    assert capsys.readouterr().err == "skipped 3 is odd\n"
