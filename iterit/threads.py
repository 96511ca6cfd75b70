"""Shares work between threads: their number, and numbered tasks for them."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from debias.settings import check_positive_integer


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
