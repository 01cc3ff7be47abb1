"""The script that composes photos for the measurement of speed, and counts what is found there."""

import shutil

import numpy as np
import photos
from tiny_faces import write_faces

from musica.files import landmark_files
from musica.files.image_files import read_image
from musica.files.video_files import FrameReader


def test_photos_are_composed_and_their_faces_are_counted(tmp_path, capsys):
    keys = write_faces(tmp_path, 2)
    work = tmp_path / "work"
    photos.run(
        photos.PhotosConfig(
            lists=keys["train_filenames"],
            image_dir=keys["image_dir"],
            output=str(work),
            count=1,
            frames=2,
        )
    )
    picture = read_image(work / "photos" / "000.jpg")
    assert picture.shape == (1290, 1936, 3)
    for path in (work / "truth").iterdir():
        points = landmark_files.read_landmarks(path)
        inside = points[(points < [1280, 1926]).all(axis=1)].round().astype(int)
        # The faces are bright blobs at their landmarks.
        bright = picture[inside[:, 0], inside[:, 1]].max(axis=1)
        assert np.median(bright) > 150 > np.median(picture)
    with FrameReader(str(work / "face.mp4")) as reader:
        assert sum(1 for _ in reader) == 2

    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(work / "truth" / "000_0.pts", results / "000.pts")
    far = landmark_files.read_landmarks(results / "000.pts") + 5000
    landmark_files.write_landmarks(results / "000_face2.pts", far)
    photos.run(photos.PhotosConfig(output=str(work), results=str(results)))
    expected = "1 of 2 faces found, NME 0.00 %, and 1 others"
    assert expected in capsys.readouterr().out
