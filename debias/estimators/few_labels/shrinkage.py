"""Few labels: shrink toward the identity, and keep nothing that cross-validation finds no better.

A correction that cross-validation does not find better than none on new rows is not made: the data
cannot hold what it promises on the rows it was fitted on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd

from debias.console.progress import progress_on_stderr
from debias.corrections.correction import Correction, correct
from debias.corrections.families import Family
from debias.corrections.shapes import scale
from debias.errors import ParameterError
from debias.estimators.few_labels.generalization import Expectation, expect_change
from debias.search.constraints import Goal, is_feasible
from debias.search.counting.sweeps import sweepers
from debias.search.descent.annealing import SCHEDULES, anneal
from debias.search.descent.regularization_path import N_STARTS, Shrinkage, quick_descent, shrink
from debias.search.descent.smoothed_bootstrap import N_COPIES
from debias.search.log_bias.log_bias_descent import polish as polish_factors
from debias.search.problem import TOLERANCE, Candidate, FloatArray, IndexArray, Problem, build_problem
from debias.search.solve import announce_compilation

if TYPE_CHECKING:
    from debias.estimators.few_labels.expecting import LearnsFromFew

FEW_LABELS = 100
"""Labelled rows below which a fit shrinks on its own. It helps from some 20 rows on; with 10 it does
not, see experiments/results/few_labels.md."""

_FOLD_STARTS, _FOLD_COPIES = 2, 8


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
        What the choice on the path promises of new rows.
    refused : bool
        Whether that was no better than the identity, which is then the choice.
    """

    choice: Candidate
    shrinkage: Shrinkage
    expectation: Expectation
    refused: bool


def check_shrink(shrink: Any, search: str, polish: bool) -> None:
    """Refuse a value of `shrink` that is not allowed, or contradicts another parameter.

    Raises
    ------
    ParameterError
        Which parameter, what was received, what is allowed.

    Examples
    --------
    >>> check_shrink(True, "annealing-3/6", False)
    Traceback (most recent call last):
    debias.errors.ParameterError: shrink=True cannot go with search='annealing-3/6', a published schedule
    that is kept as it is: use search='auto', or shrink='auto' or False.
    """
    if not isinstance(shrink, (bool, np.bool_)) and shrink != "auto":
        raise ParameterError(f"shrink must be 'auto', True or False; got {shrink!r}.")
    if shrink == "auto" or not shrink:
        return
    if search in SCHEDULES:
        raise ParameterError(
            f"shrink=True cannot go with search={search!r}, a published schedule that is kept as it is: "
            "use search='auto', or shrink='auto' or False."
        )
    if polish:
        raise ParameterError(
            "shrink=True cannot go with polish=True, which fits the same few rows more closely again: "
            "leave one of them out."
        )


def shrinks(shrink: Any, search: str, polish: bool, n_labels: int) -> bool:
    """Tell whether a fit shrinks its choice.

    Parameters
    ----------
    shrink : bool or "auto"
        ``"auto"``: where fewer than :data:`FEW_LABELS` rows are labelled, and neither a published
        schedule nor a polish is asked for.
    search, polish
        As for a debiaser.
    n_labels : int
        Labelled rows.

    Examples
    --------
    >>> shrinks("auto", "exact", False, 40), shrinks("auto", "annealing-3/6", False, 40)
    (True, False)
    """
    if shrink == "auto":
        return n_labels < FEW_LABELS and search not in SCHEDULES and not polish
    return bool(shrink)


def choose_from_few(
    debiaser: "LearnsFromFew",
    problem: Problem,
    probabilities: FloatArray,
    y: IndexArray,
    family: Family,
    best: Candidate,
    seed: int,
) -> FewLabels | None:
    """Shrink a choice, and go back to the identity where cross-validation finds nothing better.

    Parameters
    ----------
    debiaser : LearnsFromFew
        How it searches, its threads, and whether it shows progress.
    problem : Problem
        The labelled rows.
    probabilities, y
        The same rows, not sorted.
    family : Family
        The corrections to choose from.
    best : Candidate
        The best choice that a search found.
    seed : int
        Seed.

    Returns
    -------
    FewLabels or None
        None where no choice keeps the bounds of a constrained objective: the closest one is kept
        as it is. Where some do, so does what is returned.
    """
    if not is_feasible(problem.objective, best.objective):
        return None
    found = _shrink_rows(problem, probabilities, y, family, best, N_STARTS, N_COPIES, seed)
    expectation = cross_validate_choice(debiaser, problem, probabilities, y, family, True, seed)
    identity = problem.candidate(problem.identity_choice)
    refused = not expectation.improves and is_feasible(problem.objective, identity.objective)
    choice = identity if refused else problem.candidate(found.choice)
    return FewLabels(choice, found, expectation, refused)


def cross_validate_choice(
    debiaser: "LearnsFromFew",
    problem: Problem,
    probabilities: FloatArray,
    y: IndexArray,
    family: Family,
    shrunk: bool,
    seed: int,
) -> Expectation:
    """Say what to expect of new rows where corrections are chosen as here, by a quicker search.

    Parameters
    ----------
    debiaser, problem, probabilities, y, family, seed
        As for :func:`choose_from_few`.
    shrunk : bool
        Whether choices are shrunk.

    Returns
    -------
    Expectation
        See :func:`~debias.estimators.few_labels.generalization.expect_change`.
    """

    def choose(rows: IndexArray, fold_seed: int) -> list[Correction]:
        values, labels = probabilities[rows], y[rows]
        part = build_problem(values, labels, family, problem.objective)
        best = _quick_choice(debiaser, part, shrunk, fold_seed)
        if shrunk and is_feasible(part.objective, best.objective):
            found = _shrink_rows(part, values, labels, family, best, _FOLD_STARTS, _FOLD_COPIES, fold_seed)
            best = part.candidate(found.choice)
        chosen = [family[index] for index in best.choice]
        if not debiaser.polish:
            return chosen
        factors = polish_factors(
            correct(values, chosen), values, labels, part.objective, random_state=fold_seed
        )
        return scale(chosen, factors)

    return cross_validate(debiaser, choose, problem.objective, probabilities, y, seed)


def _quick_choice(debiaser: "LearnsFromFew", part: Problem, shrunk: bool, seed: int) -> Candidate:
    """Return what a quicker search chooses on the rows of a fold, before it is shrunk."""
    identity = part.candidate(part.identity_choice)
    if debiaser.search in SCHEDULES:
        return anneal(part, SCHEDULES[debiaser.search], seed).best
    if shrunk and is_feasible(part.objective, identity.objective):
        return identity  # shrinking searches on its own
    return quick_descent(part, _FOLD_STARTS if shrunk else N_STARTS, seed, sweepers(part)())


def cross_validate(
    debiaser: "LearnsFromFew",
    choose: Callable[[IndexArray, int], list[Correction]],
    objective: Goal,
    probabilities: FloatArray,
    y: IndexArray,
    seed: int,
) -> Expectation:
    """Cross-validate what chooses, with the threads of a debiaser, and tell whoever waits.

    Parameters
    ----------
    debiaser : LearnsFromFew
        Its threads, and whether it shows progress.
    choose, objective, probabilities, y, seed
        As for :func:`~debias.estimators.few_labels.generalization.expect_change`.

    Returns
    -------
    Expectation
        What to expect of new rows.
    """
    n_threads = joblib.effective_n_jobs(debiaser.n_jobs)
    with progress_on_stderr(debiaser.verbose) as progress:
        announce_compilation(progress)

        def show(share: float) -> None:
            progress.show("cross-validation", share)

        return expect_change(probabilities, y, choose, objective, seed, n_threads, show)


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
    """Shrink, to nothing that is worse on these rows than the identity, or out of bounds."""
    limit = problem.evaluate(problem.identity_choice) + TOLERANCE

    def allowed(choice: Sequence[int]) -> bool:
        value = problem.evaluate(choice)
        return value <= limit and is_feasible(problem.objective, value)

    return shrink(probabilities, y, family, problem.objective, best, allowed, n_starts, n_copies, seed)


def path_frame(few: FewLabels, family: Family, columns: IndexArray, classes: Sequence[Any]) -> pd.DataFrame:
    """Return the path as a DataFrame, one choice a row.

    Parameters
    ----------
    few : FewLabels
        What was chosen.
    family : Family
        What was chosen from.
    columns : ndarray of shape (n_classes,)
        Column of each class.
    classes : sequence
        Class labels.

    Returns
    -------
    DataFrame
        Columns n_changed, objective (on smoothed rows), standard_error (of the difference to the
        best), allowed, taken, and choice, a dict of the correction of each class by name.
        ``attrs["refused"]`` is True where cross-validation found the one that is taken no better
        than the identity, which was chosen in its place.
    """
    frame = pd.DataFrame(
        {
            "n_changed": step.candidate.n_changed,
            "objective": step.candidate.objective,
            "standard_error": step.standard_error,
            "allowed": step.allowed,
            "taken": position == few.shrinkage.taken,
            "choice": {
                k: family[step.candidate.choice[j]].name for k, j in zip(classes, columns, strict=True)
            },
        }
        for position, step in enumerate(few.shrinkage.path)
    )
    frame.attrs["refused"] = few.refused
    return frame
