"""Starts a program: whatever stops it in its first second ends in one line, as later on.

Nothing heavy is imported before Ctrl-C is understood.
"""

import errno
import importlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

INTERRUPTED = 130
BAD_OUTPUT = 2


def start(program: str, commands: str) -> NoReturn:
    """Run a program, and end the process with its exit code.

    Parameters
    ----------
    program : str
        Its name.
    commands : str
        The module whose ``app`` it is; imported here.
    """
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
    except KeyboardInterrupt:
        print(f"{program}: interrupted: nothing was written.", file=sys.stderr)
        code = INTERRUPTED
    finally:
        # From here on nothing is lost: a second Ctrl-C ends the process without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
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
    sys.exit(code if isinstance(code, int | str) else 0)


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt for as long as the context lasts.

    A signal that is ignored stays so: that is how ``nohup`` keeps a command. Threads other than the
    main one cannot be told, and nothing is changed there.

    Examples
    --------
    >>> import os
    >>> with stopped_like_ctrl_c():
    ...     try:
    ...         os.kill(os.getpid(), signal.SIGTERM)
    ...         signal.pause()
    ...     except KeyboardInterrupt:
    ...         print("what was done can be kept")
    what was done can be kept
    """
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before: dict[int, object] = {}
    try:
        for number in (int(getattr(signal, name)) for name in names):
            if signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, _stop)
    except ValueError:  # not in the main thread
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


def _stop(number: int, frame: object) -> None:
    """Raise KeyboardInterrupt once: a terminal that closes sends several signals."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is _stop:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise KeyboardInterrupt
