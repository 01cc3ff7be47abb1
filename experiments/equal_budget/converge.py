"""Trains MuSiCa's variants and MDM on the same 3 million faces, in three parts, and compares them.

A prepared face is used in two steps, and counts twice.

    python experiments/equal_budget/converge.py --output=runs/converge --dry_run
    python experiments/equal_budget/converge.py --output=runs/converge --part=1
    python experiments/equal_budget/converge.py --output=runs/converge --part=2
    python experiments/equal_budget/converge.py --output=runs/converge --part=3

``converge.json`` is the training of all. In each part the learning rate falls to zero, so that the
models can be compared after it; the next part goes on from them at a lower rate, with other faces.
What is done is passed over, and a training that was interrupted goes on from its last checkpoint.
``--only=patches_34,mdm_14`` chooses models, ``--seeds=0,1`` trains each twice. The table of a seed
has the chosen models, and is written when all of them are there.

``--keep=models`` writes each model in half precision, too; ``--start=models`` begins a part with
such files, on another machine, say.
"""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from musica.cli import command
from musica.cli.config import option, require
from musica.errors import InputError
from musica.files import writing
from musica.formats.export import halve_weights
from musica.reproduction.stages import Journal, Stage

FOLDER = Path(__file__).parent
FACES = FOLDER.parents[2] / "shared/data/faces68"
LISTS = ("helen_dev", "afw_dev", "aflw80_dev", "webmorph_dev")
MDM = ("--model=mdm", "--loss=nme", "--patch_count=68")
# Steps of each part, and the learning rate at its beginning.
PARTS = ((7_000, 1e-3), (8_000, 5e-4), (8_500, 5e-4))
# A later part's rate rises in so many steps, while Adam gets to know its moments.
WARM_UP = 200
# Model -> what differs from converge.json. The table gives ratios to the first one. All are trained
# on MuSiCa's crops but the last.
MODELS = {
    "patches_17": ("--patch_count=17",),
    "patches_34": (),
    "no_attention": ("--patch_count=17", "--nouse_attention"),
    "no_pyramid": ("--patch_count=17", "--levels=0,0,0"),
    "mdm_14": (*MDM, "--patch_size=14"),
    "mdm_30": (*MDM, "--patch_size=30"),
    "mdm_published": (*MDM, "--patch_size=30", "--preprocessing=mdm"),
}


@dataclass(frozen=True)
class ConvergeConfig:
    """Keys of the command."""

    output: str = option("", "folder for models and tables", path=True)
    part: int = option(1, f"which part, 1 to {len(PARTS)}")
    start: str = option("", "folder of the models before (default: those in output)", path=True)
    keep: str = option("", "folder for models in half precision (default: none)", path=True)
    only: list[str] = option([], f"models (default: all): {', '.join(MODELS)}")
    seeds: list[int] = option([0], "each model is trained once with each")
    precision: str = option(
        "mixed_bfloat16", "float32 is quicker on CPUs without instructions for bfloat16"
    )
    dry_run: bool = option(False, "print the commands that are to do")


def stages(config: ConvergeConfig) -> Iterator[Stage]:
    """The trainings of a part for each seed, then the seed's table.

    Raises:
        InputError: a key cannot be used.
    """
    require(config, "output")
    if not 1 <= config.part <= len(PARTS):
        raise InputError(f"part must be 1 to {len(PARTS)}, not {config.part}")
    if unknown := set(config.only) - MODELS.keys():
        raise InputError(f"only: {min(unknown)!r} is none of {', '.join(MODELS)}")
    for seed in config.seeds:
        names = [name for name in MODELS if name in (config.only or MODELS)]
        trainings = [training(config, name, seed) for name in names]
        yield from trainings
        variant = variant_of(seed, config.part)
        table = Path(config.output, f"{variant}.md")
        words = ["-m", "musica.compare", f"--output={table}"]
        words += [f"--image_dir={FACES / 'images'}", f"--bb_root={FACES / 'bb'}"]
        words += ["--models=" + ",".join(str(stage.product) for stage in trainings)]
        words += ["--eval_filenames=" + ",".join(str(FACES / f"lists/{n}.txt") for n in LISTS)]
        after = tuple(stage.name for stage in trainings)
        yield Stage("compare", "", tuple(words), table, after, variant)


def training(config: ConvergeConfig, name: str, seed: int) -> Stage:
    """A model's training in a part."""
    part, (steps, rate) = config.part, PARTS[config.part - 1]
    folder = Path(config.output, f"seed_{seed}", name, f"part_{part}")
    words = ["-m", "musica.train", f"--config={FOLDER / 'converge.json'}", *MODELS[name]]
    words += [f"--train_dir={folder}", f"--precision={config.precision}"]
    # The seed decides the faces' order and augmentation, which no part is to repeat.
    words += [f"--seed={100 * (part - 1) + seed}"]
    words += [f"--max_steps={steps}", f"--initial_learning_rate={rate}"]
    if part > 1:
        before = folder.with_name(f"part_{part - 1}") / "model.keras"
        if config.start:
            before = Path(config.start, kept_name(name, variant_of(seed, part - 1)))
        words += [f"--pretrained_model_checkpoint_path={before}"]
        words += [f"--learning_rate_warmup_steps={WARM_UP}"]
    product = folder / "model.keras"
    return Stage("train", name, tuple(words), product, (), variant_of(seed, part))


def variant_of(seed: int, part: int) -> str:
    """The name of a seed's part."""
    return f"seed_{seed}-part_{part}"


def kept_name(name: str, variant: str) -> str:
    """The file name of a model in half precision."""
    return f"{name}-{variant}.keras"


def keep(config: ConvergeConfig) -> None:
    """Writes the models that are there in half precision."""
    Path(config.keep).mkdir(parents=True, exist_ok=True)
    for stage in stages(config):
        if stage.kind == "train" and stage.product.exists():
            path = Path(config.keep, kept_name(stage.experiment, stage.variant))
            with writing.replacing(path) as temporary:
                shutil.copyfile(stage.product, temporary)
                halve_weights(temporary)


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
    if config.keep and not config.dry_run:
        keep(config)
    return bool(failed)


if __name__ == "__main__":
    command.run(ConvergeConfig, converge, __doc__)
