"""Run the search that an estimator asks for by name, and tell whoever waits for it."""

import re
from typing import Any

import joblib

from debias.console.progress import waiting
from debias.errors import ParameterError
from debias.search.descent.annealing import SCHEDULES, anneal
from debias.search.problem import Problem
from debias.search.result import SearchResult
from debias.search.solve import METHODS, search

SEARCHES = (*METHODS, *SCHEDULES)
"""Names that ``search`` may have."""
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def check_search(name: Any, n_starts: Any, time_limit: Any, n_jobs: Any, device: Any = None) -> None:
    """Refuse parameters of a search that are not allowed.

    Raises
    ------
    ParameterError
        Which parameter, what was received, what is allowed.

    Examples
    --------
    >>> check_search("descend", 32, None, None)
    Traceback (most recent call last):
    debias.errors.ParameterError: search must be one of ('auto', 'exact', 'enumerate', 'descent',
    'annealing-3/6', 'annealing-150/300'); got 'descend'.
    """
    if name not in SEARCHES:
        raise ParameterError(f"search must be one of {SEARCHES}; got {name!r}.")
    if not hasattr(n_starts, "__index__") or n_starts < 1:
        raise ParameterError(f"n_starts must be an integer of at least 1; got {n_starts!r}.")
    if time_limit is not None and not (isinstance(time_limit, (int, float)) and time_limit > 0):
        raise ParameterError(f"time_limit must be None or seconds above 0; got {time_limit!r}.")
    if n_jobs == 0:
        raise ParameterError("n_jobs must be None, a number of threads from 1 on, or -1 for all; got 0.")
    if device is not None and not (isinstance(device, str) and _DEVICE.fullmatch(device)):
        raise ParameterError(
            f"device must be None or 'cpu' for the compiled search, 'cuda', 'cuda:0', ... or 'auto'; got "
            f"{device!r}."
        )


def run_search(
    problem: Problem,
    name: str,
    n_starts: int,
    seed: int,
    n_jobs: int | None,
    time_limit: float | None,
    verbose: int,
    device: str | None = None,
) -> SearchResult:
    """Search for the best choice.

    Parameters
    ----------
    problem : Problem
        What is searched.
    name : str
        One of :data:`SEARCHES`.
    n_starts, seed : int
        Starts of the descent, and the seed of the random ones.
    n_jobs : int, optional
        Threads, as in scikit-learn.
    time_limit : float, optional
        Seconds for a proof.
    verbose : int
        Show a progress bar; without one, only what takes long is said, beforehand and meanwhile.
    device : str, optional
        Where optima are proved; see :func:`~debias.search.solve.search`.

    Returns
    -------
    SearchResult
        A published schedule has no certificate.
    """
    if name in SCHEDULES:
        return anneal(problem, SCHEDULES[name], seed)
    method: Any = name
    n_threads = joblib.effective_n_jobs(n_jobs)
    with waiting(verbose) as voice:
        return search(problem, method, n_starts, seed, n_threads, time_limit, *voice, device)
