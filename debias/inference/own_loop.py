"""Runs asynchronous work from ordinary code: in a loop of its own, also inside of a running one.

A notebook has a loop that runs already, and another one cannot be started in its thread; there
the work is done in a thread beside it. Ctrl-C cancels the work at once in both cases.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
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
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    return _run_beside(work)


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
        return outcome.result()
    finally:
        if not outcome.done():  # Ctrl-C while waiting
            loop, task = started.result()
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
