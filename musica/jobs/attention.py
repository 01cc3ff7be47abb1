"""The keys and the work of ``musica.attention``, whose module describes them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musica.cli import command
from musica.cli.annotated_folders import AnnotatedFolders
from musica.cli.config import option, require
from musica.errors import InputError
from musica.geometry.landmarks import scheme_for
from musica.jobs.attention_measurement import measure
from musica.jobs.attention_report import lines, summarise, write


@dataclass(frozen=True)
class AttentionConfig(AnnotatedFolders):
    """Keys of the command."""

    checkpoint_file: str | None = option(None, "model (.keras); None: the shipped one", path=True)
    eval_filenames: list[str] = option([], "lists of image names", path=True)
    batch_size: int = option(16, "faces computed together")
    output_dir: str = option("", "folder for attention.json, attention.csv and plots", path=True)
    drawn_faces: int = option(4, "how many single faces are drawn, spread over the lists")


def analyse(config: AttentionConfig) -> bool:
    """Measures, prints, and writes tables and plots if asked for.

    Returns:
        Whether some faces could not be used; each was named on stderr.

    Raises:
        InputError: the model, a list or a key cannot be used.
    """
    require(config, "image_dir", "eval_filenames")
    if config.batch_size < 1 or config.drawn_faces < 0:
        raise InputError("batch_size must be at least 1, drawn_faces at least 0")
    command.import_tensorflow()
    from musica.files import annotated_faces
    from musica.models.loading import load_musica
    from musica.models.musica import MuSiCa
    from musica.training import dataset

    model = load_musica(config.checkpoint_file)
    if not (isinstance(model, MuSiCa) and model.use_attention):
        raise InputError("the model must be a .keras model with attention")
    if model.settings.reference_shape is None:
        raise InputError("the model has no reference shape, without which no face is aligned")
    scheme_for(model.settings.landmark_count)  # the NME needs eye corners
    faces = annotated_faces.read_faces(
        config.eval_filenames, *config.folders, model.settings.landmark_count
    )
    samples = dataset.FaceSamples(
        faces,
        np.array(model.settings.reference_shape),
        levels=max(model.settings.levels) + 1,
        box_size=model.settings.box_size,
        margin=model.settings.margin,
    )
    measured = measure(model, samples, config.batch_size)
    summary = summarise(model, measured)
    print("\n".join(lines(summary)), flush=True)
    if config.output_dir:
        folder = Path(config.output_dir)
        written = write(folder, model, samples, measured, summary, config.drawn_faces)
        print(f"wrote {written} files to {config.output_dir}")
    return len(measured.positions) < len(faces)
