"""All choices that are nearly as good as the best: the enumeration once more, with a wider threshold.

Pruned by the same bounds. There may be millions, so only extremes are kept: for each number of right
samples the one with the highest balanced accuracy, and of all the one with the lowest COBias and the one
with the highest worst class accuracy.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from debias.compilation import compiled_in_place
from debias.search.counting.score import is_within, score
from debias.search.problem import FloatArray, IndexArray
from debias.search.proof.bounds import TOLERANCE, most_beyond, needs_predicted
from debias.search.proof.enumeration import bound_node, count_row, list_rows, new_state
from debias.search.proof.enumeration_kernels import (
    cost_of,
    count_predicted,
    fix_class,
    level_corrections,
    name_fixed,
)
from debias.search.proof.exact_search import ExactSearch


class Near(NamedTuple):
    """What an enumeration keeps: by number of right samples, and of all.

    Attributes
    ----------
    summed : ndarray of shape (n_samples + 1,)
        The highest sum of class accuracies met; negative where none was met.
    objective : ndarray of shape (n_samples + 1,)
        z of the choice that has it, the lowest among equals.
    choice : ndarray of shape (n_samples + 1, n_classes)
        Its distinct corrections.
    extremes : ndarray of shape (2, 2)
        The least sum of gaps met, the least error of the worst class, and z of the choice that has each.
    extreme_choice : ndarray of shape (2, n_classes)
        Its distinct corrections.
    """

    summed: FloatArray
    objective: FloatArray
    choice: IndexArray
    extremes: FloatArray
    extreme_choice: IndexArray


@dataclass(frozen=True)
class NearOptima:
    """Choices that are nearly as good as the best.

    Attributes
    ----------
    choices : list of tuple
        Indices into the family: for each number of right samples the choice with the highest balanced
        accuracy, then that with the lowest COBias and that with the highest worst class accuracy.
    complete : bool
        Whether all choices were considered within the limit of work.
    """

    choices: list[tuple[int, ...]]
    complete: bool


def near_optima(search: ExactSearch, highest: float, most_work: float) -> NearOptima:
    """Return choices whose objective is at most a number.

    Parameters
    ----------
    search : ExactSearch
        Of the problem.
    highest : float
        The objective that a choice may have.
    most_work : float
        As :attr:`~debias.search.proof.exact_search.ExactSearch.complete_work` counts it.

    Returns
    -------
    NearOptima
        The extremes of all such choices.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]])
    >>> problem = build_problem(P, np.array([1, 0, 0, 1]), weights(10), Objective(pmi=0))
    >>> found = near_optima(ExactSearch(problem), 0.8, 1e9)
    >>> [problem.evaluate(choice) for choice in found.choices], found.complete
    ([0.5, 0.75, 0.5, 0.5], True)
    """
    tables, n_samples, n_classes = search.tables, search.problem.n_samples, search.problem.n_classes
    state = new_state(tables)
    state.work[1] = most_work / (tables.holds.shape[2] * search.problem.work_per_choice)
    near = Near(
        np.full(n_samples + 1, -1.0),
        np.full(n_samples + 1, np.inf),
        np.zeros((n_samples + 1, n_classes), dtype=np.int64),
        np.full((2, 2), np.inf),
        np.zeros((2, n_classes), dtype=np.int64),
    )
    complete = enumerate_near(tables, search.terms, state, near, highest)
    met = np.flatnonzero(near.summed >= 0)
    picked = np.concatenate([near.choice[met], near.extreme_choice[np.isfinite(near.extremes[:, 0])]])
    return NearOptima([tuple(row) for row in search.choices(picked).tolist()], bool(complete))


@compiled_in_place
def enumerate_near(tables, terms, state, near, highest):
    """Enumerate all choices, but those that a bound puts above ``highest``; return whether it is complete."""
    deepest = tables.order.shape[0] - 2
    depth = 0
    state.tried[:] = -1
    # invariant: all choices that come before picked[:depth] are kept, or have a better one in their place
    while depth >= 0:
        if state.work[0] > state.work[1]:
            return False
        if depth == deepest:
            count_near(tables, terms, state, near, depth, highest)
            depth -= 1
            continue
        state.tried[depth] += 1
        if state.tried[depth] == tables.n_distinct[tables.order[depth]]:
            state.tried[depth] = -1
            depth -= 1
            continue
        fix_class(tables, state, depth, state.tried[depth])
        if depth + 1 < deepest and bound_node(tables, terms, state, depth + 1) > highest:
            continue
        depth += 1
    return True


@compiled_in_place
def count_near(tables, terms, state, near, depth, highest):
    """Keep what is near among all corrections of the last two classes, the others fixed."""
    n_classes = tables.order.shape[0]
    j = tables.order[n_classes - 1]
    n_rows = list_rows(tables, terms, state, depth, highest)
    for row in range(n_rows):
        if not count_row(tables, terms, state, depth, state.rows[row], True, highest):
            continue
        level_corrections(terms, state)
        state.is_named[0] = False
        for r in range(tables.n_distinct[j]):
            state.picked[j] = r
            keep_near(tables, terms, state, near, r, highest)


@compiled_in_place
def beats(measure, value, known, known_value):
    """Return whether a measure is lower than what is known, or equal with a lower objective."""
    return measure < known - TOLERANCE or (measure <= known + TOLERANCE and value < known_value)


@compiled_in_place
def keep_near(tables, terms, state, near, column, highest):
    """Keep a choice that was counted if it is near, and the best with as many right samples or of all."""
    right, summed, least = int(state.gaps[1, column]), 0.0, 1.0
    for k in range(state.picked.shape[0]):
        state.right[0, k] = state.counts[k, column]
        summed += state.accuracy[k, column]
        if terms.support[k] > 0:
            least = min(least, state.accuracy[k, column])
    reached = (state.gaps[2, column], 1.0 - least)
    lower, by_predicted = state.gaps[0, column], needs_predicted(terms)
    if by_predicted:
        lower -= most_beyond(right, state.right[0], terms)
    if lower > highest:
        return
    is_kept = beats(-summed, lower, -near.summed[right], near.objective[right])
    for row in range(2):
        is_kept = is_kept or beats(reached[row], lower, near.extremes[row, 0], near.extremes[row, 1])
    if not is_kept:
        return
    j = tables.order[tables.order.shape[0] - 1]
    if by_predicted:
        if not state.is_named[0]:
            name_fixed(tables, state, j)
            state.is_named[0] = True
        count_predicted(tables, state, j)
    value = score(state.right, terms.tables, 0, state.levels)
    if terms.costs.shape[0] > 0 and is_within(value, terms.tables, 0):
        value += cost_of(tables, state, terms.costs, j)
    if value > highest:
        return
    if beats(-summed, value, -near.summed[right], near.objective[right]):
        near.summed[right], near.objective[right] = summed, value
        for k in range(state.picked.shape[0]):
            near.choice[right, k] = state.picked[k]
    for row in range(2):
        if beats(reached[row], value, near.extremes[row, 0], near.extremes[row, 1]):
            near.extremes[row, 0], near.extremes[row, 1] = reached[row], value
            for k in range(state.picked.shape[0]):
                near.extreme_choice[row, k] = state.picked[k]
