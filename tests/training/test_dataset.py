import dataclasses

import numpy as np
import pytest
from tiny_faces import landmarks, write_faces, write_list

from musica.errors import InputError
from musica.files import annotated_faces, image_files, landmark_files
from musica.geometry import crops
from musica.preprocessing import release_pyramid
from musica.training.augment import AugmentConfig
from musica.training.batches import Batches
from musica.training.dataset import FaceSamples
from musica.training.face_crops import ReleaseCrops

REFERENCE = landmarks(99, 5)
BOX_SIZE = 40  # small crops are quick
PLAIN = AugmentConfig(augment_probability=0, grey_probability=0)  # shuffled, not changed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    write_faces(folder, 7, landmark_count=5)
    return folder


@pytest.fixture(scope="module")
def faces(folder):
    # Wide boxes, so that crops differ in shape.
    faces = annotated_faces.read_faces([folder / "list.txt"], folder)
    shift = np.array([0, -5, 0, 5])
    return [
        dataclasses.replace(face, box=face.box + shift * index) for index, face in enumerate(faces)
    ]


def samples(faces, **arguments):
    return FaceSamples(faces, REFERENCE, **{"box_size": BOX_SIZE, **arguments})


def batches(source, size, first=0, end=None, **arguments):
    """The arrays of every batch of a dataset."""
    numbers = None if end is None else range(first, end)
    with Batches(source, size, numbers, **arguments) as prepared:
        return [
            [np.asarray(a) for a in (*inputs["pyramid"], inputs["initial"], truth)]
            for inputs, truth in prepared.dataset()
        ]


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_read_faces(folder):
    faces = annotated_faces.read_faces([folder / "list.txt"], folder, landmark_count=5)
    assert [face.name for face in faces] == [f"face{index}.png" for index in range(7)]
    face = faces[3]
    assert face.image == folder / "face3.png"
    np.testing.assert_allclose(face.landmarks, landmarks(3, 5), atol=1e-3)
    (y0, x0), (y1, x1) = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
    np.testing.assert_array_equal(face.box, [x0, y0, x1, y1])


def test_a_list_given_twice_counts_twice(folder):
    names = folder / "list.txt"
    once, twice = (annotated_faces.read_faces([names] * count, folder) for count in (1, 2))
    assert [face.name for face in twice] == 2 * [face.name for face in once]


def test_unusable_faces_are_reported_and_skipped(tmp_path, capsys):
    write_faces(tmp_path, 6, landmark_count=5)
    boxes, truth = tmp_path / "boxes", tmp_path / "truth"
    for index in range(6):
        landmark_files.write_box(boxes / f"face{index}.pts", (5, 5, 60, 50))
        landmark_files.write_landmarks(truth / f"face{index}.ljson", landmarks(index, 5))
    landmark_files.write_box(boxes / "face1.pts", (5, 5, 60, 14))  # ten pixels high
    (truth / "face2.ljson").unlink()
    landmark_files.write_landmarks(truth / "face3.ljson", landmarks(3, 4))
    (tmp_path / "face4.png").unlink()
    (boxes / "face5.pts").write_text("nonsense")
    faces = annotated_faces.read_faces([tmp_path / "list.txt"], tmp_path, truth, boxes, 5)
    assert [face.name for face in faces] == ["face0.png"]
    np.testing.assert_array_equal(faces[0].box, [5, 5, 60, 50])
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["skipped", f"face{i}.png:"] for i in range(1, 6)
    ]
    for line, words in zip(
        lines, ("10 pixels", "no such file", "4 points where 5", "no such file", ""), strict=True
    ):
        assert words in line


def test_no_usable_face_is_an_error(folder, tmp_path):
    with pytest.raises(InputError, match="no usable face"):
        annotated_faces.read_faces([folder / "list.txt"], folder, landmark_count=68)
    with pytest.raises(InputError, match="cannot read"):
        annotated_faces.read_faces([tmp_path / "absent.txt"], folder)
    with pytest.raises(InputError, match="inside its folder"):
        annotated_faces.read_faces([write_list(tmp_path / "list.txt", "../face0.png")], folder)


def test_a_validation_pass_sees_every_face_once(faces):
    """In order, with shapes of the padded size, values of the pipeline's parts, and zeros."""
    passed = batches(samples(faces), 3)
    assert [len(batch[-1]) for batch in passed] == [3, 3, 1]
    sides = [ReleaseCrops(3, BOX_SIZE, 0.3).side(level) for level in range(3)]
    shapes = [*((side, side, 3) for side in sides), (5, 2), (5, 2)]
    prepared = []
    for batch in passed:
        assert [array.shape[1:] for array in batch] == shapes
        assert all(array.dtype == np.float32 for array in batch)
        prepared.extend(zip(*batch, strict=True))
    for face, arrays in zip(faces, prepared, strict=True):
        crop = crops.crop_of_box(face.box, box_size=BOX_SIZE)
        pixels = release_pyramid.crop_image(image_files.read_image(face.image), crop)
        pyramid = release_pyramid.pyramid(release_pyramid.normalise(pixels))
        expected = [*pyramid, crop.initial_shape(REFERENCE), crop.to_crop(face.landmarks)]
        for array, part in zip(arrays, expected, strict=True):
            padding = [(0, a - b) for a, b in zip(array.shape, part.shape, strict=True)]
            part, mask = np.pad(part, padding), np.pad(np.ones(part.shape), padding)
            np.testing.assert_allclose(array, part, rtol=1e-4, atol=1e-4)
            assert not array[mask == 0].any()


def test_every_epoch_is_another_permutation(faces):
    """Faces are told apart by their truth, which is theirs alone where nothing is changed."""
    count = len(faces)
    (batch,) = batches(samples(faces), count)
    truths = batch[-1]

    def order(seed):
        shuffled = samples(faces, augmentation=PLAIN, seed=seed)
        epochs = [batch[-1] for batch in batches(shuffled, count, 0, 4)]
        same = (np.array(epochs)[:, :, None] == truths).all(axis=(3, 4))  # epoch, place, face
        assert (same.sum(axis=2) == 1).all()
        return same.argmax(axis=2).tolist()

    epochs = order(seed=1)
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert order(seed=1) == epochs
    assert order(seed=2) != epochs


def test_grey_faces_have_three_equal_channels(faces):
    grey = AugmentConfig(augment_probability=0, grey_probability=1)
    levels, in_colour = (
        batches(samples(faces, augmentation=options), 2, 0, 1)[0][:3] for options in (grey, PLAIN)
    )
    for level, coloured in zip(levels, in_colour, strict=True):
        np.testing.assert_allclose(level, level[..., [1, 2, 0]], atol=1e-5)
        assert level.shape == coloured.shape and level.std() > 0.1
        assert np.abs(coloured[..., 0] - coloured[..., 1]).max() > 0.1


def test_augmentation_depends_on_seed_and_position_alone(faces):
    def run(seed, batch_size, end):
        source = samples(faces[:1], augmentation=AugmentConfig(augment_probability=1), seed=seed)
        passed = batches(source, batch_size, 0, end)
        return [np.concatenate(parts) for parts in zip(*passed, strict=True)]

    pairs, triples = run(4, 2, 3), run(4, 3, 2)  # the same six positions
    assert_same(pairs, triples)
    # One face six times, each time changed in another way; and in yet others by another seed.
    truths = np.concatenate([pairs[-1], run(5, 2, 3)[-1]])
    assert len(np.unique(truths.reshape(12, -1), axis=0)) == 12


def test_starting_later_is_skipping_batches(faces):
    source = samples(faces, augmentation=AugmentConfig(), seed=7)
    run = batches(source, 4, 0, 5)
    assert [len(batch[-1]) for batch in run] == [4] * 5  # batches run on across epochs
    later = batches(source, 4, 2, 5)
    assert len(later) == 3
    for first, second in zip(run[2:], later, strict=True):
        assert_same(first, second)


def test_echoed_faces_come_in_successive_batches(faces):
    options = {"augmentation": AugmentConfig(augment_probability=1), "seed": 7}
    source = samples(faces, **options)
    halves = batches(source, 2, 0, 4)
    for first in (0, 1):  # also where a run is resumed
        echoed = batches(source, 4, first, 3, echo=2)
        assert len(echoed) == 3 - first
        for number, batch in enumerate(echoed, first):
            pairs = zip(halves[number], halves[number + 1], strict=True)
            assert_same(batch, [np.concatenate(pair) for pair in pairs])


def test_weights_say_how_often_faces_are_drawn(faces):
    weights = [0, 0.25, 0.25, 0.5, 1, 2, 3.5]
    source = samples(faces, augmentation=PLAIN, seed=2, weights=weights)
    assert source.epoch_length == 8  # their sum, rounded
    count = 200
    drawn = [source.face_number(position) for position in range(count * 8)]
    epochs = np.array(drawn).reshape(count, 8)
    counts = np.array([np.bincount(epoch, minlength=7) for epoch in epochs])
    expected = np.array(weights) * 8 / sum(weights)
    assert (counts >= np.floor(expected)).all() and (counts <= np.ceil(expected)).all()
    np.testing.assert_allclose(counts.mean(axis=0), expected, atol=0.1)
    assert len({tuple(epoch) for epoch in epochs.tolist()}) > 0.9 * count
    again = samples(faces, augmentation=PLAIN, seed=2, weights=weights)
    assert [again.face_number(position) for position in (1599, 5, 800)] == [
        drawn[position] for position in (1599, 5, 800)
    ]


def test_weights_that_draw_no_face_are_refused(faces):
    with pytest.raises(InputError, match="draw no face"):
        samples(faces, augmentation=PLAIN, weights=[0.01] * 7)


def test_what_does_not_fit_the_cache_is_read_again(faces, tmp_path):
    image = tmp_path / "face.png"
    image.write_bytes(faces[0].image.read_bytes())
    moved = dataclasses.replace(faces[0], image=image)
    sources = [samples([moved], augmentation=PLAIN, cache_gigabytes=size) for size in (0, 1)]
    first = [source.sample(0) for source in sources]
    image.unlink()
    assert_same(sources[1].sample(0), first[1])
    with pytest.raises(InputError, match="no such file"):
        sources[0].sample(0)


@pytest.mark.parametrize(("box_size", "margin"), [(142, 0.3), (64, 0.5)])
def test_every_crop_fits_the_padded_size(box_size, margin):
    """Longer sides of 11 to 400 pixels, at several aspects and places."""
    sizes = [ReleaseCrops(3, box_size, margin).side(level) for level in range(3)]
    for long in range(11, 401):
        # All aspects are tried in turn; square boxes always.
        for short in {long, max(11, int(long * (0.2 + 0.8 * (long % 7) / 6)))}:
            corner = (-40, 0, 0.5, 300.25)[long % 4]
            for width, height in {(long, short), (short, long)}:
                box = np.array([corner, corner, corner + width - 1, corner + height - 1])
                side = max(crops.crop_of_box(box, margin, box_size).shape)
                for size in sizes:
                    assert side <= size, f"{width} x {height} at {corner}"
                    side = -(-side // 2)  # the next level


def test_mirroring_needs_a_scheme(faces):
    with pytest.raises(InputError, match="mirroring"):
        samples(faces, augmentation=AugmentConfig(mirror_probability=0.5))


def test_an_unreadable_image_is_named(tmp_path):
    write_faces(tmp_path, 2, landmark_count=5)
    (tmp_path / "face1.png").write_bytes(b"not an image")
    source = samples(annotated_faces.read_faces([tmp_path / "list.txt"], tmp_path))
    source.sample(0)
    with pytest.raises(InputError, match=r"^face1\.png: .*not a readable image$"):
        source.sample(1)


def test_a_box_outside_its_image_is_named(faces):
    outside = dataclasses.replace(faces[0], box=np.array([500.0, 500, 550, 550]))
    with pytest.raises(InputError, match=r"^face0\.png: .*outside the image"):
        samples([outside]).sample(0)
