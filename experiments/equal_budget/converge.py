"""Trains MuSiCa's variants and MDM on the same 3 million faces, and compares them.

    python experiments/equal_budget/converge.py --output=runs/converge --dry_run
    python experiments/equal_budget/converge.py --output=runs/converge

``converge.json`` is the training of all. What is done is passed over, and a training that was
interrupted goes on from its last checkpoint. ``--only=patches_34,mdm_14`` chooses models,
``--seeds=0,1`` trains each twice. The table of a seed is written when all its models are there.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from musica.cli import command
from musica.cli.config import option, require
from musica.errors import InputError
from musica.reproduction.stages import Journal, Stage

FOLDER = Path(__file__).parent
FACES = FOLDER.parents[2] / "shared/data/faces68"
LISTS = ("helen_dev", "afw_dev", "aflw80_dev", "webmorph_dev")
MDM = ("--model=mdm", "--loss=nme", "--patch_count=68")
# Model -> what differs from converge.json. All are trained on MuSiCa's crops but the last.
MODELS = {
    "patches_34": (),
    "patches_17": ("--patch_count=17",),
    "no_attention": ("--nouse_attention",),
    "no_pyramid": ("--levels=0,0,0",),
    "mdm_14": (*MDM, "--patch_size=14"),
    "mdm_30": (*MDM, "--patch_size=30"),
    "mdm_published": (*MDM, "--patch_size=30", "--preprocessing=mdm"),
}


@dataclass(frozen=True)
class ConvergeConfig:
    """Keys of the command."""

    output: str = option("", "folder for models and tables", path=True)
    only: list[str] = option([], f"models (default: all): {', '.join(MODELS)}")
    seeds: list[int] = option([0], "each model is trained once with each")
    precision: str = option(
        "mixed_bfloat16", "float32 is quicker on CPUs without instructions for bfloat16"
    )
    dry_run: bool = option(False, "print the commands that are to do")


def stages(config: ConvergeConfig) -> Iterator[Stage]:
    """The trainings of each seed, then its table.

    Raises:
        InputError: a key cannot be used.
    """
    require(config, "output")
    if unknown := set(config.only) - MODELS.keys():
        raise InputError(f"only: {min(unknown)!r} is none of {', '.join(MODELS)}")
    for seed in config.seeds:
        trainings = []
        for name, changes in MODELS.items():
            if name in (config.only or MODELS):
                folder = Path(config.output, f"seed_{seed}", name)
                words = ["-m", "musica.train", f"--config={FOLDER / 'converge.json'}"]
                words += [f"--train_dir={folder}", f"--seed={seed}", *changes]
                words += [f"--precision={config.precision}"]
                product = folder / "model.keras"
                trainings.append(Stage("train", name, tuple(words), product, (), f"seed_{seed}"))
        yield from trainings
        table = Path(config.output, f"seed_{seed}.md")
        words = ["-m", "musica.compare", f"--output={table}"]
        words += [f"--image_dir={FACES / 'images'}", f"--bb_root={FACES / 'bb'}"]
        words += ["--models=" + ",".join(str(stage.product) for stage in trainings)]
        words += ["--eval_filenames=" + ",".join(str(FACES / f"lists/{n}.txt") for n in LISTS)]
        after = tuple(stage.name for stage in trainings)
        yield Stage("compare", "", tuple(words), table, after, f"seed_{seed}")


def converge(config: ConvergeConfig) -> bool:
    """Runs what is to do; returns whether something failed."""
    planned = list(stages(config))
    journal = Journal(Path(config.output, "stages"), FOLDER.parents[1])
    failed: set[str] = set()
    for stage in planned:
        if journal.entry(stage) is not None:
            print(f"== {stage.name}: done before")
        elif config.dry_run:
            print(f"== {stage.name}\n{stage.text}")
        elif failed & set(stage.after):
            print(f"== {stage.name}: left out", file=sys.stderr)
        else:
            later = [other for other in planned if stage.name in other.after]
            if journal.run(stage, later) is None:
                failed.add(stage.name)
    return bool(failed)


if __name__ == "__main__":
    command.run(ConvergeConfig, converge, __doc__)
