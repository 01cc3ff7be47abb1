"""The work of ``musica.benchmark``, whose module describes it."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from musica.benchmarks import end_to_end, inference_speed
from musica.benchmarks.configuration import BenchmarkConfig
from musica.training.launch import import_tensorflow


def benchmark(config: BenchmarkConfig) -> None:
    """Measures and prints a table."""
    if config.training:
        import_tensorflow()
        from musica.benchmarks import training_speed

        print("\n".join(training_speed.measure(config)))
        return
    inference_speed.check(config)
    part = end_to_end if config.folder or config.video else inference_speed
    print("\n".join(part.HEADER))
    for threads in config.threads:
        # Threads are decided once in a process, NumPy's when it starts.
        os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            rows = pool.submit(part.measure, config, threads).result()
        print("\n".join(rows), flush=True)
