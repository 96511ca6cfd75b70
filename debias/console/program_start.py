"""Starts a program: whatever stops it in its first second ends in one line, as later on.

Nothing heavy is imported before Ctrl-C is understood.
"""

import _thread
import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

INTERRUPTED = 130
_MOMENT = 0.02
"""Seconds until an interruption that was swallowed is raised again."""
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
    except BaseException as error:
        if not comes_of_ctrl_c(error):
            raise
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
    code = code if isinstance(code, int | str) else 0
    if isinstance(code, int):  # while the interpreter ends, Ctrl-C ends it at once, as what was done ended
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(code))
    sys.exit(code)


def comes_of_ctrl_c(error: BaseException) -> bool:
    """Tell whether an error is KeyboardInterrupt, or what others made of it on its way.

    Python itself wraps what is raised while a class is made; libraries wrap what their imports raise.

    Examples
    --------
    >>> comes_of_ctrl_c(KeyboardInterrupt()), comes_of_ctrl_c(RuntimeError())
    (True, False)
    >>> try:
    ...     raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()
    ... except RuntimeError as error:
    ...     comes_of_ctrl_c(error)
    True
    """
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        if isinstance(one, KeyboardInterrupt):
            return True
        seen.add(id(one))
        one = one.__cause__ or one.__context__
    return False


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt for as long as the context lasts.

    A signal that is ignored stays so: that is how ``nohup`` keeps a command. Threads other than the
    main one cannot be told, and nothing is changed there. A KeyboardInterrupt that is raised in a
    destructor or a callback, where Python prints it and goes on, is raised again a moment later.

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
    others, told_again = sys.unraisablehook, _told_again(sys.unraisablehook)
    sys.unraisablehook = told_again
    try:
        yield
    finally:
        if sys.unraisablehook is told_again:
            sys.unraisablehook = others
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


def _told_again(others: Callable[[Any], object]) -> Callable[[Any], object]:
    """Return a hook that raises a KeyboardInterrupt again that was swallowed, and leaves others alone."""

    def hook(swallowed: "sys.UnraisableHookArgs") -> object:
        if not issubclass(swallowed.exc_type, KeyboardInterrupt):
            return others(swallowed)
        later = threading.Timer(_MOMENT, _thread.interrupt_main)
        later.daemon = True
        later.start()
        return None

    return hook


def _stop(number: int, frame: object) -> None:
    """Raise KeyboardInterrupt once: a terminal that closes sends several signals."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is _stop:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise KeyboardInterrupt
