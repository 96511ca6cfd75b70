"""Shares work between threads: their number, numbered tasks, and items of a stream."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from debias.settings import check_positive_integer

Given = TypeVar("Given")
Made = TypeVar("Made")


def n_threads(n_jobs: int | None) -> int:
    """Return the number of threads to use; None means one per core of this process.

    Raises
    ------
    ParameterError
        `n_jobs` is not a positive integer.

    Examples
    --------
    >>> n_threads(3)
    3
    """
    if n_jobs is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    check_positive_integer("n_jobs", n_jobs, or_none=True)
    return n_jobs


def run_in_threads(task: Callable[[int], None], n_tasks: int, n_jobs: int) -> None:
    """Run numbered tasks in threads, and raise the first error that one of them raised.

    Examples
    --------
    >>> done = []
    >>> run_in_threads(done.append, 3, n_jobs=1)
    >>> done
    [0, 1, 2]
    """
    if n_jobs == 1 or n_tasks == 1:
        for number in range(n_tasks):
            task(number)
        return
    with ThreadPoolExecutor(n_jobs) as threads:
        list(threads.map(task, range(n_tasks)))


@contextmanager
def mapped_in_order(
    work: Callable[[Given], Made], items: Iterable[Given], n_jobs: int
) -> Iterator[Iterator[Made]]:
    """Work on items in threads, and give the results in order, without reading far ahead.

    The threads end with the context. A generator that owned them would end them where it is collected,
    and that may be in the middle of the start of another thread, which waits for ever then.

    Examples
    --------
    >>> with mapped_in_order(len, ["a", "to", "the"], n_jobs=2) as lengths:
    ...     list(lengths)
    [1, 2, 3]
    """
    if n_jobs == 1:
        yield map(work, items)
        return
    with ThreadPoolExecutor(n_jobs) as threads:
        left = iter(items)

        def results() -> Iterator[Made]:
            waiting = [threads.submit(work, item) for item in islice(left, n_jobs + 1)]
            while waiting:
                yield waiting.pop(0).result()
                waiting += [threads.submit(work, item) for item in islice(left, 1)]

        yield results()
