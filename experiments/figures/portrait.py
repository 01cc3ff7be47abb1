"""Draws the README's face: ``python experiments/figures/portrait.py --output=experiments/figures``.

The picture is the official portrait of Grace Hopper by the United States Navy, in the public
domain. It comes with matplotlib.
"""

import argparse
import tempfile
from pathlib import Path

from matplotlib.cbook import get_sample_data
from PIL import Image

from musica.files import writing
from musica.jobs.inference import InferenceConfig, infer

NAME = "grace_hopper"
# Left, top, right and bottom of the head in the portrait.
HEAD = (130, 20, 420, 370)


def draw_portrait(path: Path) -> None:
    """Finds the face, aligns it with the shipped model and writes the drawing."""
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, f"{NAME}.jpg")
        with Image.open(get_sample_data(photo.name, asfileobj=False)) as portrait:
            portrait.crop(HEAD).save(photo, quality=95)
        infer(InferenceConfig(images=[str(photo)], resDir=f"{folder}/output", draw=True))
        with (
            Image.open(Path(folder, "output", f"{NAME}.png")) as drawn,
            writing.replacing(path) as temporary,
        ):
            drawn.save(temporary, optimize=True)


def main() -> None:
    """Entry point of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder")
    draw_portrait(parser.parse_args().output / f"{NAME}.png")


if __name__ == "__main__":
    main()
