"""The public API: aligns faces, and spends on each no more iterations than it needs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from musica.alignment.face import Face, PreparedFace
from musica.alignment.mirroring import mean_face, mirrored
from musica.alignment.options import Options, Plan
from musica.alignment.realignment import better, roll_to_undo
from musica.alignment.runner import Runner
from musica.errors import InputError
from musica.files.image_files import Picture, as_image
from musica.geometry.landmarks import SCHEMES
from musica.models.iteration import IterationState
from musica.models.lite_model import LiteModel
from musica.models.loading import load_model

if TYPE_CHECKING:
    from musica.alignment.detector import FaceDetector


class FaceAligner:
    """Aligns faces; each quits as soon as its estimated error is small enough.

    Threads may share an aligner. A pickled or copied one with an exported model reads its file
    again; a given ``runner`` is not taken along.

    Args:
        model: a ``MuSiCa`` or ``MDM`` model, or the ``LiteModel`` that one was exported to.
        reference_shape: (N, 2) mean face, (y, x) crop pixels; the model's own if None.
        runner: computes iterations; the model's if None.
        effort: how much is spent on a face: a named setting of the model's stop rule. None:
            ``balanced`` if the model has efforts, otherwise its stop threshold.

    Attributes:
        settings: the model's ``ModelSettings``.

    Raises:
        InputError: there is no reference shape, or it does not have N points.

    Example:
        >>> aligner = FaceAligner.load()
        >>> aligner.align("portrait.jpg", box=(120, 80, 260, 230)).landmarks.shape
        (68, 2)

    PORT: as in the paper (``METHOD.md`` section 8); the release always runs every iteration.
    """

    def __init__(
        self,
        model: Any,
        reference_shape: np.ndarray | None = None,
        runner: Runner | None = None,
        effort: str | None = None,
    ):
        self.model = model
        self.settings = model.settings
        if reference_shape is None:
            reference_shape = self.settings.reference_shape
        if reference_shape is None:
            raise InputError("the model has no reference shape, which alignment needs")
        self.reference_shape = np.asarray(reference_shape, np.float64)
        if self.reference_shape.shape != (self.settings.landmark_count, 2):
            raise InputError(
                f"the reference shape has {len(self.reference_shape)} points, "
                f"the model {self.settings.landmark_count}"
            )
        self.runner = runner or _runner(model)
        self.effort = effort
        Plan.of({}, self.settings, effort)  # refuses an effort that the model does not have
        self._preprocessor = self.settings.preprocessor
        profile, calibration = self.settings.landmark_profile, self.settings.calibration
        self._profile = None if profile is None else np.array(profile)
        self._calibration = None if calibration is None else list(map(np.array, calibration))
        self._mirror_order: Sequence[int] | None = None
        if self._preprocessor.averages_mirrored and self.settings.landmark_count in SCHEMES:
            self._mirror_order = SCHEMES[self.settings.landmark_count].mirror
        self._detector: FaceDetector | None = None

    def __reduce__(self) -> tuple:
        return FaceAligner, (self.model, self.reference_shape, None, self.effort)

    @classmethod
    def load(
        cls,
        name: Path | str | None = None,
        runner: str | None = None,
        effort: str | None = None,
    ) -> "FaceAligner":
        """Reads a model.

        Args:
            name: ``68`` or ``98`` for a shipped model, or the path of a .tflite or .keras file; the
                shipped 68-point model if None.
            runner: ``litert`` or ``keras`` for a shipped model; LiteRT, which starts at once and
                imports no TensorFlow, if None. A path names its runner by its suffix.
            effort: ``low``, ``balanced`` or ``full``, as for ``FaceAligner``.

        Raises:
            InputError: missing, unreadable, not a MuSiCa model, or without a reference shape.
        """
        return cls(load_model(name, runner), effort=effort)

    def align(
        self,
        image: Picture,
        box: Sequence[float] | np.ndarray | None = None,
        roll: float = 0.0,
        **options: Unpack[Options],
    ) -> Face:
        """Aligns one face.

        Args:
            image: (H, W, 3) RGB or (H, W) grey array, or the path of an image (``as_image``).
            box: x0, y0, x1, y1 of the face in image pixels, inclusive corners, tight around the
                landmarks; None: the face that is found first, with the extra ``musica[detect]``.
            roll: degrees by which the crop is turned to make the face upright.
            **options: see ``Options``.

        Raises:
            InputError: the image, the box or an option cannot be used, or no face is found.
        """
        pixels = as_image(image)
        if box is None:
            box = self._found(pixels)
        return self.align_prepared([self.prepare(pixels, box, roll)], **options)[0]

    def align_faces(
        self, image: Picture, boxes: Sequence, **options: Unpack[Options]
    ) -> list[Face]:
        """Aligns several faces of one picture; arguments and errors as for ``align``."""
        pixels = as_image(image)
        return self.align_prepared([self.prepare(pixels, box) for box in boxes], **options)

    def align_batch(
        self, images: Sequence[Picture], boxes: Sequence, **options: Unpack[Options]
    ) -> list[Face]:
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
        """Crops a face (``METHOD.md`` section 1); arguments as for ``align``.

        The image must not change before the face is aligned. Without ``keep_image`` a face is not
        aligned a second time.
        """
        pixels = as_image(image)
        crop = self._preprocessor.crop(box, self.reference_shape, roll, pixels.shape)
        pyramid = self._preprocessor.pyramid(pixels, crop)
        initial = crop.initial_shape(self.reference_shape).astype(np.float32)
        if not keep_image:
            return PreparedFace(crop, pyramid, initial)
        return PreparedFace(crop, pyramid, initial, pixels, np.asarray(box, np.float64), roll)

    def align_prepared(
        self, faces: Sequence[PreparedFace], **options: Unpack[Options]
    ) -> list[Face]:
        """Runs the iterations; after each but the last, faces that are good enough stop.

        Args:
            faces: from ``prepare``.
            **options: see ``Options``.

        Returns:
            One ``Face`` for each, in order; none depends on the others.

        Raises:
            InputError: an option cannot be used.
        """
        plan = Plan.of(options, self.settings, self.effort)
        found = self._run(faces, plan)
        if self._mirror_order is not None:
            others = [mirrored(face, self._mirror_order) for face in faces]
            return list(map(mean_face, found, self._run(others, plan)))
        if not plan.realigns:
            return found
        turned = {
            index: self._turned(face, result)
            for index, (face, result) in enumerate(zip(faces, found, strict=True))
        }
        asking = {index: face for index, face in turned.items() if face is not None}
        again = self._run(list(asking.values()), plan)
        for index, second in zip(asking, again, strict=True):
            first = found[index]
            found[index] = replace(
                better(first, second),
                iterations=first.iterations + second.iterations,
                multiply_adds=first.multiply_adds + second.multiply_adds,
            )
        return found

    def _run(self, faces: Sequence[PreparedFace], plan: Plan) -> list[Face]:
        """Runs the iterations once."""
        if not faces:
            return []
        initial = np.array([face.initial for face in faces])
        hidden = np.zeros((len(faces), self.settings.hidden_size), np.float32)
        state = IterationState(np.zeros_like(initial), hidden)
        results: list[Face | None] = [None] * len(faces)
        active = list(range(len(faces)))
        for k in range(plan.last + 1):
            # Only the faces that got here are computed.
            pyramids = [faces[index].pyramid for index in active]
            state, landmarks, errors, gains = self.runner.iterate(k, pyramids, initial, state)
            is_last = k == plan.last
            stops = [True] * len(active) if is_last else plan.rule.stops(k, errors, gains).tolist()
            # A face whose estimate made it stop is good enough; one without a gain may be hopeless.
            fail = plan.fail_threshold if is_last or plan.rule.score == "gain" else None
            for row, index in enumerate(active):
                if stops[row]:
                    points = faces[index].crop.to_image(landmarks[row].astype(np.float64))
                    results[index] = self._face(k, points, float(errors[row]), fail)
            if all(stops):
                break
            if any(stops):
                goes_on = [row for row, stop in enumerate(stops) if not stop]
                active = [active[row] for row in goes_on]
                initial = initial[goes_on]
                state = IterationState(*(part[goes_on] for part in state))
        return [face for face in results if face is not None]

    def _face(self, k: int, points: np.ndarray, estimate: float, fail: float | None) -> Face:
        """A face that stopped after iteration k; it failed if its estimate is above ``fail``."""
        failed = fail is not None and not estimate <= fail
        calibration = self._calibration
        expected = None if calibration is None else float(np.interp(estimate, *calibration[k]))
        profile = self._profile
        shares = None if expected is None or profile is None else expected * profile[k]
        return Face(points, estimate, k + 1, failed, expected, self.model.multiply_adds[k], shares)

    def _turned(self, face: PreparedFace, found: Face) -> PreparedFace | None:
        """The face prepared for a second alignment; None: there is none."""
        roll = roll_to_undo(face, found, self.reference_shape)
        if roll is None or face.image is None or face.box is None:
            return None
        try:
            crop = self._preprocessor.turned_crop(face.box, self.reference_shape, roll)
            pyramid = self._preprocessor.pyramid(face.image, crop)
        except InputError:  # the turned box is too narrow, say
            return None
        initial = crop.initial_shape(self.reference_shape).astype(np.float32)
        return replace(face, crop=crop, pyramid=pyramid, initial=initial, roll=roll)

    def _found(self, image: np.ndarray) -> np.ndarray:
        """The box of the most certain face in an image."""
        if self._detector is None:
            from musica.alignment.detector import FaceDetector

            self._detector = FaceDetector()
        boxes = self._detector.detect(image)
        if not boxes:
            raise InputError("no face was found in the image")
        return boxes[0]


def _runner(model: Any) -> Runner:
    """Computes a model's iterations."""
    if isinstance(model, LiteModel):
        from musica.alignment.lite_runner import LiteRunner

        return LiteRunner(model)
    from musica.alignment.keras_runner import KerasRunner

    return KerasRunner(model)
