"""How faces are aligned: the options of a call, and the stop rule that follows from them."""

from collections.abc import Sequence
from typing import TypedDict

from musica.errors import InputError
from musica.models.settings import ModelSettings
from musica.quitting.rule import StopRule

DEFAULT_EFFORT = "balanced"


class Options(TypedDict, total=False):
    """How faces are aligned.

    Keys:
        effort: a named setting of the model's stop rule; the aligner's if missing or None.
        stop_threshold: instead of an effort: a face stops when its estimated error is below; one
            for all iterations, or one for each but the last.
        fail_threshold: a face failed when its last estimate is above; the model's if missing or
            None.
        iterations: run exactly so many for every face, none stops and none is aligned again; as
            many as each face needs if missing or None.
        realign: whether a face that is found to be rolled is aligned again, turned upright; True if
            missing.
    """

    effort: str | None
    stop_threshold: float | Sequence[float] | None
    fail_threshold: float | None
    iterations: int | None
    realign: bool


def last_iteration(options: Options, settings: ModelSettings) -> int:
    """The last iteration, from 0.

    Raises:
        InputError: the model has not so many iterations.
    """
    count = len(settings.levels)
    iterations = options.get("iterations")
    if iterations is not None and not 1 <= iterations <= count:
        raise InputError(f"iterations must be 1 to {count}, not {iterations}")
    return (iterations or count) - 1


def fail_threshold(options: Options, settings: ModelSettings) -> float | None:
    """The estimate above which a face failed; None: no face fails."""
    given = options.get("fail_threshold")
    return settings.fail_threshold if given is None else given


def stop_rule(options: Options, settings: ModelSettings, effort: str | None) -> StopRule:
    """When faces stop (``METHOD.md`` section 8).

    Args:
        options: of the call.
        settings: the model's.
        effort: the aligner's, which the call's replaces.

    Raises:
        InputError: the model has no such effort, or the wrong number of thresholds is given.
    """
    count = len(settings.levels)
    if options.get("iterations") is not None:
        return StopRule.of(None, count)
    stop_threshold = options.get("stop_threshold")
    if stop_threshold is not None:
        return StopRule.of(stop_threshold, count)
    thresholds = {values["name"]: values["threshold"] for values in settings.efforts}
    name = options.get("effort") or effort
    if name is None and DEFAULT_EFFORT not in thresholds:
        return StopRule.of(settings.stop_threshold, count)
    name = name or DEFAULT_EFFORT
    if name not in thresholds:
        known = " or ".join(thresholds) or "none: the model has no efforts"
        raise InputError(f"effort must be {known}, not {name!r}")
    return StopRule.of(thresholds[name], count, settings.stop_score)
