"""The release's augmentation, seeded (``METHOD.md`` section 7).

Release functions: ``augment_image``, ``add_bb_noise``, ``rgb2gray``. Images are (H, W, 3) uint8,
landmarks (N, 2) (y, x), boxes x0 y0 x1 y1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from PIL import Image

from musica.cli.config import option
from musica.errors import InputError
from musica.geometry.crops import bounding_box, transform_points
from musica.geometry.landmarks import mirrored
from musica.training.appearance import clip_colours, coarsen, occlude, relight
from musica.training.face_crops import AUGMENTED_PART, RELEASE, FaceCrops
from musica.training.head_turn import LARGEST_TURN, HeadTurn


@dataclass(frozen=True)
class AugmentConfig:
    """How faces are augmented; the defaults are the release's."""

    augment_probability: float = option(0.5, "share of faces that are warped, recoloured, occluded")
    rotation: float = option(30.0, "largest rotation, degrees")
    wide_rotation: float = option(0.0, "largest rotation of the share that is rotated further")
    wide_rotation_probability: float = option(0.0, "share of augmented faces rotated further")
    shear: float = option(0.3, "largest shear on each axis")
    stretch: float = option(0.4, "x is scaled by 1 +- this")
    box_growth_y: float = option(0.1, "the box's height is scaled by up to 1 + this")
    box_growth_x: float = option(0.2, "the box's width is scaled by up to 1 + this")
    box_shrinkage: float = option(0.0, "the box's sides are scaled by at least 1 - this")
    box_shift: float = option(0.2, "the box is shifted by up to this share of its sides")
    occlusion_probability: float = option(1.0, "share of augmented faces with an occluder")
    grey_probability: float = option(0.5, "share of all faces turned grey")
    colour_clip: float = option(0.4, "up to this share of a channel's range is clipped at each end")
    coarse_probability: float = option(0.0, "share of augmented faces at a lower resolution")
    lighting_probability: float = option(0.0, "share of augmented faces in another light")
    mirror_probability: float = option(0.0, "share of all faces mirrored")
    turn: float = option(0.0, "largest synthetic turn of augmented heads, degrees; nods: half")
    turn_probability: float = option(1.0, "share of augmented faces whose heads are turned")

    def __post_init__(self) -> None:
        if not 0 <= self.turn <= LARGEST_TURN:
            raise InputError(f"turn must be 0 to {LARGEST_TURN:g} degrees, not {self.turn:g}")
        for field in fields(AugmentConfig):
            name, value = field.name, getattr(self, field.name)
            if name in ("box_shrinkage", "stretch") and not 0 <= value < 1:
                raise InputError(f"{name} must be 0 to less than 1, not {value:g}")
            if name.endswith("_probability") and not 0 <= value <= 1:
                raise InputError(f"{name} must be 0 to 1, not {value:g}")
            if not 0 <= value < np.inf:
                raise InputError(f"{name} must be 0 or more, not {value:g}")


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
    crops: FaceCrops = RELEASE,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Augments one face.

    Args:
        image: (H, W, 3) uint8.
        landmarks: (N, 2) float64, (y, x) image pixels.
        box: (4,) x0, y0, x1, y1.
        rng: where all randomness comes from.
        options: how much of what.
        mirror_order: the scheme's mirror permutation; needed if faces are mirrored.
        crops: how the face will be cut out.

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
        window = crops.window(box)
        image = crops.render(image, window.matrix @ warp.matrix, window.size, turn)
        if rng.random() < options.coarse_probability:
            image = coarsen(image, rng)
        if options.lighting_probability and rng.random() < options.lighting_probability:
            image = relight(image, rng)
        image = clip_colours(image, rng, options.colour_clip)
        if rng.random() < options.occlusion_probability:
            image = occlude(image, warp.canvas, window.matrix, rng)
        landmarks = transform_points(window.matrix, landmarks)
        box = window.box
    if rng.random() < options.grey_probability:
        image = np.asarray(Image.fromarray(image).convert("L"))
    return image, landmarks, box


def mirror(
    image: np.ndarray, landmarks: np.ndarray, box: np.ndarray, mirror_order: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mirrors image, landmarks and box, and re-orders the landmarks."""
    last = image.shape[1] - 1
    points = mirrored(landmarks, mirror_order, image.shape[1])
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
    """Grows or shrinks a box about its centre and shifts it, as a detector would.

    PORT: x is shifted by the width and y by the height; the release swaps the two.
    """
    sides, centre = box[2:] - box[:2], (box[:2] + box[2:]) / 2
    growth = 1 + np.array(
        [
            rng.uniform(-options.box_shrinkage, options.box_growth_x),
            rng.uniform(-options.box_shrinkage, options.box_growth_y),
        ]
    )
    centre = centre + rng.uniform(-options.box_shift, options.box_shift, 2) * sides
    return np.concatenate([centre - sides * growth / 2, centre + sides * growth / 2])
