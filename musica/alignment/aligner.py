"""The public API: aligns faces, and spends on each no more iterations than it needs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from musica.alignment.realignment import Realignment, realign
from musica.errors import InputError
from musica.files.image_files import read_image
from musica.geometry import crops
from musica.models.loading import SHIPPED_LITE_MODEL, load_any_model

if TYPE_CHECKING:
    from musica.alignment.detector import FaceDetector

# An array or the path of a file.
Picture: TypeAlias = np.ndarray | str | os.PathLike


@dataclass(frozen=True, eq=False)
class Face:
    """An aligned face.

    Attributes:
        landmarks: (N, 2) float64, (y, x) image pixels, 0-based.
        error_estimate: the model's own, on the scale of ``losses.l1_error``.
        iterations: how many iterations were run for it, those of a second alignment too.
        failed: the estimate after the last iteration is still above the fail threshold.
        expected_nme: the estimate on the NME scale, a fraction of the distance of the outer eye
            corners: the mean error of faces with such an estimate after as many iterations; None
            if the model is not calibrated.
        multiply_adds: what all that cost.
    """

    landmarks: np.ndarray
    error_estimate: float
    iterations: int
    failed: bool
    expected_nme: float | None = None
    multiply_adds: int = 0

    def as_xy(self) -> np.ndarray:
        """The landmarks as (N, 2) float64 (x, y) image pixels, 0-based."""
        return self.landmarks[:, ::-1].copy()


@dataclass(frozen=True, eq=False)
class PreparedFace:
    """What the model needs of a face.

    Attributes:
        crop: where the face lies in its image.
        pyramid: the normalised levels, as the model's runner wants them.
        initial: (N, 2) float32 initial landmarks, (y, x) level-0 pixels.
        image: (H, W, 3) or (H, W) uint8, for a second alignment; None: there is none.
        box: (4,) in which it was looked for.
        roll: degrees by which the crop was turned.
    """

    crop: crops.Crop
    pyramid: object
    initial: np.ndarray
    image: np.ndarray | None = None
    box: np.ndarray | None = None
    roll: float = 0.0


class FaceAligner:
    """Aligns faces; each quits as soon as its estimated error is small enough.

    Args:
        model: a ``MuSiCa`` or ``MDM`` model, or the ``LiteModel`` that one was exported to.
        reference_shape: (N, 2) mean face, (y, x) crop pixels; the model's own if None.
        runner: prepares faces and computes iterations, as ``KerasRunner``; the model's if None.

    Raises:
        InputError: there is no reference shape, or it does not have N points.

    Example:
        >>> aligner = FaceAligner.load()
        >>> aligner.align("portrait.jpg", box=(120, 80, 260, 230)).landmarks.shape
        (68, 2)

    PORT: as in the paper (``METHOD.md`` section 8); the release always runs every iteration.
    """

    def __init__(self, model, reference_shape: np.ndarray | None = None, runner=None):
        self.model = model
        if reference_shape is None:
            reference_shape = model.reference_shape
        if reference_shape is None:
            raise InputError("the model has no reference shape, without which no face is aligned")
        self.reference_shape = np.asarray(reference_shape, np.float64)
        if self.reference_shape.shape != (model.landmark_count, 2):
            raise InputError(
                f"the reference shape has {len(self.reference_shape)} points, "
                f"the model {model.landmark_count}"
            )
        self.runner = runner or _runner(model)
        self._detector: FaceDetector | None = None

    @classmethod
    def load(cls, path: Path | str | None = None) -> "FaceAligner":
        """Reads a saved model, .keras or .tflite.

        If ``path`` is None, the shipped 68-point model: with LiteRT where that is installed, which
        starts at once, otherwise with TensorFlow.

        Raises:
            InputError: missing, unreadable, not a MuSiCa model, or without a reference shape.
        """
        if path is None and SHIPPED_LITE_MODEL.is_file() and find_spec("ai_edge_litert"):
            path = SHIPPED_LITE_MODEL
        return cls(load_any_model(path))

    def align(
        self,
        image: Picture,
        box: Sequence[float] | np.ndarray | None = None,
        roll: float = 0.0,
        **options: Any,
    ) -> Face:
        """Aligns one face.

        Args:
            image: (H, W, 3) RGB or (H, W) grey uint8 array, or the path of an image.
            box: x0, y0, x1, y1 of the face in image pixels, inclusive corners, tight around the
                landmarks; None: the face that is found first, with the extra ``musica[detect]``.
            roll: degrees by which the crop is turned to make the face upright.
            **options: thresholds and iterations, as for ``align_prepared``.

        Raises:
            InputError: the image, the box or an option cannot be used, or no face is found.
        """
        if box is None:
            image = read_image(image) if isinstance(image, str | os.PathLike) else image
            box = self._found(np.asarray(image))
        return self.align_prepared([self.prepare(image, box, roll)], **options)[0]

    def align_batch(self, images: Sequence[Picture], boxes: Sequence, **options: Any) -> list[Face]:
        """Aligns one face in each image; arguments and errors as for ``align``.

        They are computed together, so memory grows with their number.
        """
        if len(images) != len(boxes):
            raise InputError(f"{len(images)} images but {len(boxes)} boxes")
        prepared = [self.prepare(image, box) for image, box in zip(images, boxes, strict=True)]
        return self.align_prepared(prepared, **options)

    def prepare(
        self,
        image: Picture,
        box: Sequence[float] | np.ndarray,
        roll: float = 0.0,
        keep_image: bool = True,
    ) -> PreparedFace:
        """Crops and normalises a face (``METHOD.md`` section 1); arguments as for ``align``.

        Without its image, which may be large, a face is not aligned a second time.
        """
        image = read_image(image) if isinstance(image, str | os.PathLike) else np.asarray(image)
        crop = crops.crop_of_box(box, self.model.margin, self.model.box_size, roll)
        face = self.prepare_crop(image, crop)
        if not keep_image:
            return face
        return replace(face, image=image, box=np.asarray(box, np.float64), roll=roll)

    def prepare_crop(self, image: np.ndarray, crop: crops.Crop) -> PreparedFace:
        """Normalises a crop.

        Raises:
            InputError: the image or the crop cannot be used.
        """
        pyramid = self.runner.pyramid(image, crop)
        return PreparedFace(
            crop, pyramid, crop.initial_shape(self.reference_shape).astype(np.float32)
        )

    def realignment(
        self,
        iterations: int | None = None,
        realign_threshold: float | None = None,
        realign_turn: float | None = None,
        **_: Any,
    ) -> Realignment | None:
        """Who is aligned again, by options of ``align_prepared``; None: no face."""
        if realign_threshold is None:
            realign_threshold = self.model.realign_threshold
        if realign_turn is None:
            realign_turn = self.model.realign_turn
        if iterations is not None or realign_threshold is None:
            return None
        return Realignment(realign_threshold, realign_turn)

    def align_prepared(
        self,
        faces: list[PreparedFace],
        stop_threshold: float | Sequence[float] | None = None,
        fail_threshold: float | None = None,
        iterations: int | None = None,
        realign_threshold: float | None = None,
        realign_turn: float | None = None,
    ) -> list[Face]:
        """Runs the iterations; after each but the last, faces that are good enough stop.

        Args:
            faces: from ``prepare``.
            stop_threshold: a face stops when its estimate is below; one for all iterations, or
                one for each but the last; the model's if None.
            fail_threshold: a face failed when its last estimate is above; the model's if None.
            iterations: run exactly so many for every face, none stops, none is aligned again;
                selective if None.
            realign_threshold: a face is aligned again, turned upright, when its estimate is above
                (``realignment``); the model's if None, which may be never.
            realign_turn: as ``Realignment.turn``; the model's if None.

        Returns:
            One ``Face`` for each, in order; none depends on the others.

        Raises:
            InputError: the model does not have that many iterations.
        """
        count = len(self.model.levels)
        if iterations is not None and not 1 <= iterations <= count:
            raise InputError(f"iterations must be 1 to {count}, not {iterations}")
        stop = self.model.stop_threshold if stop_threshold is None else stop_threshold
        fail = self.model.fail_threshold if fail_threshold is None else fail_threshold
        run = partial(self._run, stop=stop, fail=fail)
        found = run(faces, iterations=iterations)
        settings = self.realignment(iterations, realign_threshold, realign_turn)
        return realign(self, faces, found, settings, run) if settings else found

    def _run(self, faces: Sequence[PreparedFace], stop, fail, iterations=None) -> list[Face]:
        """Runs the iterations once; arguments as for ``align_prepared``, None: no threshold."""
        if not faces:
            return []
        last = (iterations or len(self.model.levels)) - 1
        stops_below = np.full(len(self.model.levels) - 1, -np.inf)
        if stop is not None:
            if np.size(stop) not in (1, len(stops_below)):
                raise InputError(f"stop_threshold must be one or {len(stops_below)} numbers")
            stops_below[:] = stop
        results: dict[int, Face] = {}
        active = np.arange(len(faces))
        initial = np.array([face.initial for face in faces])
        state = {
            "displacement": np.zeros_like(initial),
            "hidden": np.zeros((len(faces), self.model.hidden_size), np.float32),
        }
        for k in range(last + 1):
            if not len(active):
                break
            # Only the faces that got here are computed.
            pyramids = [faces[index].pyramid for index in active.tolist()]
            state, landmarks, errors = self.runner.iterate(k, pyramids, initial[active], state)
            stops = np.full(len(active), k == last)
            if k < last and iterations is None:
                stops = errors < stops_below[k]  # ``METHOD.md`` section 8
            for row in np.flatnonzero(stops):
                index = int(active[row])
                points = faces[index].crop.to_image(landmarks[row].astype(np.float64))
                estimate = float(errors[row])
                failed = k == last and fail is not None and not estimate <= fail
                expected, cost = self._expected_nme(k, estimate), self.model.multiply_adds[k]
                results[index] = Face(points, estimate, k + 1, failed, expected, cost)
            state = {name: value[~stops] for name, value in state.items()}
            active = active[~stops]
        return [results[index] for index in range(len(faces))]

    def _found(self, image: np.ndarray) -> np.ndarray:
        """The box of the most certain face in an image."""
        if self._detector is None:
            from musica.alignment.detector import FaceDetector

            self._detector = FaceDetector()
        boxes = self._detector.detect(image)
        if not boxes:
            raise InputError("no face was found in the image")
        return boxes[0]

    def _expected_nme(self, k: int, estimate: float) -> float | None:
        """The NME that an estimate after iteration k stands for; None without a calibration."""
        if self.model.calibration is None:
            return None
        return float(np.interp(estimate, *self.model.calibration[k]))


def _runner(model):
    """What computes the iterations: ``pyramid`` prepares a face for ``iterate``."""
    from musica.models.lite_model import LiteModel, LiteRunner

    if isinstance(model, LiteModel):
        return LiteRunner(model)
    from musica.alignment.keras_runner import KerasRunner

    return KerasRunner(model)
