"""Near-ties: choices that are nearly as good as the best, and may yet be very different.

Two choices whose objectives differ by a thousandth can differ by ten points in accuracy. So what a
search has met near its best is kept, the extremes of it listed, and a user may have the one with the
highest balanced accuracy.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.console.number_formats import fixed
from debias.search.constraints import INFEASIBLE, Constrained, Goal
from debias.search.counting.sweeps import sweepers
from debias.search.objective import IndexArray, Objective
from debias.search.pareto import ParetoFronts
from debias.search.problem import TOLERANCE, Candidate, Problem
from debias.search.proof.exact_search import ExactSearch
from debias.search.proof.near_optima import near_optima

WITHIN = 0.002
"""Choices whose objective is no more above that of the best are near-ties, where nothing else is asked."""
NEAR_WORK = 2e10
"""Work that is spent on enumerating them all, see :mod:`debias.search.solve`: half a second on one core."""

MEASURES: dict[str, Callable[[Iterable[float]], float]] = {
    "balanced_accuracy": max,
    "accuracy": max,
    "cobias": min,
    "worst_class_accuracy": max,
}
"""What near-ties are compared by, and which of two values is the better one."""
_MOST_FRONTS, _MOST_SWEPT = 200, 1_000_000


@dataclass(frozen=True)
class NearTie:
    """A choice that is nearly as good as the best.

    Attributes
    ----------
    objective, accuracy, balanced_accuracy, cobias, worst_class_accuracy : float
        What it reaches on the rows that were searched.
    n_changed : int
        Classes that it changes.
    choice : tuple of int
        Indices into the family by column; in what a fit keeps, ids of corrections by class.
    """

    objective: float
    accuracy: float
    balanced_accuracy: float
    cobias: float
    worst_class_accuracy: float
    n_changed: int
    choice: tuple[int, ...]


@dataclass(frozen=True)
class NearTies:
    """The extremes of what is nearly as good as the best.

    Attributes
    ----------
    rows : tuple of NearTie
        The choice that is taken first; then those with the highest balanced accuracy, the highest
        accuracy, the lowest COBias and the highest worst class accuracy, as far as they differ.
    within : float
        By how much their objective may be above the best.
    complete : bool
        Whether all such choices were considered, not only those that the search met.
    """

    rows: tuple[NearTie, ...]
    within: float
    complete: bool

    def named(self, ids: npt.NDArray[np.int64], columns: IndexArray) -> "NearTies":
        """Return the same with ids of corrections, by class, in place of indices by column."""
        rows = [replace(row, choice=tuple(ids[np.array(row.choice)][columns].tolist())) for row in self.rows]
        return replace(self, rows=tuple(rows))

    @property
    def differ(self) -> bool:
        """Whether any of them differ by a point or more, in accuracy or balanced accuracy."""
        spreads = [
            max(values) - min(values)
            for values in zip(*((row.accuracy, row.balanced_accuracy) for row in self.rows), strict=True)
        ]
        return max(spreads) >= 0.01

    def describe(self) -> str:
        """Say in a sentence how much near-ties differ.

        Examples
        --------
        >>> rows = NearTie(0.5, 0.6, 0.5, 0.1, 0.4, 1, (0, 1)), NearTie(0.501, 0.7, 0.6, 0.2, 0.4, 2, (1, 1))
        >>> print(NearTies(rows, 0.002, complete=True).describe())
        Near-ties: among all choices whose objective is within 0.002 of the best, accuracy goes up to 70.0 %
        (60.0 % is taken), balanced accuracy up to 60.0 % (50.0 %), worst class accuracy up to 40.0 %
        (40.0 %), and COBias down to 10.0 points (10.0).
        """
        taken = self.rows[0]
        best = {name: pick(getattr(row, name) for row in self.rows) for name, pick in MEASURES.items()}
        said = {name: (fixed(100 * best[name], 1), fixed(100 * getattr(taken, name), 1)) for name in best}
        which = "all choices" if self.complete else "the choices found"
        accuracy, balanced = said["accuracy"], said["balanced_accuracy"]
        worst, cobias = said["worst_class_accuracy"], said["cobias"]
        return (
            f"Near-ties: among {which} whose objective is within {self.within:g} of the best, accuracy goes "
            f"up to {accuracy[0]} % ({accuracy[1]} % is taken), balanced accuracy up to {balanced[0]} % "
            f"({balanced[1]} %), worst class accuracy up to {worst[0]} % ({worst[1]} %), and COBias down to "
            f"{cobias[0]} points ({cobias[1]})."
        )

    def to_frame(self) -> pd.DataFrame:
        """Return a row per choice.

        Returns
        -------
        DataFrame
            The fields of :class:`NearTie`, ``taken``, and under ``best_in`` the names of the columns in
            which no other row is better; ``attrs`` has `within` and `complete`.
        """
        frame = pd.DataFrame([asdict(row) for row in self.rows])
        frame.insert(0, "taken", np.arange(len(frame)) == 0)
        best = {name: np.isclose(frame[name], pick(frame[name])) for name, pick in MEASURES.items()}
        frame["best_in"] = [tuple(name for name in best if best[name][at]) for at in range(len(frame))]
        frame.attrs.update(within=self.within, complete=self.complete)
        return frame


def near_ties(
    problem: Problem,
    best: Candidate,
    tolerance: float = 0.0,
    met: Iterable[Candidate] = (),
    fronts: ParetoFronts | None = None,
    proof: ExactSearch | None = None,
) -> NearTies | None:
    """Return the extremes of what is nearly as good as the best choice, the one to take first.

    Parameters
    ----------
    problem : Problem
        What was searched.
    best : Candidate
        The best choice that is known.
    tolerance : float, default=0.0
        Of the choices whose objective is no more above the best, the one with the highest balanced
        accuracy is taken; with 0 the best itself. What is listed is within it, or :data:`WITHIN`.
    met : iterable of Candidate
        Ends of descents.
    fronts : ParetoFronts, optional
        The pairs of right samples and COBias that were met.
    proof : ExactSearch, optional
        That has proved the optimum: then all choices are considered, as far as :data:`NEAR_WORK` allows.

    Returns
    -------
    NearTies or None
        None where the best is out of bounds.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]])
    >>> problem = build_problem(P, np.array([1, 0, 0, 1]), weights(10), Objective(pmi=0))
    >>> best = ExactSearch(problem).run().best
    >>> ties = near_ties(problem, best, 0.3, proof=ExactSearch(problem))
    >>> ties.to_frame()[["taken", "objective", "accuracy", "cobias"]]
       taken  objective  accuracy  cobias
    0   True       0.75      0.75     0.5
    1  False       0.50      0.50     0.0
    """
    if not problem.objective.is_feasible(best.objective):
        return None
    complete, highest = False, highest_of(problem.objective, best.objective, tolerance)
    choices = {best.choice: None}
    if proof is not None:
        proof.arrange(best)
        found = near_optima(proof, highest, NEAR_WORK)
        choices |= dict.fromkeys(found.choices)
        complete = found.complete
    if not complete:
        choices |= dict.fromkeys(candidate.choice for candidate in met)
        choices |= dict.fromkeys([] if fronts is None else _lowest(problem, fronts))
        choices |= dict.fromkeys(_around(problem, best, highest))
    return extremes([tie_of(problem, choice) for choice in choices], highest, tolerance, complete)


def highest_of(objective: Goal, best: float, tolerance: float = 0.0) -> float:
    """Return the objective that near-ties may have, at most: within bounds, where there are any."""
    highest = best + (tolerance or WITHIN) + TOLERANCE
    return min(highest, INFEASIBLE / 2 + best / 2) if isinstance(objective, Constrained) else highest


def extremes(
    ties: Sequence[NearTie], highest: float, tolerance: float = 0.0, complete: bool = False
) -> NearTies:
    """Return the choice to take of some, and those that are best in a measure.

    Parameters
    ----------
    ties : sequence of NearTie
        The best choice first.
    highest : float
        Objective that a near-tie may have, at most.
    tolerance : float, default=0.0
        As in :func:`near_ties`.
    complete : bool, default=False
        Whether these are all that exist.

    Returns
    -------
    NearTies

    Examples
    --------
    >>> ties = [NearTie(0.5, 0.6, 0.5, 0.1, 0.4, 1, (0, 1)), NearTie(0.501, 0.7, 0.6, 0.2, 0.4, 2, (1, 1))]
    >>> [row.accuracy for row in extremes(ties, 0.502).rows]
    [0.6, 0.7]
    >>> [row.accuracy for row in extremes(ties, 0.502, tolerance=0.002).rows]  # the higher balanced accuracy
    [0.7, 0.6]
    """
    best, *others = ties
    near = [best, *(tie for tie in others if tie.objective <= highest)]
    rows = [_most(near, "balanced_accuracy") if tolerance else best]
    for name in MEASURES:
        extreme = _most(near, name)
        if all(abs(getattr(tie, name) - getattr(extreme, name)) > TOLERANCE for tie in rows):
            rows.append(extreme)
    return NearTies(tuple(dict.fromkeys(rows)), tolerance or WITHIN, complete)


def _most(ties: Sequence[NearTie], name: str) -> NearTie:
    """Return what is best in a measure: of equal ones the lowest objective, of these the fewest changes."""
    extreme = MEASURES[name](getattr(tie, name) for tie in ties)
    equal = [tie for tie in ties if abs(getattr(tie, name) - extreme) <= TOLERANCE]
    lowest = min(tie.objective for tie in equal)
    return min((tie for tie in equal if tie.objective <= lowest + TOLERANCE), key=lambda tie: tie.n_changed)


def tie_of(problem: Problem, choice: Sequence[int]) -> NearTie:
    """Return what a choice reaches."""
    counts = problem.counts(choice)
    present = counts.support > 0
    accuracies = counts.correct[present] / counts.support[present]
    return NearTie(
        objective=float(problem.objective(*counts)),
        accuracy=float(counts.correct.sum() / problem.n_samples),
        balanced_accuracy=float(accuracies.mean()),
        cobias=float(Objective.cobias_of(counts.correct, counts.support)),
        worst_class_accuracy=float(accuracies.min()),
        n_changed=int((np.asarray(choice) != problem.identity).sum()),
        choice=tuple(choice),
    )


def _lowest(problem: Problem, fronts: ParetoFronts) -> list[tuple[int, ...]]:
    """Return the choices of the fronts whose error and COBias are best, as the objective weighs them."""
    goal = problem.objective
    inner = goal.inner if isinstance(goal, Constrained) else goal
    right = np.flatnonzero(np.isfinite(fronts.cobias))
    z = inner.error * (1 - right / problem.n_samples) + inner.cobias * fronts.cobias[right]
    return [tuple(row) for row in fronts.choice[right[np.argsort(z, kind="stable")[:_MOST_FRONTS]]].tolist()]


def _around(problem: Problem, best: Candidate, highest: float) -> list[tuple[int, ...]]:
    """Return near-ties that differ from the best in a class or two, one for each number of right samples."""
    sweeper = sweepers(problem, [problem.objective, Objective(1, 0, 0), Objective.balanced()])()
    classes = range(problem.n_classes)
    moves: list[tuple[int, ...]] = [(k,) for k in classes]
    pairs = list(combinations(classes, 2))
    if len(pairs) * problem.n_corrections**2 <= _MOST_SWEPT:
        moves += pairs
    kept: dict[int, tuple[float, float, tuple[int, ...]]] = {}
    for move in moves:
        z, error, balanced = sweeper.all_values(np.array(best.choice), *move)
        is_near = z <= highest
        near, objectives, balanced_errors = np.argwhere(is_near), z[is_near], balanced[is_near]
        right = np.rint((1 - error[is_near]) * problem.n_samples).astype(np.int64)
        order = np.lexsort((objectives, balanced_errors, right))
        firsts = order[np.unique(right[order], return_index=True)[1]]  # one for each number of right samples
        for n_right, at in zip(right[firsts].tolist(), firsts, strict=True):
            reached = float(balanced_errors[at]), float(objectives[at])
            if n_right not in kept or reached < kept[n_right][:2]:
                choice = np.array(best.choice)
                choice[list(move)] = near[at]
                kept[n_right] = *reached, tuple(choice.tolist())
    return [choice for _, _, choice in kept.values()]
