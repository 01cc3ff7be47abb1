"""Aligning again, with a model that finds faces rolled by up to 40 degrees, and knows."""

from types import SimpleNamespace

import numpy as np
import pytest

from musica.alignment.aligner import FaceAligner
from musica.evaluation import metrics
from musica.files import builtin_faces, image_files
from musica.geometry import crops
from musica.geometry.crops import transform_points
from musica.jobs import tasks
from musica.models.loading import SHIPPED_LITE_MODEL

IMAGE = np.zeros((300, 300, 3), np.uint8)
GOOD, BAD = 0.02, 0.3
THRESHOLD = 0.1


class Oracle:
    """Runner for one true face: knows where it is, and finds it if it is upright enough.

    The landmarks of others are rolled by 40 degrees and no more.
    """

    def __init__(self, reference, roll):
        self.reference, self.roll = reference, roll
        self.truth = transform_points(crops.rotation(-roll), reference - 70) + 150
        self.sizes = []
        self.bad = lambda turned: BAD

    def pyramid(self, image, crop):
        assert image is IMAGE
        return crop

    def iterate(self, k, pyramids, initial, state):
        self.sizes.append((k, len(pyramids)))
        landmarks, errors = [], []
        for crop in pyramids:
            turned = np.rad2deg(np.arctan2(crop.turned[1, 0], crop.turned[0, 0]))
            residual = (self.roll - turned + 180) % 360 - 180
            beyond = residual - np.clip(residual, -40, 40)
            points = transform_points(crops.rotation(beyond), self.truth - 150) + 150
            landmarks.append(crop.to_crop(points))
            errors.append(self.bad(turned) if beyond else GOOD)
        return state, np.array(landmarks), np.array(errors)


@pytest.fixture
def aligner(request):
    """An aligner of a face with the given roll."""
    reference = np.random.default_rng(0).uniform(0, 142, (68, 2))
    model = SimpleNamespace(
        landmark_count=68,
        reference_shape=reference,
        levels=(2, 1, 0),
        multiply_adds=[10, 20, 30],
        hidden_size=1,
        stop_threshold=None,
        fail_threshold=THRESHOLD,
        realign_threshold=None,
        realign_turn=0.0,
        calibration=None,
        margin=0.3,
        box_size=142,
    )
    return FaceAligner(model, runner=Oracle(reference, request.param))


def with_rolls(*rolls):
    return pytest.mark.parametrize("aligner", rolls, indirect=True)


def align(aligner, **options):
    box = crops.bounding_box(aligner.runner.truth)
    defaults = {"realign_threshold": THRESHOLD, "realign_turn": 75.0}
    return aligner.align(IMAGE, box, **{**defaults, **options})


@with_rolls(-110, -70, 45, 75, 110)
def test_a_rolled_face_is_found(aligner):
    assert align(aligner, realign_threshold=np.inf).failed
    face = align(aligner)
    np.testing.assert_allclose(face.landmarks, aligner.runner.truth, atol=1e-3)
    assert (face.failed, face.error_estimate) == (False, pytest.approx(GOOD))
    # Three iterations at first, two of either start, three of the turned crop.
    assert (face.iterations, face.multiply_adds) == (10, 30 + 2 * 20 + 30)
    assert aligner.runner.sizes[3:] == [
        (0, 1),
        (1, 1),
        (2, 1),
        (0, 2),
        (1, 2),
        (0, 1),
        (1, 1),
        (2, 1),
    ]


@with_rolls(75)
def test_by_the_roll_found_at_first(aligner):
    # It is 40 degrees of 75, of which 35 are left: few enough for the crop.
    face = align(aligner, realign_turn=0)
    np.testing.assert_allclose(face.landmarks, aligner.runner.truth, atol=1e-3)
    assert (face.iterations, face.multiply_adds) == (6, 60)


@with_rolls(150)
@pytest.mark.parametrize(("factor", "kept"), [(0.9, True), (1.1, True), (1.3, False)])
def test_an_upright_result_is_trusted_more_up_to_a_point(aligner, factor, kept):
    first = align(aligner, realign_threshold=np.inf)
    aligner.runner.bad = lambda turned: BAD * (factor if abs(turned) > 20 else 1)
    face = align(aligner, realign_turn=5)
    assert face.failed and face.iterations == 10
    assert face.error_estimate == pytest.approx(BAD * (factor if kept else 1))
    assert np.array_equal(face.landmarks, first.landmarks) != kept


@with_rolls(0, 30, -40)
def test_who_does_not_ask_pays_nothing(aligner):
    face = align(aligner)
    assert (face.iterations, face.multiply_adds) == (3, 30)
    assert aligner.runner.sizes == [(0, 1), (1, 1), (2, 1)]


@with_rolls(10)
def test_a_face_that_is_upright_is_not_turned(aligner):
    face = align(aligner, realign_threshold=0.0)
    assert (face.iterations, face.multiply_adds) == (7, 70)
    face = align(aligner, realign_threshold=0.0, realign_turn=0)
    assert (face.iterations, face.multiply_adds) == (3, 30)


@with_rolls(75)
def test_who_is_not_aligned_again(aligner):
    box = crops.bounding_box(aligner.runner.truth)
    options = {"realign_threshold": THRESHOLD, "realign_turn": 75.0}
    without = aligner.prepare(IMAGE, box, keep_image=False)
    assert aligner.align_prepared([without], **options)[0].iterations == 3
    assert aligner.align_prepared([], **options) == []
    for count in (1, 2, 3):
        assert align(aligner, iterations=count).iterations == count
    assert aligner.align(IMAGE, box).iterations == 3
    aligner.model.realign_threshold = THRESHOLD
    assert aligner.align(IMAGE, box).iterations == 6
    aligner.model.realign_turn = 75.0
    assert aligner.align(IMAGE, box).iterations == 10
    aligner.model.realign_turn = 0.0
    assert aligner.align(IMAGE, box).iterations == 6
    assert aligner.align(IMAGE, box, realign_turn=60.0).iterations == 10
    assert aligner.align(IMAGE, box, realign_threshold=np.inf).iterations == 3
    # Told the roll, it finds the face at once.
    assert aligner.align(IMAGE, box, roll=60).iterations == 3


@with_rolls(75)
def test_only_those_who_ask_are_computed_and_none_depends_on_others(aligner, monkeypatch):
    boxes = [crops.bounding_box(aligner.runner.truth) + shift for shift in (0, 3, 6)]
    prepared = [
        aligner.prepare(IMAGE, box, roll) for box, roll in zip(boxes, (0, 60, 0), strict=True)
    ]
    options = {"realign_threshold": THRESHOLD, "realign_turn": 75.0}
    together = aligner.align_prepared(prepared, **options)
    sizes = [size for _, size in aligner.runner.sizes]
    assert sizes == [3, 3, 3, 4, 4, 2, 2, 2]
    assert [face.iterations for face in together] == [10, 3, 10]
    for face, one in zip(together, prepared, strict=True):
        (alone,) = aligner.align_prepared([one], **options)
        np.testing.assert_array_equal(face.landmarks, alone.landmarks)


@with_rolls(75)
def test_landmarks_that_lie_nowhere_are_not_followed(aligner, monkeypatch):
    def lost(k, pyramids, initial, state):
        return state, np.full_like(initial, np.nan), np.full(len(initial), BAD)

    monkeypatch.setattr(aligner.runner, "iterate", lost)
    assert align(aligner).iterations == 7
    assert align(aligner, realign_turn=0).iterations == 3


def test_shipped_models_find_a_rolled_face():
    pytest.importorskip("ai_edge_litert")
    task = next(task for task in tasks.builtin_tasks() if task.name == "takeo")
    image, truth = image_files.read_image(task.image), builtin_faces.builtin_truth()["takeo"]
    image = np.ascontiguousarray(np.rot90(image, -1))
    truth = np.stack([truth[:, 1], image.shape[1] - 1 - truth[:, 0]], axis=1)
    box = crops.bounding_box(truth)
    lite = FaceAligner.load(SHIPPED_LITE_MODEL)
    face = lite.align(image, box, realign_threshold=0.05, realign_turn=75)
    assert metrics.nme(face.landmarks, truth) < 0.08
    assert face.multiply_adds == lite.model.multiply_adds[0] * face.iterations
