"""The keys and the work of ``musica.compare``, whose module describes them."""

import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from musica.alignment.aligner import FaceAligner
from musica.cli import command
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option, require
from musica.cli.progress import progress_bar
from musica.errors import InputError
from musica.evaluation import metrics, published
from musica.evaluation.paired import error_ratio
from musica.files import image_files, list_files, writing
from musica.jobs.recording import record

if TYPE_CHECKING:
    from musica.files.annotated_faces import AnnotatedFace

BATCH_SIZE = 16


@dataclass(frozen=True)
class CompareConfig(AnnotatedFolders):
    """Keys of the command."""

    models: list[str] = option([], "the models (.keras)", path=True)
    eval_filenames: list[str] = option([], "lists of image names; each gets its columns", path=True)
    normalization: str = option("ocular", ", ".join(metrics.NORMALISERS))
    failure_threshold: float = option(0.1, "error for the failure rate")
    output: str = option("", "Markdown file for the table; empty: none", path=True)


@dataclass(frozen=True)
class Method:
    """A model and how it is run: a row of the table.

    Attributes:
        name: its name in tables and plots.
        aligner: the ``FaceAligner``.
        iterations: how many every face takes; None: as many as each needs.
    """

    name: str
    aligner: FaceAligner
    iterations: int | None

    def measure(
        self, face: "AnnotatedFace", image: np.ndarray, normalization: str
    ) -> "Measurement":
        """Aligns an ``AnnotatedFace`` whose image is decoded."""
        start = time.perf_counter()
        found = self.aligner.align(image, face.box, iterations=self.iterations)
        seconds = time.perf_counter() - start
        nme = metrics.nme(found.landmarks, face.landmarks, normalization, face.box)
        return Measurement(float(nme), found.iterations, found.multiply_adds, seconds)


@dataclass(frozen=True)
class Measurement:
    """What one method made of one face: NME, iterations, their cost, and the time it took."""

    nme: float
    iterations: int
    multiply_adds: int
    seconds: float


def compare(config: CompareConfig) -> bool:
    """Measures, prints and writes the table.

    Returns:
        Whether some listed faces could not be used; each was named on stderr.

    Raises:
        InputError: a key, a model or a list cannot be used.
    """
    _check(config)
    command.import_tensorflow()
    import tensorflow as tf

    from musica.files import annotated_faces

    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    methods = [method for path in config.models for method in _methods(path)]
    counts = {method.aligner.model.settings.landmark_count for method in methods}
    if len(counts) > 1:
        raise InputError(f"the models have different numbers of landmarks: {sorted(counts)}")
    lists = {
        Path(path).stem: annotated_faces.read_faces([path], *config.folders, *counts)
        for path in config.eval_filenames
    }
    measured = _measure(methods, lists, config.normalization)
    faces = {face.name: face for own in lists.values() for face in own if face.name in measured}
    names = {
        key: [face.name for face in own if face.name in measured] for key, own in lists.items()
    }
    lines = [
        *_lines(methods, names, measured, config),
        *_ratios(methods, names, measured),
        *_knowledge(methods, [*faces.values()]),
    ]
    table = "\n".join(lines) + "\n"
    print(table, end="")
    if config.output:
        writing.write_text(config.output, table)
        print(f"wrote {config.output}")
    listed = {name for path in config.eval_filenames for name in list_files.read_list(path)}
    return len(measured) < len(listed)


def _check(config: CompareConfig) -> None:
    """Raises InputError for values that no data can make right."""
    require(config, "models", "image_dir", "eval_filenames")
    if any(Path(path).suffix != ".keras" for path in config.models):
        raise InputError("models must be .keras files")
    if len({Path(path).stem for path in config.eval_filenames}) < len(config.eval_filenames):
        raise InputError("two lists of eval_filenames have the same name")
    if config.normalization not in metrics.NORMALISERS:
        known = ", ".join(metrics.NORMALISERS)
        raise InputError(f"normalization {config.normalization!r} is unknown (known: {known})")
    if config.failure_threshold <= 0:
        raise InputError("failure_threshold must be above 0")


def _methods(path: str) -> Iterator[Method]:
    """A saved model with all its iterations, and quitting early if it can."""
    aligner = FaceAligner.load(path)
    # Trained models are all called model.keras: their folders tell them apart.
    name = Path(*Path(path).parts[-3:]).with_suffix("").as_posix()
    last = len(aligner.model.multiply_adds)
    # The first call compiles all iterations.
    aligner.align(np.zeros((64, 64), np.uint8), (16, 16, 47, 47), iterations=last)
    yield Method(name, aligner, last)
    if aligner.settings.stop_threshold is not None or aligner.settings.efforts:
        yield Method(f"{name}, quitting early", aligner, None)


def _measure(
    methods: Sequence[Method], lists: Mapping[str, list], normalization: str
) -> dict[str, dict[Method, Measurement]]:
    """Has every method align every face, once: face -> method -> measurement.

    A face that cannot be used is reported and left out.

    Raises:
        InputError: none of a list's faces can be used.
    """
    faces = {face.name: face for listed in lists.values() for face in listed}
    measured, turns = {}, deque(methods)
    with progress_bar(len(faces), "face") as bar:
        for face in faces.values():
            turns.rotate()
            try:
                image = image_files.read_image(face.image)
                measured[face.name] = {
                    method: method.measure(face, image, normalization) for method in turns
                }
            except InputError as error:
                print(f"skipped {face.name}: {error}", file=sys.stderr)
            bar.update()
    for name, listed in lists.items():
        if measured.keys().isdisjoint(face.name for face in listed):
            raise InputError(f"{name}: none of its {len(listed)} faces can be used")
    return measured


def _lines(
    methods: Sequence[Method],
    names: Mapping[str, list[str]],
    measured: Mapping[str, Mapping[Method, Measurement]],
    config: CompareConfig,
) -> Iterator[str]:
    """The table in Markdown, and what its columns mean."""
    rate = f"FR@{config.failure_threshold:g}"
    table = [["model", "patches", "M weights", "iterations", "M multiply-adds", "ms per face"]]
    table[0] += [f"{key}: {measure}, %" for key in names for measure in ("NME", rate)]
    for method in methods:
        own = {name: results[method] for name, results in measured.items()}
        table.append(_row(method, list(own.values())))
        for listed in names.values():
            errors = np.array([own[name].nme for name in listed])
            percentages = np.mean(errors), metrics.failure_rate(errors, config.failure_threshold)
            table[-1] += [f"{100 * value:.2f}" for value in percentages]
    yield published.markdown(table)
    count = methods[0].aligner.model.settings.landmark_count
    yield ""
    yield f"NME: {metrics.describe_normaliser(config.normalization, count, bool(config.bb_root))}."
    yield "Faces: " + ", ".join(f"{key} {len(listed)}" for key, listed in names.items()) + "."
    yield "Iterations and multiply-adds: means over all faces. ms per face: the median over them,"
    yield "from decoded image and box to landmarks, one face at a time on one CPU thread."


def _ratios(
    methods: Sequence[Method],
    names: Mapping[str, list[str]],
    measured: Mapping[str, Mapping[Method, Measurement]],
) -> Iterator[str]:
    """A line for each method but the first: its NME over the first one's, and how sure it is."""
    first, *others = methods
    for method in others:
        errors = {
            key: np.array([[measured[name][one].nme for one in (first, method)] for name in listed])
            for key, listed in names.items()
        }
        ratios = [f"{key} {error_ratio([pairs])}" for key, pairs in errors.items()]
        if len(errors) > 1:
            ratios.append(f"all {error_ratio([*errors.values()])}")
        yield f"{method.name}, NME over that of {first.name}: {', '.join(ratios)}."
    if others:
        yield "In brackets: 95 % of the ratios for other faces like these (bootstrap)."


def _knowledge(methods: Sequence[Method], faces: Sequence["AnnotatedFace"]) -> Iterator[str]:
    """A line for each model that quits early: what its stop rule knows and saves."""
    for method in methods:
        if method.iterations is None:
            measured = record(method.aligner, faces, BATCH_SIZE).measured
            saved = [
                f"{measured.savings(increase)[measured.score]:.1%} at +{increase:.0%} NME"
                for increase in (0.02, 0.05)
            ]
            yield (
                f"{method.name}, by the {measured.score}: "
                f"knowledge {measured.knowledge[measured.score]:.2f}, saves {', '.join(saved)}."
            )


def _row(method: Method, measured: Sequence[Measurement]) -> list[str]:
    """A method's cells that no list has a part in."""
    model = method.aligner.model
    costs = [result.multiply_adds for result in measured]
    return [
        method.name,
        "/".join(str(count) for count in dict.fromkeys(map(len, model.settings.patch_indices))),
        f"{model.count_params() / 1e6:.2f}",
        f"{np.mean([result.iterations for result in measured]):.2f}",
        f"{np.mean(costs) / 1e6:.2f}",
        f"{1000 * np.median([result.seconds for result in measured]):.2f}",
    ]
