"""How a search runs: by which method, how long, on how many threads. One object for all callers."""

from dataclasses import dataclass

from debias.settings import Settings, setting

METHODS = ("auto", "exact", "enumerate", "descent", "annealing-3/6", "annealing-150/300")
"""Names of searches; the last two are the published schedules of simulated annealing."""


@dataclass(frozen=True)
class SearchSettings(Settings):
    """How a search runs.

    Parameters
    ----------
    search : str, default="auto"
        One of :data:`METHODS`.
    n_starts : int, default=32
        Random starts of the descent.
    time_limit : float, optional
        Seconds for the proof. Work is counted, not timed, where it is not given.
    n_jobs : int, optional
        Threads, as in scikit-learn; the answer does not depend on them.

    Examples
    --------
    >>> SearchSettings(n_starts=0)
    Traceback (most recent call last):
    debias.errors.ParameterError: n_starts must be a positive integer, got 0.
    """

    search: str = setting("auto", "How to search.", one_of=METHODS)
    n_starts: int = setting(32, "Random starts of the descent.", least=1)
    time_limit: float | None = setting(None, "Most seconds for the proof.", above=0)
    n_jobs: int | None = setting(None, "Threads; -1 for all.")
