"""Starts a program: whatever stops it in its first second ends in one line, as later on.

Nothing heavy is imported before Ctrl-C is understood.
"""

import atexit
import errno
import importlib
import os
import signal
import sys
from typing import NoReturn

from debias.console.process.stop_signals import comes_of_ctrl_c, stopped_like_ctrl_c

INTERRUPTED = 130
BAD_OUTPUT = 2
NOTHING_KEPT = "nothing was written"
"""What an interrupted program says where nobody knows more."""


def start(program: str, commands: str) -> NoReturn:
    """Run a program, and end the process with its exit code.

    Parameters
    ----------
    program : str
        Its name.
    commands : str
        The module whose ``app`` it is; imported here.
    """
    # Registered first, so called last: then Python takes its handlers away, and Ctrl-C would kill it.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    code: object = 0
    try:
        with stopped_like_ctrl_c():
            from debias.console.streams import prepare_streams

            prepare_streams()
            importlib.import_module(commands).app(prog_name=program)
    except SystemExit as end:
        code = end.code
    except OSError as error:  # what a command does not report itself: its own output cannot be written
        if error.errno != errno.EPIPE:
            print(f"{program}: error: {error.filename or 'the output'}: {error.strerror}.", file=sys.stderr)
        code = 1 if error.errno == errno.EPIPE else BAD_OUTPUT
    except BaseException as error:
        if not comes_of_ctrl_c(error):
            raise
        print(f"{program}: interrupted: {NOTHING_KEPT}.", file=sys.stderr)
        code = INTERRUPTED
    finally:  # from here on nothing is lost: another Ctrl-C ends the process at once
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))
    _end(code)


def _end(code: object) -> NoReturn:
    """End the process; output whose reader has gone is not missed."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError) as error:
        from debias.console.streams import discard_output, is_closed_pipe

        discard_output()
        if not is_closed_pipe(error):
            print(f"standard output: {error}.", file=sys.stderr)
            code = BAD_OUTPUT
    code = code if isinstance(code, int | str) else 0
    # Python notes a KeyboardInterrupt that leaves a program made from text, as in the making of a dataclass,
    # and `python -m` then ends by the signal, whatever became of it. A text that runs well clears the note.
    exec("")
    if isinstance(code, int):  # while the interpreter ends, Ctrl-C ends it at once, with the same code
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(code))
    sys.exit(code)
