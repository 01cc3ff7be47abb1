"""From image and crop to the normalised pyramid (``method.md`` section 1, steps 2-8).

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
from musica.geometry import Crop

LEVELS = 3
PYRAMID_SIGMA = 2 / 3  # menpo's gaussian_pyramid with downscale 2


def _linear_samples(positions: np.ndarray, length: int, clamp: bool) -> sparse.csr_matrix:
    """Matrix that reads an axis of ``length`` at fractional positions, linearly.

    Beyond the ends it reads the end pixel (clamp) or zero.
    """
    lower = np.floor(positions).astype(int)
    weight = positions - lower
    rows = np.tile(np.arange(len(positions)), 2)
    columns = np.concatenate([lower, lower + 1])
    values = np.concatenate([1 - weight, weight])
    if clamp:
        columns = columns.clip(0, length - 1)
    inside = (columns >= 0) & (columns < length)
    entries = (values[inside], (rows[inside], columns[inside]))
    return sparse.csr_matrix(entries, (len(positions), length))


def _gaussian(length: int) -> sparse.csr_matrix:
    """Matrix of scipy's Gaussian over an axis (sigma 2/3, reflect, truncate 4)."""
    return sparse.csr_matrix(ndimage.gaussian_filter1d(np.eye(length), PYRAMID_SIGMA, axis=0))


@lru_cache(maxsize=1024)
def _level_operator(length: int) -> sparse.csr_matrix:
    """Matrix from an axis of one pyramid level to the next (step 7)."""
    half = length / 2
    step = (length - 1) / (half - 1)
    sampled = _linear_samples(np.arange(np.ceil(half)) * step, length, clamp=True)
    return (sampled @ _gaussian(length)).astype(np.float32).tocsr()


@lru_cache(maxsize=4096)
def _crop_operator(
    start: int, length: int, shift: float, scale: float, size: int, image_length: int
) -> sparse.csr_matrix:
    """Matrix from an axis of the image to the same axis of the upright crop (steps 2-4)."""
    inside = np.arange(max(start, 0), min(start + length, image_length))
    copied = sparse.csr_matrix(
        (np.ones(len(inside)), (inside - start, inside)), (length, image_length)
    )
    shifted = _linear_samples(np.arange(length) - shift, length, clamp=False)
    resized = _resize_operator(length, scale, size)
    return (resized @ shifted @ copied).astype(np.float32).tocsr()


def _resize_operator(length: int, scale: float, size: int) -> sparse.csr_matrix:
    """Bilinear resize of an axis: half-pixel centres, clamped edges, no antialiasing."""
    return _linear_samples((np.arange(size) + 0.5) / scale - 0.5, length, clamp=True)


def _apply(
    rows: sparse.csr_matrix, columns: sparse.csr_matrix, pixels: np.ndarray
) -> np.ndarray:
    """Applies one matrix to the rows and one to the columns of (H, W, 3) pixels."""
    height, width, channels = pixels.shape
    tall = (rows @ pixels.reshape(height, -1)).reshape(-1, width, channels)
    flipped = np.ascontiguousarray(tall.transpose(1, 0, 2)).reshape(width, -1)
    wide = (columns @ flipped).reshape(columns.shape[0], -1, channels)
    return np.ascontiguousarray(wide.transpose(1, 0, 2))


def crop_image(image: np.ndarray, crop: Crop) -> np.ndarray:
    """Cuts the crop out of an image: zeros outside, turned upright, resized.

    Args:
        image: (H, W, 3) or (H, W), uint8 or float in 0..255; grey is repeated to 3 channels.
        crop: from ``geometry.crop_of_box``.

    Returns:
        (rows, columns, 3) float32 in [0, 1].

    Raises:
        InputError: the crop's region lies wholly outside the image.
    """
    image = as_rgb(image)
    x0, y0, x1, y1 = (int(corner) for corner in crop.region)
    if x1 < 0 or y1 < 0 or x0 >= image.shape[1] or y0 >= image.shape[0]:
        raise InputError("the box lies outside the image")
    window = image[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1]
    # The same matrices serve every image: they read the window as an image of its own.
    x0, y0 = min(x0, 0), min(y0, 0)
    pixels = window.astype(np.float32) / 255
    height, width = crop.region[3] - crop.region[1] + 1, crop.region[2] - crop.region[0] + 1
    if np.array_equal(crop.turned[:2, :2], np.eye(2)):
        shift_x, shift_y = crop.turned[:2, 2]
        row_operator = _crop_operator(
            y0, int(height), float(shift_y), crop.scale, crop.shape[0], window.shape[0]
        )
        column_operator = _crop_operator(
            x0, int(width), float(shift_x), crop.scale, crop.shape[1], window.shape[1]
        )
        return _apply(row_operator, column_operator, pixels)
    region = np.zeros((height, width, 3), np.float32)
    region[-y0 : window.shape[0] - y0, -x0 : window.shape[1] - x0] = pixels
    return _apply(
        _resize_operator(crop.turned_shape[0], crop.scale, crop.shape[0]).astype(np.float32),
        _resize_operator(crop.turned_shape[1], crop.scale, crop.shape[1]).astype(np.float32),
        _turn(region, crop),
    )


def _turn(region: np.ndarray, crop: Crop) -> np.ndarray:
    """Turns the region upright, bilinear, zeros outside (step 3)."""
    back = np.linalg.inv(crop.turned)
    matrix, offset = back[1::-1, 1::-1], back[1::-1, 2]
    channels = [
        ndimage.affine_transform(
            region[..., channel], matrix, offset, crop.turned_shape, order=1, mode="grid-constant"
        )
        for channel in range(3)
    ]
    return np.stack(channels, axis=-1)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Checks an image array and repeats grey to three channels: (H, W, 3).

    Raises:
        InputError: not an (H, W) or (H, W, 3) array of pixels.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(f"an image is an (H, W) or (H, W, 3) array, not {image.shape}")
    return image


def normalise(pixels: np.ndarray) -> np.ndarray:
    """Subtracts the mean and divides by the deviation of the whole crop (step 6)."""
    mean = pixels.mean(dtype=np.float64)
    deviation = pixels.std(dtype=np.float64)
    # PORT: a constant crop (deviation 0) gives zeros; the release divides by zero.
    return ((pixels - np.float32(mean)) / np.float32(deviation or 1)).astype(np.float32)


def pyramid(pixels: np.ndarray, levels: int = LEVELS) -> list[np.ndarray]:
    """Builds the Gaussian pyramid of (H, W, 3) float32 pixels, finest level first (step 7)."""
    result = [pixels]
    for _ in range(levels - 1):
        finest = result[-1]
        if min(finest.shape[:2]) < 3:
            raise InputError("the box is too narrow for an image pyramid")
        rows, columns = _level_operator(finest.shape[0]), _level_operator(finest.shape[1])
        result.append(_apply(rows, columns, finest))
    return result


def pad_batch(images: Sequence[np.ndarray]) -> np.ndarray:
    """Stacks images of different sizes, zeros at the bottom and the right (step 8)."""
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    batch = np.zeros((len(images), height, width, 3), np.float32)
    for padded, image in zip(batch, images, strict=True):
        padded[: image.shape[0], : image.shape[1]] = image
    return batch
