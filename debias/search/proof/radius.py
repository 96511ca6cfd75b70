"""Radius certificates: no better choice within any r classes changed at once.

Where the whole space is too large to search, every choice that differs from the best in up to
r classes is evaluated. What is better is taken and looked around from again.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations, islice, product
from math import comb

import numpy as np

from debias.search.certificate import Limit
from debias.search.counting.score import BALANCED, CONSTANT, RIGHT, WORST, terms_of
from debias.search.counting.sweeps import Sweeper, sweepers
from debias.search.descent.coordinate_descent import best_move
from debias.search.problem import Candidate, IndexArray, Problem
from debias.search.proof.bounds import most_beyond

ALWAYS = 1_000_000
"""Choices up to which a radius is proved whatever the limit: two of 14 classes, say."""
_CHUNK, _BATCH = 16, 64
"""Moves that one thread takes at once, and such chunks between two looks at the clock."""

Move = tuple[tuple[int, ...], tuple[int, ...]]


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
    limit : {"", "time", "work"}
        What ended it before every choice was evaluated.
    """

    best: Candidate
    radius: int
    n_evaluations: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    limit: Limit = ""


def look_around(
    problem: Problem,
    start: Candidate,
    most_radius: int | None = None,
    most_work: float | None = None,
    time_limit: float | None = None,
    n_threads: int = 1,
) -> Neighbourhood:
    """Prove that a choice is the best within the largest radius that fits the limits.

    Algorithm
    ---------
    For radius 1, 2, ...: evaluate every choice that differs from the best in exactly so many
    classes. If one beats it, take the best of these and begin again at 1. Stop at the number of
    classes, at `most_radius`, where the next radius would take more work than is left, or
    when the time is over. Radius 1, and up to :data:`ALWAYS` choices, are always done.

    Parameters
    ----------
    problem : Problem
        What is searched.
    start : Candidate
        The choice.
    most_radius : int, optional
        Largest radius to try.
    most_work : float, optional
        Choices to evaluate, times what each takes (:attr:`~debias.search.problem.Problem.work_per_choice`).
    time_limit : float, optional
        Seconds.
    n_threads : int, default=1
        Threads; the answer does not depend on them.

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
    started = time.perf_counter()
    deadline = np.inf if time_limit is None else started + time_limit
    most_choices = np.inf if most_work is None else most_work / problem.work_per_choice
    best, radius, interrupted = start, 0, False
    limit: Limit = ""
    most_radius = min(problem.n_classes, most_radius or problem.n_classes)
    with _Neighbours(problem, n_threads) as neighbours:
        try:
            # invariant: no choice that differs from best in up to `radius` classes beats it
            while radius < most_radius:
                n_needed = comb(problem.n_classes, radius + 1) * problem.n_corrections ** (radius + 1)
                always = radius == 0 or n_needed <= ALWAYS
                if not always and neighbours.n_evaluations + n_needed > most_choices:
                    limit = "work"
                    break
                better = neighbours.best_within(best, radius + 1, np.inf if always else deadline)
                if better is None:
                    limit = "time"
                    break
                radius = 0 if better.beats(best) else radius + 1
                best = better
        except KeyboardInterrupt:
            interrupted = True
        n_evaluations = neighbours.n_evaluations
    return Neighbourhood(best, radius, n_evaluations, time.perf_counter() - started, interrupted, limit)


class _Neighbours:
    """Evaluates neighbours on threads, in chunks whose results are brought together in their order."""

    def __init__(self, problem: Problem, n_threads: int):
        self.problem = problem
        self.pool = ThreadPoolExecutor(n_threads)
        self.n_evaluations = 0
        self._make_sweeper = sweepers(problem)
        self._local = threading.local()

    def __enter__(self) -> "_Neighbours":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def best_within(self, best: Candidate, radius: int, deadline: float) -> Candidate | None:
        """Return the best of all choices that differ in exactly so many classes, or the choice itself.

        None if the time was over before all were evaluated.
        """
        moves = _moves(self.problem, radius)
        found = best
        # invariant: found is the best of the moves before this batch
        while batch := list(islice(moves, _CHUNK * _BATCH)):
            if time.perf_counter() > deadline:
                return None
            chunks = [batch[at : at + _CHUNK] for at in range(0, len(batch), _CHUNK)]
            for candidate, n_evaluations in self.pool.map(self._best_of, chunks, [best] * len(chunks)):
                found = candidate if candidate.beats(found) else found
                self.n_evaluations += n_evaluations
        return found

    def _best_of(self, moves: list[Move], start: Candidate) -> tuple[Candidate, int]:
        """Return the best choice that one of the moves leads to, or the start, and how many were counted."""
        if not hasattr(self._local, "sweeper"):
            self._local.sweeper = self._make_sweeper()
        sweeper: Sweeper = self._local.sweeper
        before, best = sweeper.n_evaluations, start
        for classes, corrections in moves:
            choice: IndexArray = np.array(start.choice)
            choice[list(classes[: len(corrections)])] = corrections
            free = classes[len(corrections) :]
            moved = best_move(self.problem, choice, free, sweeper.values(choice, *free))
            best = moved if moved.beats(best) else best
        return best, sweeper.n_evaluations - before


def _moves(problem: Problem, radius: int) -> Iterator[Move]:
    """Yield classes that move together, and corrections for all but the last two of them."""
    n_fixed = max(0, radius - 2)
    for classes in combinations(range(problem.n_classes), radius):
        for corrections in product(range(problem.n_corrections), repeat=n_fixed):
            yield classes, corrections


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
    least_class, n_missing = 1.0, 0.0
    for i, j in _confused_pairs(problem):
        of_i, of_j = (slice(*problem.offsets[k : k + 2]) for k in (i, j))
        fewest = problem.support[i] + problem.support[j]
        for column in problem.columns[i]:
            lost = (problem.columns[j][:, of_i] > column[of_i]).sum(axis=1)
            lost += (problem.columns[j][:, of_j] < column[of_j]).sum(axis=1)
            fewest = min(fewest, lost.min())
        most[i] -= fewest
        # The least class accuracy is no more than the accuracy of two classes together, and what
        # their class accuracies lack is least where the larger class lacks it all.
        in_both = problem.support[i] + problem.support[j]
        least_class = min(least_class, 1 - fewest / max(1, in_both))
        n_missing += fewest / max(1, problem.support[i], problem.support[j])
    factors = terms.tables.factors[0]
    most_accurate = (problem.support > 0).sum() - n_missing
    least = factors[CONSTANT] - factors[RIGHT] * most.sum()
    least -= factors[WORST] * least_class + factors[BALANCED] * most_accurate
    return float(least - most_beyond(int(most.sum()), problem.support, terms))


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
