"""Progress of long work on stderr: a bar on a terminal, a line now and then in a log.

A share is rounded down, so that 100 % is only said of what is done.
"""

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import NamedTuple

from debias.console.number_formats import counted
from debias.errors import visible

LOG_SECONDS = 30.0
"""Seconds between two lines in a log, where a bar cannot be drawn."""

FIRST_LINE = 10.0
"""Seconds after which progress is written for those who did not ask for it; then after twice as many."""


class Progress(NamedTuple):
    """What long work calls to report its progress.

    Attributes
    ----------
    show : callable
        Takes what is being done and the share that is done.
    announce : callable
        Takes a sentence.
    promise : str
        What Ctrl-C does here, as a sentence.
    """

    show: Callable[[str, float], object]
    announce: Callable[[str], object]
    promise: str = ""


SILENT = Progress(lambda doing, share: None, lambda sentence: None)
"""Reports nothing."""

_PROMISE = ContextVar("promise", default="Ctrl-C keeps the best so far.")


@contextmanager
def dropped_at_ctrl_c() -> Iterator[None]:
    """Have progress promise nothing that is kept, where an interrupted fit is dropped.

    Examples
    --------
    >>> with dropped_at_ctrl_c(), progress_on_stderr(verbose=0) as progress:
    ...     progress.promise
    'Ctrl-C ends it.'
    """
    token = _PROMISE.set("Ctrl-C ends it.")
    try:
        yield
    finally:
        _PROMISE.reset(token)


@contextmanager
def progress_on_stderr(verbose: int) -> Iterator[Progress]:
    """Report progress on stderr for as long as the context lasts.

    Parameters
    ----------
    verbose : int
        Above 0: a progress bar. Else only announcements, and what is being done where it takes
        longer than :data:`FIRST_LINE`.

    Yields
    ------
    Progress
        For the work to call.

    Examples
    --------
    >>> with progress_on_stderr(verbose=0) as progress:
    ...     progress.show("descents", 0.5)  # nothing is written so early
    """
    with _progress_bar() if verbose else _lines() as progress:
        yield progress


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    """Show a bar for each thing that is done, and announcements above them."""
    from rich.console import Console
    from rich.progress import Progress as ProgressBar
    from rich.progress import TaskID

    with ProgressBar(console=Console(file=sys.stderr, markup=False)) as bar:
        tasks: dict[str, TaskID] = {}

        def show(doing: str, share: float) -> None:
            if doing not in tasks:
                tasks[doing] = bar.add_task(doing, total=1.0)
            bar.update(tasks[doing], completed=math.floor(100 * share) / 100)

        yield Progress(
            show, lambda sentence: bar.console.print(visible(sentence), markup=False), _PROMISE.get()
        )


@contextmanager
def _lines() -> Iterator[Progress]:
    """Write announcements, and a line on progress when it takes long, ever more rarely."""
    started = time.perf_counter()
    over = threading.Event()
    doing, share, promise = "starting", 0.0, _PROMISE.get()

    def show(what: str, how_much: float) -> None:
        nonlocal doing, share
        doing, share = what, how_much

    def write_now_and_then() -> None:
        wait = FIRST_LINE
        while not over.wait(wait):
            passed = time.perf_counter() - started
            done = "done; the next step is running" if share >= 1 else f"{math.floor(100 * share)}% done"
            _write(f"{doing}, {done} after {passed:.0f} seconds. {promise}")
            wait = passed if sys.stderr.isatty() else min(passed, LOG_SECONDS)

    threading.Thread(target=write_now_and_then, daemon=True).start()
    try:
        yield Progress(show, _write, promise)
    finally:
        over.set()


@contextmanager
def counted_progress(title: str, total: int | None, shown: bool = True) -> Iterator[Callable[[int], object]]:
    """Show how many things of a number are done: a bar on a terminal, else a line every 30 seconds.

    Parameters
    ----------
    title : str
        What is done.
    total : int, optional
        How many there are, where that is known.
    shown : bool, default=True
        Whether anything is shown.

    Yields
    ------
    callable
        To be called with the number of things that were done since the last call.

    Examples
    --------
    >>> with counted_progress("texts", total=2, shown=False) as advance:
    ...     advance(2)
    """
    if shown and sys.stderr.isatty():
        with _counting_bar(title, total) as advance:
            yield advance
    else:
        with _counting_lines(title, total, shown) as advance:
            yield advance


@contextmanager
def _counting_bar(title: str, total: int | None) -> Iterator[Callable[[int], object]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    described = TextColumn("{task.description}", markup=False)
    columns = (described, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(visible(title), total=total)
        yield lambda n_done: bar.advance(task, n_done)


@contextmanager
def _counting_lines(title: str, total: int | None, shown: bool) -> Iterator[Callable[[int], object]]:
    started, over, done = time.perf_counter(), threading.Event(), 0
    seen: list[tuple[float, int]] = []  # seconds, and how many were done
    of = "" if total is None else f"/{total:,}"

    def advance(n_done: int) -> None:
        nonlocal done
        done += n_done

    def line() -> str:
        passed = time.perf_counter() - started
        seconds = None if total is None else seconds_left(seen, passed, done, total)
        left = "" if seconds is None else f", about {seconds:,.0f} seconds left"
        return f"{title}: {done:,}{of} after {counted(round(passed), 'second')}{left}."

    def write_now_and_then() -> None:
        while not over.wait(LOG_SECONDS / 2):
            seen.append((time.perf_counter() - started, done))
            if len(seen) % 2 == 0:
                _print(line())

    if shown:
        threading.Thread(target=write_now_and_then, daemon=True).start()
    try:
        yield advance
    finally:
        over.set()
        if shown and done:
            _print(line())


def seconds_left(seen: Sequence[tuple[float, int]], passed: float, done: int, total: int) -> float | None:
    """Estimate how long the rest takes, by what was done in the second half of the time.

    What an earlier run kept is counted at once, so the first half says little.

    Parameters
    ----------
    seen : sequence of (float, int)
        Seconds at which was looked, at equal distances, and how many things were done then.
    passed : float
        Seconds until now.
    done, total : int
        Things that are done now, and all.

    Returns
    -------
    float or None
        None where nothing was done since, or all is done.

    Examples
    --------
    >>> seconds_left([(15, 1000), (30, 1030)], 30, 1030, 2000)
    485.0
    """
    then, known = seen[(len(seen) - 1) // 2] if seen else (0.0, 0)
    return (passed - then) / (done - known) * (total - done) if known < done < total else None


def say_at_once(sentence: str) -> None:
    """Write a line to stderr before something that takes long, where a terminal or a log waits for it.

    Examples
    --------
    >>> say_at_once("loading demo ...")
    """
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.fileno()  # a stream in memory has none, and nobody waits
        _print(sentence)


def _write(sentence: str) -> None:
    _print(f"debias: {sentence}")


def _print(sentence: str) -> None:
    with suppress(OSError, ValueError):  # a terminal that has closed
        print(visible(sentence), file=sys.stderr, flush=True)
