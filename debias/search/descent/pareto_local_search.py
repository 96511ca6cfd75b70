"""Pareto local search: a frontier of accuracy and COBias that cannot be enumerated.

Around every choice on the frontier all changes of one class, then of two, are counted, and what
no known choice beats in both accuracy and COBias joins the frontier (Paquete, Chiarandini and
Stützle, Lecture Notes in Economics and Mathematical Systems 535, 2004).
"""

import threading
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from debias.search.counting.sweeps import Sweeper, sweepers
from debias.search.descent.multi_objective import search_together, unit_objectives
from debias.search.objective import Objective
from debias.search.pareto import ParetoFronts
from debias.search.problem import TOLERANCE, FloatArray, IndexArray, Problem

COBIAS_WEIGHTS = tuple(float(weight) for weight in np.geomspace(1 / 16, 64, 21))
"""Weights of COBias, beside an error that counts one, under which the first descents run."""
_PER_START = 4_000_000


@dataclass(frozen=True)
class TracedFrontier:
    """A frontier as far as it was traced.

    Attributes
    ----------
    fronts : ParetoFronts
        What was met.
    n_evaluations : int
        Choices counted.
    complete : bool
        Whether no change of up to two classes of any choice on it adds to it.
    """

    fronts: ParetoFronts
    n_evaluations: int
    complete: bool


def pareto_local_search(
    problem: Problem,
    fronts: ParetoFronts,
    most_evaluations: int = 2_000_000,
    random_state: int = 0,
    stop: threading.Event | None = None,
) -> TracedFrontier:
    """Extend a frontier from what is known of it.

    Parameters
    ----------
    problem : Problem
        What is searched; its own objective does not matter.
    fronts : ParetoFronts
        What other searches have met.
    most_evaluations : int, default=2_000_000
        Choices that may be counted, once descents under :data:`COBIAS_WEIGHTS` have been made;
        with more of them these have more starts.
    random_state : int, default=0
        Seed.
    stop : Event, optional
        Ends the search early.

    Returns
    -------
    TracedFrontier
        At least what was known.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.pareto import empty_fronts
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]])
    >>> problem = build_problem(P, np.array([1, 0, 0, 1]), weights(10), Objective(pmi=0))
    >>> traced = pareto_local_search(problem, empty_fronts(problem))
    >>> rows = traced.fronts.not_dominated()
    >>> rows, traced.fronts.cobias[rows]
    (array([2, 3]), array([0. , 0.5]))
    """
    stop = threading.Event() if stop is None else stop
    objectives = [Objective(1.0, weight, 0.0) for weight in COBIAS_WEIGHTS]
    sweeper = sweepers(problem, unit_objectives(objectives))()
    archive = _Archive(problem, sweeper, fronts)
    archive.add(problem.identity_choice, ())
    per_start = len(objectives) * problem.n_classes**2 * problem.n_corrections
    if 3 * per_start <= most_evaluations:
        n_starts = min(32, 1 + most_evaluations // _PER_START)
        begun = search_together(problem, objectives, n_starts, random_state, stop)
        archive.n_evaluations += begun.n_evaluations
        for best in begun.best:
            archive.add(np.array(best.choice), ())
    classes = range(problem.n_classes)
    moves: list[list[tuple[int, ...]]] = [[(j,) for j in classes], list(combinations(classes, 2))]
    explored: dict[tuple[int, ...], int] = {}
    # invariant: the archive holds the least COBias by right samples of all that was counted
    while not stop.is_set():
        waiting = [(explored.get(choice, 0), choice) for choice in archive.choices()]
        level, choice = min(waiting, key=lambda entry: entry[0])
        if level == len(moves):
            return TracedFrontier(archive.fronts(), archive.n_evaluations, True)
        for move in moves[level]:
            if archive.n_evaluations >= most_evaluations or stop.is_set():
                return TracedFrontier(archive.fronts(), archive.n_evaluations, False)
            archive.add(np.array(choice), move)
        explored[choice] = level + 1
    return TracedFrontier(archive.fronts(), archive.n_evaluations, False)


class _Archive:
    """By number of right samples, the least COBias met and its choice."""

    def __init__(self, problem: Problem, sweeper: Sweeper, fronts: ParetoFronts):
        self.problem = problem
        self.sweeper = sweeper
        self.n_evaluations = 0
        self.cobias = fronts.cobias.copy()
        self.choice = fronts.choice.copy()
        self._reach()

    def _reach(self) -> None:
        """Note the COBias that a number of right samples must undercut."""
        self.reached = np.minimum.accumulate(self.cobias[::-1])[::-1]

    def add(self, choice: IndexArray, classes: tuple[int, ...]) -> None:
        """Count all corrections of one or two classes, or the choice itself, and keep what is not beaten."""
        if not classes:
            terms: FloatArray = self.sweeper.all_values(choice, 0)[:, choice[:1]]
            shape: tuple[int, ...] = (1,)
        else:
            terms = self.sweeper.all_values(choice, *classes)
            shape = terms.shape[1:]
        error, gap = terms[0].ravel(), terms[1].ravel()
        self.n_evaluations += error.size
        right = np.rint((1 - error) * self.problem.n_samples).astype(np.int64)
        new = np.flatnonzero(gap < self.reached[right] - TOLERANCE)
        if not len(new):
            return
        for at in new[np.argsort(gap[new], kind="stable")]:
            if gap[at] < self.cobias[right[at]] - TOLERANCE:
                self.cobias[right[at]] = gap[at]
                self.choice[right[at]] = choice
                if classes:
                    self.choice[right[at], list(classes)] = np.unravel_index(at, shape)
        self._reach()

    def choices(self) -> list[tuple[int, ...]]:
        """Return the choices on the frontier, in the order of their right samples."""
        return [tuple(self.choice[right].tolist()) for right in self.fronts().not_dominated()]

    def fronts(self) -> ParetoFronts:
        """Return what is known."""
        changed = self.choice != self.problem.identity
        sizes = self.problem.change[np.arange(self.problem.n_classes), self.choice].sum(axis=1)
        met = np.isfinite(self.cobias)
        return ParetoFronts(
            self.cobias.copy(),
            np.where(met, changed.sum(axis=1), np.inf),
            np.where(met, sizes, np.inf),
            self.choice.copy(),
        )
