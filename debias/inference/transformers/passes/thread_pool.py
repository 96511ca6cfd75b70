"""Runs batches in parallel, one core each, and hands out their results in order.

Small matrices do not keep several cores busy: between two products all wait for the slowest.
Batches know nothing of each other, so that each core may have one of its own.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

import torch

from debias.inference.generator_threads import generator_threads

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Call a function for each item, on as many threads as torch has, each with one core.

    At most two results a thread wait to be taken. An interrupt waits for the calls that are under
    way.

    Parameters
    ----------
    function : callable
        Of one item; gradients are off while it runs.
    items : sequence

    Yields
    ------
    object
        What the function returns, in the order of the items.

    Examples
    --------
    >>> list(map_in_threads(lambda number: number * 2, [1, 2, 3]))
    [2, 4, 6]
    """
    n_threads = torch.get_num_threads()
    if n_threads == 1 or len(items) <= 1:
        with torch.no_grad():
            yield from map(function, items)
        return
    # The number of threads is each thread's own; torch also keeps one for threads to come.
    single = partial(torch.set_num_threads, 1)
    waiting: deque[Future[Result]] = deque()
    try:
        with generator_threads(min(n_threads, len(items)), single) as pool:
            for item in items:
                if len(waiting) >= 2 * n_threads:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(torch.no_grad()(function), item))
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(n_threads)
