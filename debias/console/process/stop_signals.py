"""Turns what stops a program into KeyboardInterrupt, at a moment at which one can be raised.

SIGTERM and SIGHUP stop like Ctrl-C. None of them stops an import half-way: compiled libraries abort the
process then, and classes that are being made wrap the error.
"""

import _thread
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_STOPS = [int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_IMPORT = "importlib._bootstrap"
_MOMENT = 0.02
"""Seconds until an interruption that could not be raised, or was swallowed, is tried again."""
_PATIENCE = 5.0
"""Seconds after which an import is stopped nevertheless."""


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt for as long as the context lasts.

    A signal that is ignored stays so: that is how ``nohup`` keeps a command. Threads other than the
    main one cannot be told, and nothing is changed there. While a module is imported, KeyboardInterrupt
    waits for the end of the import, for some seconds, unless a second signal comes. One that is raised in a destructor or a
    callback, where Python prints it and goes on, is raised again a moment later.

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
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _STOPS}
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or any(isinstance(handler, _Stop) for handler in before.values()):
        yield
        return
    stop = _Stop(sys._getframe(2), sys.unraisablehook)  # past contextlib
    for number, handler in before.items():
        if handler in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, stop)
    sys.unraisablehook = tell_again = stop.tell_again
    try:
        yield
    finally:
        if sys.unraisablehook is tell_again:
            sys.unraisablehook = stop.others
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)


class _Stop:
    """A handler of signals, for what one frame runs."""

    def __init__(self, outermost: FrameType, others: Callable[[Any], object]) -> None:
        self.outermost, self.others = outermost, others
        self.number = int(signal.SIGINT)
        self.since: float | None = None
        self.has_stopped = self.is_waiting = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, or wait for the end of an import."""
        if number != signal.SIGINT and self.has_stopped:  # a terminal that closes sends several
            return
        now = time.monotonic()
        if self._imports(frame) and not self.is_waiting:
            self.since = now if self.since is None else self.since
            if now - self.since < _PATIENCE:
                self._try_later(number)
                return
        self.number, self.since = number, None
        self.is_waiting, self.has_stopped = False, True
        raise KeyboardInterrupt

    def tell_again(self, swallowed: "sys.UnraisableHookArgs") -> object:
        """Raise a KeyboardInterrupt again that was swallowed, and leave other errors to others."""
        if not issubclass(swallowed.exc_type, KeyboardInterrupt):
            return self.others(swallowed)
        self.has_stopped = False
        self._try_later(self.number)
        return None

    def _try_later(self, number: int) -> None:
        """Call the handler again in a moment, as a first signal does, unless a second one came."""
        main_thread = threading.main_thread().ident or 0

        def again() -> None:
            if self.is_waiting:
                self.is_waiting = False
                if hasattr(signal, "pthread_kill"):  # ends a wait of the main thread, too
                    signal.pthread_kill(main_thread, number)
                else:
                    _thread.interrupt_main(signal.Signals(number))

        self.is_waiting = True
        timer = threading.Timer(_MOMENT, again)
        timer.daemon = True  # keeps no process alive
        timer.start()

    def _imports(self, frame: FrameType | None) -> bool:
        """Tell whether a module is being imported by what the context ran."""
        while frame is not None and frame is not self.outermost:
            if frame.f_globals.get("__name__") == _IMPORT:
                return True
            frame = frame.f_back
        return False


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
