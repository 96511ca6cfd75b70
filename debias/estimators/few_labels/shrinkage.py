"""Few labels: shrink toward the identity, and keep nothing that cross-validation finds no better.

A correction is not made where cross-validation does not find it better than none on new rows: the
data cannot support what it promises on the rows it was fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from debias.corrections.correction import Correction
from debias.corrections.decision_rule import correct
from debias.corrections.families import Family
from debias.corrections.shapes import scale
from debias.estimators.few_labels.generalization import Expectation, Predictor, expect_change, predictor
from debias.search.constraints import Goal
from debias.search.counting.sweeps import sweepers
from debias.search.descent.annealing import SCHEDULES, anneal
from debias.search.descent.regularization_path import N_STARTS, Shrinkage, quick_descent, shrink
from debias.search.descent.smoothed_bootstrap import N_COPIES
from debias.search.log_bias.log_bias_descent import polish
from debias.search.problem import TOLERANCE, Candidate, FloatArray, IndexArray, Problem, build_problem

_FOLD_STARTS, _FOLD_COPIES = 2, 8
_LARGE = 64
"""Corrections above which the descent of a fold has a quarter of the starts."""


class Choosing(NamedTuple):
    """How corrections are chosen, on the rows of a fit and on those of each fold.

    Attributes
    ----------
    family : Family
        The corrections to choose from.
    objective : Objective or Constrained
        What is minimised.
    search : str
        Name of the search; a published schedule runs on the folds, too.
    polish : bool
        Whether a continuous factor per class follows.
    seed : int
        Seed.
    n_jobs : int, optional
        Threads, as in scikit-learn.
    verbose : int
        Show a progress bar.
    """

    family: Family
    objective: Goal
    search: str = "auto"
    polish: bool = False
    seed: int = 0
    n_jobs: int | None = None
    verbose: int = 0


@dataclass(frozen=True)
class FewLabels:
    """What was chosen from few labels.

    Attributes
    ----------
    choice : Candidate
        With its objective on the labelled rows.
    shrinkage : Shrinkage
        The path that it was taken from.
    expectation : Expectation
        What the choice on the path promises for new rows.
    refused : bool
        Whether that was no better than the identity, which is then the choice.
    """

    choice: Candidate
    shrinkage: Shrinkage
    expectation: Expectation
    refused: bool

    def path_frame(self, family: Family, columns: IndexArray, classes: Sequence[object]) -> pd.DataFrame:
        """Return the path as a DataFrame, one row per choice.

        Parameters
        ----------
        family : Family
            The corrections that were chosen from.
        columns : ndarray of shape (n_classes,)
            Column of each class.
        classes : sequence
            Class labels.

        Returns
        -------
        DataFrame
            Columns n_changed, objective (on smoothed rows), standard_error (of the difference to
            the best), allowed, taken, and choice, a dict of the name of each class's correction.
            ``attrs["refused"]`` is True where cross-validation found the taken choice no better
            than the identity, which replaced it.
        """
        frame = pd.DataFrame(
            {
                "n_changed": step.candidate.n_changed,
                "objective": step.candidate.objective,
                "standard_error": step.standard_error,
                "allowed": step.allowed,
                "taken": position == self.shrinkage.taken,
                "choice": {
                    k: family[step.candidate.choice[j]].name for k, j in zip(classes, columns, strict=True)
                },
            }
            for position, step in enumerate(self.shrinkage.path)
        )
        frame.attrs["refused"] = self.refused
        return frame


def shrink_choice(
    choosing: Choosing, problem: Problem, probabilities: FloatArray, y: IndexArray, best: Candidate
) -> FewLabels | None:
    """Shrink a choice, and return to the identity where cross-validation finds nothing better.

    Parameters
    ----------
    choosing : Choosing
        How corrections are chosen.
    problem : Problem
        The labelled rows.
    probabilities, y
        The same rows, not sorted.
    best : Candidate
        The best choice that a search found.

    Returns
    -------
    FewLabels or None
        None where no choice keeps the bounds of a constrained objective: the closest one is kept
        unchanged. Where some do, so does what is returned.
    """
    if not problem.objective.is_feasible(best.objective):
        return None
    found = _shrink_rows(problem, probabilities, y, choosing.family, best, N_STARTS, N_COPIES, choosing.seed)
    resolved = choosing._replace(objective=problem.objective)
    shrunk = [choosing.family[index] for index in found.choice]
    expectation = cross_validate_choice(resolved, probabilities, y, shrunk=True, fitted=shrunk)
    identity = problem.candidate(problem.identity_choice)
    refused = not expectation.improves and problem.objective.is_feasible(identity.objective)
    choice = identity if refused else problem.candidate(found.choice)
    return FewLabels(choice, found, expectation, refused)


def cross_validate_choice(
    choosing: Choosing,
    probabilities: FloatArray,
    y: IndexArray,
    shrunk: bool,
    fitted: Sequence[Correction] | None = None,
) -> Expectation:
    """Say what to expect of new rows where corrections are chosen this way, by a quicker search.

    Parameters
    ----------
    choosing : Choosing
        How corrections are chosen.
    probabilities, y
        Labelled rows; labels as column indices.
    shrunk : bool
        Whether choices are shrunk.
    fitted : sequence of Correction, optional
        What was fitted on all rows, by column; default: what the quicker search chooses on them.

    Returns
    -------
    Expectation
        See :func:`~debias.estimators.few_labels.generalization.expect_change`.
    """

    def choose(rows: IndexArray, seed: int) -> Predictor:
        return quick_predictor(choosing, probabilities[rows], y[rows], shrunk, seed)

    return expect_change(
        probabilities,
        y,
        choose,
        choosing.objective,
        choosing.seed,
        choosing.n_jobs,
        choosing.verbose,
        None if fitted is None else predictor(fitted),
    )


def quick_predictor(
    choosing: Choosing, probabilities: FloatArray, y: IndexArray, shrunk: bool, seed: int
) -> Predictor:
    """Return what a quicker search on some rows predicts for others.

    Parameters
    ----------
    choosing : Choosing
        How corrections are chosen.
    probabilities, y
        Labelled rows; labels as column indices.
    shrunk : bool
        Whether the choice is shrunk.
    seed : int
        Seed of this search.

    Returns
    -------
    Predictor
        Takes class probabilities, returns predicted columns.
    """
    family = choosing.family
    part = build_problem(probabilities, y, family, choosing.objective)
    best = _quick_choice(choosing, part, shrunk, seed)
    if shrunk and part.objective.is_feasible(best.objective):
        found = _shrink_rows(part, probabilities, y, family, best, _FOLD_STARTS, _FOLD_COPIES, seed)
        best = part.candidate(found.choice)
    chosen = [family[index] for index in best.choice]
    if not choosing.polish:
        return predictor(chosen)
    corrected = correct(probabilities, chosen)
    return predictor(scale(chosen, polish(corrected, probabilities, y, part.objective, random_state=seed)))


def _quick_choice(choosing: Choosing, part: Problem, shrunk: bool, seed: int) -> Candidate:
    """Return what a quicker search chooses on the rows of a fold, before it is shrunk."""
    identity = part.candidate(part.identity_choice)
    if choosing.search in SCHEDULES:
        return anneal(part, SCHEDULES[choosing.search], seed).best
    if shrunk and part.objective.is_feasible(identity.objective):
        return identity  # shrinking searches on its own
    n_starts = N_STARTS if len(choosing.family) <= _LARGE else N_STARTS // 4
    return quick_descent(part, _FOLD_STARTS if shrunk else n_starts, seed, sweepers(part)())


def _shrink_rows(
    problem: Problem,
    probabilities: FloatArray,
    y: IndexArray,
    family: Family,
    best: Candidate,
    n_starts: int,
    n_copies: int,
    seed: int,
) -> Shrinkage:
    """Shrink, but never to a choice that is worse on these rows than the identity, or out of bounds."""
    limit = problem.evaluate(problem.identity_choice) + TOLERANCE

    def allowed(choice: Sequence[int]) -> bool:
        value = problem.evaluate(choice)
        return value <= limit and problem.objective.is_feasible(value)

    return shrink(probabilities, y, family, problem.objective, best, allowed, n_starts, n_copies, seed)
