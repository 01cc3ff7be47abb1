"""The keys and the work of ``musica.show_flm_on_image``, whose module describes them."""

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from musica.cli.config import option, require
from musica.drawing.faces import draw_face
from musica.errors import InputError, one_line
from musica.files import image_files, landmark_files


@dataclass(frozen=True)
class ShowConfig:
    """Keys of the command; release: ``show_flm_on_image.py``."""

    image_dir: str = option("", "folder of the images", path=True)
    estimated_dir: str = option("", "folder of the landmarks (.pts)", path=True)
    bb_root: str | None = option(None, "folder of the boxes (.pts); None: no boxes", path=True)
    output_dir: str = option("", "folder for the pictures (.png)", path=True)
    numbers: bool = option(False, "number the points; the picture is cut to the face")
    estimates: bool = option(False, "write the estimated error (the .txt) beside a face")
    fail_threshold: float | None = option(
        None, "mark faces whose estimated error is above it as failed"
    )


def show(config: ShowConfig) -> bool:
    """Draws all faces; returns whether some were skipped.

    Raises:
        InputError: a folder is not given, or has no landmarks, or is given twice.
    """
    require(config, "image_dir", "estimated_dir", "output_dir")
    if os.path.realpath(config.output_dir) == os.path.realpath(config.image_dir):
        raise InputError("output_dir must be another folder than image_dir")
    estimated_dir = Path(config.estimated_dir)
    files = sorted(estimated_dir.rglob("[!.]*.pts"))
    if not files:
        raise InputError(f"{estimated_dir}: holds no .pts files")
    skipped = 0
    for file in files:
        relative = file.relative_to(estimated_dir)
        try:
            picture = _picture(config, relative)
        except InputError as error:
            print(one_line(f"{relative.with_suffix('')}: {error}"), file=sys.stderr)
            skipped += 1
            continue
        image_files.write_image((Path(config.output_dir) / relative).with_suffix(".png"), picture)
    note = f", {skipped} skipped" if skipped else ""
    print(f"{len(files) - skipped} pictures written to {config.output_dir}{note}")
    return skipped > 0


def _picture(config: ShowConfig, relative: Path) -> Image.Image:
    """Draws one face."""
    file = Path(config.estimated_dir) / relative
    estimate = math.nan
    if config.estimates or config.fail_threshold is not None:
        estimate = landmark_files.read_estimate(file.with_suffix(".txt"))
    return draw_face(
        image_files.read_image(image_files.find_image(Path(config.image_dir), relative)),
        landmark_files.read_landmarks(file),
        landmark_files.read_box(Path(config.bb_root) / relative) if config.bb_root else None,
        numbers=config.numbers,
        failed=config.fail_threshold is not None and estimate > config.fail_threshold,
        caption=f"error {estimate:.3f}" if config.estimates else "",
    )
