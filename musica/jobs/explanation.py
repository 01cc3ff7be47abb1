"""Pictures that explain why a face stopped: the iterations that ran, with what was decided on."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Unpack

import numpy as np
from PIL import Image

from musica.alignment.aligner import FaceAligner
from musica.alignment.face import Face
from musica.alignment.options import Options, Plan
from musica.alignment.runner import Runner
from musica.drawing.iterations import DrawnIteration, draw_iterations, stacked
from musica.geometry.upright import roll_of
from musica.models.iteration import IterationResult, IterationState
from musica.models.settings import ModelSettings
from musica.preprocessing.preprocessor import Pyramid
from musica.quitting.rule import StopRule

DECIDED_ON = {
    "estimate": "estimated error",
    "gain": "expected gain (% of NME for each million multiply-adds)",
}


class Ran(NamedTuple):
    """An iteration that ran for one face.

    Attributes:
        k: the iteration, from 0.
        start: (N, 2) landmarks before it, (y, x) crop pixels.
        landmarks: (N, 2) landmarks after it.
        estimate: the estimated error; NaN from a model without it.
        gain: the expected gain, or None.
    """

    k: int
    start: np.ndarray
    landmarks: np.ndarray
    estimate: float
    gain: float | None

    def score(self, rule: StopRule) -> float | None:
        """What the rule decides on."""
        return self.estimate if rule.score == "estimate" else self.gain


class Recorder:
    """A ``Runner`` that records what another one computes for a single face.

    Args:
        runner: computes the iterations.

    Attributes:
        alignments: the iterations of each alignment; the second one, if any, is turned upright.
    """

    def __init__(self, runner: Runner):
        self._runner = runner
        self.alignments: list[list[Ran]] = []

    def iterate(
        self, k: int, pyramids: Sequence[Pyramid], initial: np.ndarray, state: IterationState
    ) -> IterationResult:
        """As ``Runner.iterate``."""
        result = self._runner.iterate(k, pyramids, initial, state)
        if k == 0:
            self.alignments.append([])
        ran = self.alignments[-1]
        start = ran[-1].landmarks if ran else initial[0]
        gain = None if result.gains is None else float(result.gains[0])
        ran.append(Ran(k, start, result.landmarks[0], float(result.errors[0]), gain))
        return result


def explain(
    aligner: FaceAligner,
    image: np.ndarray,
    box: np.ndarray,
    name: str = "",
    **options: Unpack[Options],
) -> Image.Image:
    """Aligns a face and draws a row: each iteration, its numbers, and why the face stops.

    A face that is aligned again, turned upright, has a second row.

    Args:
        aligner: the ``FaceAligner``.
        image: (H, W, 3) uint8 RGB.
        box: (4,) x0, y0, x1, y1 of the face.
        name: what the heading begins with.
        **options: as for ``FaceAligner.align_prepared``.

    Raises:
        InputError: as ``FaceAligner.align``.
    """
    recorder = Recorder(aligner.runner)
    own = FaceAligner(aligner.model, aligner.reference_shape, recorder, aligner.effort)
    prepared = own.prepare(image, box)
    (face,) = own.align_prepared([prepared], **options)
    settings, rule = own.settings, Plan.of(options, own.settings, own.effort).rule
    first, *again = recorder.alignments
    heading = f"{name}. " * bool(name) + describe(rule, settings, options)
    rows = [(prepared.crop, first, heading)]
    for ran in again:
        roll = roll_of(prepared.crop.to_image(first[-1].landmarks), own.reference_shape)
        crop = settings.preprocessor.turned_crop(box, own.reference_shape, roll)
        kept = "kept" if ran[-1].estimate == face.error_estimate else "not kept"
        rows.append((crop, ran, f"Aligned again, turned by {roll:.0f} degrees: {kept}."))
    return stacked(
        [
            draw_iterations(image, crop, list(_drawn(ran, rule, settings, face)), heading)
            for crop, ran, heading in rows
        ]
    )


def describe(rule: StopRule, settings: ModelSettings, options: Options) -> str:
    """When faces stop: a sentence."""
    count = options.get("iterations")
    if count is not None:
        return f"Every face runs exactly {count} iteration{'s' * (count > 1)}."
    rules = {
        effort["name"]: StopRule.of(effort["threshold"], len(settings.levels), settings.stop_score)
        for effort in settings.efforts
    }
    names = [f"Effort {name}: a" for name, own in rules.items() if own == rule]
    start = (names or ["A"])[0]
    if not np.isfinite(rule.thresholds).any():
        return f"{start} face stops after the last iteration."
    thresholds = " or ".join(f"{value:.4f}" for value in dict.fromkeys(rule.thresholds))
    return f"{start} face stops when its {DECIDED_ON[rule.score]} is below {thresholds}."


def _drawn(
    ran: Sequence[Ran], rule: StopRule, settings: ModelSettings, face: Face
) -> Iterator[DrawnIteration]:
    """Yields the iterations with their captions."""
    for own in ran:
        lines = [f"iteration {own.k + 1}"]
        if np.isfinite(own.estimate):
            lines.append(f"estimated error {own.estimate:.4f}")
            if settings.calibration is not None:
                nme = np.interp(own.estimate, *settings.calibration[own.k])
                lines[-1] += f", NME {nme:.1%}"
        if own.gain is not None:
            lines.append(f"expected gain {own.gain:.4f}")
        lines.append(_reason(own, own is ran[-1], rule))
        if face.failed and own is ran[-1]:
            lines[-1] += ", failed"
        points = own.start[list(settings.patch_indices[own.k])]
        level = settings.levels[own.k]
        yield DrawnIteration(own.landmarks, points, level, "\n".join(lines))


def _reason(ran: Ran, stops: bool, rule: StopRule) -> str:
    """Why a face goes on or stops after an iteration."""
    if ran.k == len(rule.thresholds):
        return "stops: the last iteration"
    threshold, score = rule.thresholds[ran.k], ran.score(rule)
    word = "stops" if stops else "goes on"
    if score is None or not np.isfinite(threshold):
        return word
    return f"{word}: {score:.4f} is {'below' if stops else 'not below'} {threshold:.4f}"
