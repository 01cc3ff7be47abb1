"""Ctrl-C ends a command with one line and status 130, whatever its libraries do."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from musica.cli.streams import flush_output

INTERRUPTED = 130
# Long enough to remove temporary files.
GRACE_SECONDS = 5.0


@contextmanager
def interruptible(owns_process: bool) -> Iterator[None]:
    """Ends the program if its user interrupts the body.

    Python drops a KeyboardInterrupt in a destructor, libraries wrap it in errors of their own, and
    threads of TensorFlow may wait for each other when the interpreter ends. So a process of our own
    ends without the interpreter's clean-up, ``GRACE_SECONDS`` after Ctrl-C at the latest.

    Args:
        owns_process: whether the process runs this command alone. A notebook goes on.

    Raises:
        SystemExit: the body was interrupted in a process that goes on.
    """
    pressed = threading.Event()
    # A number of its own: meanwhile the messages of native code may be sent elsewhere.
    stderr = os.dup(2)
    timer = threading.Timer(GRACE_SECONDS, _end_process, [stderr])
    timer.daemon = True

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        if not pressed.is_set():
            pressed.set()
            timer.start()
        raise KeyboardInterrupt

    # A shell makes background jobs ignore Ctrl-C; they still ignore it here.
    replaced = (
        owns_process
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if replaced:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
        if pressed.is_set():
            raise KeyboardInterrupt
    except BaseException as error:
        if not (pressed.is_set() or isinstance(error, KeyboardInterrupt)):
            raise
        timer.cancel()
        if replaced:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C changes nothing
        if owns_process:
            with suppress(OSError):
                flush_output()
            _end_process(stderr)
        print("interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from error
    finally:
        if replaced:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        os.close(stderr)


@contextmanager
def interruptible_imports() -> Iterator[None]:
    """Ends the program with one line if its user interrupts its first imports.

    Raises:
        SystemExit: the body was interrupted.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if sys.stderr is not None:
            print("interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from error


def _end_process(stderr: int) -> NoReturn:
    """Ends the process at once, after a line to the stream of this number."""
    with suppress(OSError):
        os.write(stderr, b"interrupted\n")
    os._exit(INTERRUPTED)
