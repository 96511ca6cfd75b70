"""Shrinking for few labels: the fewest changes that do as well as the best, chance allowed for.

A path runs from the best choice on smoothed rows down to the identity, a changed class fewer at a
time; the one-standard-error rule takes the simplest choice on it that chance cannot tell from the
best (Breiman, Friedman, Olshen and Stone: Classification and Regression Trees, 1984, section 3.4.3).
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from debias.corrections.families import Family
from debias.search.constraints import Constrained, Goal
from debias.search.counting.sweeps import Sweeper, sweepers
from debias.search.descent.coordinate_descent import begin, descend_from
from debias.search.descent.iterated_local_search import MANY
from debias.search.descent.smoothed_bootstrap import N_COPIES, smooth
from debias.search.goals.goal_scaling import scaled_goal
from debias.search.problem import TOLERANCE, Candidate, FloatArray, IndexArray, Problem, build_problem

N_STARTS = 8
"""Starts of the descent on smoothed rows."""
N_RESAMPLES = 200
"""Resamples behind a standard error."""


class PathStep(NamedTuple):
    """A choice on the path.

    Attributes
    ----------
    candidate : Candidate
        The choice, its objective on the smoothed rows (without bounds), and how much it changes.
    standard_error : float
        Of its objective less that of the best choice on the path.
    allowed : bool
        Whether it may be taken.
    """

    candidate: Candidate
    standard_error: float
    allowed: bool


@dataclass(frozen=True)
class Shrinkage:
    """The path from the best choice on smoothed rows to the identity, and where on it to stop.

    Attributes
    ----------
    path : tuple of PathStep
        By falling number of changed classes.
    taken : int
        Position of the choice that is taken.
    """

    path: tuple[PathStep, ...]
    taken: int

    @property
    def choice(self) -> tuple[int, ...]:
        """Index into the family for every class."""
        return self.path[self.taken].candidate.choice


def shrink(
    probabilities: FloatArray,
    y: IndexArray,
    family: Family,
    objective: Goal,
    best: Candidate | None = None,
    allowed: Callable[[Sequence[int]], bool] | None = None,
    n_starts: int = N_STARTS,
    n_copies: int = N_COPIES,
    random_state: int = 0,
) -> Shrinkage:
    """Choose corrections by few labelled rows, changing no more than they can tell.

    Algorithm
    ---------
    1. Smooth the rows, and descend on the smoothed ones.
    2. Put each changed class back to the identity in turn, let the other changed classes descend
       again, and keep the best of these: a path of choices with fewer and fewer changes.
    3. Resample the labelled rows within classes, the copies of a row together: the standard error
       of each choice's objective less that of the best.
    4. Take the fewest changes, then the smallest change, within one standard error of the best.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    y : ndarray of shape (n_samples,)
        Labels, as column indices.
    family : Family
        The corrections to choose from.
    objective : Objective or Constrained
        What is minimised; bounds hold for what is searched, and what is compared on the path is
        the objective within them.
    best : Candidate, optional
        Another choice to have on the path, such as the best one on the rows themselves.
    allowed : callable, optional
        Tells of a choice whether it may be taken; at least one on the path must be.
    n_starts, n_copies : int
        Starts of the descent, copies of a row.
    random_state : int
        Seed.

    Returns
    -------
    Shrinkage
        Path and choice.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.55, 0.45]])
    >>> found = shrink(P, np.array([1, 0, 0, 1]), weights(10), Objective(pmi=0))
    >>> [step.candidate.n_changed for step in found.path], found.choice
    ([1, 0], (4, 9))
    """
    copies, labels = smooth(probabilities, y, n_copies, random_state)
    problem = build_problem(copies, labels, family, scaled_goal(objective, n_copies))
    sweeper = sweepers(problem)()
    met = path_to_identity(
        problem, quick_descent(problem, n_starts, random_state, sweeper), random_state, sweeper
    )
    if best is not None:
        met.append(problem.candidate(best.choice))
    # A problem sorts its rows by label, so do the resamples.
    resampled = _Resampled(problem, np.sort(y), n_copies, random_state)
    path = sorted((resampled.valued(one) for one in dict.fromkeys(met)), key=lambda one: (-one[1], one[0]))
    may = [allowed is None or allowed(one.choice) for one in path]
    lowest = min((one for one, ok in zip(path, may, strict=True) if ok), key=lambda one: one.objective)
    errors = resampled.standard_errors(path, lowest)
    steps = tuple(map(PathStep, path, errors, may))
    return Shrinkage(steps, _fewest_within_one_error(steps, lowest.objective))


def _fewest_within_one_error(path: Sequence[PathStep], lowest: float) -> int:
    """Return the position of the simplest choice that chance cannot tell from the best."""
    near = [
        position
        for position, step in enumerate(path)
        if step.allowed and step.candidate.objective <= lowest + step.standard_error + TOLERANCE
    ]
    return min(near, key=lambda position: path[position].candidate[1:3])


def quick_descent(problem: Problem, n_starts: int, random_state: int, sweeper: Sweeper) -> Candidate:
    """Return the best end of a few descents: pairs of classes move too unless there are many.

    Parameters
    ----------
    problem : Problem
        What is searched.
    n_starts : int
        Starts, as in :func:`~debias.search.descent.coordinate_descent.descend`.
    random_state : int
        Seed.
    sweeper : Sweeper
        On this problem.

    Returns
    -------
    Candidate
        The identity where nothing beats it.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> problem = build_problem(P, np.array([1, 0, 0]), weights(4), Objective(pmi=0))
    >>> quick_descent(problem, 2, 0, sweepers(problem)()).choice
    (1, 3)
    """
    pairs, stop = problem.n_classes < MANY, threading.Event()
    best = problem.candidate(problem.identity_choice)
    for index in range(n_starts):
        rng = np.random.default_rng([random_state, index])
        begun = begin(sweeper, index, rng, pairs, stop)
        ended = descend_from(sweeper, np.array(begun.choice), rng, pairs, stop)
        best = ended if ended.beats(best) else best
    return best


def path_to_identity(
    problem: Problem, best: Candidate, random_state: int, sweeper: Sweeper
) -> list[Candidate]:
    """Return choices with fewer and fewer changed classes, from one choice down to the identity.

    At each step every changed class is put back in turn, and the others that are changed descend
    again; the best of these is the next choice. With many classes only the class that is cheapest to
    put back is tried.

    Parameters
    ----------
    problem : Problem
        What is searched.
    best : Candidate
        Where to begin.
    random_state : int
        Seed of the order in which classes move.
    sweeper : Sweeper
        On this problem.

    Returns
    -------
    list of Candidate
        The first is `best`, the last the identity.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> problem = build_problem(P, np.array([1, 0, 0]), weights(4), Objective(pmi=0))
    >>> sweeper = sweepers(problem)()
    >>> path = path_to_identity(problem, problem.candidate([1, 2]), 0, sweeper)
    >>> [(one.choice, round(one.objective, 3)) for one in path]
    [((1, 2), 0.0), ((1, 3), 0.0), ((3, 3), 1.333)]
    """
    rng, stop = np.random.default_rng(random_state), threading.Event()
    path = [best]
    while path[-1].n_changed:
        choice = np.array(path[-1].choice)
        unchanged = frozenset(np.flatnonzero(choice == problem.identity).tolist())
        tried: list[Candidate] = []
        for k in _to_put_back(problem, choice):
            simpler = choice.copy()
            simpler[k] = problem.identity
            kept, pairs = unchanged | {k}, problem.n_classes < MANY
            tried.append(descend_from(sweeper, simpler, rng, pairs, stop, kept))
        found = tried[0]
        for one in tried[1:]:
            found = one if one.beats(found) else found
        path.append(found)
    return path


def _to_put_back(problem: Problem, choice: IndexArray) -> list[int]:
    """Return the classes to try: all that are changed, or the cheapest one where there are many."""
    changed = np.flatnonzero(choice != problem.identity)
    if problem.n_classes < MANY:
        return [int(k) for k in changed]
    worth = []
    for k in changed:
        simpler = choice.copy()
        simpler[k] = problem.identity
        worth.append(problem.evaluate(simpler))
    return [int(changed[np.argmin(worth)])]


class _Resampled:
    """The labelled rows, drawn again within classes; copies of a row stay together, bounds ignored."""

    def __init__(self, problem: Problem, y: IndexArray, n_copies: int, random_state: int):
        self._problem, self._y, self._n_copies = problem, y, n_copies
        goal = problem.objective
        self._inner = goal.inner if isinstance(goal, Constrained) else goal
        rng = np.random.default_rng(random_state)
        self._times = np.zeros((N_RESAMPLES, len(y)), dtype=np.int64)
        for k in np.unique(y):
            rows = np.flatnonzero(y == k)
            shares = np.full(len(rows), 1 / len(rows))
            self._times[:, rows] = rng.multinomial(len(rows), shares, size=N_RESAMPLES)

    def valued(self, candidate: Candidate) -> Candidate:
        """Return a candidate with its objective, bounds ignored."""
        unbounded = self._problem.with_objective(self._inner)
        return candidate._replace(objective=unbounded.evaluate(candidate.choice))

    def standard_errors(self, path: Sequence[Candidate], best: Candidate) -> list[float]:
        """Return the deviation, over resamples, of each objective less that of the best."""
        lowest = self._values(best)
        return [float((self._values(one) - lowest).std()) for one in path]

    def _values(self, candidate: Candidate) -> FloatArray:
        """Return the objective of a choice on every resample."""
        problem, n_classes = self._problem, self._problem.n_classes
        ranks = problem.columns[np.arange(n_classes), np.array(candidate.choice)]
        named = np.argmax(ranks, axis=0).reshape(len(self._y), self._n_copies)
        by_class = (named[:, :, None] == np.arange(n_classes)).sum(axis=1)
        own = np.where(self._y[:, None] == np.arange(n_classes), by_class, 0)
        support = np.broadcast_to(problem.support, (N_RESAMPLES, n_classes))
        costs, cost = self._inner.cost_matrix(n_classes), None
        if costs is not None:
            cost = self._times @ (by_class * costs[self._y]).sum(axis=1) / problem.n_samples
        return np.asarray(self._inner(self._times @ own, self._times @ by_class, support, cost))
