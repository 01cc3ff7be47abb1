"""Annotated faces on disk -> tf.data batches of what the models take.

Sample order and augmentation are functions of the seed and the position in the run alone, so a
resumed run sees exactly the faces an uninterrupted one would.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from musica.errors import InputError
from musica.files import image_files
from musica.files.annotated_faces import AnnotatedFace
from musica.geometry import crops
from musica.geometry.landmarks import SCHEMES
from musica.preprocessing import release_pyramid
from musica.training.augment import AUGMENTED_PART, AugmentConfig, augment

# More threads of Python wait for each other longer than they work.
PARALLEL_BATCHES = 1
# Decoding whole photographs takes longer than all the rest, so what was cut out of them is kept.
KEPT_BYTES = 4 << 30
# Prepared faces that are kept for the batches to come, if each is used in several.
KEPT_SAMPLES = 512


class FaceSamples:
    """Turns annotated faces into model inputs, in an order given by the seed.

    Args:
        faces: the annotated faces.
        reference_shape: (N, 2) float, (y, x) crop pixels.
        augmentation: how to augment, or None for every face once, in order, as it is.
        seed: decides order and augmentation, together with the position.
        levels: number of pyramid levels.
        box_size: the box's longer side in crop pixels.
        margin: share of the box's side added on each side.
        echo: in how many successive batches a prepared face is used (Choi et al., "Faster Neural
            Network Training with Data Echoing", 2019); divides the batch size.
    """

    def __init__(
        self,
        faces: Sequence[AnnotatedFace],
        reference_shape: np.ndarray,
        augmentation: AugmentConfig | None = None,
        seed: int = 0,
        levels: int = release_pyramid.LEVELS,
        box_size: int = crops.BOX_SIZE,
        margin: float = crops.MARGIN,
        echo: int = 1,
    ):
        self.faces = list(faces)
        self.reference_shape = np.asarray(reference_shape, np.float64)
        self.augmentation = augmentation
        self.seed = seed
        self.levels = levels
        self.box_size = box_size
        self.margin = margin
        self.echo = echo
        self._echoed = lru_cache(maxsize=KEPT_SAMPLES)(self.sample)
        scheme = SCHEMES.get(len(self.reference_shape))
        self.mirror_order = None if scheme is None else scheme.mirror
        if augmentation and augmentation.mirror_probability and self.mirror_order is None:
            raise InputError("mirroring needs a scheme with 68 or 98 landmarks")
        self._order = lru_cache(maxsize=2)(self._shuffled)
        self._kept: dict[tuple, np.ndarray] = {}
        self._kept_bytes = 0

    def _shuffled(self, epoch: int) -> np.ndarray:
        """The order of the faces in one pass over them."""
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.faces))

    def sample(self, position: int) -> tuple[np.ndarray, ...]:
        """Prepares the face at a position of the run.

        Returns:
            The pyramid's levels, finest first, (H_l, W_l, C) float32, C = 1 for a grey face, then
            the initial and the true landmarks, (N, 2) float32, (y, x) level-0 pixels.

        Raises:
            InputError: the image is unreadable, or its box lies outside it.
        """
        epoch, place = divmod(int(position), len(self.faces))
        face = self.faces[place if self.augmentation is None else self._order(epoch)[place]]
        try:
            return self._prepared(face, np.random.default_rng([self.seed, epoch, place]))
        except InputError as error:
            raise InputError(f"{face.name}: {error}") from error

    def _prepared(self, face: AnnotatedFace, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Augments one face, crops it and builds its pyramid."""
        if self.augmentation is None:
            image, landmarks, box = image_files.read_image(face.image), face.landmarks, face.box
        else:
            image, landmarks, box = augment(
                *self.load(face),
                rng,
                self.augmentation,
                self.mirror_order,
                self.box_size,
                self.margin,
            )
        # PORT: the release crops slightly differently in training than in inference.
        crop = crops.crop_of_box(box, self.margin, self.box_size)
        pixels = release_pyramid.normalise(release_pyramid.crop_image(image, crop))
        initial = crop.initial_shape(self.reference_shape).astype(np.float32)
        truth = crop.to_crop(landmarks).astype(np.float32)
        return (*release_pyramid.pyramid(pixels, self.levels), initial, truth)

    def load(self, face: AnnotatedFace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Reads the part of a face's image that training sees: twice its box, as the release.

        Returns:
            The part, (H, W, 3) uint8, and the landmarks and the box in it.

        Raises:
            InputError: the image is unreadable, or its box lies outside it.
        """
        half = AUGMENTED_PART * (face.box[2:] - face.box[:2] + 1) / 2
        centre = (face.box[:2] + face.box[2:]) / 2
        left, top = np.floor(centre - half).astype(int).clip(0)
        right, bottom = np.ceil(centre + half).astype(int) + 1
        key = (face.image, left, top, right, bottom)
        if (part := self._kept.get(key)) is None:
            part = image_files.read_image(face.image)[
                top : max(bottom, 0), left : max(right, 0)
            ].copy()
            if not part.size:
                raise InputError("the box lies outside the image")
            if self._kept_bytes + part.nbytes <= KEPT_BYTES:
                self._kept[key] = part
                self._kept_bytes += part.nbytes
        return part, face.landmarks - [top, left], face.box - [left, top, left, top]

    def batch(self, number: int, batch_size: int) -> tuple[np.ndarray, ...]:
        """Prepares a batch: what ``sample`` returns, stacked, the levels padded to one size.

        Zeros at the bottom and the right (``METHOD.md`` section 1, step 8).
        """
        first = number * batch_size // self.echo
        last = first + batch_size
        if self.augmentation is None:
            last = min(last, len(self.faces))
        sample = self.sample if self.echo == 1 else self._echoed
        faces = [sample(position) for position in range(first, last)]
        *levels, initial, truth = zip(*faces, strict=True)
        sizes = [padded_size(level, self.box_size, self.margin) for level in range(self.levels)]
        padded = [
            release_pyramid.pad_batch(images, size)
            for images, size in zip(levels, sizes, strict=True)
        ]
        return (*padded, np.stack(initial), np.stack(truth))


def padded_size(level: int, box_size: int, margin: float) -> int:
    """Side of the square that every training crop of this level fits into, in pixels.

    Rounding makes a crop a little longer than (1 + 2 margin) box_size, by a share that is largest
    for small boxes and below 1/32.
    """
    finest = int(np.ceil(box_size * (1 + 2 * margin) * 33 / 32))
    return -(-finest // 2**level)


def batches(samples: FaceSamples, batch_size: int, first: int = 0, end: int | None = None):
    """Batches ``first`` to ``end`` of a training run, or one pass over validation faces.

    Args:
        samples: the faces.
        batch_size: faces per batch.
        first: how many batches of the run are already done.
        end: how many batches the run has, or None for one pass over the faces.

    Returns:
        A tf.data dataset of (inputs, truth): ``{"pyramid": [(B, S_l, S_l, 3), ...], "initial":
        (B, N, 2)}`` and (B, N, 2), float32. Levels are zero-padded at the bottom and the right to
        one size, so that a training step is compiled once.
    """
    import tensorflow as tf

    if end is None:
        end = -(-len(samples.faces) // batch_size)
    count = len(samples.reference_shape)
    sizes = [
        padded_size(level, samples.box_size, samples.margin) for level in range(samples.levels)
    ]
    shapes = [(None, size, size, 3) for size in sizes] + [(None, count, 2)] * 2

    def prepared(batch):
        arrays = tf.numpy_function(
            lambda number: samples.batch(int(number), batch_size),
            [batch],
            [tf.float32] * len(shapes),
        )
        for array, shape in zip(arrays, shapes, strict=True):
            array.set_shape(shape)
        return {"pyramid": tuple(arrays[:-2]), "initial": arrays[-2]}, arrays[-1]

    return (
        tf.data.Dataset.range(first, end)
        .map(prepared, num_parallel_calls=PARALLEL_BATCHES, deterministic=True)
        .prefetch(1)
    )
