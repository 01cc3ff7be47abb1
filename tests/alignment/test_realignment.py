"""A second alignment, with a model that finds faces rolled by up to 40 degrees, and knows."""

from types import SimpleNamespace

import numpy as np
import pytest

from musica.alignment.aligner import FaceAligner
from musica.errors import InputError
from musica.evaluation import metrics
from musica.files import builtin_faces, image_files
from musica.geometry import crops
from musica.geometry.crops import transform_points
from musica.jobs import tasks
from musica.models.iteration import IterationResult
from musica.models.settings import ModelSettings

IMAGE = np.zeros((300, 300, 3), np.uint8)
GOOD, BAD = 0.02, 0.3


class Oracle:
    """Runner for one true face: knows where it is, and finds it if it is upright enough.

    The landmarks of others are rolled by 40 degrees and no more.
    """

    def __init__(self, reference, roll):
        self.reference, self.roll = reference, roll
        self.truth = transform_points(crops.rotation(-roll), reference - 70) + 150
        self.sizes = []
        self.bad = lambda turned: BAD

    def iterate(self, k, pyramids, initial, state):
        self.sizes.append((k, len(pyramids)))
        landmarks, errors = [], []
        for crop in pyramids:
            turned = np.rad2deg(np.arctan2(*crop.image_to_crop[1::-1, 0]))
            residual = (self.roll - turned + 180) % 360 - 180
            beyond = residual - np.clip(residual, -40, 40)
            points = transform_points(crops.rotation(beyond), self.truth - 150) + 150
            landmarks.append(crop.to_crop(points))
            errors.append(self.bad(turned) if beyond else GOOD)
        return IterationResult(state, np.array(landmarks), np.array(errors))


@pytest.fixture(params=["release", "area"])
def preprocessing(request, monkeypatch):
    """The name of a preprocessing, whose pyramids are their crops."""
    kind = ModelSettings(1, ((0,),), (0,), preprocessing=request.param).preprocessor
    monkeypatch.setattr(type(kind), "pyramid", lambda self, image, crop: crop)
    return request.param


@pytest.fixture
def aligner(request, preprocessing):
    """An aligner of a face with the given roll."""
    reference = np.random.default_rng(0).uniform(0, 142, (68, 2))
    settings = ModelSettings(
        68, (0,), preprocessing=preprocessing, reference_shape=reference, fail_threshold=0.1
    )
    model = SimpleNamespace(settings=settings, multiply_adds=[10, 20, 30])
    return FaceAligner(model, runner=Oracle(reference, request.param))


def with_rolls(*rolls):
    return pytest.mark.parametrize("aligner", rolls, indirect=True)


def align(aligner, **options):
    return aligner.align(IMAGE, crops.bounding_box(aligner.runner.truth), **options)


@with_rolls(-75, 45, 75)
def test_a_rolled_face_is_found(aligner):
    assert align(aligner, realign=False).failed
    face = align(aligner)
    np.testing.assert_allclose(face.landmarks, aligner.runner.truth, atol=1e-3)
    assert (face.failed, face.error_estimate) == (False, pytest.approx(GOOD))
    assert (face.iterations, face.multiply_adds) == (6, 60)


@with_rolls(150)
@pytest.mark.parametrize(("factor", "kept"), [(0.9, True), (1.1, True), (1.3, False)])
def test_an_upright_result_is_trusted_more_up_to_a_point(aligner, factor, kept):
    first = align(aligner, realign=False)
    aligner.runner.bad = lambda turned: BAD * (factor if abs(turned) > 20 else 1)
    face = align(aligner)
    assert face.failed and face.iterations == 6
    assert face.error_estimate == pytest.approx(BAD * (factor if kept else 1))
    assert np.array_equal(face.landmarks, first.landmarks) != kept


@with_rolls(0, 29, -29)
def test_an_upright_face_costs_nothing_more(aligner):
    face = align(aligner)
    assert (face.iterations, face.multiply_adds) == (3, 30)
    assert aligner.runner.sizes == [(0, 1), (1, 1), (2, 1)]


@with_rolls(75)
def test_who_is_not_aligned_again(aligner):
    box = crops.bounding_box(aligner.runner.truth)
    without = aligner.prepare(IMAGE, box, keep_image=False)
    assert aligner.align_prepared([without])[0].iterations == 3
    assert aligner.align_prepared([]) == []
    for count in (1, 2, 3):
        assert align(aligner, iterations=count).iterations == count
    assert align(aligner, realign=False).iterations == 3
    # Told the roll, it finds the face at once.
    assert aligner.align(IMAGE, box, roll=60).iterations == 3


@with_rolls(75)
def test_no_face_depends_on_others(aligner):
    boxes = [crops.bounding_box(aligner.runner.truth) + shift for shift in (0, 3, 6)]
    prepared = [
        aligner.prepare(IMAGE, box, roll) for box, roll in zip(boxes, (0, 60, 0), strict=True)
    ]
    together = aligner.align_prepared(prepared)
    assert [size for _, size in aligner.runner.sizes] == [3, 3, 3, 2, 2, 2]
    assert [face.iterations for face in together] == [6, 3, 6]
    for face, one in zip(together, prepared, strict=True):
        (alone,) = aligner.align_prepared([one])
        np.testing.assert_array_equal(face.landmarks, alone.landmarks)


@with_rolls(75)
def test_landmarks_that_lie_nowhere_are_not_followed(aligner, monkeypatch):
    def lost(k, pyramids, initial, state):
        return IterationResult(state, np.full_like(initial, np.nan), np.full(len(initial), BAD))

    monkeypatch.setattr(aligner.runner, "iterate", lost)
    assert align(aligner).iterations == 3


@with_rolls(75)
def test_without_an_estimate_nothing_is_tried_again(aligner):
    aligner.runner.bad = lambda turned: np.nan
    assert align(aligner).iterations == 3


@with_rolls(75)
@pytest.mark.parametrize("corners", [[2, 3, 0, 1], [2, 1, 0, 3], [0, 1, 0, 3]])
def test_an_empty_box_is_refused_at_any_roll(aligner, corners):
    box = crops.bounding_box(aligner.runner.truth)[corners]
    for roll in (0, 30):
        with pytest.raises(InputError, match="is empty") as refused:
            aligner.prepare(IMAGE, box, roll)
        assert str(box.tolist()) in str(refused.value)


@with_rolls(0)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iteration": 1}, "no option is called 'iteration'; they are effort, stop_threshold"),
        ({"iterations": 0}, "iterations must be 1 to 3, not 0"),
        ({"iterations": 4}, "iterations must be 1 to 3, not 4"),
        ({"iterations": 1.5}, "iterations must be 1 to 3, not 1.5"),
        ({"iterations": 1, "effort": "none"}, "effort must be .* not 'none'"),
        ({"stop_threshold": np.nan}, "stop_threshold must be one or 2 numbers"),
        ({"stop_threshold": "low"}, "stop_threshold must be one or 2 numbers"),
        ({"fail_threshold": np.nan}, "fail_threshold must be a number, not nan"),
        ({"fail_threshold": "0.1"}, "fail_threshold must be a number, not '0.1'"),
    ],
)
def test_options_are_checked_even_without_faces(aligner, options, message):
    with pytest.raises(InputError, match=message):
        aligner.align_batch([], [], **options)


@with_rolls(0)
def test_thresholds_may_be_numbers_of_numpy(aligner):
    face = align(aligner, stop_threshold=np.float32(1), fail_threshold=np.float32(0.001))
    assert (face.iterations, face.failed) == (1, False)
    assert align(aligner, iterations=np.int64(2), fail_threshold=np.int32(0)).failed


def test_the_shipped_model_finds_a_rolled_face():
    task = next(task for task in tasks.builtin_tasks() if task.name == "takeo")
    image, truth = image_files.read_image(task.image), builtin_faces.builtin_truth()["takeo"]
    image = np.ascontiguousarray(np.rot90(image, -1))
    truth = np.stack([truth[:, 1], image.shape[1] - 1 - truth[:, 0]], axis=1)
    lite = FaceAligner.load()
    face = lite.align(image, crops.bounding_box(truth))
    assert metrics.nme(face.landmarks, truth) < 0.08
    assert face.iterations > len(lite.settings.levels)
