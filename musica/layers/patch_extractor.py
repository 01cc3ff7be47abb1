"""Patches around the current landmarks."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

# Far outside any image, yet safe to convert to an integer.
_FAR = 1e6


@keras.saving.register_keras_serializable("musica")
class PatchExtractor(keras.layers.Layer):
    """Cuts square patches out of images, without interpolation.

    A patch starts at ``int(c - size // 2)`` on each axis, truncated toward zero. Row 0 and column 0
    of the image are never copied, as in the release. No gradient flows to image or centres.

    PORT: pixels that are not copied are zero. The release leaves uninitialised memory there.

    Args:
        patch_size: side p of a patch in pixels.

    Inputs:
        image: (B, H, W, C) float.
        centres: (B, M, 2) float, (y, x) pixels of this image, absolute.

    Output: (B, M, p, p, C), the image's dtype.

    Example:
        >>> patches = PatchExtractor(14)(keras.ops.ones((1, 40, 40, 3)), [[[20.0, 20.0]]])
        >>> patches.shape
        TensorShape([1, 1, 14, 14, 3])

    Reference: ``METHOD.md`` section 2; release op ``tf.image.extract_patches``.
    """

    def __init__(self, patch_size: int = 14, **kwargs: Any):
        super().__init__(**kwargs)
        self.patch_size = patch_size

    def build(self, *input_shapes: Any) -> None:
        """Marks the layer as built; it has no weights."""
        self.built = True

    def call(self, image: Any, centres: Any) -> Any:
        """Cuts the patches; shapes as in the class description."""
        image, centres = ops.stop_gradient(image), ops.stop_gradient(ops.convert_to_tensor(centres))
        height, width, channels = ops.shape(image)[1], ops.shape(image)[2], image.shape[3]
        count = ops.shape(centres)[1]

        start = ops.cast(ops.clip(centres - self.patch_size // 2, -_FAR, _FAR), "int32")
        offsets = ops.arange(self.patch_size, dtype="int32")
        rows = start[..., 0, None] + offsets  # (B, M, p)
        columns = start[..., 1, None] + offsets
        copied_rows = ops.cast((rows > 0) & (rows < height), image.dtype)
        copied_columns = ops.cast((columns > 0) & (columns < width), image.dtype)
        pixel = (
            ops.clip(rows, 0, height - 1)[..., :, None] * width
            + ops.clip(columns, 0, width - 1)[..., None, :]
        )
        flat_image = ops.reshape(image, (-1, height * width, channels))
        flat_pixel = ops.reshape(pixel, (-1, count * self.patch_size**2))
        # keras.ops has no batched gather of whole pixels; take_along_axis would repeat channels.
        patches = ops.reshape(
            tf.gather(flat_image, flat_pixel, batch_dims=1),
            (-1, count, self.patch_size, self.patch_size, channels),
        )
        # Two products are quicker than a choice by one mask of all pixels.
        return patches * copied_rows[..., None, None] * copied_columns[..., None, :, None]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "patch_size": self.patch_size}
