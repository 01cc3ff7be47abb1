"""The shipped file: half the size, the same landmarks to a fraction of a pixel."""

import keras
import numpy as np
import pytest
import tiny

from musica.errors import InputError
from musica.export import ExportConfig, export


def test_half_precision_model_is_small_and_close(tmp_path):
    model = tiny.musica_model()
    model.save(tmp_path / "full.keras")
    config = ExportConfig(str(tmp_path / "full.keras"), str(tmp_path / "half.keras"))

    export(config)

    loaded = keras.models.load_model(config.output)
    for full, half in zip(model.get_weights(), loaded.get_weights(), strict=True):
        assert half.dtype == np.float32
        np.testing.assert_array_equal(half, full.astype(np.float16).astype(np.float32))
    assert loaded.get_config()["patch_indices"] == model.get_config()["patch_indices"]


@pytest.mark.parametrize("keys", [{"precision": "int3"}, {"output": "model.h5"}])
def test_bad_keys_are_refused(tmp_path, keys):
    with pytest.raises(InputError):
        export(ExportConfig(**{"output": str(tmp_path / "model.keras"), **keys}))
