"""Annotated faces on disk -> arrays of what the models take.

Sample order and augmentation are functions of the seed and the position in the run alone, so a
resumed run sees exactly the faces an uninterrupted one would, whoever prepares them.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from musica.errors import InputError
from musica.files import image_files
from musica.files.annotated_faces import AnnotatedFace
from musica.geometry import crops
from musica.geometry.landmarks import SCHEMES
from musica.preprocessing import release_pyramid
from musica.training.augment import AugmentConfig, augment
from musica.training.face_crops import PREPROCESSING
from musica.training.face_parts import FaceParts

CACHE_GIGABYTES = 4.0
ALIGNMENT = 64


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
        preprocessing: a key of ``face_crops.PREPROCESSING``.
        weights: how often each face is drawn in an epoch, on average, fractions allowed; every
            face once if None.
        cache_gigabytes: memory for the parts of images that were read.

    Raises:
        InputError: faces are mirrored, but their number of landmarks has no scheme; or the weights
            draw no face.
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
        preprocessing: str = "release",
        weights: Sequence[float] | None = None,
        cache_gigabytes: float = CACHE_GIGABYTES,
    ):
        self.faces = list(faces)
        self.reference_shape = np.asarray(reference_shape, np.float64)
        self.augmentation = augmentation
        self.seed = seed
        self.crops = PREPROCESSING[preprocessing](levels, box_size, margin)
        self.parts = FaceParts(self.crops, cache_gigabytes * 2**30)
        scheme = SCHEMES.get(len(self.reference_shape))
        self.mirror_order = None if scheme is None else scheme.mirror
        if augmentation and augmentation.mirror_probability and self.mirror_order is None:
            raise InputError("mirroring needs a scheme with 68 or 98 landmarks")
        self._weights = None if weights is None else np.asarray(weights, np.float64)
        self.epoch_length = epoch_length(len(self.faces), weights)
        if not self.epoch_length:
            raise InputError("the weights of the faces draw no face in an epoch")
        # The last epoch that was asked for, and its order.
        self._order = (-1, np.array([], np.int64))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the arrays of a face: of each level, then of initial and true landmarks."""
        sides = [self.crops.side(level) for level in range(self.crops.levels)]
        return [*((side, side, 3) for side in sides), *[self.reference_shape.shape] * 2]

    def empty(self, count: int) -> list[np.ndarray]:
        """Float32 arrays for ``count`` faces, which TensorFlow takes over without a copy.

        It does so if they begin at multiples of 64 bytes; where NumPy puts them it would copy them.
        """
        arrays = []
        for shape in self.shapes:
            length = 4 * count * prod(shape)
            memory = np.empty(length + ALIGNMENT, np.uint8)
            first = -memory.ctypes.data % ALIGNMENT
            array = memory[first : first + length].view(np.float32)
            arrays.append(array.reshape(count, *shape))
        return arrays

    def face_number(self, position: int) -> int:
        """Which face stands at a position of the run."""
        epoch, place = divmod(position, self.epoch_length)
        if self.augmentation is None:
            return place
        if self._order[0] != epoch:
            self._order = (epoch, self._drawn(epoch))
        return int(self._order[1][place])

    def _drawn(self, epoch: int) -> np.ndarray:
        """The faces of one epoch, in their order."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.faces))
        if self._weights is None:
            return order
        # Systematic sampling: steps of one along the faces' weights, which are laid end to end, so
        # that a face of weight 2.3 is drawn two or three times.
        ends = np.cumsum(self._weights[order])
        steps = (np.arange(self.epoch_length) + rng.random()) * (ends[-1] / self.epoch_length)
        return rng.permutation(order[np.searchsorted(ends[:-1], steps, side="right")])

    def sample(self, position: int) -> tuple[np.ndarray, ...]:
        """Prepares the face at a position of the run.

        Returns:
            The pyramid's levels, finest first, (H_l, W_l, C) float32, C = 1 for a grey face, then
            the initial and the true landmarks, (N, 2) float32, (y, x) level-0 pixels.

        Raises:
            InputError: the image is unreadable, or its box lies outside it.
        """
        epoch, place = divmod(position, self.epoch_length)
        face = self.faces[self.face_number(position)]
        try:
            # A last number of 0 would give the stream of the epoch's order.
            return self._prepared(face, np.random.default_rng([self.seed, epoch, 1 + place]))
        except InputError as error:
            raise InputError(f"{face.name}: {error}") from error

    def _prepared(self, face: AnnotatedFace, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Augments one face, crops it and builds its pyramid."""
        if self.augmentation is None:
            image, landmarks, box = image_files.read_image(face.image), face.landmarks, face.box
        else:
            part = self.parts.load(face)
            image, landmarks, box = augment(
                *part, rng, self.augmentation, self.mirror_order, self.crops
            )
        crop = self.crops.crop(box)
        initial = crop.initial_shape(self.reference_shape).astype(np.float32)
        truth = crop.to_crop(landmarks).astype(np.float32)
        return (*self.crops.pyramid(image, crop), initial, truth)

    def write(self, position: int, arrays: Sequence[np.ndarray]) -> None:
        """Writes what ``sample`` returns into float32 arrays of the shapes ``shapes``.

        Levels are padded with zeros at the bottom and the right (``METHOD.md`` section 1, step 8);
        the one channel of a grey face is repeated.

        Raises:
            InputError: as ``sample``.
        """
        for part, array in zip(self.sample(position), arrays, strict=True):
            rows, columns = part.shape[:2]
            array[:rows, :columns] = part
            array[rows:] = 0
            array[:rows, columns:] = 0


def epoch_length(count: int, weights: Sequence[float] | None) -> int:
    """How many faces are drawn in an epoch of ``count`` faces."""
    return count if weights is None else round(sum(weights))
