"""Better starts for a search within bounds: the ends of descents that weigh instead of bound.

Close to its bounds an objective is rugged: most neighbours are out of them, so that descents
stop early. Weighing error against COBias is smooth, and its ends lie near the bounds.
"""

import threading
from dataclasses import replace

import numpy as np

from debias.search.counting.sweeps import sweepers
from debias.search.descent.coordinate_descent import descend, descend_from
from debias.search.objective import Objective
from debias.search.problem import Candidate, Problem
from debias.search.result import SearchResult

COBIAS_WEIGHTS = (0.25, 1.0, 4.0)
"""Weights of COBias beside an error that counts one."""


def improve_within_bounds(
    problem: Problem, found: SearchResult, n_starts: int = 8, random_state: int = 0, n_threads: int = 1
) -> SearchResult:
    """Descend again from where weighted objectives end.

    Parameters
    ----------
    problem : Problem
        With a Constrained objective.
    found : SearchResult
        Result of a descent within the bounds.
    n_starts : int, default=8
        Starts under each weighted objective.
    random_state, n_threads
        As in :func:`~debias.search.descent.coordinate_descent.descend`.

    Returns
    -------
    SearchResult
        At least as good.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.constraints import Constrained
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> problem = build_problem(P, np.array([1, 0, 0]), weights(4), Constrained(max_cobias=0.5))
    >>> improve_within_bounds(problem, descend(problem, n_starts=1)).best.objective
    0.0
    """
    sweeper = sweepers(problem)()
    rng = np.random.default_rng(random_state)
    pair_moves = len(found.best.choice) < 10
    best, met, n_evaluations = found.best, list(found.met), found.n_evaluations
    stop = threading.Event()
    for weight in COBIAS_WEIGHTS:
        weighted = problem.with_objective(Objective(error=1.0, cobias=weight, pmi=0.0))
        eased = descend(weighted, n_starts, random_state, n_threads, pair_moves)
        n_evaluations += eased.n_evaluations
        for choice in dict.fromkeys([eased.best.choice, *(end.choice for end in eased.met)]):
            end: Candidate = descend_from(sweeper, np.array(choice), rng, pair_moves, stop)
            met.append(end)
            best = end if end.beats(best) else best
        if eased.interrupted:
            break
    n_evaluations += sweeper.n_evaluations
    return replace(
        found, best=best, met=tuple(met), n_evaluations=n_evaluations, interrupted=eased.interrupted
    )
