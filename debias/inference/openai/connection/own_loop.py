"""Runs asynchronous work from ordinary code: in a loop of its own, also inside of a running one.

A notebook has a loop that runs already, and another one cannot be started in its thread; there
the work is done in a thread beside it. Ctrl-C cancels the work at once in both cases.
"""

import asyncio
import contextlib
import contextvars
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Do asynchronous work, and wait for its result.

    Parameters
    ----------
    work : callable
        Makes the coroutine, once the loop is there.

    Returns
    -------
    what the coroutine returns

    Examples
    --------
    >>> async def answer():
    ...     return 42
    >>> run(answer)
    42
    """
    return _run_beside(work) if _loop_runs() else asyncio.run(work())


def _loop_runs() -> bool:
    """Whether this thread has a loop that runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run_beside(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Do the work in a thread of its own."""
    outcome: Future[Result] = Future()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    async def announced() -> Result:
        task = asyncio.current_task()
        assert task is not None
        started.set_result((asyncio.get_running_loop(), task))
        return await work()

    def thread_work() -> None:
        try:
            outcome.set_result(asyncio.run(announced()))
        except BaseException as error:
            outcome.set_exception(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(thread_work,), name="debias-requests")
    thread.start()
    try:
        with _prompt_interrupts():
            return outcome.result()
    finally:
        if not outcome.done():  # Ctrl-C while waiting
            loop, task = started.result()
            loop.call_soon_threadsafe(task.cancel)
        thread.join()


@contextlib.contextmanager
def _prompt_interrupts() -> Iterator[None]:
    """Let Ctrl-C raise at once where asyncio.run would wait for its loop, which waits for us."""
    handler = signal.getsignal(signal.SIGINT)
    waits = isinstance(getattr(getattr(handler, "func", None), "__self__", None), asyncio.Runner)
    if not waits or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
