from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from musica import shape_io
from musica.drawing import FACE_SIZE, GREEN, RED, draw_face
from musica.errors import InputError
from musica.landmarks import IBUG_68
from musica.show_flm_on_image import ShowConfig, find_image, show


def ellipse(count, centre, radius):
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return centre + radius * np.stack([np.sin(angles), np.cos(angles)], axis=1)


def share(picture, colour):
    """Share of the picture's pixels that are nearly of a colour."""
    return (np.abs(np.asarray(picture, int) - colour[:3]).max(axis=2) < 30).mean()


def test_small_faces_are_enlarged_and_points_are_where_they_belong():
    image = np.full((80, 60, 3), 40, np.uint8)
    points = ellipse(12, (40, 30), 20)
    picture = draw_face(image, points)
    zoom = picture.width / 60
    assert 40 * zoom >= FACE_SIZE - 5
    pixels = np.asarray(picture)
    for y, x in points:
        drawn = pixels[int((y + 0.5) * zoom), int((x + 0.5) * zoom)]
        np.testing.assert_allclose(drawn, GREEN[:3], atol=10)
    # No scheme has twelve points, so there is no line between them.
    np.testing.assert_array_equal(pixels[int(40.5 * zoom), int(30.5 * zoom)], [40] * 3)


def test_contours_numbers_and_failure():
    image = np.zeros((200, 200, 3), np.uint8)
    points, box = ellipse(68, (100, 100), 60), np.array([40, 40, 160, 160])
    plain = draw_face(image, points)
    assert share(plain, GREEN) > 0.005
    assert share(plain, RED) == 0
    assert share(draw_face(image, points, box, failed=True), RED) > share(plain, GREEN)
    assert np.any(np.asarray(draw_face(image, points, caption="a line")) != np.asarray(plain))
    assert draw_face(image, points, numbers=True).width > plain.width
    middle = points[list(IBUG_68.contours[0].points)[:2]].mean(axis=0)
    y, x = ((middle + 0.5) * plain.width / 200).astype(int)
    assert np.asarray(plain)[y, x, 1] > 100


def test_points_far_outside_do_no_harm():
    image = np.zeros((40, 50, 3), np.uint8)
    far = np.random.default_rng(0).uniform(-1e12, 1e12, (68, 2))
    assert max(draw_face(image, far, np.array([-1e9, 0, 1e9, 5]), numbers=True).size) <= 2000


@pytest.fixture
def folders(tmp_path):
    for name, suffix in (("one", ".jpg"), ("sub/two", ".PNG")):
        image = tmp_path / "images" / f"{name}{suffix}"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (90, 90), 100).save(image)
        points = tmp_path / "estimated" / f"{name}.pts"
        shape_io.write_landmarks(points, ellipse(5, (45, 45), 30))
        shape_io.write_estimate(points.with_suffix(".txt"), 0.05)
        shape_io.write_box(tmp_path / "boxes" / f"{name}.pts", (15, 15, 75, 75))
    return tmp_path


def test_show_flm_on_image(folders, capsys):
    config = ShowConfig(
        image_dir=str(folders / "images"),
        estimated_dir=str(folders / "estimated"),
        bb_root=str(folders / "boxes"),
        output_dir=str(folders / "pictures"),
        estimates=True,
        fail_threshold=0.04,
    )
    assert not show(config)
    assert "2 pictures written" in capsys.readouterr().out
    assert share(Image.open(folders / "pictures/sub/two.png"), RED) > 0.005

    shape_io.write_landmarks(folders / "estimated" / "lost.pts", np.ones((3, 2)))
    assert show(config)
    captured = capsys.readouterr()
    assert "2 pictures written" in captured.out and "1 skipped" in captured.out
    assert captured.err.startswith("lost:")


def test_show_refuses(folders):
    with pytest.raises(InputError, match="image_dir"):
        show(ShowConfig())
    images = str(folders / "images")
    with pytest.raises(InputError, match="another folder"):
        show(ShowConfig(image_dir=images, estimated_dir=images, output_dir=images))
    with pytest.raises(InputError, match=r"no \.pts"):
        show(ShowConfig(image_dir=images, estimated_dir=images, output_dir=str(folders / "out")))


def test_find_image(folders):
    Image.new("L", (9, 9)).save(folders / "images" / "one.bmp")
    with pytest.raises(InputError, match=r"one\.bmp, one\.jpg"):
        find_image(folders / "images", Path("one.pts"))
