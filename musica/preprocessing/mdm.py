"""The pixels of MDM: one level, in [0, 1], linear between pixels (``METHOD.md`` section 11)."""

import numpy as np

from musica.geometry.crops import image_window
from musica.geometry.proportion_crops import ProportionCrop
from musica.preprocessing.patches import cut_patches


class OneLevel:
    """A pyramid of one level.

    Args:
        pixels: (H, W, C) float32, C = 1 for a grey face.
    """

    def __init__(self, pixels: np.ndarray):
        self._pixels = pixels

    def level(self, level: int) -> np.ndarray:
        """The pixels, whichever level is asked for."""
        return self._pixels

    def patches(self, level: int, centres: np.ndarray, size: int) -> np.ndarray:
        """As ``Pyramid.patches``."""
        patches, copied = cut_patches(self._pixels, centres, size)
        return np.where(copied, patches, 0)


def crop_pixels(image: np.ndarray, crop: ProportionCrop) -> np.ndarray:
    """Cuts and rescales: (rows, columns, C) float32 from 0 to 1, C = 1 for a grey image.

    Pixel i of the crop is the value at i / factor; beyond the part's border its edge is repeated.

    Raises:
        InputError: the crop lies outside the image.
    """
    (top, left), (bottom, right) = crop.first, crop.first + crop.sides - 1
    pixels, _ = image_window(image, np.array([left, top, right, bottom]))
    pixels = pixels.astype(np.float32) / 255
    for axis, (count, factor) in enumerate(zip(crop.shape, crop.factors, strict=True)):
        last = pixels.shape[axis] - 1
        places = np.minimum(np.arange(count) / factor, last)
        near = np.minimum(places.astype(int), max(last - 1, 0))
        share = (places - near).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
        first, second = pixels.take(near, axis), pixels.take(np.minimum(near + 1, last), axis)
        pixels = first + share * (second - first)
    return pixels
