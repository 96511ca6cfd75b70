"""Progress of long work on stderr: a bar if wanted, else a line now and then."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

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
    """

    show: Callable[[str, float], object]
    announce: Callable[[str], object]


SILENT = Progress(lambda doing, share: None, lambda sentence: None)
"""Reports nothing."""


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
            bar.update(tasks[doing], completed=share)

        yield Progress(show, bar.console.print)


@contextmanager
def _lines() -> Iterator[Progress]:
    """Write announcements, and a line on progress when it takes long, ever more rarely."""
    started = time.perf_counter()
    over = threading.Event()
    doing, share = "starting", 0.0

    def show(what: str, how_much: float) -> None:
        nonlocal doing, share
        doing, share = what, how_much

    def write_now_and_then() -> None:
        wait = FIRST_LINE
        while not over.wait(wait):
            passed = time.perf_counter() - started
            _write(f"{doing}, {share:.0%} done after {passed:.0f} seconds. Ctrl-C keeps the best so far.")
            wait = passed

    threading.Thread(target=write_now_and_then, daemon=True).start()
    try:
        yield Progress(show, _write)
    finally:
        over.set()


def _write(sentence: str) -> None:
    print(f"debias: {sentence}", file=sys.stderr, flush=True)
