"""Multi-start descent: change one class, then two, at last three at once, while that helps.

Changing one class at a time can be stuck from every start: with two classes the optimum may
need both to move. So every start ends in a choice that no change of one or two classes
improves, and the best of them is tried with three: with up to three classes it is the optimum.
"""

import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import combinations

import numpy as np

from debias.search.counting.sweeps import Sweeper, sweepers
from debias.search.problem import TOLERANCE, Candidate, FloatArray, IndexArray, Problem
from debias.search.result import SearchResult

MOST_TRIPLES = 4_000_000
"""Evaluations that one pass over all triples of classes may take."""


def descend(
    problem: Problem,
    n_starts: int = 32,
    random_state: int = 0,
    n_threads: int = 1,
    pair_moves: bool = True,
    on_start_done: Callable[[], object] | None = None,
) -> SearchResult:
    """Search by descent from the identity and from random choices.

    Algorithm
    ---------
    0. Begin with the identity, random choices, and ends of descents (1 to 3) within the
       weights alone and the memberships alone, in turns.
    1. Sweep the classes in random order, each to its best correction, until none changes.
    2. Sweep all pairs of classes; take the first pair that improves and go back to 1.
    3. Stop when no pair improves.
    4. Of the best of all starts, sweep all triples of classes while that improves, where one
       pass is at most :data:`MOST_TRIPLES` evaluations.
    5. Put one class after another back to the identity and let the others move: kept when
       nothing is lost. If so, go back to 4.

    The value of a choice is compared as :class:`~debias.search.problem.Candidate` says:
    objective, then changed classes, then size of the change. Each move makes it strictly
    smaller, so the descent ends. Every start has a random stream of its own and the best
    result is taken in the order of the starts, so the answer does not depend on threads.

    Parameters
    ----------
    problem : Problem
        What is searched.
    n_starts : int, default=32
        Starts; the first is the identity.
    random_state : int, default=0
        Seed.
    n_threads : int, default=1
        Threads; each takes whole starts.
    pair_moves : bool, default=True
        Whether two classes may move together.
    on_start_done : callable, optional
        Called after each start, for a progress bar.

    Returns
    -------
    SearchResult
        The best choice; interrupted (Ctrl-C), the best that was met.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> problem = build_problem(P, np.array([1, 0, 0]), weights(4), Objective(pmi=0))
    >>> descend(problem).best
    Candidate(objective=0.0, n_changed=1, change=0.36..., choice=(1, 3))
    """
    started = time.perf_counter()
    make_sweeper = sweepers(problem)
    stop = threading.Event()
    seeds = np.random.SeedSequence(random_state).spawn(n_starts)
    local = threading.local()

    def run(index: int) -> tuple[Candidate, int]:
        if not hasattr(local, "sweeper"):
            local.sweeper = make_sweeper()
        before = local.sweeper.n_evaluations
        rng = np.random.default_rng(seeds[index])
        begun = begin(local.sweeper, index, rng, pair_moves, stop)
        best = descend_from(local.sweeper, np.array(begun.choice), rng, pair_moves, stop)
        return best, local.sweeper.n_evaluations - before

    with ThreadPoolExecutor(n_threads) as pool:
        futures = [pool.submit(run, index) for index in range(n_starts)]
        try:
            for future in as_completed(futures):
                if on_start_done is not None and not future.cancelled():
                    on_start_done()
        except KeyboardInterrupt:
            stop.set()
            pool.shutdown(cancel_futures=True)
    best = problem.candidate(problem.identity_choice)
    n_evaluations = 1
    met = [best]
    for candidate, count in (future.result() for future in futures if not future.cancelled()):
        best = candidate if candidate.beats(best) else best
        met.append(candidate)
        n_evaluations += count
    sweeper = make_sweeper()
    rng = np.random.default_rng(random_state)
    try:
        best = _finish(sweeper, best, rng, pair_moves, stop)
    except KeyboardInterrupt:
        stop.set()
    n_evaluations += sweeper.n_evaluations
    return SearchResult(best, n_evaluations, time.perf_counter() - started, stop.is_set(), tuple(met))


def _finish(
    sweeper: Sweeper, best: Candidate, rng: np.random.Generator, pair_moves: bool, stop: threading.Event
) -> Candidate:
    """Polish and simplify in turns, until neither changes anything."""
    before = None
    while best != before and not stop.is_set():
        before = best
        best = _polish(sweeper, best, rng, stop) if pair_moves else best
        best = _simplify(sweeper, best, rng, pair_moves, stop)
    return best


def _polish(sweeper: Sweeper, best: Candidate, rng: np.random.Generator, stop: threading.Event) -> Candidate:
    """Move three classes at once, then one and two again, while that helps and is not too long."""
    problem = sweeper.problem
    triples = list(combinations(range(problem.n_classes), 3))
    if len(triples) * problem.n_corrections**3 > MOST_TRIPLES:
        return best
    improved = bool(triples)
    while improved and not stop.is_set():
        improved = False
        for i, j, k in triples:
            for r in range(problem.n_corrections):
                choice = np.array(best.choice)
                choice[i] = r
                moved = best_move(problem, choice, (j, k), sweeper.values(choice, j, k))
                if moved.beats(best):
                    best, improved = moved, True
        if improved:
            best = descend_from(sweeper, np.array(best.choice), rng, True, stop)
    return best


def _simplify(
    sweeper: Sweeper, best: Candidate, rng: np.random.Generator, pair_moves: bool, stop: threading.Event
) -> Candidate:
    """Put back to the identity, one by one, the classes that need no correction for the same objective."""
    problem = sweeper.problem
    kept = {k for k in range(problem.n_classes) if best.choice[k] == problem.identity}
    for k in set(range(problem.n_classes)) - kept:
        choice = np.array(best.choice)
        choice[k] = problem.identity
        simpler = descend_from(sweeper, choice, rng, pair_moves, stop, kept | {k})
        if simpler.beats(best):
            best = simpler
            kept = kept | {k}
    return best


def begin(
    sweeper: Sweeper, index: int, rng: np.random.Generator, pair_moves: bool, stop: threading.Event
) -> Candidate:
    """Return the start of a number: the identity, a random choice, or the end of a descent within one kind.

    With many classes a random choice of all kinds is mostly hopeless, and what is best within
    one kind is a far better place to begin.

    Parameters
    ----------
    sweeper : Sweeper
        On the problem that is searched.
    index : int
        Number of the start; 0 is the identity.
    rng : Generator
        What is random.
    pair_moves : bool
        Whether two classes may move together.
    stop : Event
        Ends a descent early.

    Returns
    -------
    Candidate
        Where to descend from.
    """
    problem = sweeper.problem
    groups = problem.groups if len(problem.groups) > 1 else ()
    turn = (index - 1) % (len(groups) + 1)
    if index == 0:
        return problem.candidate(problem.identity_choice)
    if turn == len(groups):
        return problem.candidate(rng.integers(problem.n_corrections, size=problem.n_classes))
    group = groups[turn]
    first_turn = index == turn + 1
    choice = problem.identity_choice if first_turn else rng.choice(group, size=problem.n_classes)
    return descend_from(sweeper, choice, rng, pair_moves, stop, group=group)


def descend_from(
    sweeper: Sweeper,
    choice: IndexArray,
    rng: np.random.Generator,
    pair_moves: bool,
    stop: threading.Event,
    kept: AbstractSet[int] = frozenset(),
    group: IndexArray | None = None,
) -> Candidate:
    """Return the local optimum reached from one choice, or the best met so far if it is stopped.

    Parameters
    ----------
    sweeper : Sweeper
        On the problem that is searched.
    choice : ndarray of shape (n_classes,)
        Where to begin.
    rng : Generator
        The order in which classes move.
    pair_moves : bool
        Whether two classes may move together.
    stop : Event
        Ends the descent early.
    kept : set of int
        Classes that do not move.
    group : ndarray, optional
        Only these corrections are taken.

    Returns
    -------
    Candidate
        No change of one class, or of two, improves it.
    """
    problem = sweeper.problem
    free = [k for k in range(problem.n_classes) if k not in kept]
    pairs = list(combinations(free, 2)) if pair_moves else []
    best = problem.candidate(choice)
    improved = True
    while improved and not stop.is_set():
        best = _move_single_classes(sweeper, best, rng.permutation(free), group)
        improved = False
        for index in rng.permutation(len(pairs)):
            if stop.is_set():
                break
            choice = np.array(best.choice)
            values = sweeper.values(choice, *pairs[index])
            moved = best_move(problem, choice, pairs[index], values, group)
            if moved.beats(best):
                best, improved = moved, True
                break
    return best


def _move_single_classes(
    sweeper: Sweeper, best: Candidate, order: IndexArray, group: IndexArray | None
) -> Candidate:
    """Move one class at a time, in turns, until none moves."""
    n_unmoved = position = 0
    while n_unmoved < len(order):
        j = int(order[position % len(order)])
        choice = np.array(best.choice)
        moved = best_move(sweeper.problem, choice, (j,), sweeper.values(choice, j), group)
        n_unmoved = 1 if moved.beats(best) else n_unmoved + 1
        best = moved if moved.beats(best) else best
        position += 1
    return best


def best_move(
    problem: Problem,
    choice: IndexArray,
    classes: tuple[int, ...],
    values: FloatArray,
    group: IndexArray | None = None,
) -> Candidate:
    """Return the best of the choices that a sweep of some classes evaluated.

    Parameters
    ----------
    problem : Problem
        What is searched.
    choice : ndarray of shape (n_classes,)
        The choice around which was swept.
    classes : tuple of int
        The classes that were swept, one or two.
    values : ndarray
        z by correction, an axis per class.
    group : ndarray, optional
        Only these corrections may be taken.

    Returns
    -------
    Candidate
        The lowest z; among equals the simplest.
    """
    within = values if group is None else values[np.ix_(*[group] * values.ndim)]
    equal = np.argwhere(within <= within.min() + TOLERANCE)
    equal = equal if group is None else group[equal]
    moves = equal[0]
    if len(equal) > 1:
        n_changed = (equal != problem.identity).sum(axis=1)
        change = problem.change[np.array(classes), equal].sum(axis=1)
        moves = equal[np.lexsort((change, n_changed))[0]]
    moved = choice.copy()
    moved[list(classes)] = moves
    return problem.candidate(moved, float(values[tuple(moves)]))
