"""One search for many objectives: every choice that one of them meets is weighed by all.

Counting a choice is costly; its terms, once counted, give z under every
(error, cobias, pmi). So settings that would each take a search of their own take one together,
and each finds more than it would alone, since it sees what all the others meet.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from debias.errors import ParameterError
from debias.search.counting import win_kernels
from debias.search.counting.sweeps import Sweeper, sweepers
from debias.search.descent.coordinate_descent import MOST_TRIPLES, begin, descend_from
from debias.search.objective import WEIGHTS, Objective
from debias.search.problem import TOLERANCE, Candidate, FloatArray, IndexArray, Problem

MOST_CHOICES = 1 << 21
"""Choices up to which all are evaluated, which proves every answer."""


@dataclass(frozen=True)
class MultiObjectiveResult:
    """The best choice under each objective.

    Attributes
    ----------
    best : tuple of Candidate
        One per objective, in their order.
    radius : int
        Proved of each: none is better that differs in up to so many classes. All of the
        classes where every choice was evaluated: then each is the optimum.
    n_evaluations : int
        Choices that were counted, each of them good for all objectives.
    """

    best: tuple[Candidate, ...]
    radius: int
    n_evaluations: int


def search_together(
    problem: Problem,
    objectives: Sequence[Objective],
    n_starts: int = 32,
    random_state: int = 0,
    stop: threading.Event | None = None,
) -> MultiObjectiveResult:
    """Search for the best choice under each of many objectives at once.

    Algorithm
    ---------
    Up to :data:`MOST_CHOICES` choices: evaluate all. Else:

    1. Sweep around the best choice of every objective, one class and then two at a time, and
       let all objectives take what they find, until none of them moves.
    2. Descend from `n_starts` starts, each led by one objective; all take what it meets.
    3. Step 1 again; sweep three classes around the choice that is best for the most
       objectives, where that is at most :data:`~debias.search.descent.coordinate_descent.MOST_TRIPLES`
       evaluations; step 1 again.

    Invariant: no objective's best is worse than any choice that was evaluated.

    Parameters
    ----------
    problem : Problem
        What is searched; its own objective does not matter.
    objectives : sequence of Objective
        Without bounds.
    n_starts : int, default=32
        Starts of descents, where not all choices are evaluated.
    random_state : int, default=0
        Seed.
    stop : Event, optional
        Ends the search early.

    Returns
    -------
    MultiObjectiveResult
        What is best for each. Proved where all choices were evaluated; else a local optimum
        of two classes moving at once, of one where two would take too long (the radius says).

    Raises
    ------
    ParameterError
        No objectives, or one with bounds.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]])
    >>> accuracy, evenness = Objective(1, 0, 0), Objective(0, 1, 0)
    >>> problem = build_problem(P, np.array([1, 0, 0, 1]), weights(10), accuracy)
    >>> found = search_together(problem, [accuracy, evenness])
    >>> [best.objective for best in found.best], found.radius, found.n_evaluations
    ([0.25, 0.0], 2, 100)
    """
    if not objectives or not all(isinstance(objective, Objective) for objective in objectives):
        raise ParameterError(
            parameter="objectives", allowed="one or more Objective(...) without bounds", received=objectives
        )
    search = _MultiObjectiveSearch(problem, [objective.validate() for objective in objectives], stop)
    if float(problem.n_corrections) ** problem.n_classes <= MOST_CHOICES:
        search.evaluate_all()
        return search.result(problem.n_classes)
    n_pairs = problem.n_classes * (problem.n_classes - 1) // 2
    with_pairs = n_pairs * problem.n_corrections**2 <= MOST_TRIPLES
    search.improve_around_bests(with_pairs)
    search.descend(n_starts, np.random.default_rng(random_state), with_pairs)
    search.improve_around_bests(with_pairs)
    search.move_triples()
    search.improve_around_bests(with_pairs)
    return search.result(2 if with_pairs else 1)


class _MultiObjectiveSearch:
    """The best choice of each objective so far, and the moves that look for better ones."""

    def __init__(self, problem: Problem, objectives: Sequence[Objective], stop: threading.Event | None):
        self.problem = problem
        self.objectives = list(objectives)
        self.factors = factors_of(objectives)
        self.sweeper = sweepers(problem, unit_objectives(objectives))()
        self.stop = threading.Event() if stop is None else stop
        self.n_evaluations = 0
        self.choices = np.tile(problem.identity_choice, (len(objectives), 1))
        self._best = np.full((3, len(objectives)), np.inf)
        self._z = np.zeros(len(objectives))
        self._changed = (np.arange(problem.n_corrections) != problem.identity).astype(np.float64)
        self._explored: dict[tuple[int, ...], int] = {}

    def evaluate_around(self, choice: IndexArray, classes: tuple[int, ...]) -> FloatArray:
        """Count all corrections of one or two classes, and let every objective take its best of them."""
        terms = self.sweeper.all_values(choice, *classes)
        others = np.setdiff1d(np.arange(self.problem.n_classes), classes)
        n_changed = self._changed[choice[others]].sum() + _sums([self._changed] * len(classes))
        sizes = self.problem.change
        change = sizes[others, choice[others]].sum() + _sums([sizes[k] for k in classes])
        taken = np.full(len(self.objectives), -1)
        flat = terms.reshape(len(terms), -1)
        win_kernels.take_better(flat, self.factors, n_changed, change, TOLERANCE, self._best, taken, self._z)
        self.n_evaluations += flat.shape[1]
        better = np.flatnonzero(taken >= 0)
        if len(better):
            self.choices[better] = choice
            moves = np.unravel_index(taken[better], terms.shape[1:])
            self.choices[better[:, None], np.array(classes)] = np.transpose(moves)
        return terms

    def evaluate_all(self) -> None:
        """Evaluate every choice: all pairs of the last two classes, for every choice of the others."""
        problem = self.problem
        last = (problem.n_classes - 2, problem.n_classes - 1)
        for first in product(range(problem.n_corrections), repeat=problem.n_classes - 2):
            if self.stop.is_set():
                return
            self.evaluate_around(np.array([*first, problem.identity, problem.identity]), last)

    def improve_around_bests(self, with_pairs: bool) -> None:
        """Sweep around every best choice, one class at a time first, until no objective moves."""
        classes = range(self.problem.n_classes)
        moves: list[list[tuple[int, ...]]] = [[(j,) for j in classes]]
        moves += [list(combinations(classes, 2))] if with_pairs else []
        # invariant: no neighbour of an explored choice, up to its level, beats the best of any objective
        while not self.stop.is_set():
            bests = dict.fromkeys(map(tuple, self.choices.tolist()))
            level, choice = min(((self._explored.get(best, 0), best) for best in bests), key=lambda x: x[0])
            if level == len(moves):
                return
            for move in moves[level]:
                self.evaluate_around(np.array(choice), move)
            self._explored[choice] = level + 1

    def descend(self, n_starts: int, rng: np.random.Generator, with_pairs: bool) -> None:
        """Descend from starts of all kinds, led by one objective after another."""
        leaders = rng.permutation(len(self.objectives))
        for index in range(1, n_starts + 1):
            if self.stop.is_set():
                return
            leader = _Leader(self, int(leaders[index % len(leaders)]))
            start = begin(leader, index, rng, with_pairs, self.stop)
            descend_from(leader, np.array(start.choice), rng, with_pairs, self.stop)

    def move_triples(self) -> None:
        """Sweep three classes at once around the choice that is best for the most objectives."""
        problem = self.problem
        triples = list(combinations(range(problem.n_classes), 3))
        if len(triples) * problem.n_corrections**3 > MOST_TRIPLES:
            return
        ((best, _),) = Counter(map(tuple, self.choices.tolist())).most_common(1)
        for (i, j, k), r in product(triples, range(problem.n_corrections)):
            choice = np.array(best)
            choice[i] = r
            if not self.stop.is_set():
                self.evaluate_around(choice, (j, k))

    def result(self, radius: int) -> MultiObjectiveResult:
        """Return the best of every objective, nothing proved of a search that was stopped."""
        best = [
            self.problem.with_objective(objective).candidate(choice)
            for objective, choice in zip(self.objectives, self.choices, strict=True)
        ]
        return MultiObjectiveResult(tuple(best), 0 if self.stop.is_set() else radius, self.n_evaluations)


class _Leader(Sweeper):
    """A sweeper for one of the objectives, which lets all of them see what it sweeps."""

    def __init__(self, search: _MultiObjectiveSearch, index: int):
        super().__init__(search.problem.with_objective(search.objectives[index]))
        self._costs = {}  # a term like others here
        self._search = search
        self._factors = search.factors[:, index]

    def _fill(self, choice: IndexArray, classes: tuple[int, ...], values: FloatArray) -> None:
        values[0] = np.tensordot(self._factors, self._search.evaluate_around(choice, classes), 1)


def unit_objectives(objectives: Sequence[Objective]) -> list[Objective]:
    """Return one objective per term of z that matters: error, COBias, PMI by smoothing, and so on.

    z is the sum of its weights times these terms, so one count serves every objective.

    Examples
    --------
    >>> unit_objectives([Objective(pmi=0.0), Objective(pmi=0.2)])[2]
    Objective(cobias=0.0, error=0.0, pmi=1.0)
    """
    smoothings = sorted({float(objective.smoothing) for objective in objectives if objective.pmi})
    information = [Objective(0.0, 0.0, 1.0, smoothing) for smoothing in smoothings]
    names = [name for name in WEIGHTS[3:] if any(getattr(objective, name) for objective in objectives)]
    further = [Objective(0.0, 0.0, 0.0, **{name: 1.0}) for name in names]
    costs = [Objective.least_cost(rows) for rows in dict.fromkeys(map(_cost_rows, objectives)) if rows]
    return [Objective(1.0, 0.0, 0.0), Objective(0.0, 1.0, 0.0), *information, *further, *costs]


def factors_of(objectives: Sequence[Objective]) -> FloatArray:
    """Return what each objective makes of each term: shape (n_terms, n_objectives).

    Examples
    --------
    >>> factors_of([Objective(1.0, 2.7, 0.0), Objective(0.5, 1.0, 0.2)])
    array([[1. , 0.5],
           [2.7, 1. ],
           [0. , 0.2]])
    """
    units = unit_objectives(objectives)
    rows = [[_factor(objective, unit) for objective in objectives] for unit in units]
    return np.array(rows, dtype=np.float64)


def _factor(objective: Objective, unit: Objective) -> float:
    """Return what an objective makes of one term."""
    if unit.costs is not None:
        return float(_cost_rows(objective) == unit.costs)
    if unit.pmi:
        return objective.pmi if objective.smoothing == unit.smoothing else 0.0
    return sum(getattr(objective, name) for name in WEIGHTS if getattr(unit, name))


def _cost_rows(objective: Objective) -> tuple[tuple[float, ...], ...]:
    """Return the costs of an objective in a form that can be compared; empty where it has none."""
    if objective.costs is None:
        return ()
    return tuple(map(tuple, np.asarray(objective.costs, dtype=np.float64).tolist()))


def _sums(values: Sequence[FloatArray]) -> FloatArray:
    """Return the sums of one value of each array, for every combination, flat."""
    total = values[0]
    for other in values[1:]:
        total = np.add.outer(total, other)
    return total.ravel()
