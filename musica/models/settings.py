"""The settings of a model: everything besides its weights."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any

from musica.errors import InputError
from musica.geometry.crops import BOX_SIZE, MARGIN
from musica.preprocessing.preprocessor import PREPROCESSORS, Preprocessor

# Larger numbers need more memory than any machine has.
MAX_LANDMARKS = 10_000
LARGEST = {"patch_size": 1_000, "hidden_size": 100_000, "box_size": 10_000}
MAX_LEVEL = 10
STOP_SCORES = ("estimate", "gain")
EFFORT_KEYS = ("name", "threshold", "nme", "iterations", "multiply_adds")
# Keys of models that were saved by version 0.2.0, which nothing reads any more.
FORMER_KEYS = {"realign_threshold", "realign_turn", "multiply_adds"}


@dataclass(frozen=True)
class ModelSettings:
    """The settings of a model: everything besides its weights. They check themselves.

    The Keras models, the description in an exported file and the runners share it.

    Attributes:
        landmark_count: N.
        patch_indices: for each iteration, the landmarks around which patches are cut.
        levels: pyramid level of each iteration; level l is 1/2^l of the crop.
        patch_size: side of a patch in pixels.
        hidden_size: H.
        preprocessing: ``release``, ``area`` or ``mdm`` (``musica.preprocessing``).
        box_size: the box's longer side in crop pixels.
        margin: share of the box's side that the crop adds on each side.
        reference_shape: (N, 2) mean face, (y, x) crop pixels from the box's corner, or None.
        stop_threshold: T_s, a face stops when its estimated error is below; one for all iterations,
            or one for each but the last; None never stops.
        stop_score: what efforts decide on, ``estimate`` or ``gain`` (``musica.quitting``).
        efforts: named settings of the stop rule with the means that each led to when it was
            calibrated: mappings with ``name``, ``threshold`` (None: no face stops early), ``nme``,
            ``iterations`` and ``multiply_adds``. A model with efforts stops by ``balanced`` unless
            told otherwise; one without them by ``stop_threshold``.
        fail_threshold: T_f, a face failed when its last estimate is above; None never fails.
        calibration: for each iteration, ascending estimates and the NMEs that are expected at them;
            None: not calibrated.
        landmark_profile: for each iteration, the mean error of each of the N landmarks over the
            mean of all; None: not calibrated.

    Raises:
        InputError: a value cannot be a model's.
    """

    landmark_count: int
    patch_indices: tuple[tuple[int, ...], ...]
    levels: tuple[int, ...] = (2, 1, 0)
    patch_size: int = 14
    hidden_size: int = 512
    preprocessing: str = "release"
    box_size: int = BOX_SIZE
    margin: float = MARGIN
    reference_shape: tuple[tuple[float, float], ...] | None = None
    stop_threshold: float | tuple[float, ...] | None = None
    stop_score: str = "estimate"
    efforts: tuple[Mapping[str, Any], ...] = ()
    fail_threshold: float | None = None
    calibration: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] | None = None
    landmark_profile: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _frozen(getattr(self, field.name)))
        # One list of patch points serves all iterations.
        given = self.levels, self.patch_indices
        if all(isinstance(values, tuple) for values in given) and not any(
            isinstance(points, tuple) for points in self.patch_indices
        ):
            object.__setattr__(self, "patch_indices", (self.patch_indices,) * len(self.levels))
        for name, problem in self._problems():
            raise InputError(f"{name} {problem}")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "ModelSettings":
        """Reads settings from JSON values; keys of the network and former keys are passed over.

        Raises:
            InputError: a value is missing or cannot be a model's.
        """
        names = {field.name for field in fields(cls)}
        for name in ("landmark_count", "patch_indices"):
            if name not in values:
                raise InputError(f"{name} is missing")
        return cls(**{name: value for name, value in values.items() if name in names})

    def as_values(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {name: _thawed(value) for name, value in asdict(self).items()}

    @property
    def preprocessor(self) -> Preprocessor:
        """Makes this model's crops and pyramids."""
        return PREPROCESSORS[self.preprocessing](self.box_size, self.margin, max(self.levels) + 1)

    def _problems(self) -> Iterator[tuple[str, str]]:
        """Yields a name and what is wrong with its value; later checks need the earlier ones."""
        if not _is_whole(self.landmark_count, 1, MAX_LANDMARKS):
            yield "landmark_count", f"must be 1 to {MAX_LANDMARKS}"
        for name, largest in LARGEST.items():
            if not _is_whole(getattr(self, name), 1, largest):
                yield name, f"must be 1 to {largest}"
        count = len(self.levels) if isinstance(self.levels, tuple) else 0
        if not 0 < count <= 100 or not all(_is_whole(level, 0, MAX_LEVEL) for level in self.levels):
            yield "levels", f"must be pyramid levels, not {self.levels}"
        last = self.landmark_count - 1
        if not isinstance(self.patch_indices, tuple) or len(self.patch_indices) != count:
            yield "patch_indices", "must be one list, or one for each iteration"
        for points in self.patch_indices:
            fits = isinstance(points, tuple) and 0 < len(points) <= MAX_LANDMARKS
            if not fits or not all(_is_whole(point, 0, last) for point in points):
                yield "patch_indices", f"must be landmarks from 0 to {last}"
        if self.preprocessing not in PREPROCESSORS:
            known = " or ".join(PREPROCESSORS)
            yield "preprocessing", f"must be {known}, not {self.preprocessing!r}"
        if not is_number(self.margin) or not 0 <= self.margin <= 10:
            yield "margin", "must be 0 to 10"
        if not _is_table(self.reference_shape, self.landmark_count, 2):
            yield "reference_shape", f"must be {self.landmark_count} pairs of numbers"
        stops = self.stop_threshold
        if isinstance(stops, tuple) and len(stops) != count - 1:
            yield "stop_threshold", f"must be one or {count - 1} numbers"
        if not all(_is_bound(stop) for stop in (stops if isinstance(stops, tuple) else (stops,))):
            yield "stop_threshold", "must be numbers"
        if self.stop_score not in STOP_SCORES:
            yield "stop_score", f"must be {' or '.join(STOP_SCORES)}"
        if not isinstance(self.efforts, tuple) or not all(map(_is_effort, self.efforts)):
            yield "efforts", f"must be mappings of {', '.join(EFFORT_KEYS)}"
        if not _is_bound(self.fail_threshold):
            yield "fail_threshold", "must be a number"
        if not _is_calibration(self.calibration, count):
            yield "calibration", f"must be {count} pairs of ascending estimates and NMEs"
        shares = self.landmark_profile
        if not _is_table(shares, count, self.landmark_count) or min(map(min, shares or [[0]])) < 0:
            yield "landmark_profile", f"must be {count} times {self.landmark_count} shares"


def _frozen(value: Any) -> Any:
    """Lists and arrays as tuples."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple | range) else value


def _thawed(value: Any) -> Any:
    """Tuples as lists."""
    return list(map(_thawed, value)) if isinstance(value, tuple | list) else value


def _is_whole(value: Any, lowest: int, highest: int) -> bool:
    """Whether a value is a whole number within limits, both included."""
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def is_number(value: Any) -> bool:
    """Whether a value is a number that is not NaN; it may be infinite."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):  # it has no limit; floats do
        return abs(value) < 1e300
    return isinstance(value, Real) and value == value


def _is_bound(value: Any) -> bool:
    """Whether a value is a threshold or None."""
    return value is None or is_number(value)


def _is_effort(values: Any) -> bool:
    """Whether a value is a named setting of the stop rule."""
    return (
        isinstance(values, Mapping)
        and set(values) == set(EFFORT_KEYS)
        and isinstance(values["name"], str)
        and _is_bound(values["threshold"])
        and all(is_number(values[name]) for name in EFFORT_KEYS[2:])
    )


def _is_table(rows: Any, height: int, width: int) -> bool:
    """Whether rows are None, or ``height`` tuples of ``width`` numbers of a sensible size."""
    return rows is None or (
        isinstance(rows, tuple)
        and len(rows) == height
        and all(isinstance(row, tuple) and len(row) == width for row in rows)
        and all(is_number(value) and abs(value) < 1e9 for row in rows for value in row)
    )


def _is_calibration(pairs: Any, iterations: int) -> bool:
    """Whether each iteration has a pair of equally long ascending tuples of numbers."""
    return pairs is None or (
        isinstance(pairs, tuple)
        and len(pairs) == iterations
        and all(isinstance(pair, tuple) and pair and isinstance(pair[0], tuple) for pair in pairs)
        and all(pair[0] and _is_table(pair, 2, len(pair[0])) for pair in pairs)
        and all(list(side) == sorted(side) for pair in pairs for side in pair)
    )
