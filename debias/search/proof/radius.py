"""Radius certificates: no better choice within any r classes changed at once.

Where the whole space is too large to search, every choice that differs from the best in up to
r classes is evaluated. What is better is taken and looked around from again.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations, islice, product
from math import comb

import numpy as np

from debias.search.counting.sweeps import Sweeper, sweepers
from debias.search.descent.coordinate_descent import best_move
from debias.search.problem import Candidate, IndexArray, Problem
from debias.search.proof.bounds import most_information, terms_of

ALWAYS = 1_000_000
"""Choices up to which a radius is proved whatever the time: two of 14 classes, say."""
_BATCH = 256


@dataclass(frozen=True)
class Neighbourhood:
    """What was found around a choice.

    Attributes
    ----------
    best : Candidate
        The choice, or a better one that was met.
    radius : int
        Classes that may change at once without doing better.
    n_evaluations : int
        Choices evaluated.
    seconds : float
        Wall-clock time.
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    best: Candidate
    radius: int
    n_evaluations: int
    seconds: float
    interrupted: bool = False


def look_around(
    problem: Problem,
    start: Candidate,
    most_radius: int | None = None,
    time_limit: float | None = None,
    n_threads: int = 1,
) -> Neighbourhood:
    """Prove that a choice is the best within the largest radius that fits the time.

    Algorithm
    ---------
    For radius 1, 2, ...: evaluate every choice that differs from the best in exactly so many
    classes. If one beats it, take the best of these and begin again at 1. Stop at the number of
    classes, at `most_radius`, or when the next radius would take longer than what is left
    of the time, at the rate seen so far. Radius 1, and up to :data:`ALWAYS` choices, are always done.

    Parameters
    ----------
    problem : Problem
        What is searched.
    start : Candidate
        The choice.
    most_radius : int, optional
        Largest radius to try.
    time_limit : float, optional
        Seconds.
    n_threads : int, default=1
        Threads; the answer does not depend on them, but for the radius that the time allows.

    Returns
    -------
    Neighbourhood
        With radius equal to the number of classes, the choice is the optimum.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> problem = build_problem(P, np.array([1, 0, 0]), weights(4), Objective(pmi=0))
    >>> found = look_around(problem, problem.candidate(problem.identity_choice))
    >>> found.best.objective, found.radius
    (0.0, 2)
    """
    pool = [sweeper() for sweeper in [sweepers(problem)] for _ in range(n_threads)]
    _best_of_moves(pool[0], list(islice(_moves(problem, 2), 1)), start)  # compiled before time is taken
    pool[0].n_evaluations = 0
    started = time.perf_counter()
    best, radius, interrupted = start, 0, False
    most_radius = min(problem.n_classes, most_radius or problem.n_classes)
    try:
        while radius < most_radius and _affordable(problem, radius + 1, pool, started, time_limit):
            better = _best_within(problem, best, radius + 1, pool)
            radius = 0 if better.beats(best) else radius + 1
            best = better
    except KeyboardInterrupt:
        interrupted = True
    n_evaluations = sum(sweeper.n_evaluations for sweeper in pool)
    return Neighbourhood(best, radius, n_evaluations, time.perf_counter() - started, interrupted)


def _affordable(
    problem: Problem, radius: int, pool: list[Sweeper], started: float, time_limit: float | None
) -> bool:
    """Return whether the time is enough for a radius, at the rate so far."""
    n_done = sum(sweeper.n_evaluations for sweeper in pool)
    n_needed = comb(problem.n_classes, radius) * problem.n_corrections**radius
    if time_limit is None or not n_done or n_needed <= ALWAYS:
        return True
    passed = time.perf_counter() - started
    return passed + n_needed * passed / n_done <= time_limit


def _best_within(problem: Problem, best: Candidate, radius: int, pool: list[Sweeper]) -> Candidate:
    """Return the best of all choices that differ in exactly so many classes, or the choice itself."""
    moves = _moves(problem, radius)
    found = best
    with ThreadPoolExecutor(len(pool)) as threads:
        while batch := list(islice(moves, _BATCH * len(pool))):
            shares = [batch[t :: len(pool)] for t in range(len(pool))]
            for candidate in threads.map(_best_of_moves, pool, shares, [best] * len(pool)):
                found = candidate if candidate.beats(found) else found
    return found


def _moves(problem: Problem, radius: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield classes that move together, and corrections for all but the last two of them."""
    n_settled = max(0, radius - 2)
    for classes in combinations(range(problem.n_classes), radius):
        for corrections in product(range(problem.n_corrections), repeat=n_settled):
            yield classes, corrections


def _best_of_moves(
    sweeper: Sweeper, moves: list[tuple[tuple[int, ...], tuple[int, ...]]], start: Candidate
) -> Candidate:
    """Return the best choice that one of the moves leads to, or the start."""
    problem = sweeper.problem
    best = start
    for classes, corrections in moves:
        choice: IndexArray = np.array(start.choice)
        choice[list(classes[: len(corrections)])] = corrections
        free = classes[len(corrections) :]
        values = sweeper.single(choice, *free) if len(free) == 1 else sweeper.pair(choice, *free)
        moved = best_move(problem, choice, free, values)
        best = moved if moved.beats(best) else best
    return best


def pair_bound(problem: Problem) -> float:
    """Return a lower bound of z from pairs of classes that are each considered alone.

    Two classes together can have no more right samples than when the others did not exist;
    over disjoint pairs these numbers add up. Pairs that are confused most come first.

    Parameters
    ----------
    problem : Problem
        What is searched.

    Returns
    -------
    float
        No choice has a lower z. Weak where classes are evened out at the cost of errors,
        since COBias counts as 0.
    """
    terms = terms_of(problem)
    most = problem.support.copy()
    for i, j in _confused_pairs(problem):
        of_i, of_j = (slice(*problem.offsets[k : k + 2]) for k in (i, j))
        fewest = problem.support[i] + problem.support[j]
        for column in problem.columns[i]:
            lost = (problem.columns[j][:, of_i] > column[of_i]).sum(axis=1)
            lost += (problem.columns[j][:, of_j] < column[of_j]).sum(axis=1)
            fewest = min(fewest, lost.min())
        most[i] -= fewest
    least = terms.weights[3] - terms.weights[0] * most.sum()
    if terms.weights[2] > 0:
        least -= terms.weights[2] * most_information(int(most.sum()), problem.support, terms)
    return float(least)


def _confused_pairs(problem: Problem) -> list[tuple[int, int]]:
    """Return disjoint pairs of classes, those that the uncorrected model confuses most first."""
    rows = problem.columns[:, problem.identity]
    confusion = np.zeros((problem.n_classes, problem.n_classes), dtype=np.int64)
    np.add.at(confusion, (problem.y, rows.argmax(axis=0)), 1)
    pairs = sorted(
        combinations(range(problem.n_classes), 2), key=lambda p: -(confusion[p] + confusion[p[::-1]])
    )
    taken: set[int] = set()
    chosen = []
    for pair in pairs:
        if taken.isdisjoint(pair):
            taken.update(pair)
            chosen.append(pair)
    return chosen
