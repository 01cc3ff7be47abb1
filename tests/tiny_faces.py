"""Tiny annotated faces: bright blobs on black, one at each landmark."""

import numpy as np
from PIL import Image

from musica.files import image_files, landmark_files

SIZE = (76, 92)  # rows, columns of an image


def blobs(shape, landmarks, sigma=1.2):
    """A (H, W, 3) uint8 picture with a blob at each landmark (y, x)."""
    rows, columns = np.indices(shape)
    distances = [(rows - y) ** 2 + (columns - x) ** 2 for y, x in landmarks]
    value = np.exp(-np.min(distances, axis=0) / (2 * sigma**2))
    return np.repeat(np.rint(255 * value).astype(np.uint8)[..., None], 3, axis=2)


def landmarks(seed, count=68):
    """(count, 2) points in a jittered grid, some 40 pixels wide."""
    generator = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(count)))
    grid = np.stack(np.divmod(np.arange(count), side), axis=1) * 40 / (side - 1)
    return grid + generator.uniform(10, 30, 2) + generator.uniform(-1, 1, grid.shape)


def write_faces(folder, count, landmark_count=68):
    """Writes images with their landmarks and a list; returns the configuration's keys of them."""
    for index in range(count):
        points = landmarks(index, landmark_count)
        image = blobs(SIZE, points)
        image[..., 1] //= 2 + index % 3  # no two faces look the same, nor do the channels
        path = folder / f"face{index}.png"
        image_files.write_image(path, Image.fromarray(image))
        landmark_files.write_landmarks(path.with_suffix(".pts"), points)
    names = write_list(folder / "list.txt", *(f"face{index}.png" for index in range(count)))
    return {"train_filenames": [names], "image_dir": str(folder)}


def write_list(path, *names):
    path.write_text("\n".join(names), encoding="utf-8")
    return str(path)
