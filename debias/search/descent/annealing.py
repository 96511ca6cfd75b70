"""The published search, simulated annealing, kept faithfully as a baseline by name.

Schedule of DNIP, FuRud and DCS (arXiv 2405.07623, 2412.19018, 2503.05157): start at the
identity; temperatures from 2e5, times .95, while at least 200; at each one, propose a random
correction for a random class until enough are accepted or tried. It sees M * z, so its
temperature does not scale with the number of samples M;
:mod:`debias.search.descent.coordinate_descent` is better.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from debias.search.problem import IndexArray, Problem
from debias.search.result import SearchResult

HIGHEST = 2e5
LOWEST = 200.0
COOLING = 0.95


@dataclass(frozen=True)
class Schedule:
    """How many proposals one temperature sees.

    Parameters
    ----------
    accepted, tried : int
        Go on to the next temperature after this many accepted or tried proposals.
    """

    accepted: int
    tried: int

    def temperatures(self) -> Iterator[float]:
        """Yield the temperatures.

        Examples
        --------
        >>> len(list(Schedule(3, 6).temperatures()))
        135
        """
        temperature = HIGHEST
        while temperature >= LOWEST:
            yield temperature
            temperature *= COOLING


SCHEDULES = {"annealing-3/6": Schedule(3, 6), "annealing-150/300": Schedule(150, 300)}
"""The published schedules: the later papers' and the earlier one."""


def anneal(
    problem: Problem,
    schedule: Schedule = SCHEDULES["annealing-3/6"],
    random_state: int = 0,
    evaluate: Callable[[IndexArray], float] | None = None,
) -> SearchResult:
    """Search by simulated annealing with a published schedule.

    Parameters
    ----------
    problem : Problem
        What is searched.
    schedule : Schedule
        One of :data:`SCHEDULES`.
    random_state : int, default=0
        Seed.
    evaluate : callable, optional
        Another way to compute z of a choice, for benchmarks; ``problem.evaluate`` if not given.

    Returns
    -------
    SearchResult
        The best choice that was met.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> problem = build_problem(P, np.array([1, 0, 0]), weights(4), Objective(pmi=0))
    >>> result = anneal(problem)
    >>> result.best.objective, 405 <= result.n_evaluations <= 811
    (0.0, True)
    """
    started = time.perf_counter()
    evaluate = problem.evaluate if evaluate is None else evaluate
    rng = np.random.default_rng(random_state)
    choice = problem.identity_choice
    current = evaluate(choice)
    best = problem.candidate(choice, current)
    n_evaluations = 1
    for temperature in schedule.temperatures():
        accepted = tried = 0
        while accepted < schedule.accepted and tried < schedule.tried:
            tried += 1
            proposal = choice.copy()
            proposal[rng.integers(problem.n_classes)] = rng.integers(problem.n_corrections)
            value = evaluate(proposal)
            n_evaluations += 1
            worse_by = problem.n_samples * (value - current)
            if worse_by <= 0 or rng.random() < math.exp(-worse_by / temperature):
                accepted += 1
                choice, current = proposal, value
                candidate = problem.candidate(choice, current)
                best = candidate if candidate.beats(best) else best
    return SearchResult(best, n_evaluations, time.perf_counter() - started)
