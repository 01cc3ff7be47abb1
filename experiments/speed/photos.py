"""Photos of 2.5 megapixels and a video for ``measure.sh``.  ``python photos.py --help``.

A photo is a blurred background with one or two annotated faces, 90 to 600 pixels large. With
``--results``, the faces that ``musica-inference`` found in the photos are counted instead.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from musica.cli import command
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option, require
from musica.evaluation import metrics
from musica.files.annotated_faces import read_faces
from musica.files.image_files import read_image, write_image
from musica.files.landmark_files import read_landmarks, write_landmarks
from musica.files.video_writer import video_writer

sys.path.append(str(Path(__file__).parents[1] / "video"))
from moving_face import MovingFace, Pose

SIDES = (1936, 1290)
# A found face is the annotated one if its error is below, as a share of the eye distance.
SAME = 0.25


@dataclass(frozen=True)
class PhotosConfig(AnnotatedFolders):
    """Keys of the script."""

    lists: list[str] = option([], "lists of annotated faces of 200 pixels or more", path=True)
    output: str = option("", "folder for photos/, truth/ and face.mp4", path=True)
    results: str = option("", "folder of musica-inference's results: count its faces", path=True)
    count: int = option(120, "photos")
    frames: int = option(300, "of the video, which is 640x480")


def run(config: PhotosConfig) -> None:
    """Makes the photos and the video, or counts what was found in the photos."""
    if config.results:
        require(config, "output")
        print(count_faces(Path(config.output, "truth"), Path(config.results)))
        return
    require(config, "lists", "image_dir", "output")
    make_photos(config, np.random.default_rng(0))
    make_video(Path(config.output, "face.mp4"), config.frames)


def make_photos(config: PhotosConfig, generator: np.random.Generator) -> None:
    """Writes photos and, for each face in them, its landmarks."""
    faces = iter(read_faces(config.lists, *config.folders))
    width, height = SIDES
    for number in range(config.count):
        chosen = [next(faces) for _ in range(2 if number % 3 == 0 else 1)]
        background = cv2.resize(read_image(chosen[0].image)[:60], SIDES)
        noise = generator.normal(0, 6, (height, width, 3))
        photo = np.clip(cv2.GaussianBlur(background, (0, 0), 9) + noise, 0, 255).astype(np.uint8)
        for place, face in enumerate(chosen):
            zoom = generator.uniform(*((150, 600), (90, 300))[place]) / np.ptp(face.landmarks)
            picture = cv2.resize(
                read_image(face.image), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA
            )
            rows, columns = picture.shape[:2]
            left = int(generator.integers(max(1, width // 2 - columns))) + place * width // 2
            top = int(generator.integers(max(1, height - rows)))
            target = photo[top : top + rows, left : left + columns]
            target[:] = picture[: target.shape[0], : target.shape[1]]
            points = (face.landmarks + 0.5) * zoom - 0.5 + [top, left]
            write_landmarks(Path(config.output, "truth", f"{number:03}_{place}.pts"), points)
        write_image(Path(config.output, "photos", f"{number:03}.jpg"), Image.fromarray(photo))


def make_video(path: Path, frames: int) -> None:
    """Writes a video of a face that moves on a circle."""
    face = MovingFace(size=(640, 480))
    with video_writer(path, (640, 480), 25.0) as video:
        for number in range(frames):
            angle = 2 * np.pi * number / 75
            pose = Pose(320 + 60 * np.cos(angle), 240 + 40 * np.sin(angle), 180.0)
            video.add(face.frame(pose)[0], number / 25)


def count_faces(truth: Path, results: Path) -> str:
    """Says how many annotated faces were found, how well, and how many others."""
    errors, others = [], 0
    annotated = sorted(truth.glob("*.pts"))
    for number in sorted({path.stem[:3] for path in annotated}):
        found = [read_landmarks(path) for path in sorted(results.glob(f"{number}*.pts"))]
        matched = set()
        for path in annotated:
            if path.stem[:3] == number and found:
                own = [float(metrics.nme(points, read_landmarks(path))) for points in found]
                if min(own) < SAME:
                    errors.append(min(own))
                    matched.add(int(np.argmin(own)))
        others += len(found) - len(matched)
    return (
        f"{len(errors)} of {len(annotated)} faces found, NME {100 * np.mean(errors):.2f} %, "
        f"and {others} others"
    )


if __name__ == "__main__":
    command.run(PhotosConfig, run, __doc__)
