"""Settings of a search: its method, its starts, its limits and its threads. One object for all callers."""

from dataclasses import dataclass

from debias.settings import Settings, setting

SEARCHES = ("auto", "exact", "enumerate", "descent", "annealing-3/6", "annealing-150/300")
"""Names of searches; the last two are the published schedules of simulated annealing."""


@dataclass(frozen=True)
class SearchSettings(Settings):
    """How a search runs.

    Parameters
    ----------
    search : str, default="auto"
        One of :data:`SEARCHES`. ``"auto"`` descends, then proves the optimum if that takes no more
        than a fixed amount of work, else that no choice within a radius is better. ``"exact"``
        proves the optimum; ``"enumerate"`` evaluates every choice, which completes the frontier;
        ``"descent"`` proves nothing. A published annealing schedule is a baseline.
    n_starts : int, default=32
        Random starts of the descent.
    time_limit : float, optional
        Seconds for the proof. By default ``"auto"`` counts work, not seconds, and the others have no
        limit: so the answer is the same on any machine, under any load. At the time limit the
        best so far is kept, and its certificate says what was proved.
    n_jobs : int, optional
        Threads, as in scikit-learn; the answer does not depend on them.
    tolerance : float, default=0.0
        Of the choices whose objective is no more above the best, the one with the highest balanced
        accuracy is taken; with 0 the best itself.

    Examples
    --------
    >>> SearchSettings(n_starts=0)
    Traceback (most recent call last):
    debias.errors.ParameterError: n_starts must be a positive integer, got 0.
    """

    search: str = setting("auto", "How to search.", one_of=SEARCHES)
    n_starts: int = setting(32, "Number of random starts of the descent.", least=1)
    time_limit: float | None = setting(None, "Time limit for the proof, in seconds.", above=0)
    n_jobs: int | None = setting(None, "Number of threads; -1 uses all cores.", excluded=(0,))
    tolerance: float = setting(
        0.0,
        "Among the choices whose objective is at most this much above the best, take the one with the "
        "highest balanced accuracy.",
        metavar="NUMBER",
        least=0,
        most=10,
    )
