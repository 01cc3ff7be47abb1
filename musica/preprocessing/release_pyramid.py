"""From image and crop to the normalised pyramid (``METHOD.md`` section 1, steps 2-8).

Release functions: ``crop_bbs_from_image``, ``correct_image_roll``, ``scale_image``,
``build_image_pyr``. Copying, shifting, resizing, blurring and subsampling are all linear and act on
one axis at a time, so each is a sparse matrix over rows and another over columns. Only a turned
crop needs a true two-dimensional warp.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import ndimage, sparse

from musica.errors import InputError
from musica.geometry.crops import Crop, image_window
from musica.preprocessing.patches import cut_patches

LEVELS = 3
# A single grey level in one pixel of a crop deviates ten times as much, rounding deviates less.
CONSTANT_DEVIATION = 1e-6
MAX_TURNED_PIXELS = 100_000_000
PYRAMID_SIGMA = 2 / 3  # menpo's gaussian_pyramid with downscale 2


def _linear_taps(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two pixels around fractional positions and their weights: (..., 2) each."""
    lower = np.floor(positions).astype(np.int32)  # the index type of a sparse matrix
    weight = positions - lower
    return np.stack([lower, lower + 1], axis=-1), np.stack([1 - weight, weight], axis=-1)


def _operator(
    taps: np.ndarray, weights: np.ndarray, length: int, channels: int
) -> sparse.csr_matrix:
    """Sparse matrix whose row i reads the pixels ``taps[i]`` of an axis with ``weights[i]``.

    It acts on an axis whose pixels are ``channels`` interleaved values.
    """
    channel = np.arange(channels, dtype=np.int32)[:, None]
    columns = taps[:, None] * channels + channel  # (n, channels, t)
    values = np.broadcast_to(weights[:, None], columns.shape).astype(np.float32)
    ends = np.arange(len(taps) * channels + 1, dtype=np.int32) * taps.shape[1]
    shape = (len(taps) * channels, length * channels)
    return sparse.csr_matrix((values.ravel(), columns.ravel(), ends), shape)


def _crop_operator(
    start: int, length: int, shift: float, scale: float, size: int, image_length: int, channels: int
) -> sparse.csr_matrix:
    """Matrix from an axis of the image to the same axis of the upright crop (steps 2-4)."""
    taps, weights = _resize_taps(length, scale, size)
    shifted, shift_weights = _linear_taps(taps - shift)  # (size, 2, 2)
    weights = weights[..., None] * shift_weights
    column = shifted + start
    inside = (shifted >= 0) & (shifted < length) & (column >= 0) & (column < image_length)
    weights = np.where(inside, weights, 0)
    column = column.clip(0, image_length - 1)
    return _operator(column.reshape(size, -1), weights.reshape(size, -1), image_length, channels)


def _resize_taps(length: int, scale: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear resize of an axis: half-pixel centres, clamped edges, no antialiasing."""
    taps, weights = _linear_taps((np.arange(size) + 0.5) / scale - 0.5)
    return taps.clip(0, length - 1), weights


@lru_cache(maxsize=2048)
def _level_operator(length: int, channels: int) -> sparse.csr_matrix:
    """Matrix from an axis of one pyramid level to the next (step 7)."""
    gaussian = ndimage.gaussian_filter1d(np.eye(length), PYRAMID_SIGMA, axis=0)
    half = length / 2
    taps, weights = _linear_taps(np.arange(np.ceil(half)) * (length - 1) / (half - 1))
    sampled = (gaussian[taps.clip(0, length - 1)] * weights[..., None]).sum(axis=1)
    operator = sparse.kron(sampled, np.eye(channels), format="csr")
    return operator.astype(np.float32)


def _apply(rows: sparse.csr_matrix, columns: sparse.csr_matrix, pixels: np.ndarray) -> np.ndarray:
    """Applies one matrix to the rows and one to the columns of (H, W, C) float32 pixels."""
    flat = pixels.reshape(pixels.shape[0], -1)
    if rows.shape[0] <= rows.shape[1]:  # the order that keeps the array in between small
        flat = np.ascontiguousarray((columns @ (rows @ flat).T).T)
    else:
        flat = rows @ (columns @ flat.T).T
    return flat.reshape(flat.shape[0], -1, pixels.shape[2])


def crop_image(image: np.ndarray, crop: Crop) -> np.ndarray:
    """Cuts the crop out of an image: zeros outside, turned upright, resized.

    Args:
        image: (H, W, 3) or grey (H, W), values in 0..255.
        crop: from ``geometry.crop_of_box``.

    Returns:
        (rows, columns, C) float32 in [0, 1], C = 1 if the image is grey: its three equal channels
        are kept as one, which changes no result, until ``pad_batch``.

    Raises:
        InputError: the crop's region lies wholly outside the image, or is too large to be turned.
    """
    window, (y0, x0) = image_window(image, crop.region)
    pixels = window.astype(np.float32) / 255
    width, height = (int(side) for side in crop.region[2:] - crop.region[:2] + 1)
    if np.array_equal(crop.turned[:2, :2], np.eye(2)):
        shift_x, shift_y = crop.turned[:2, 2]
        return _apply(
            _crop_operator(y0, height, shift_y, crop.scale, crop.shape[0], window.shape[0], 1),
            _crop_operator(x0, width, shift_x, crop.scale, crop.shape[1], *window.shape[1:]),
            pixels,
        )
    if width * height > MAX_TURNED_PIXELS:
        raise InputError("the box is too large to be turned upright")
    region = np.zeros((height, width, window.shape[2]), np.float32)
    region[-y0 : window.shape[0] - y0, -x0 : window.shape[1] - x0] = pixels
    rows, columns = (
        _operator(*_resize_taps(length, crop.scale, size), length, channels)
        for length, size, channels in zip(
            crop.turned_shape, crop.shape, (1, window.shape[2]), strict=True
        )
    )
    return _apply(rows, columns, _turn(region, crop))


def _turn(region: np.ndarray, crop: Crop) -> np.ndarray:
    """Turns the region upright, bilinear, zeros outside (step 3)."""
    back = np.linalg.inv(crop.turned)
    matrix, offset = back[1::-1, 1::-1], back[1::-1, 2]
    channels = [
        ndimage.affine_transform(
            region[..., channel], matrix, offset, crop.turned_shape, order=1, mode="grid-constant"
        )
        for channel in range(region.shape[2])
    ]
    return np.stack(channels, axis=-1)


def normalise(pixels: np.ndarray) -> np.ndarray:
    """Subtracts the mean and divides by the deviation of the whole crop (step 6)."""
    # Sums of float32 would depend on the CPU's order of adding.
    centred = pixels - np.float32(pixels.mean(dtype=np.float64))
    deviation = np.sqrt(np.square(centred).mean(dtype=np.float64))
    if deviation < CONSTANT_DEVIATION:
        # PORT: a constant crop gives zeros; the release divides by zero.
        return np.zeros_like(centred)
    centred *= np.float32(1 / deviation)
    return centred


def pyramid(pixels: np.ndarray, levels: int = LEVELS) -> list[np.ndarray]:
    """Builds the Gaussian pyramid of (H, W, C) float32 pixels, finest level first (step 7)."""
    result = [pixels]
    for _ in range(levels - 1):
        finest = result[-1]
        if min(finest.shape[:2]) < 3:
            raise InputError("the box is too narrow for an image pyramid")
        rows, columns = _level_operator(finest.shape[0], 1), _level_operator(*finest.shape[1:])
        result.append(_apply(rows, columns, finest))
    return result


class ReleasePyramid:
    """The levels of one face.

    Args:
        image: (H, W, 3) or grey (H, W), values in 0..255.
        crop: from ``geometry.crops``.
        levels: number of levels.

    Raises:
        InputError: the crop lies wholly outside the image, or is too narrow for so many levels.
    """

    def __init__(self, image: np.ndarray, crop: Crop, levels: int = LEVELS):
        self._levels = pyramid(normalise(crop_image(image, crop)), levels)

    def level(self, level: int) -> np.ndarray:
        """A normalised level, (H_l, W_l, C) float32, C = 1 for a grey face."""
        return self._levels[level]

    def patches(self, level: int, centres: np.ndarray, size: int) -> np.ndarray:
        """As ``Pyramid.patches``."""
        patches, copied = cut_patches(self._levels[level], centres, size)
        return patches * copied


def pad_batch(images: Sequence[np.ndarray]) -> np.ndarray:
    """Stacks images of different sizes, zeros at the bottom and the right (step 8).

    Args:
        images: B arrays (H, W, 3) or (H, W, 1), float32; one channel is repeated to three.
    """
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    batch = np.zeros((len(images), height, width, 3), np.float32)
    for padded, image in zip(batch, images, strict=True):
        padded[: image.shape[0], : image.shape[1]] = image
    return batch
