"""Properties that hold for all inputs, tried on some that hypothesis chooses, always the same."""

import dataclasses
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from musica.alignment.windows import Window
from musica.cli import config
from musica.errors import InputError, one_line
from musica.files import landmark_files, list_files, writing
from musica.geometry import box_conventions, crops, landmarks
from musica.geometry.landmarks import SCHEMES
from musica.jobs import tasks
from musica.jobs.inference import InferenceConfig
from musica.preprocessing.preprocessor import AreaPreprocessor, ReleasePreprocessor

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, assume, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.extra import numpy as arrays  # noqa: E402

settings.register_profile(
    "here",
    derandomize=True,
    deadline=None,
    max_examples=60,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("here")
SHAPE = np.random.default_rng(0).uniform(0, 142, (68, 2))

COORDINATES = st.floats(-5000, 5000)
POINTS = arrays.arrays(np.float64, st.tuples(st.integers(1, 20), st.just(2)), elements=COORDINATES)
ROLLS = st.one_of(st.just(0.0), st.floats(-360, 360))
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1)


@st.composite
def boxes(draw, least=12, most=3000, narrowest=0.25):
    """Boxes with corners at fractions of pixels, up to four times as high as wide or so."""
    width = draw(st.floats(least, most))
    height = width * draw(st.floats(narrowest, 1 / narrowest))
    assume(least <= height <= most)
    x0, y0 = draw(COORDINATES), draw(COORDINATES)
    return np.array([x0, y0, x0 + width, y0 + height])


@given(boxes(), ROLLS, POINTS)
def test_into_the_crop_and_back_is_the_identity(box, roll, points):
    crop = crops.crop_of_box(box, roll=roll)
    np.testing.assert_allclose(crop.to_image(crop.to_crop(points)), points, atol=1e-6)


@given(boxes(), ROLLS, POINTS)
def test_the_crop_s_matrix_turns_scales_and_shifts(box, roll, points):
    crop = crops.crop_of_box(box, roll=roll)
    linear = crop.image_to_crop[:2, :2] / crop.scale
    np.testing.assert_allclose(linear @ linear.T, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(linear), 1, atol=1e-9)
    mapped = crop.to_crop(points)
    distances = np.linalg.norm(points[0] - points, axis=1) * crop.scale
    np.testing.assert_allclose(np.linalg.norm(mapped[0] - mapped, axis=1), distances, atol=1e-6)


@given(boxes(), st.floats(0, 1), st.integers(64, 300))
def test_the_crop_holds_the_box(box, margin, box_size):
    crop = crops.crop_of_box(box, margin, box_size)
    x0, y0, x1, y1 = crops.rounded_box(box)
    corners = crop.to_crop(np.array([[y0, x0], [y1, x1]], float))
    # A side of the region may shift by half a pixel, and the crop's sides are rounded.
    slack = crop.scale + 1
    assert (corners >= -slack).all() and (corners <= np.array(crop.shape) + slack).all()
    # The inclusive width of the box, plus one.
    assert abs(np.ptp(corners, axis=0).max() - box_size) <= 3 * crop.scale
    np.testing.assert_allclose(crop.origin, corners[0], atol=slack)


@given(boxes(), st.integers(-400, 400), st.integers(-400, 400))
def test_a_box_moved_by_whole_pixels_moves_its_crop(box, right, down):
    box = np.array(crops.rounded_box(box))
    first, second = (crops.crop_of_box(given) for given in (box, box + [right, down] * 2))
    # Halves are rounded away from zero: on the other side of it a region may be a pixel smaller.
    assert np.abs(second.region - first.region - [right, down] * 2).max() <= 1
    assert second.scale == pytest.approx(first.scale, rel=0.1)
    assert np.abs(np.subtract(first.shape, second.shape)).max() <= 2 * first.scale + 2


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_rounding_is_odd_and_near(values):
    values = np.array(values)
    rounded = crops.round_half_away(values)
    np.testing.assert_array_equal(crops.round_half_away(-values), -rounded)
    assert np.abs(rounded - values).max() <= 0.5
    np.testing.assert_array_equal(crops.round_half_away(rounded), rounded)
    halves = np.trunc(values) + np.where(values < 0, -0.5, 0.5)
    assert (np.abs(crops.round_half_away(halves)) > np.abs(halves)).all()


@given(POINTS, arrays.arrays(np.float64, (2, 2), elements=st.floats(-9, 9)), POINTS)
def test_transforms_compose(points, linear, shifts):
    matrix, other = np.eye(3), np.diag([2.0, 3.0, 1.0])
    matrix[:2, :2], matrix[:2, 2] = linear, shifts[0]
    one_by_one = crops.transform_points(other, crops.transform_points(matrix, points))
    together = crops.transform_points(other @ matrix, points)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(crops.transform_points(np.eye(3), points), points)


@given(st.sampled_from(sorted(SCHEMES)), st.integers(1, 4000), st.integers(0, 2**32 - 1))
def test_mirroring_twice_is_the_identity(count, width, seed):
    scheme = SCHEMES[count]
    points = np.random.default_rng(seed).uniform(-9, width + 9, (count, 2))
    mirrored = partial(landmarks.mirrored, order=scheme.mirror, columns=width)
    np.testing.assert_allclose(mirrored(mirrored(points)), points, atol=1e-9)
    box, mirrored_box = (crops.bounding_box(given) for given in (points, mirrored(points)))
    expected = [width - 1 - box[2], box[1], width - 1 - box[0], box[3]]
    np.testing.assert_allclose(mirrored_box, expected, atol=1e-9)


@given(POINTS)
def test_a_bounding_box_is_tight(points):
    x0, y0, x1, y1 = crops.bounding_box(points)
    assert ((points >= [y0, x0]) & (points <= [y1, x1])).all()
    assert {x0, x1} <= set(points[:, 1]) and {y0, y1} <= set(points[:, 0])


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    arrays.arrays(np.int64, 4, elements=st.integers(-60, 60)),
)
def test_an_image_window_is_what_lies_inside(shape, region):
    image = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    x0, y0, x1, y1 = np.sort(region.reshape(2, 2), axis=0).ravel()
    padded = np.pad(image, 70, constant_values=-1)[y0 + 70 : y1 + 71, x0 + 70 : x1 + 71]
    if (padded < 0).all():
        with pytest.raises(InputError, match="outside"):
            crops.image_window(image, np.array([x0, y0, x1, y1]))
        return
    window, (top, left) = crops.image_window(image, np.array([x0, y0, x1, y1]))
    height, width = window.shape[:2]
    np.testing.assert_array_equal(padded[-top : height - top, -left : width - left], window[..., 0])
    assert (padded >= 0).sum() == window.size


@given(boxes(least=5, most=60), ROLLS, st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_patches_of_any_box_are_finite(box, roll, seed):
    image = np.random.default_rng(seed).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    box = box % 100 if (box % 100)[0] < (box % 100)[2] - 5 else box
    for preprocessor in (ReleasePreprocessor(), AreaPreprocessor()):
        try:
            crop = preprocessor.crop(box, SHAPE, roll)
            pyramid = preprocessor.pyramid(image, crop)
        except InputError:
            continue
        patches = pyramid.patches(1, np.array([[20.0, 30.0], [-1e9, np.nan]]), 14)
        assert patches.shape == (2, 14, 14, 3) and np.isfinite(patches).all()


@given(POINTS, st.sampled_from([".pts", ".ljson"]))
def test_landmarks_come_back(tmp_path, points, suffix):
    path = tmp_path / f"a{suffix}"
    landmark_files.write_landmarks(path, points)
    found = landmark_files.read_landmarks(path, len(points))
    np.testing.assert_allclose(found, points, rtol=0, atol=5.1e-4 if suffix == ".pts" else 0)
    if suffix == ".pts":
        # Rounded once, they stay as they are.
        content = path.read_bytes()
        landmark_files.write_landmarks(path, found)
        assert path.read_bytes() == content
        zero_based = landmark_files.read_landmarks(path, index_base=0)
        np.testing.assert_allclose(zero_based, found + 1)


@given(boxes())
def test_boxes_come_back(tmp_path, box):
    landmark_files.write_box(tmp_path / "a.pts", box)
    np.testing.assert_allclose(landmark_files.read_box(tmp_path / "a.pts"), box, atol=5.1e-4)


@given(st.floats(-1e300, 1e300))
def test_estimates_come_back(tmp_path, value):
    landmark_files.write_estimate(tmp_path / "a.txt", value)
    assert landmark_files.read_estimate(tmp_path / "a.txt") == pytest.approx(value, rel=1e-7)


@given(st.lists(NAMES, min_size=1, max_size=9))
def test_lists_are_read_as_they_are_or_refused(tmp_path, names):
    writing.write_text(tmp_path / "list.txt", "\n".join(names))
    try:
        found = list_files.read_list(tmp_path / "list.txt")
    except InputError:
        stripped = [name.strip() for name in names]
        risky = any(".." in name or name.startswith(("/", "\\")) for name in stripped)
        assert risky or not any(stripped)
        return
    assert found == [name.strip() for name in names if name.strip()]
    for name in found:
        assert Path("/data", name).resolve().is_relative_to("/data")


@given(boxes(), st.sampled_from(sorted(box_conventions.CONVENTIONS)), st.floats(0.1, 9))
def test_box_conventions_follow_the_picture(box, name, zoom):
    """Mapping a box and moving or enlarging the picture can be exchanged."""
    mapped = box_conventions.to_landmark_box(box, name)
    assert (mapped[2:] > mapped[:2]).all()
    shift = np.array([17.5, -3.25] * 2)
    np.testing.assert_allclose(
        box_conventions.to_landmark_box(box * zoom + shift, name),
        mapped * zoom + shift,
        rtol=1e-9,
        atol=1e-6,
    )
    if name == "landmarks":
        np.testing.assert_allclose(mapped, box, atol=1e-9)


@given(boxes(), boxes())
def test_overlaps_are_symmetric_shares(first, second):
    there, back = (
        box_conventions.overlaps(a, b[None])[0] for a, b in ((first, second), (second, first))
    )
    assert 0 <= there <= 1 and there == pytest.approx(back)
    assert box_conventions.overlaps(first, first[None])[0] == pytest.approx(1)


@given(
    st.tuples(st.integers(1, 900), st.integers(1, 900)),
    st.integers(1, 1600),
    st.tuples(st.integers(-1600, 900), st.integers(-1600, 900)),
)
@settings(max_examples=30)
def test_a_detector_s_window_is_black_outside_the_picture(size, side, corner):
    picture = np.full((size[1], size[0], 3), 255, np.uint8)
    left, top = corner
    window = Window.square(left, top, side, 256).reduced(picture)
    assert window.shape == (256, 256, 3)
    x = left + (np.arange(256) + 0.5) * side / 256
    y = top + (np.arange(256) + 0.5) * side / 256
    # A pixel of the window, more than its own size away from the picture's edge.
    near = 1.01 * side / 256 + 1
    inside = np.outer((y > near) & (y < size[1] - near), (x > near) & (x < size[0] - near))
    outside = np.add.outer((y < -near) | (y > size[1] + near), (x < -near) | (x > size[0] + near))
    assert (window[inside] == 255).all()
    assert (window[outside > 0] == 0).all()


def values(expected):
    """What a key of a configuration may hold, but for paths."""
    kinds = {"int": st.integers(-(2**63) + 1, 2**63 - 1), "str": NAMES, "bool": st.booleans()}
    kinds["float"] = st.floats(allow_nan=False)
    text = str(expected.__name__ if isinstance(expected, type) else expected)
    (kind,) = (name for name in kinds if name in text.replace("list", ""))
    strategy = st.lists(kinds[kind], max_size=3) if "list" in text else kinds[kind]
    return st.none() | strategy if "None" in text else strategy


KEYS = [field for field in dataclasses.fields(InferenceConfig) if not field.metadata["path"]]


@given(st.data())
def test_configurations_come_back(tmp_path, data):
    chosen = data.draw(st.lists(st.sampled_from(KEYS), unique_by=lambda field: field.name))
    content = {field.name: data.draw(values(field.type)) for field in chosen}
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    found = config.load(InferenceConfig, str(tmp_path / "a.json"))
    assert {name: getattr(found, name) for name in content} == content
    config.save(found, tmp_path / "sub" / "b.json")
    again = config.load(InferenceConfig, str(tmp_path / "sub" / "b.json"))
    # The default of this path is relative, to the folder in which the command runs.
    assert again == dataclasses.replace(found, resDir=str(Path("output").resolve()))
    assert config.load(InferenceConfig, None, dataclasses.asdict(found)) == again


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_any_json_is_a_configuration_or_refused_in_a_line(tmp_path, content):
    for given_content in (content, {"batch_size": content}, {"images": content}):
        (tmp_path / "a.json").write_text(json.dumps(given_content), encoding="utf-8")
        try:
            config.load(InferenceConfig, str(tmp_path / "a.json"))
        except InputError as error:
            assert str(error).isprintable() and str(error)


@given(st.text())
def test_one_line_can_be_printed(text):
    line = one_line(text)
    assert line.isprintable() and len(line.splitlines()) <= 1
    assert not text.isprintable() or len(text) > 2000 or line == text
    assert line == one_line(line)


@given(
    st.lists(
        st.sampled_from(["a.png", "a.jpg", "s/a.png", "a.png.gif", "a_face2.png"]),
        min_size=1,
        unique=True,
    )
)
def test_no_two_pictures_have_the_same_results(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("pictures")
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    found, _ = tasks.photo_tasks([str(folder)], folder / "output")
    results = {task.face_name(index) for task in found for index in range(3)}
    assert len(found) == len(names) and len(results) == 3 * len(names)
