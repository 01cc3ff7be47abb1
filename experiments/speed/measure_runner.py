"""Start, memory and speed of a runner on one picture.  ``python measure_runner.py --help``.

Nothing is imported before the start that the runner does not need.
"""

import time
from dataclasses import dataclass
from pathlib import Path

START = time.perf_counter()


def resident_megabytes() -> float:
    """Memory that this process has now, on Linux."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096 / 1e6


BEFORE = resident_megabytes()

from musica.cli import command  # noqa: E402
from musica.cli.config import option, require  # noqa: E402


@dataclass(frozen=True)
class RunnerConfig:
    """Keys of the script."""

    checkpoint_file: str | None = option(
        None, "model; None: what FaceAligner.load takes", path=True
    )
    image: str = option("", "the picture", path=True)
    box: list[float] = option([], "x0, y0, x1, y1 of the face")
    calls: int = option(400, "whole calls for each number of iterations")


def measure(config: RunnerConfig) -> None:
    """Prints the first call's end, then milliseconds of whole calls from an array."""
    require(config, "image", "box")
    from musica.alignment.aligner import FaceAligner

    aligner = FaceAligner.load(config.checkpoint_file)
    aligner.align(config.image, config.box)
    seconds, memory = time.perf_counter() - START, resident_megabytes() - BEFORE
    print(f"first landmarks after {seconds:.2f} s, with {memory:.0f} MB more than before")
    from musica.files.image_files import read_image

    image = read_image(config.image)
    print("| iterations | fastest, ms | median, ms |\n|---|---|---|")
    for iterations in range(1, len(aligner.model.settings.levels) + 1):
        times = []
        for _ in range(config.calls):
            start = time.perf_counter()
            aligner.align(image, config.box, iterations=iterations)
            times.append(1000 * (time.perf_counter() - start))
        times.sort()
        print(f"| {iterations} | {times[0]:.2f} | {times[len(times) // 2]:.2f} |")
    print(f"{resident_megabytes() - BEFORE:.0f} MB more than before, the picture included")


if __name__ == "__main__":
    command.run(RunnerConfig, measure, __doc__)
