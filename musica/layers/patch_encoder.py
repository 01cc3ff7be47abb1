"""Features of a patch."""

from typing import Any

import keras
from keras import ops

from musica.errors import InputError


@keras.saving.register_keras_serializable("musica")
class PatchEncoder(keras.layers.Layer):
    """Encodes each patch by two convolutions.

    Convolution 3x3 and ReLU, max pool 2, convolution 3x3 and ReLU, max pool 2. The features are the
    second convolution's central crop and the second pool, which have the same size: a fine view of
    the middle and a coarse view of the whole patch.

    Args:
        patch_size: side p of a patch in pixels.
        filters: channels of both convolutions.
        kernel_initializer: Keras initializer of the kernels.

    Input: (B, M, p, p, 3) patches.

    Output: (B, M, F), F = ``feature_size`` (256 for p = 14 and 32 filters).

    Raises:
        InputError: the patch is too small for two convolutions and pools.

    Reference: ``METHOD.md`` section 3; release function ``conv_model_conv3``.
    """

    def __init__(
        self,
        patch_size: int = 14,
        filters: int = 32,
        kernel_initializer: Any = "lecun_normal",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.patch_size = patch_size
        self.filters = filters
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.convolutions = [
            keras.layers.Conv2D(
                filters,
                3,
                data_format="channels_last",
                kernel_initializer=self.kernel_initializer.clone(),
                name=f"convolution_{index}",
                dtype=self.dtype_policy,
            )
            for index in range(2)
        ]
        self.pool = keras.layers.MaxPooling2D(
            2, data_format="channels_last", name="pool", dtype=self.dtype_policy
        )
        self.convolved_size = (patch_size - 2) // 2 - 2
        self.pooled_size = self.convolved_size // 2
        if self.pooled_size < 1:
            raise InputError(f"patch_size must be at least 10, not {patch_size}")

    @property
    def feature_size(self) -> int:
        """Number of features F of one patch."""
        return self.pooled_size**2 * 2 * self.filters

    def build(self, input_shape: Any = None) -> None:
        """Creates the convolutions' weights; they depend on the arguments alone."""
        self.convolutions[0].build((None, None, None, 3))
        self.convolutions[1].build((None, None, None, self.filters))
        self.built = True

    def call(self, patches: Any) -> Any:
        """Encodes the patches; shapes as in the class description."""
        count, size = ops.shape(patches)[1], self.patch_size
        pixels = ops.reshape(patches, (-1, size, size, 3))
        return self.after_first_convolution(self.convolutions[0](pixels), count)

    def after_first_convolution(self, first: Any, count: int) -> Any:
        """Encodes M patches from the first convolution on, (B * M, p - 2, p - 2, filters)."""
        # ReLU commutes with max pooling and concatenation, and is cheaper after them.
        pooled = ops.relu(self.pool(first))
        convolved = self.convolutions[1](pooled)
        start, side = (self.convolved_size - self.pooled_size) // 2, self.pooled_size
        # Its gradient costs a tenth of that of an index.
        centre = ops.slice(
            convolved,
            [0, start, start, 0],
            [ops.shape(convolved)[0], side, side, self.filters],
        )
        features = ops.concatenate([centre, self.pool(convolved)], axis=-1)
        features = ops.relu(features)
        return ops.reshape(features, (-1, count, self.feature_size))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "filters": self.filters,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
