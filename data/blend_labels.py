"""Averages noisy landmarks with a trained model's: labels better than either.

    python data/blend_labels.py --image_dir=<set>/images --filenames=<set>/lists/train.txt \
        --prediction_dir=output --output=blended

The landmarks that a program wrote under a picture and those of a model that was trained mostly on
others err independently. Faces on which the two differ too much are left out, since one of them
is wrong. Writes ``<output>/labels`` (for ``gt_path``) and ``<output>/lists``; listed faces of which
there is no prediction keep their labels.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musica import command, metrics, shape_io
from musica.config import option
from musica.errors import InputError


@dataclass(frozen=True)
class BlendConfig:
    """Keys of the command."""

    image_dir: str = option("", "folder the lists' image names are relative to", path=True)
    gt_path: str = option("", "folder of the labels (default: image_dir)", path=True)
    filenames: list[str] = option([], "lists of images", path=True)
    prediction_dir: str = option("", "folder of the model's .pts, as inference wrote it", path=True)
    largest_difference: float = option(
        0.08, "faces with a larger mean difference (NME) are dropped"
    )
    output: str = option("", "folder to write", path=True)


def blend(config: BlendConfig) -> None:
    """Writes the averaged labels, then the list of the faces kept."""
    for key in ("image_dir", "filenames", "prediction_dir", "output"):
        if not getattr(config, key):
            raise InputError(f"{key} is missing")
    folder = Path(config.output)
    for path in config.filenames:
        names = shape_io.read_list(path)
        kept = [name for name in names if _blended(name, config, folder / "labels")]
        shape_io.write_text(folder / "lists" / Path(path).name, "\n".join(kept) + "\n")
        print(f"{path}: kept {len(kept)} of {len(names)} faces")


def _blended(name: str, config: BlendConfig, folder: Path) -> bool:
    """Writes one face's labels, unless they are doubtful; whether it did."""
    labels = _read(config.gt_path or config.image_dir, name)
    if Path(config.prediction_dir, name).with_suffix(".pts").is_file():
        predicted = _read(config.prediction_dir, name)
        if metrics.nme(predicted, labels) > config.largest_difference:
            return False
        labels = (labels + predicted) / 2
    shape_io.write_landmarks(folder / Path(name).with_suffix(".pts"), labels)
    return True


def _read(folder: str, name: str) -> np.ndarray:
    """The landmarks of a picture in a folder."""
    return shape_io.read_landmarks(Path(folder, name).with_suffix(".pts"))


if __name__ == "__main__":
    command.run(BlendConfig, blend, __doc__)
