"""The experiments of each data set, and their configurations where a reproduction writes.

The configurations name their data and results relative to their own folder. So a copy of them in
``<output>/experiments`` reads ``<output>/data`` and writes to ``<output>/output``.
"""

import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import musica
from musica.errors import InputError
from musica.files import writing
from musica.files.text_files import read_text


@dataclass(frozen=True)
class Set:
    """A data set and its experiments.

    Attributes:
        experiments: the folders in ``experiments/``.
        normalization: of the published comparison.
        train: the list of its training faces.
        test: the list of its test faces, and of those that the comparison names.
    """

    experiments: tuple[str, ...]
    normalization: str
    train: str
    test: tuple[str, ...]


SETS = {
    "wflw": Set(
        ("wflw_98_49", "wflw_98_98", "ablation_no_attention", "ablation_no_pyramid"),
        "ocular",
        "wflw_train",
        ("wflw_test",),
    ),
    "300w": Set(
        ("300w_68_68", "300w_68_34", "300w_68_17", "mdm_300w"),
        "pupil",
        "300w_train",
        ("300w_full", "300w_common", "300w_challenging"),
    ),
}


def repository() -> Path:
    """The checkout, or its copy in the Docker image, whose data/ and experiments/ are used.

    Raises:
        InputError: neither the current folder nor the package's parent is one.
    """
    for folder in (Path.cwd(), Path(musica.__file__).parents[1]):
        if (folder / "data/prepare_wflw.py").is_file() and (folder / "experiments").is_dir():
            return folder
    raise InputError("it uses data/ and experiments/: run it in a checkout or in the Docker image")


def is_mdm(experiment: str) -> bool:
    """Whether an experiment trains MDM, which estimates no errors and never quits."""
    return experiment.startswith("mdm")


def copy_configurations(root: Path, output: Path, names: tuple[str, ...]) -> None:
    """Copies experiments' configurations to where a reproduction writes.

    Subsets and validation faces whose list is missing, since an archive is, are left out.
    """
    for name in names:
        for source in sorted((root / "experiments" / name).glob("*.json")):
            content = json.loads(read_text(source))
            target = output / "experiments" / name / source.name

            is_there = partial(_is_there, target.parent)
            if "subsets" in content:
                there = [subset for subset in content["subsets"] if is_there(subset["filenames"])]
                content["subsets"] = there
            if source.name == "train.json" and not is_there(content["eval_filenames"]):
                del content["eval_filenames"]
            writing.write_text(target, json.dumps(content, indent=2) + "\n")


def _is_there(folder: Path, listed: str) -> bool:
    """Whether a list exists; its path is relative to a folder that may not exist yet."""
    return Path(os.path.normpath(folder / listed)).is_file()
