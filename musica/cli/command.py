"""What every command shares: flags, quiet start, one-line errors, exit status."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from absl import flags, logging

from musica.cli import config
from musica.cli.backend import import_keras
from musica.cli.interruption import interruptible
from musica.cli.streams import flush_output, prepare_streams
from musica.errors import InputError, one_line


def run(
    configuration: type,
    main: Callable[[Any], Any],
    description: str | None,
    positional: str | None = None,
    argv: Sequence[str] | None = None,
) -> None:
    """Runs a command: flags -> configuration -> one function call.

    Returns after success. After a failure the program ends with status 1: ``main`` returned a true
    value, the user's input cannot be used, or the system refused something. The message is one line
    on stderr. After Ctrl-C the status is 130.

    Args:
        configuration: the dataclass whose fields are the command's keys.
        main: takes the configuration; returns a true value if some of the work failed.
        description: the text that ``--help`` shows; with ``python -OO`` there is None.
        positional: the key, a list, that takes the arguments without a flag; None: no key does.
        argv: the arguments, for a call from Python; None: the arguments of the process.

    Raises:
        SystemExit: the command failed or was interrupted.
    """
    prepare_streams()
    try:
        with interruptible(owns_process=argv is None):
            given = _parse(configuration, sys.argv[1:] if argv is None else argv, positional)
            if given.help:
                print(f"{description or ''}\n{given.get_help(include_special_flags=False)}")
                failed = False
            else:
                _check_python()
                logging.set_verbosity(given.verbosity)
                failed = bool(main(config.from_flags(configuration, given)))
            flush_output()
    except (InputError, OSError) as error:
        _fail(one_line(error))
    except MemoryError:
        _fail("not enough memory")
    if failed:
        sys.exit(1)


def _parse(
    configuration: type, arguments: Sequence[str], positional: str | None
) -> flags.FlagValues:
    """Reads the flags; arguments without a flag become the value of the key ``positional``.

    Raises:
        InputError: an unknown flag, a value of the wrong type, or an argument that no key takes.
    """
    given = config.define_flags(configuration)
    shared: dict[str, Any] = {"flag_values": given, "module_name": "every command"}
    flags.DEFINE_boolean("help", False, "Shows this text.", short_name="h", **shared)
    levels = ["debug", "info", "warning", "error", "fatal"]
    flags.DEFINE_enum("verbosity", "error", levels, "Messages of libraries to show.", **shared)
    try:
        words = given(["musica", *arguments])[1:]
    except flags.Error as error:
        raise InputError(str(error)) from error
    if words and positional is None:
        raise InputError(f"unexpected argument {words[0]!r}; give values as --flags")
    if words and positional is not None:
        if given[positional].present:
            raise InputError(f"give either --{positional} or {words[0]!r}, not both")
        given[positional].parse(words)
    return given


def _check_python() -> None:
    """Raises InputError if menpo, which reads landmarks, cannot be imported."""
    if sys.flags.optimize > 1:
        raise InputError("menpo needs docstrings, which python -OO removes; use python -O")


def _fail(message: str) -> NoReturn:
    """Ends the command with one line."""
    with suppress(OSError):
        flush_output()
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


def import_tensorflow() -> None:
    """Imports TensorFlow and Keras without the messages of their start.

    Commands need the TensorFlow backend, so KERAS_BACKEND and keras.json do not choose another one
    here.

    Raises:
        InputError: Keras runs on another backend already.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    with quiet():
        import_keras()


@contextmanager
def quiet() -> Iterator[None]:
    """Drops the messages of native code on stderr; ``--verbosity=info`` shows them."""
    if logging.get_verbosity() >= logging.INFO:
        yield
        return
    prepare_streams()
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
