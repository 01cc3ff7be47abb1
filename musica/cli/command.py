"""What every command shares: flags, quiet start, one-line errors, exit status."""

import importlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from absl import app, flags, logging

from musica.cli import config
from musica.errors import InputError, one_line


def run(
    configuration: type, main: Callable, description: str, positional: str | None = None
) -> None:
    """Runs a command: flags -> configuration -> one function call; then exits.

    The exit status is 0, or 1 if ``main`` returns a true value, or if the user's input cannot be
    used or the system refuses something, which is said in one line.

    Args:
        configuration: the dataclass whose fields are the command's keys.
        main: takes the configuration; returns a true value if some of the work failed.
        description: what ``--help`` says.
        positional: the key, a list, that arguments without a flag belong to, if there is one.
    """
    flags.disclaim_key_flags()
    config.define_flags(configuration)
    sys.modules["__main__"].__doc__ = description

    def guarded(arguments: list[str]) -> int:
        # Names of folders need not be in the terminal's encoding.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            words = arguments[1:]
            if words and positional is None:
                raise InputError(f"unexpected argument {words[0]!r}; values are given as --flags")
            if words and positional is not None:
                if flags.FLAGS[positional].present:
                    raise InputError(f"give either --{positional} or {words[0]!r}, not both")
                flags.FLAGS[positional].parse(words)
            if not flags.FLAGS["verbosity"].present:
                logging.set_verbosity(logging.ERROR)
            return 1 if main(config.from_flags(configuration)) else 0
        except (InputError, OSError) as error:
            print(f"error: {one_line(error)}", file=sys.stderr)
            return 1
        except MemoryError:
            print("error: not enough memory", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    app.run(guarded)


def import_tensorflow() -> None:
    """Imports TensorFlow and Keras quietly; their log level is not heeded while they load."""
    with quiet():
        importlib.import_module("keras")


@contextmanager
def quiet() -> Iterator[None]:
    """Drops what native code writes to stderr; ``--verbosity`` of INFO or more shows it."""
    if flags.FLAGS.is_parsed() and logging.get_verbosity() >= logging.INFO:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
