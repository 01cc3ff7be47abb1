"""Standard streams that may be missing: daemons close them, and pythonw has none."""

import io
import os
import sys


def prepare_streams() -> None:
    """Makes the standard streams usable; the null device stands in for a missing one.

    Without it the next file that is opened would get the number of the closed stream, and native
    code would write its messages into that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The system gives the lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(getattr(sys, name), "closed", True):
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (open until the end)
    # Names of folders need not be in the terminal's encoding.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def flush_output() -> None:
    """Writes out the printed text.

    Raises:
        OSError: it cannot be written. The rest goes to the null device, or Python would complain
            again when it ends.
    """
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        raise
