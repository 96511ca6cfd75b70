"""Asks about many things at once, a limited number under way, and hands out each answer as it comes.

When one of them fails for good, nothing new is sent; what is under way may still be answered, and
is handed out, before the failure is raised.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from debias.errors import DebiasError
from debias.inference.openai.connection.server_connection import ServerConnection, StoppedError

Thing = TypeVar("Thing")
Answer = TypeVar("Answer")


async def ask_all(
    connection: ServerConnection,
    things: Sequence[Thing],
    ask: Callable[[int, Thing], Awaitable[Answer]],
    on_answer: Callable[[int, Answer], object],
    concurrency: int,
) -> None:
    """Ask about everything.

    Parameters
    ----------
    connection : ServerConnection
        Is stopped at the first failure.
    things : sequence
    ask : callable
        From a position and a thing to what is awaited.
    on_answer : callable
        Called with a position and its answer, in the order in which answers come.
    concurrency : int
        How many are under way at once.

    Raises
    ------
    DebiasError
        The first failure, after what was under way has ended.
    """
    rows = iter(enumerate(things))
    failures: list[DebiasError] = []

    async def work(rows: Iterator[tuple[int, Thing]]) -> None:
        for position, thing in rows:
            try:
                answer = await ask(position, thing)
            except StoppedError:
                return
            except DebiasError as error:
                failures.append(error)
                connection.stop()
                return
            on_answer(position, answer)
            if connection.stopping:
                return

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(things))):
                group.create_task(work(rows))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    if failures:
        raise failures[0]
