from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from musica.alignment.aligner import Face, FaceAligner
from musica.drawing.faces import (
    DARK_PLATE,
    FACE_SIZE,
    GREEN,
    PART_COLOURS,
    RED,
    RED_PLATE,
    DrawnFace,
    draw_face,
    draw_faces,
    draw_frame,
)
from musica.drawing.folder import ShowConfig, show
from musica.drawing.labels import number_directions
from musica.errors import InputError
from musica.files import landmark_files
from musica.files.image_files import find_image
from musica.geometry.landmarks import IBUG_68, SCHEMES, WFLW_98


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


def test_contours_and_numbers():
    image = np.zeros((200, 200, 3), np.uint8)
    points = ellipse(68, (100, 100), 60)
    plain = draw_face(image, points)
    y, x = (
        (points[list(IBUG_68.contours[0].points)[:2]].mean(axis=0) + 0.5) * plain.width / 200
    ).astype(int)
    np.testing.assert_allclose(np.asarray(plain)[y, x], PART_COLOURS["jaw"][:3], atol=10)
    assert not np.array_equal(draw_face(image, points, caption="a line"), plain)
    assert draw_face(image, points, numbers=True).width > plain.width


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_every_part_has_its_colour(scheme):
    picture = draw_face(np.zeros((200, 200, 3), np.uint8), ellipse(scheme.count, (100, 100), 60))
    for part in scheme.parts:
        assert share(picture, PART_COLOURS[part]) > 1e-4
    assert share(picture, RED) == 0


@pytest.mark.parametrize("box", (None, np.array([40, 40, 160, 160])))
def test_a_failed_face_is_marked(box):
    image, points = np.zeros((200, 200, 3), np.uint8), ellipse(68, (100, 100), 60)
    fine, failed = (draw_face(image, points, box, failed=failed) for failed in (False, True))
    assert share(fine, RED) == 0
    assert share(failed, RED) > 0.01  # the points alone, without a box
    for part in IBUG_68.parts:
        assert share(failed, PART_COLOURS[part]) == 0
    # The word "failed" serves those who do not tell red from green.
    assert share(failed, RED_PLATE) > 0 == share(fine, RED_PLATE)
    assert words_of(image, points, failed=True) == "failed"
    assert words_of(image, points, failed=True, caption="error 0.1") == "failed, error 0.1"
    assert words_of(image, points, caption="error 0.1") == "error 0.1"


def words_of(*arguments, **options):
    """What is written on the picture of a face."""
    written = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "PIL.ImageDraw.ImageDraw.text",
            lambda _, xy, text, *more, **options: written.append(text),
        )
        draw_face(*arguments, **options)
    return " ".join(written)


def test_lines_are_smooth_even_on_large_pictures():
    side = 2124
    image = np.zeros((side, side, 3), np.uint8)
    corners = np.array([[0.1, 0.1], [0.1, 0.9], [0.9, 0.1], [0.9, 0.9]]) * side
    pixels = np.asarray(draw_face(image, corners))
    assert pixels.shape == image.shape
    assert len(np.unique(pixels[..., 1])) > 7 and pixels[..., 1].max() > 250


def test_captions_make_way_for_faces_and_for_each_other():
    image = np.full((520, 640, 3), 200, np.uint8)
    centres = [(70 + 150 * (i // 4), 80 + 160 * (i % 4)) for i in range(12)]
    plain = [DrawnFace(ellipse(68, centre, 45)) for centre in centres]
    captioned = [replace(face, caption="error 0.123") for face in plain]
    picture = draw_frame(image, captioned)
    changed = (picture != draw_frame(image, plain)).any(axis=2)
    for y, x in centres:
        assert not changed[y - 45 : y + 46, x - 45 : x + 46].any()
    plates = np.abs(picture.astype(int) - DARK_PLATE).max(axis=2) < 12
    count, _, found, _ = cv2.connectedComponentsWithStats(plates.astype(np.uint8))
    assert (found[1:, cv2.CC_STAT_AREA] > 300).sum() == len(centres) and count > len(centres)


def test_a_face_that_fills_the_picture_is_not_written_on():
    image, points = np.full((80, 80, 3), 90, np.uint8), ellipse(68, (39.5, 39.5), 39)
    plain, written = draw_face(image, points), draw_face(image, points, caption="error 0.123")
    assert written.width == plain.width and written.height > plain.height
    face = int(79 * plain.height / 80)
    np.testing.assert_array_equal(np.asarray(written)[:face], np.asarray(plain)[:face])


@pytest.mark.parametrize("shape", ((1, 1, 3), (60, 9, 3), (9, 60, 3)), ids=str)
@pytest.mark.parametrize("numbers", (False, True))
def test_tiny_pictures(shape, numbers):
    points = ellipse(68, np.array(shape[:2]) / 2, min(shape[:2]) / 2)
    picture = draw_face(
        np.zeros(shape, np.uint8),
        points,
        failed=True,
        caption="error 0.1, iterations 3",
        numbers=numbers,
    )
    assert share(picture, RED) > 0 and max(picture.size) <= 2100


def test_many_faces_on_one_picture():
    image = np.zeros((240, 320, 3), np.uint8)
    faces = [
        DrawnFace(
            ellipse(68, (40 + 75 * (i // 4), 40 + 80 * (i % 4)), 25), failed=i == 5, caption="x"
        )
        for i in range(12)
    ]
    picture = draw_faces(image, faces)
    zoom = picture.width / 320
    pixels = np.asarray(picture)
    for index, face in enumerate(faces):
        y, x = ((face.landmarks[8] + 0.5) * zoom).astype(int)
        expected = RED if index == 5 else PART_COLOURS["jaw"]
        np.testing.assert_allclose(pixels[y, x], expected[:3], atol=10)
    assert draw_faces(image, []).size == (320, 240)


def test_a_numbered_face_is_cut_out():
    image = np.zeros((1000, 2000, 3), np.uint8)
    numbered = draw_face(
        image, ellipse(68, (300, 1500), 30), np.array([1470, 270, 1530, 330]), numbers=True
    )
    assert 900 < numbered.width < 1600 and numbered.width == pytest.approx(numbered.height, abs=20)
    jaw = PART_COLOURS["jaw"]
    assert (
        share(numbered, jaw) > 10 * share(draw_face(image, ellipse(68, (300, 1500), 30)), jaw) > 0
    )


def test_numbers_lie_outside_of_closed_contours():
    points = np.zeros((98, 2))
    for contour in WFLW_98.contours:
        points[list(contour.points)] = ellipse(len(contour.points), (50, 50), 10)
    directions = number_directions(points)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    for part in ("eyes", "brows", "outer mouth"):
        indices = list(WFLW_98.parts[part])
        assert (np.sum(directions[indices] * (points[indices] - 50), axis=1) > 0).all()


def test_numbers_keep_off_the_lines_of_a_real_face():
    points = lite_reference_shape()
    directions = number_directions(points)
    sides = {"above": -directions[:, 0], "below": directions[:, 0], "left": -directions[:, 1]}
    for side, indices in (
        ("above", [*range(17, 27), 37, 38, 43, 44, 50, 52]),
        ("below", [8, 40, 41, 46, 47, 56, 57, 58]),
        ("left", [0, 1, 2, 36, 48]),
    ):
        assert (sides[side][indices] > 0.5).all()
    for contour in IBUG_68.contours[:5]:  # the numbers of an open contour are on one side
        line = points[list(contour.points)]
        normals = np.gradient(line, axis=0)[:, ::-1] * [1, -1]
        turns = (normals * directions[list(contour.points)]).sum(axis=1)
        assert (turns > 0).all() or (turns < 0).all()


def lite_reference_shape():
    return FaceAligner.load().reference_shape


def test_points_far_outside_do_no_harm():
    image = np.zeros((40, 50, 3), np.uint8)
    far = np.random.default_rng(0).uniform(-1e12, 1e12, (68, 2))
    assert max(draw_face(image, far, np.array([-1e9, 0, 1e9, 5]), numbers=True).size) <= 2000


@pytest.mark.parametrize("count", (1, 5, 68))
@pytest.mark.parametrize("shift", (0, 190, -300, 1e7, np.nan))
def test_a_frame_keeps_its_size_whatever_is_drawn(count, shift):
    frame = np.full((200, 240, 3), 99, np.uint8)
    landmarks = ellipse(68, (100, 100), 60)[:count] + np.array([shift, 0])
    box = np.array([30, 30 + shift, 170, 150 + shift])
    for picture in (frame, frame[:3, :2]):
        drawn = draw_frame(picture, [DrawnFace(landmarks, box, True, "a caption, " * 5)])
        assert drawn.shape == picture.shape and drawn.dtype == np.uint8
    assert (frame == 99).all()


def test_a_frame_has_its_faces_and_captions():
    frame = np.full((200, 240, 3), 99, np.uint8)
    face = DrawnFace(ellipse(68, (80, 100), 50), np.array([40, 25, 160, 135]), caption="error 0.1")
    picture = draw_frame(frame, [face])
    for index, part in ((0, "jaw"), (30, "nose"), (40, "eyes")):
        y, x = np.rint(face.landmarks[index]).astype(int)
        assert tuple(picture[y, x]) == PART_COLOURS[part]
    y, x = np.nonzero((picture != 99).any(axis=2))
    assert x.min() == pytest.approx(40, abs=1) and y.min() == pytest.approx(25, abs=1)
    assert (picture[140:165].max(axis=(1, 2)) == 255).any()  # the caption's letters
    np.testing.assert_array_equal(draw_frame(frame, []), frame)


@pytest.fixture
def folders(tmp_path):
    for name, suffix in (("one", ".jpg"), ("sub/two", ".PNG")):
        image = tmp_path / "images" / f"{name}{suffix}"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (90, 90), 100).save(image)
        points = tmp_path / "estimated" / f"{name}.pts"
        landmark_files.write_landmarks(points, ellipse(5, (45, 45), 30))
        landmark_files.write_estimate(points.with_suffix(".txt"), 0.05)
        landmark_files.write_box(tmp_path / "boxes" / f"{name}.pts", (15, 15, 75, 75))
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

    landmark_files.write_landmarks(folders / "estimated" / "lost.pts", np.ones((3, 2)))
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


def test_a_result_is_captioned_with_estimate_iterations_and_name():
    face = Face(ellipse(68, (100, 100), 60), 0.0314, 2, failed=True)
    box = np.array([40, 40, 160, 160])
    drawn = DrawnFace.aligned(face, box)
    assert drawn.text == "failed, error 0.031, iterations 2"
    assert drawn.landmarks is face.landmarks and drawn.box is box
    assert DrawnFace.aligned(face, box, 7).caption == "7: error 0.031, iterations 2"
