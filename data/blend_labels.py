"""Mends noisy landmarks with a trained model's: labels better than either.

    python data/blend_labels.py --image_dir=<set>/images --filenames=<set>/lists/train.txt \
        --prediction_dir=output --output=blended

The landmarks that a program wrote under a picture and those of a model that was trained mostly on
others err independently: ``label_weight`` averages them. Hand labels that were carried over from
another picture may all be off by a pixel, ``shift_y`` and ``shift_x``, or each by its own shift,
which ``register`` takes from the model. For the former the median differences are printed: they
mean something for faces on which the model was not trained. Faces on which the two differ too much
are left out, since one of them is wrong. Writes ``<output>/labels`` (for ``gt_path``) and
``<output>/lists``; listed faces of which there is no prediction keep their labels.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musica.cli import command
from musica.cli.config import option, require
from musica.errors import InputError
from musica.evaluation import metrics
from musica.files import landmark_files, list_files, writing


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
    shift_y: float = option(0.0, "first added to the y of all labels, image pixels")
    shift_x: float = option(0.0, "and to their x")
    register: bool = option(False, "then moves a face's labels to the centre of its prediction")
    label_weight: float = option(0.5, "then averages them, label_weight to 1 - label_weight")
    output: str = option("", "folder to write", path=True)


def blend(config: BlendConfig) -> None:
    """Writes the mended labels, then the list of the faces kept."""
    require(config, "image_dir", "filenames", "prediction_dir", "output")
    if not 0 <= config.label_weight <= 1:
        raise InputError(f"label_weight must be 0 to 1, not {config.label_weight:g}")
    folder = Path(config.output)
    for path in config.filenames:
        kept, gaps = [], []
        names = list_files.read_list(path)
        for name in names:
            labels, predicted = _landmarks(name, config)
            if predicted is not None:
                gaps.append((labels - predicted).mean(axis=0))
                if metrics.nme(predicted, labels) > config.largest_difference:
                    continue
                if config.register:
                    labels = labels - gaps[-1]
                labels = config.label_weight * labels + (1 - config.label_weight) * predicted
            landmark_files.write_landmarks(
                folder / "labels" / Path(name).with_suffix(".pts"), labels
            )
            kept.append(name)
        writing.write_text(folder / "lists" / Path(path).name, "\n".join(kept) + "\n")
        print(f"{path}: kept {len(kept)} of {len(names)} faces{_described(gaps)}")


def _landmarks(name: str, config: BlendConfig) -> tuple[np.ndarray, np.ndarray | None]:
    """One face's shifted labels, and the model's landmarks if there are any."""
    labels = _read(config.gt_path or config.image_dir, name)
    labels += np.array([config.shift_y, config.shift_x])
    if not Path(config.prediction_dir, name).with_suffix(".pts").is_file():
        return labels, None
    return labels, _read(config.prediction_dir, name)


def _described(gaps: list[np.ndarray]) -> str:
    """What is printed of labels minus predictions."""
    if not gaps:
        return ""
    y, x = np.median(gaps, axis=0)
    return f"; labels lie at {y:+.2f}, {x:+.2f} (y, x) pixels from the predictions"


def _read(folder: str, name: str) -> np.ndarray:
    """The landmarks of a picture in a folder."""
    return landmark_files.read_landmarks(Path(folder, name).with_suffix(".pts"))


if __name__ == "__main__":
    command.run(BlendConfig, blend, __doc__)
