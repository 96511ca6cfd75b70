"""What someone who waits for a search is told on stderr: a bar if wanted, else a line now and then."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from debias.search.proof.enumeration import walk

FIRST_WORD = 10.0
"""Seconds after which someone who did not ask for progress is told of it; then after twice as many."""


class Voice(NamedTuple):
    """What a search calls to be heard.

    Attributes
    ----------
    on_progress : callable
        Takes what is being done and the share that is done.
    announce : callable
        Takes a sentence.
    """

    on_progress: Callable[[str, float], object]
    announce: Callable[[str], object]


@contextmanager
def waiting(verbose: int) -> Iterator[Voice]:
    """Give a search its voice while it runs.

    Parameters
    ----------
    verbose : int
        Above 0: a progress bar. Else nothing but announcements, and what is being done when it
        takes longer than :data:`FIRST_WORD`.

    Yields
    ------
    Voice
        For the search to call.

    Examples
    --------
    >>> with waiting(verbose=0) as voice:
    ...     voice.on_progress("descents", 0.5)  # soon done: nothing is said
    """
    with _progress_bar() if verbose else _lines() as voice:
        if not is_compiled():
            voice.announce("The search is compiled for this machine first, once: about 20 seconds.")
        yield voice


def is_compiled() -> bool:
    """Tell whether the search was compiled here before, so that it begins at once.

    Examples
    --------
    >>> is_compiled() in (True, False)
    True
    """
    folder = getattr(getattr(walk, "stats", None), "cache_path", None)
    return folder is None or any(Path(folder).glob("enumeration.walk-*.nbi"))


@contextmanager
def _progress_bar() -> Iterator[Voice]:
    """Show a bar for each thing that is done, and announcements above them."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=sys.stderr)) as progress:
        tasks: dict[str, Any] = {}

        def show(doing: str, share: float) -> None:
            if doing not in tasks:
                tasks[doing] = progress.add_task(doing, total=1.0)
            progress.update(tasks[doing], completed=share)

        yield Voice(show, progress.console.print)


@contextmanager
def _lines() -> Iterator[Voice]:
    """Write announcements, and a line on progress when it takes long, ever more rarely."""
    started = time.perf_counter()
    over = threading.Event()
    doing, share = "starting", 0.0

    def show(what: str, how_much: float) -> None:
        nonlocal doing, share
        doing, share = what, how_much

    def speak() -> None:
        wait = FIRST_WORD
        while not over.wait(wait):
            passed = time.perf_counter() - started
            _say(f"{doing}, {share:.0%} done after {passed:.0f} seconds. Ctrl-C keeps the best so far.")
            wait = passed

    threading.Thread(target=speak, daemon=True).start()
    try:
        yield Voice(show, _say)
    finally:
        over.set()


def _say(sentence: str) -> None:
    print(f"debias: {sentence}", file=sys.stderr, flush=True)
