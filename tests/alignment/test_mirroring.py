"""MDM's result is the mean of a fit and of the mirrored image's mirrored fit."""

import numpy as np
import numpy_reference as reference
import pytest
import tiny
import tiny_faces

from musica.alignment.aligner import FaceAligner
from musica.geometry.landmarks import IBUG_68

PATCHES, SIZE, BOX = (30, 36), 18, (12.0, 10.0, 70.0, 66.0)


@pytest.fixture(scope="module")
def model():
    return tiny.mdm_model(
        landmark_count=68,
        patch_indices=PATCHES,
        patch_size=SIZE,
        iterations=2,
        reference_shape=3 * tiny_faces.landmarks(0),
        preprocessing="mdm",
    )


def test_the_result_equals_a_restatement_of_the_average(model):
    aligner = FaceAligner(model)
    image = np.random.default_rng(0).integers(0, 256, (76, 92, 3), dtype=np.uint8)
    face = aligner.align(image, BOX)
    prepared = aligner.prepare(image, BOX)
    pixels, initial = prepared.pyramid.level(0), prepared.initial
    last = pixels.shape[1] - 1
    weights = tiny.arrays(model.step)

    def fit(pixels, initial):
        return reference.mdm(pixels, initial, weights, 2, PATCHES, SIZE)[0][-1]

    flipped = np.array([[initial[j][0], last - initial[j][1]] for j in IBUG_68.mirror])
    other = fit(pixels[:, ::-1], flipped)
    back = np.array([[other[j][0], last - other[j][1]] for j in IBUG_68.mirror])
    mean = (fit(pixels, initial) + back) / 2
    np.testing.assert_allclose(face.landmarks, prepared.crop.to_image(mean), atol=1e-3)
    assert face.multiply_adds == 2 * model.multiply_adds[-1]
    assert face.iterations == 2
