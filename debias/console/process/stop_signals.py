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
"""Seconds until an interruption is tried again that could not be raised, or was swallowed."""
_PATIENCE = 5.0
"""Seconds after which an import is stopped nevertheless."""


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt for as long as the context lasts.

    A signal that is ignored stays so: that is how ``nohup`` keeps a command. Threads other than the
    main one cannot be told, and nothing is changed there. While a module is imported, KeyboardInterrupt
    waits for the end of the import, for some seconds, unless a second signal comes. One that is raised
    in a destructor or a callback, where Python prints it and goes on, is raised again a moment later.

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
        stop.is_waiting = False
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
        self.since = 0.0
        self.has_stopped = self.is_waiting = self.is_retry = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, or wait for the end of an import."""
        is_retry, self.is_retry = self.is_retry, False
        if is_retry and not self.is_waiting:
            return
        if number != signal.SIGINT and self.has_stopped and not is_retry:  # a closing terminal sends several
            return
        if not self.is_waiting or is_retry:
            begun = self.since if is_retry else time.monotonic()
            if self._imports(frame) and time.monotonic() - begun < _PATIENCE:
                if not self.is_waiting:
                    self._insist(number)
                return
        self.number = number
        self.is_waiting, self.has_stopped = False, True
        raise KeyboardInterrupt

    def tell_again(self, swallowed: "sys.UnraisableHookArgs") -> object:
        """Raise a KeyboardInterrupt again that was swallowed, and leave other errors to others."""
        if not issubclass(swallowed.exc_type, KeyboardInterrupt):
            return self.others(swallowed)
        self._insist(self.number)
        return None

    def _insist(self, number: int) -> None:
        """Call the handler again, until it raises: a signal that comes just before a wait does not end it."""
        main_thread = threading.main_thread().ident or 0
        self.is_waiting, self.since = True, time.monotonic()

        def repeat() -> None:
            time.sleep(_MOMENT)
            while self.is_waiting:
                self.is_retry = True
                if hasattr(signal, "pthread_kill"):  # ends a wait of the main thread, too
                    signal.pthread_kill(main_thread, number)
                else:
                    _thread.interrupt_main(signal.Signals(number))
                time.sleep(_MOMENT)

        threading.Thread(target=repeat, daemon=True).start()

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
