"""The options of a call, and the plan that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TypedDict

from musica.errors import InputError
from musica.models.settings import ModelSettings, is_number
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


@dataclass(frozen=True)
class Plan:
    """The options of a call, checked and completed from the model's settings.

    Attributes:
        last: the last iteration, from 0.
        rule: tells which faces stop (``METHOD.md`` section 8).
        fail_threshold: the estimate above which a face failed; None: no face fails.
        realigns: whether a face that is found to be rolled is aligned again.
    """

    last: int
    rule: StopRule
    fail_threshold: float | None
    realigns: bool

    @classmethod
    def of(cls, options: Options, settings: ModelSettings, effort: str | None) -> "Plan":
        """Makes the plan of a call.

        Args:
            options: of the call.
            settings: the model's.
            effort: the aligner's, which the call's replaces.

        Raises:
            InputError: there is no such option, or the model cannot be run with its value.
        """
        known = Options.__annotations__
        if unknown := options.keys() - known.keys():
            raise InputError(f"no option is called {min(unknown)!r}; they are {', '.join(known)}")
        count = len(settings.levels)
        iterations = options.get("iterations")
        if iterations is not None and not (
            isinstance(iterations, Integral) and 1 <= iterations <= count
        ):
            raise InputError(f"iterations must be 1 to {count}, not {iterations!r}")
        fail_threshold = options.get("fail_threshold")
        if fail_threshold is None:
            fail_threshold = settings.fail_threshold
        elif not is_number(fail_threshold):
            raise InputError(f"fail_threshold must be a number, not {fail_threshold!r}")
        return cls(
            (iterations or count) - 1,
            _stop_rule(options, settings, effort),
            fail_threshold,
            iterations is None and options.get("realign", True),
        )


def _stop_rule(options: Options, settings: ModelSettings, effort: str | None) -> StopRule:
    """As ``Plan.of``, of the rule alone."""
    count = len(settings.levels)
    thresholds = {values["name"]: values["threshold"] for values in settings.efforts}
    name = options.get("effort") or effort
    if name is not None and name not in thresholds:
        known = " or ".join(thresholds) or "none: the model has no efforts"
        raise InputError(f"effort must be {known}, not {name!r}")
    if options.get("iterations") is not None:
        return StopRule.of(None, count)
    stop_threshold = options.get("stop_threshold")
    if stop_threshold is not None:
        return StopRule.of(stop_threshold, count)
    if name is None and DEFAULT_EFFORT not in thresholds:
        return StopRule.of(settings.stop_threshold, count)
    return StopRule.of(thresholds[name or DEFAULT_EFFORT], count, settings.stop_score)
