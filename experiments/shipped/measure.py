"""Prints the NME of a model on annotated faces, by effort, kind of box and roll, as Markdown.

    PYTHONPATH=data python experiments/shipped/measure.py --model=68 \
        --image_dir=../shared/data/faces68/images \
        --filenames=../shared/data/faces68/lists/helen_dev.txt

Box noise and rolls come from ``data/perturb.py``, with its settings. All columns but the first ones
take all iterations. The last columns are the mean expected NME in noisy boxes, and how many of the
alignments above 8 %, and how many of the others, are flagged there.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import perturb

from musica import FaceAligner
from musica.alignment.detector import FaceDetector
from musica.alignment.face import Face
from musica.cli import command
from musica.cli.config import option, require
from musica.evaluation import metrics, published
from musica.files import annotated_faces, image_files
from musica.geometry import box_conventions, crops

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
    rows = [_row(path, settings.image_dir, aligners) for path in settings.filenames]
    print(published.markdown([header, *rows]))


def _row(path: str, image_dir: str, aligners: dict[str, FaceAligner]) -> list[str]:
    """The numbers of one list; the last aligner takes all iterations."""
    full = list(aligners.values())[-1]
    detector = FaceDetector()
    columns: dict[str, list[float]] = {}

    def note(column: str, error: float) -> None:
        columns.setdefault(column, []).append(error)

    def aligned(column: str, sample: Sample, box: np.ndarray, aligner: FaceAligner = full) -> Face:
        face = aligner.align(sample.image, box)
        note(column, metrics.nme(face.landmarks, sample.landmarks))
        return face

    for name, sample in _samples(path, image_dir):
        rng = np.random.default_rng([0, zlib.crc32(name.encode())])
        for effort, aligner in aligners.items():
            face = aligned(effort, sample, sample.box, aligner)
            note(f"{effort} iterations", face.iterations)
        for _ in range(NOISY_BOXES):
            face = aligned("noisy", sample, perturb.noisy_box(sample.box, 0.2, 0.1, rng))
            if face.expected_nme is not None:
                note("expected", face.expected_nme)
            note("flags above" if columns["noisy"][-1] > FAILURE else "flags others", face.failed)
        for smallest, largest in ROLLS:
            turned = sample.rolled(rng, smallest, largest)
            aligned(f"rolled {smallest}", turned, turned.box)
        boxes = np.array(detector.detect(sample.image)).reshape(-1, 4)
        overlaps = box_conventions.overlaps(sample.box, boxes)
        if overlaps.size and overlaps.max() > OVERLAP:
            aligned("found", sample, boxes[overlaps.argmax()])
            note("found, tight", columns[list(aligners)[-1]][-1])

    def percent(column: str) -> str:
        return f"{100 * np.mean(columns[column]):.2f}" if column in columns else ""

    def flags(column: str) -> str:
        return f"{sum(columns.get(column, []))} of {len(columns.get(column, []))}"

    efforts = [
        f"{percent(name)} ({np.mean(columns[f'{name} iterations']):.2f})" for name in aligners
    ]
    return [
        f"{Path(path).stem}, {len(columns[next(iter(aligners))])} faces",
        *efforts,
        percent("noisy"),
        f"{percent('found')} / {percent('found, tight')}",
        *(percent(f"rolled {smallest}") for smallest, _ in ROLLS),
        percent("expected"),
        flags("flags above"),
        flags("flags others"),
    ]


def _samples(path: str, image_dir: str) -> Iterator[tuple[str, Sample]]:
    """The faces of a list by name."""
    for face in annotated_faces.read_faces([path], image_dir):
        image = image_files.read_image(face.image)
        yield face.name, Sample(image, face.landmarks, face.box)


if __name__ == "__main__":
    command.run(MeasureConfig, measure, __doc__)
