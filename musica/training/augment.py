"""The release's augmentation, seeded (``METHOD.md`` section 7).

Release functions: ``augment_image``, ``add_color_jetting``, ``add_occlusion``, ``add_bb_noise``,
``rgb2gray``. Images are (H, W, 3) uint8, landmarks (N, 2) (y, x), boxes x0 y0 x1 y1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from musica.cli.config import option
from musica.errors import InputError
from musica.geometry import crops
from musica.geometry.crops import bounding_box, transform_points
from musica.training.head_turn import LARGEST_TURN, HeadTurn

# The part of an image that is augmented, as a multiple of the box's sides.
AUGMENTED_PART = 2.0
# A turn of the head is rendered by so many cells on each axis, bilinear within each.
TURN_CELLS = 8
# The lowest resolution at which a face is shown, as a share of that of its crop.
LOWEST_RESOLUTION = 0.25
# How often brighter one side of a face may be lit than the other, and the largest gamma.
BRIGHTER_SIDE = 3.0
LARGEST_GAMMA = 2.0


@dataclass(frozen=True)
class AugmentConfig:
    """How faces are augmented; the defaults are the release's."""

    augment_probability: float = option(0.5, "share of faces that are warped, recoloured, occluded")
    rotation: float = option(30.0, "largest rotation, degrees")
    wide_rotation: float = option(0.0, "largest rotation of the share that is rotated further")
    wide_rotation_probability: float = option(0.0, "share of augmented faces rotated further")
    shear: float = option(0.3, "largest shear on each axis")
    stretch: float = option(0.4, "x is scaled by 1 +- this")
    box_growth_y: float = option(0.1, "the box's height is scaled by 1 to 1 + this")
    box_growth_x: float = option(0.2, "the box's width is scaled by 1 to 1 + this")
    box_shift: float = option(0.2, "the box is shifted by up to this share of its sides")
    occlusion_probability: float = option(1.0, "share of augmented faces with an occluder")
    grey_probability: float = option(0.5, "share of all faces turned grey")
    colour_clip: float = option(0.4, "up to this share of a channel's range is clipped at each end")
    coarse_probability: float = option(0.0, "share of augmented faces at a lower resolution")
    lighting_probability: float = option(0.0, "share of augmented faces in another light")
    mirror_probability: float = option(0.0, "share of all faces mirrored")
    turn: float = option(0.0, "largest synthetic turn of augmented heads, degrees; half to nod")
    turn_probability: float = option(1.0, "share of augmented faces whose heads are turned")

    def __post_init__(self):
        if not 0 <= self.turn <= LARGEST_TURN:
            raise InputError(f"turn must be 0 to {LARGEST_TURN:g} degrees, not {self.turn:g}")


@dataclass(frozen=True)
class Warp:
    """An affine map of a face and the canvas that holds all of it.

    Attributes:
        matrix: (3, 3) on (x, y, 1), pixel indices of the image -> of the canvas.
        canvas: (2,) rows and columns of the canvas.
    """

    matrix: np.ndarray
    canvas: np.ndarray


def augment(
    image: np.ndarray,
    landmarks: np.ndarray,
    box: np.ndarray,
    rng: np.random.Generator,
    options: AugmentConfig,
    mirror_order: Sequence[int] | None = None,
    box_size: int = crops.BOX_SIZE,
    margin: float = crops.MARGIN,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Augments one face.

    Args:
        image: (H, W, 3) uint8.
        landmarks: (N, 2) float64, (y, x) image pixels.
        box: (4,) x0, y0, x1, y1.
        rng: where all randomness comes from.
        options: how much of what.
        mirror_order: the scheme's mirror permutation; needed if faces are mirrored.
        box_size: the box's longer side in the crop that will be cut.
        margin: the margin of that crop, as a share of the box's sides.

    Returns:
        The image, (H', W', 3) uint8, or (H', W') if turned grey, its landmarks and its box. An
        augmented image is just the part that the crop of its box will need.
    """
    if rng.random() < options.mirror_probability:
        assert mirror_order is not None, "mirroring needs a mirror order"
        image, landmarks, box = mirror(image, landmarks, box, mirror_order)
    if rng.random() < options.augment_probability:
        turned = options.turn and rng.random() < options.turn_probability
        turn = random_turn(box, rng, options) if turned else None
        if turn is not None:
            landmarks = turn.forward(landmarks[:, ::-1])[:, ::-1]
        warp = random_warp(box, rng, options)
        landmarks = transform_points(warp.matrix, landmarks)
        box = noisy_box(bounding_box(landmarks), rng, options)
        # PORT: only the part of the canvas that the crop needs is rendered, no finer than the crop;
        # the release renders the whole canvas and takes the colour ranges from there.
        to_window, size = _window(box, box_size, margin)
        image = _rendered(image, to_window @ warp.matrix, size, turn)
        if rng.random() < options.coarse_probability:
            image = coarsen(image, rng)
        if options.lighting_probability and rng.random() < options.lighting_probability:
            image = relight(image, rng)
        image = clip_colours(image, rng, options.colour_clip)
        if rng.random() < options.occlusion_probability:
            image = occlude(image, warp.canvas, to_window, rng)
        landmarks = transform_points(to_window, landmarks)
        box = _moved_box(to_window, box)
    if rng.random() < options.grey_probability:
        image = np.asarray(Image.fromarray(image).convert("L"))
    return image, landmarks, box


def mirror(
    image: np.ndarray, landmarks: np.ndarray, box: np.ndarray, mirror_order: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mirrors image, landmarks and box, and re-orders the landmarks.

    PORT: x' = W - 1 - x, with the pixels; the release uses W - x, one pixel off.
    """
    last = image.shape[1] - 1
    points = landmarks[list(mirror_order)]
    points = np.stack([points[:, 0], last - points[:, 1]], axis=1)
    return image[:, ::-1], points, np.array([last - box[2], box[1], last - box[0], box[3]])


def random_warp(box: np.ndarray, rng: np.random.Generator, options: AugmentConfig) -> Warp:
    """Draws a rotation, then a shear, then a stretch of x, about the centre of twice the box."""
    share = options.wide_rotation_probability
    wide = share and rng.random() < share
    largest = options.wide_rotation if wide else options.rotation
    angle = np.deg2rad(rng.uniform(-largest, largest))
    shear_x, shear_y = rng.uniform(-options.shear, options.shear, 2)
    stretch = rng.uniform(1 - options.stretch, 1 + options.stretch)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = np.diag([stretch, 1]) @ np.array([[1, shear_x], [shear_y, 1]]) @ rotation

    sides = AUGMENTED_PART * (box[2:] - box[:2] + 1)
    canvas = np.ceil(np.abs(linear) @ sides)  # (columns, rows) around the warped corners
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = (canvas - 1) / 2 - linear @ ((box[:2] + box[2:]) / 2)
    return Warp(matrix, canvas[::-1])


def random_turn(box: np.ndarray, rng: np.random.Generator, options: AugmentConfig) -> HeadTurn:
    """Draws a turn to the side, and up or down by at most half as much."""
    yaw, pitch = rng.uniform(-options.turn, options.turn, 2) * [1, 0.5]
    return HeadTurn(box, yaw, pitch)


def noisy_box(box: np.ndarray, rng: np.random.Generator, options: AugmentConfig) -> np.ndarray:
    """Grows a box about its centre and shifts it, as a detector would.

    PORT: x is shifted by the width and y by the height; the release swaps the two.
    """
    sides, centre = box[2:] - box[:2], (box[:2] + box[2:]) / 2
    growth = 1 + np.array(
        [rng.uniform(0, options.box_growth_x), rng.uniform(0, options.box_growth_y)]
    )
    centre = centre + rng.uniform(-options.box_shift, options.box_shift, 2) * sides
    return np.concatenate([centre - sides * growth / 2, centre + sides * growth / 2])


def _window(box: np.ndarray, box_size: int, margin: float) -> tuple[np.ndarray, tuple[int, int]]:
    """The part of the canvas that the crop of ``box`` reads, shrunk to the crop's resolution.

    Returns:
        (3, 3) matrix from canvas to window, pixel indices, and the window's columns and rows.
    """
    zoom = min(1.0, box_size / (box[2:] - box[:2] + 1).max())
    region = crops.margin_region((box + 0.5) * zoom - 0.5, margin)
    matrix = np.diag([zoom, zoom, 1.0])
    matrix[:2, 2] = (zoom - 1) / 2 - region[:2]  # pixel i covers [i, i+1): centres at i + 1/2
    columns, rows = region[2:] - region[:2] + 1
    return matrix, (int(columns), int(rows))


def _rendered(
    image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], turn: HeadTurn | None = None
) -> np.ndarray:
    """Turns the head, then warps (H, W, 3) uint8 by a matrix on pixel indices; zeros outside."""
    half = np.eye(3)
    half[:2, 2] = 0.5
    back = np.linalg.inv(half @ matrix @ np.linalg.inv(half))  # Pillow's centres are at i + 1/2
    pillow = Image.fromarray(np.ascontiguousarray(image))
    if turn is None:
        method, data = Image.Transform.AFFINE, tuple(back[:2].ravel())
    else:
        method, data = Image.Transform.MESH, _mesh(back, size, turn)
    return np.asarray(pillow.transform(size, method, data, Image.Resampling.BILINEAR))


def _mesh(back: np.ndarray, size: tuple[int, int], turn: HeadTurn) -> list:
    """Where the cells of a turned and warped image come from, as Pillow wants it."""
    columns, rows = (np.linspace(0, side, TURN_CELLS + 1).round().astype(int) for side in size)
    corners = np.stack(np.meshgrid(columns, rows), axis=-1) @ back[:2, :2].T + back[:2, 2]
    corners = turn.backward(corners - 0.5) + 0.5
    # Each cell's source: its north-west, south-west, south-east and north-east corner.
    quads = [corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]]
    quads = np.concatenate(quads, axis=-1).reshape(-1, 8).tolist()
    left, top = np.meshgrid(columns[:-1], rows[:-1])
    right, bottom = np.meshgrid(columns[1:], rows[1:])
    targets = np.stack([left, top, right, bottom], axis=-1).reshape(-1, 4).tolist()
    return list(zip(map(tuple, targets), map(tuple, quads), strict=True))


def _moved_box(matrix: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A box under a matrix that only scales and shifts."""
    corners = transform_points(matrix, box[[1, 0, 3, 2]].reshape(2, 2))
    return corners[:, ::-1].ravel()


def coarsen(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shows (H, W, 3) uint8 as if it had been taken with fewer pixels, the same shape."""
    picture = Image.fromarray(image)
    share = rng.uniform(LOWEST_RESOLUTION, 1)
    small = picture.resize(
        [max(1, round(side * share)) for side in picture.size], Image.Resampling.BILINEAR
    )
    return np.asarray(small.resize(picture.size, Image.Resampling.BILINEAR))


def relight(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shows (H, W, 3) uint8 with another gamma and lit from one side."""
    gamma = LARGEST_GAMMA ** rng.uniform(-1, 1)
    direction, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, np.log(BRIGHTER_SIDE))
    y, x = (np.linspace(-0.5, 0.5, side) for side in image.shape[:2])
    log_light = np.add.outer(np.sin(direction) * y, np.cos(direction) * x) * strength
    table = 255 * (np.arange(256) / 255) ** gamma
    lit = table.astype(np.float32)[image] * np.exp(log_light)[..., None]
    return np.rint(lit.clip(0, 255)).astype(np.uint8)


def clip_colours(image: np.ndarray, rng: np.random.Generator, most: float = 0.4) -> np.ndarray:
    """Clips each channel's ends: below U(0, most) to 0, above U(1 - most, 1) to 1.

    Then (v - min) / max per channel, v in [0, 1]; here by a table of the 256 values.
    """
    values = np.arange(256) / 255
    tables = []
    for extrema in Image.fromarray(image).getextrema():
        low, high = rng.uniform(0, most), rng.uniform(1 - most, 1)
        clipped = np.where(values < low, 0, np.where(values > high, 1, values))
        smallest, largest = clipped[np.array(extrema)]
        # PORT: a channel that is all zero stays so; the release divides by zero.
        table = 255 * (clipped - smallest) / (largest or 1)
        tables.extend(np.rint(table.clip(0, 255)).astype(int).tolist())
    return np.asarray(Image.fromarray(image).point(tables))


def occlude(
    image: np.ndarray, canvas: np.ndarray, to_window: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Covers a random rectangle of the canvas with uniform noise.

    Args:
        image: (H, W, 3) uint8, the window of the canvas that was rendered.
        canvas: (2,) rows and columns of the canvas.
        to_window: (3, 3) from canvas to window pixels.
        rng: where the rectangle and the noise come from.

    Returns:
        (H, W, 3) uint8, a copy.
    """
    sides = rng.uniform(1, np.maximum(canvas / 2, 1))
    centre = rng.uniform(0, canvas)
    corners = np.stack([centre - sides / 2, centre + sides / 2])
    corners = np.rint(transform_points(to_window, corners)).astype(int)
    (top, left), (bottom, right) = np.maximum(corners, 0)
    image = image.copy()
    covered = image[top:bottom, left:right]
    covered[:] = rng.integers(0, 256, covered.shape, dtype=np.uint8)
    return image
