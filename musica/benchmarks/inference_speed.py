"""Speed of inference, by every way to run a model, beside its peers."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np

from musica.alignment.aligner import FaceAligner
from musica.alignment.options import Options
from musica.benchmarks.configuration import WAYS, BenchmarkConfig
from musica.benchmarks.end_to_end import use_cores
from musica.benchmarks.faces import read_faces
from musica.benchmarks.peers import PEERS
from musica.cli import command
from musica.errors import InputError
from musica.evaluation import metrics
from musica.files.annotated_faces import AnnotatedFace
from musica.files.image_files import read_image
from musica.models.iteration import IterationState
from musica.models.lite_model import LiteModel
from musica.models.loading import load_musica, model_path

if TYPE_CHECKING:
    from musica.alignment.keras_runner import KerasRunner

HEADER = (
    "| what | threads | batch | quits | whole call, ms a face | median | p95 | ratio "
    "| preprocessing alone | network alone | iterations | NME, % |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|",
)
# The share of a turn whose calls do not count: they find the processor's caches full of what
# another way left there. A program that aligns faces does not.
COLD = 1 / 3
# A way that has taken so many seconds has no more turns, after the first five.
LONGEST, FEWEST = 8.0, 5


def check(config: BenchmarkConfig) -> None:
    """Raises InputError for what cannot be measured."""
    for name in ("batches", "threads", "rounds"):
        value = getattr(config, name)
        if min(value if isinstance(value, list) else [value], default=0) < 1:
            raise InputError(f"{name} must be at least 1")
    if not 0 <= config.turn_seconds <= LONGEST:
        raise InputError(f"turn_seconds must be 0 to {LONGEST:g}, not {config.turn_seconds:g}")
    for key, known in (("against", PEERS), ("runners", WAYS)):
        for name in getattr(config, key):
            if name not in known:
                raise InputError(f"{key} must be {' or '.join(known)}, not {name!r}")
    for name in config.against:
        PEERS[name]()


def measure(config: BenchmarkConfig, threads: int) -> list[str]:
    """Measures everything in turn, with so many threads; run it in a process of its own.

    Args:
        config: the configuration.
        threads: of TensorFlow and LiteRT.

    Returns:
        Rows of the table that ``HEADER`` begins: means, and their ratios to the first row's. Of
        the parts, medians. NMEs are means over the faces, by the outer eye corners.
    """
    use_cores(threads)
    cv2.setNumThreads(threads)
    listed = read_faces(config)
    images, boxes = [read_image(face.image) for face in listed], [face.box for face in listed]
    runs: dict[tuple, Iterator[Callable]] = {}
    nmes: dict[tuple, str] = {}
    for name, aligner in _aligners(config, threads).items():
        ways: dict[str, Options] = {effort: {"effort": effort} for effort in config.efforts}
        ways = ways or {"yes": {}}
        ways["no"] = {"iterations": len(aligner.settings.levels)}
        for quits, options in ways.items():
            faces = aligner.align_batch(images, boxes, **options)
            nmes[name, quits] = _nme(listed, [face.landmarks for face in faces])
        for batch in config.batches:
            for quits, options in ways.items():
                whole = _calls(aligner, images, boxes, batch, options)
                runs[name, batch, quits, "whole"] = cycle(whole)
            parts = _parts(aligner, images, boxes, batch)
            for part, call in parts.items():
                runs[name, batch, "no", part] = cycle([call])
    for name in config.against:
        peer = PEERS[name](threads)
        calls = [partial(peer.align, image, box) for image, box in zip(images, boxes, strict=True)]
        runs[name, 1, "", "whole"] = cycle(calls)
        nmes[name, ""] = _nme(listed, [peer.as_68(call()) for call in calls])
        if peer.network is not None:
            runs[name, 1, "", "network"] = cycle([peer.network])
    # XLA compiles for every size of crop: all faces must have been seen.
    warm_up = len(images) + 1 if "xla" in config.runners else 1
    return _rows(_timed(runs, config, warm_up), nmes, threads)


def _aligners(config: BenchmarkConfig, threads: int) -> dict[str, FaceAligner]:
    """The ways to run a model that are asked for."""
    lite = {}
    if "litert" in config.runners:
        lite[WAYS["litert"]] = FaceAligner(LiteModel(config.lite_file or model_path(), threads))
    others = {WAYS[name] for name in config.runners} - lite.keys()
    if not others:
        return lite
    keras = _keras_aligners(config, threads)
    return lite | {name: aligner for name, aligner in keras.items() if name in others}


def _keras_aligners(config: BenchmarkConfig, threads: int) -> dict[str, FaceAligner]:
    """The ways to run a model with TensorFlow."""
    command.import_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    from musica.alignment.keras_runner import KerasRunner

    model = load_musica(config.checkpoint_file)

    class EagerRunner(KerasRunner):
        """Runs without graphs."""

        def compute(self, *arguments: Any) -> Any:
            tf.config.run_functions_eagerly(True)
            try:
                return super().compute(*arguments)
            finally:
                tf.config.run_functions_eagerly(False)

    return {
        WAYS["tensorflow"]: FaceAligner(model),
        WAYS["xla"]: FaceAligner(model, runner=KerasRunner(model, jit_compile=True)),
        WAYS["eager"]: FaceAligner(model, runner=EagerRunner(model)),
    }


def _nme(listed: list[AnnotatedFace], found: list[np.ndarray]) -> str:
    """The mean error in percent; empty if they find other points than the annotations."""
    pairs = [(own, face.landmarks) for own, face in zip(found, listed, strict=True)]
    if any(own.shape != truth.shape for own, truth in pairs):
        return ""
    return f"{100 * np.mean([metrics.nme(own, truth) for own, truth in pairs]):.2f}"


def _calls(
    aligner: FaceAligner, images: list, boxes: list, batch: int, options: Options
) -> list[Callable]:
    """Whole calls that together see every face alike."""
    pairs = cycle(zip(images, boxes, strict=True))
    calls: list[Callable] = []
    for _ in range(len(images)):
        some, theirs = zip(*islice(pairs, batch), strict=True)
        calls.append(partial(aligner.align_batch, some, theirs, **options))
    return calls


def _parts(aligner: FaceAligner, images: list, boxes: list, batch: int) -> dict[str, Callable]:
    """All iterations of a batch, apart: ``preprocessing``, and ``network`` on what is ready."""
    pairs = list(islice(cycle(zip(images, boxes, strict=True)), batch))
    if isinstance(aligner.model, LiteModel):
        return _lite_parts(aligner, pairs)
    from musica.preprocessing import release_pyramid

    model, runner = aligner.model, cast("KerasRunner", aligner.runner)
    faces: list[Any] = [aligner.prepare(image, box) for image, box in pairs]

    def levels() -> list[np.ndarray]:
        return [
            release_pyramid.pad_batch([face.pyramid.level(level) for face in faces])
            for level in model.settings.levels
        ]

    initial, ready = np.array([face.initial for face in faces]), levels()
    hidden = np.zeros((batch, model.settings.hidden_size), np.float32)
    state = IterationState(np.zeros_like(initial), hidden)
    return {
        "preprocessing": lambda: [[aligner.prepare(*pair) for pair in pairs], levels()],
        "network": lambda: [
            runner.compute(k, level, initial, state) for k, level in enumerate(ready)
        ],
    }


def _lite_parts(aligner: FaceAligner, pairs: list[tuple]) -> dict[str, Callable]:
    """As ``_parts``, with LiteRT, which gets its patches where the landmarks are at first."""
    model, levels = aligner.model, aligner.model.settings.levels
    hidden = np.zeros((1, model.settings.hidden_size), np.float32)

    def patches() -> list[np.ndarray]:
        found = []
        for image, box in pairs:
            face = aligner.prepare(image, box)
            for level, indices in zip(levels, model.settings.patch_indices, strict=True):
                centres = face.initial[list(indices)] / np.float32(2**level)
                found.append(face.pyramid.patches(level, centres, model.settings.patch_size))
        return found

    ready = patches()
    return {
        "preprocessing": patches,
        "network": lambda: [
            model.step(number % len(levels), some[None], hidden)
            for number, some in enumerate(ready)
        ],
    }


def _timed(
    runs: dict[tuple, Iterator], config: BenchmarkConfig, warm_up: int
) -> dict[tuple, tuple]:
    """Calls everything in turn; the seconds of its calls, and what they returned."""
    seconds: dict[tuple, list[float]] = {key: [] for key in runs}
    results: dict[tuple, list] = {key: [] for key in runs}
    for round_ in range(warm_up + config.rounds):
        for key, calls in runs.items():
            if len(seconds[key]) >= FEWEST and sum(seconds[key]) > LONGEST:
                continue
            turn = _turn(calls, config.turn_seconds)
            if round_ >= warm_up:
                seconds[key] += [second for second, _ in turn]
                if key[-1] == "whole":
                    results[key] += [result for _, result in turn]
    return {key: (np.array(seconds[key]), results[key]) for key in runs}


def _turn(calls: Iterator[Callable], length: float) -> list[tuple[float, object]]:
    """Calls for so many seconds, at least once: seconds and results of those that count."""
    done: list[tuple[float, object]] = []
    spent, counted = 0.0, 0
    while not done or spent < length:
        if spent < COLD * length:
            counted = len(done)
        call = next(calls)
        start = time.perf_counter()
        result = call()
        done.append((time.perf_counter() - start, result))
        spent += done[-1][0]
    return done[counted:]


def _rows(timed: dict[tuple, tuple], nmes: dict[tuple[str, str], str], threads: int) -> list[str]:
    """The table's rows; what was measured of the same call in one."""
    rows = []
    first = None
    for (name, batch, quits, part), (seconds, results) in timed.items():
        if part != "whole":
            continue
        milliseconds = seconds * 1000 / batch
        mean = np.mean(milliseconds)
        first = first or mean
        cells = [name, threads, batch, quits, f"{mean:.2f}"]
        cells += [f"{value:.2f}" for value in np.percentile(milliseconds, [50, 95])]
        cells.append(f"{mean / first:.2f}")
        for apart in ("preprocessing", "network"):
            part_seconds, _ = timed.get((name, batch, quits, apart), ([], None))
            cells.append(
                f"{np.median(part_seconds) * 1000 / batch:.2f}" if len(part_seconds) else ""
            )
        iterations = [face.iterations for faces in results for face in faces] if quits else []
        cells.append(f"{np.mean(iterations):.2f}" if iterations else "")
        cells.append(nmes[name, quits])
        rows.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return rows
