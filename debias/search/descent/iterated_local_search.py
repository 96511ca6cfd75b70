"""The search for many classes: descents, then small kicks from the best of them, then pairs.

With 14, 77 or 150 classes all pairs from every start take too long, and a fresh random choice is
mostly hopeless. Single-class descents are quick; a kick changes a class and some that it is
confused with at random and descends again (iterated local search).
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np

from debias.search.counting.sweeps import Sweeper, sweepers
from debias.search.descent.coordinate_descent import best_move, descend, descend_from
from debias.search.problem import Candidate, IndexArray, Problem
from debias.search.result import SearchResult

MANY = 10
"""Classes from which this search is used."""
_CHAINS = 4
_KICKS_PER_CLASS = 3
_MOST_EVALUATIONS = 1_000_000


def iterated_local_search(
    problem: Problem,
    n_starts: int = 32,
    random_state: int = 0,
    n_threads: int = 1,
    on_start_done: Callable[[], object] | None = None,
) -> SearchResult:
    """Search by descents of single classes, kicks, and moves of the most confused pairs.

    Algorithm
    ---------
    1. Descend from the starts of
       :func:`~debias.search.descent.coordinate_descent.descend`, one class at a time.
    2. From each of the best few ends: change a class and up to three of those that it is most
       confused with to random corrections, descend, keep what is better; a few times per class,
       and at most :data:`_MOST_EVALUATIONS`.
    3. Of the best of all, sweep pairs of classes, the most confused first and as many
       evaluations; take what improves, descend, and begin again.

    Parameters
    ----------
    problem : Problem
        What is searched.
    n_starts, random_state, n_threads, on_start_done
        As in :func:`~debias.search.descent.coordinate_descent.descend`.

    Returns
    -------
    SearchResult
        Interrupted (Ctrl-C), the best that was met.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> from debias.search.problem import build_problem
    >>> rng = np.random.default_rng(0)
    >>> P = rng.dirichlet(np.ones(12), 240)
    >>> problem = build_problem(P, np.arange(240) % 12, weights(5), Objective())
    >>> descents, kicked = descend(problem, 4, pair_moves=False), iterated_local_search(problem, 4)
    >>> kicked.best.objective < descents.best.objective
    True
    """
    started = time.perf_counter()
    found = descend(problem, n_starts, random_state, n_threads, False, on_start_done)
    if found.interrupted:
        return found
    stop = threading.Event()
    make_sweeper = sweepers(problem)
    neighbours = _confused(problem)
    begins = sorted({found.best, *found.met}, key=lambda c: (c.objective, c.n_changed, c.change))[:_CHAINS]
    seeds = np.random.SeedSequence((random_state, 1)).spawn(len(begins) + 1)
    pool_sweepers = [make_sweeper() for _ in begins]
    best = found.best
    ends: list[Candidate] = []
    with ThreadPoolExecutor(n_threads) as pool:
        chains = [
            pool.submit(_kick, sweeper, begin, neighbours, np.random.default_rng(seed), stop)
            for sweeper, begin, seed in zip(pool_sweepers, begins, seeds[:-1], strict=True)
        ]
        try:
            ends = [chain.result() for chain in chains]
        except KeyboardInterrupt:
            stop.set()
            ends = [chain.result() for chain in chains]
    for end in ends:
        best = end if end.beats(best) else best
    try:
        best = _move_pairs(pool_sweepers[0], best, neighbours, np.random.default_rng(seeds[-1]), stop)
    except KeyboardInterrupt:
        stop.set()
    n_evaluations = found.n_evaluations + sum(sweeper.n_evaluations for sweeper in pool_sweepers)
    met = (*found.met, *ends)
    return SearchResult(best, n_evaluations, time.perf_counter() - started, stop.is_set(), met)


def _confused(problem: Problem) -> IndexArray:
    """Return how often two classes are confused without correction, shape (n_classes, n_classes)."""
    confusion = np.zeros((problem.n_classes, problem.n_classes), dtype=np.int64)
    predicted = problem.columns[:, problem.identity].argmax(axis=0)
    np.add.at(confusion, (problem.y, predicted), 1)
    np.fill_diagonal(confusion, 0)
    return confusion + confusion.T


def _kick(
    sweeper: Sweeper,
    best: Candidate,
    confused: IndexArray,
    rng: np.random.Generator,
    stop: threading.Event,
) -> Candidate:
    """Change a few classes that go together at random and descend; keep what is better."""
    problem = sweeper.problem
    for _ in range(_KICKS_PER_CLASS * problem.n_classes):
        if stop.is_set() or sweeper.n_evaluations > _MOST_EVALUATIONS:
            break
        first = rng.integers(problem.n_classes)
        shares = confused[first] + 1.0
        shares[first] = 0.0
        n_more = rng.integers(0, 4)
        more = rng.choice(problem.n_classes, n_more, replace=False, p=shares / shares.sum())
        choice = np.array(best.choice)
        choice[[first, *more]] = rng.integers(problem.n_corrections, size=n_more + 1)
        end = descend_from(sweeper, choice, rng, False, stop)
        best = end if end.beats(best) else best
    return best


def _move_pairs(
    sweeper: Sweeper,
    best: Candidate,
    confused: IndexArray,
    rng: np.random.Generator,
    stop: threading.Event,
) -> Candidate:
    """Move two classes at once, the most confused first, until no pair improves or enough were tried."""
    problem = sweeper.problem
    pairs = sorted(combinations(range(problem.n_classes), 2), key=lambda pair: -confused[pair])
    most = sweeper.n_evaluations + _MOST_EVALUATIONS
    improved = True
    while improved:
        improved = False
        for pair in pairs:
            if stop.is_set() or sweeper.n_evaluations > most:
                return best
            choice = np.array(best.choice)
            moved = best_move(problem, choice, pair, sweeper.values(choice, *pair))
            if moved.beats(best):
                best = descend_from(sweeper, np.array(moved.choice), rng, False, stop)
                improved = True
    return best
