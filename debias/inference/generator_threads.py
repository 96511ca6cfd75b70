"""Threads of a generator: they end with it, and one that is left half-way does not wait for them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def generator_threads(
    n_threads: int, initializer: Callable[[], object] | None = None
) -> Iterator[ThreadPoolExecutor]:
    """Keep threads for as long as a generator runs, or until it fails.

    A generator that is left may be collected at any moment, also while another thread is being started:
    to wait for threads would be for ever there.

    Parameters
    ----------
    n_threads : int
    initializer : callable, optional
        Called in each thread before its work.

    Yields
    ------
    ThreadPoolExecutor

    Examples
    --------
    >>> def doubled(numbers):
    ...     with generator_threads(2) as threads:
    ...         yield from threads.map(lambda number: 2 * number, numbers)
    >>> list(doubled([1, 2, 3]))
    [2, 4, 6]
    """
    threads, is_left = ThreadPoolExecutor(n_threads, initializer=initializer), False
    try:
        yield threads
    except GeneratorExit:
        is_left = True
        raise
    finally:
        threads.shutdown(wait=not is_left, cancel_futures=True)
