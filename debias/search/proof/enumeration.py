"""Compiled enumeration: all choices below a prefix, counted many at a time, pruned by bounds.

Classes are fixed one after another. A fixed class keeps the samples of its own that it still
wins (``held``); an open class keeps, by correction, those that it would win from the fixed ones
(``opened``). Right samples can only be lost on the way down, so their numbers are bounds. The last
two classes are counted together: one pass over the words counts every correction of the last class.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled_in_place
from debias.search.counting.bit_tables import BitTables, Words
from debias.search.counting.score import TO_COBIAS, is_within, score
from debias.search.counting.win_kernels import popcount
from debias.search.problem import FloatArray, IndexArray
from debias.search.proof.bounds import TOLERANCE, least_objective, most_beyond, needs_predicted
from debias.search.proof.enumeration_kernels import (
    change_of,
    cost_of,
    count_both,
    count_predicted,
    count_words,
    fix_class,
    level_corrections,
    name_fixed,
)

ROW_TRIED = 0.25
"""Work of a row of choices that a bound rules out; that of a node bounded, or a row counted, is 1."""


class State(NamedTuple):
    """Where one enumeration is, and its scratch: one per thread.

    Attributes
    ----------
    stop : ndarray of bool, shape (1,)
        Set from outside to end the enumeration early.
    work : ndarray of shape (2,)
        Work done, in passes over the samples that count all corrections of a class, and its limit.
    picked : ndarray of shape (n_classes,)
        Correction of each class.
    tried : ndarray of shape (n_classes,)
        Correction that is being tried at each depth.
    held : ndarray of uint64, shape (n_classes, n_words)
        By depth, the samples that fixed classes win among themselves, each of its own.
    opened : ndarray of uint64, shape (n_classes, n_words, n_padded)
        By depth and correction, the samples that open classes would win from the fixed ones.
    named : ndarray of uint64, shape (n_classes, n_words)
        Samples of all labels that each class but the last wins from the others but the last.
    is_named : ndarray of bool, shape (1,)
        Whether `named` is that of the row that is counted.
    alone, rows, most, right, counts, accuracy, gaps, kept, levels : ndarray
        Scratch.
    """

    stop: npt.NDArray[np.bool_]
    work: FloatArray
    picked: IndexArray
    tried: IndexArray
    held: Words
    opened: Words
    named: Words
    is_named: npt.NDArray[np.bool_]
    alone: IndexArray
    rows: IndexArray
    most: IndexArray
    right: IndexArray
    counts: IndexArray
    accuracy: FloatArray
    gaps: FloatArray
    kept: Words
    levels: FloatArray


class Found(NamedTuple):
    """The best choice and the pairs that an enumeration has met.

    Attributes
    ----------
    best : ndarray of shape (3,)
        z, changed classes and size of the change of the best choice.
    best_choice : ndarray of shape (n_classes,)
        Its distinct corrections.
    pareto : ndarray of shape (3, n_samples + 1)
        By number of right samples: the lowest COBias met, changed classes, size of the change.
    pareto_choice : ndarray of shape (n_samples + 1, n_classes)
        The distinct corrections of these.
    reached : ndarray of shape (n_samples + 1,)
        The COBias that must be undercut, or equalled, to be worth keeping.
    """

    best: FloatArray
    best_choice: IndexArray
    pareto: FloatArray
    pareto_choice: npt.NDArray[np.int16]
    reached: FloatArray


def new_state(tables: BitTables, stop: npt.NDArray[np.bool_] | None = None) -> State:
    """Return the state of an enumeration that begins; `stop` may end it."""
    n_classes, (n_words, n_padded) = len(tables.order), tables.holds.shape[1:]
    opened = np.zeros((n_classes, n_words, n_padded), dtype=np.uint64)
    opened[0] = tables.wins.valid[:, None]
    return State(
        stop=np.zeros(1, dtype=np.bool_) if stop is None else stop,
        work=np.array([0.0, np.inf]),
        picked=np.zeros(n_classes, dtype=np.int64),
        tried=np.full(n_classes, -1, dtype=np.int64),
        held=np.zeros((n_classes, n_words), dtype=np.uint64),
        opened=opened,
        named=np.zeros((n_classes, n_words), dtype=np.uint64),
        is_named=np.zeros(1, dtype=np.bool_),
        alone=np.zeros(n_padded + 1, dtype=np.int64),
        rows=np.zeros(n_padded, dtype=np.int64),
        most=np.zeros(n_classes, dtype=np.int64),
        right=np.zeros((2, n_classes), dtype=np.int64),
        counts=np.zeros((n_classes, n_padded), dtype=np.int64),
        accuracy=np.zeros((n_classes, n_padded)),
        gaps=np.zeros((3, n_padded)),
        kept=np.zeros(n_words, dtype=np.uint64),
        levels=np.zeros(n_classes),
    )


@compiled_in_place
def bound_node(tables, terms, state, depth):
    """Return the least z below a node whose first ``depth`` classes are fixed."""
    state.work[0] += 1.0
    # invariant: most[u] is the most right samples that the classes before position can have
    for position in range(tables.order.shape[0]):
        u = tables.order[position]
        state.most[u] = 0
        if position < depth:
            for w in range(tables.words[u], tables.words[u + 1]):
                state.most[u] += popcount(state.held[depth, w])
        else:
            row = state.counts[u]
            count_both(state.opened[depth], state.opened[depth], tables.words[u], tables.words[u + 1], row)
            for r in range(tables.n_distinct[u]):
                state.most[u] = max(state.most[u], row[r])
    return least_objective(state.most, terms, state.levels)


@compiled_in_place
def hopeless(terms, state, highest):
    """Return whether no choice with so many right samples at most can be as good as ``highest``."""
    return least_objective(state.most, terms, state.levels) > highest


@compiled_in_place
def count_row(tables, terms, state, depth, s, prune, highest):
    """Count, with correction s of the last class but one, all of the last; False if none can matter.

    With ``prune``, ``alone`` holds the samples that each correction of the last class but one would
    win, and at its end those of the best one of the last class. Bounds go from cheap to sharp.
    """
    n_classes = tables.order.shape[0]
    i, j = tables.order[n_classes - 2], tables.order[n_classes - 1]
    slab = tables.beats[i, s]
    state.picked[i] = s
    state.work[0] += ROW_TRIED
    # invariant: kept holds, of the classes before position, the samples won from all but the last class
    for position in range(n_classes - 1):
        k = tables.order[position]
        n_kept = 0
        for w in range(tables.words[k], tables.words[k + 1]):
            if k == i:
                state.kept[w] = state.opened[depth, w, s]
            else:
                state.kept[w] = state.held[depth, w] & slab[w, state.picked[k]]
            n_kept += popcount(state.kept[w])
        state.most[k] = n_kept
    if prune:
        state.most[j] = state.alone[tables.n_distinct[i]]
        if hopeless(terms, state, highest):
            return False
    state.most[j] = 0
    row = state.counts[j]
    count_both(state.opened[depth], slab, tables.words[j], tables.words[j + 1], row)
    for r in range(tables.n_distinct[j]):
        state.most[j] = max(state.most[j], row[r])
    if prune and hopeless(terms, state, highest):
        return False
    state.work[0] += 1.0
    for position in range(n_classes - 1):
        k = tables.order[position]
        held = tables.holds[state.picked[k]]
        count_words(held, state.kept, tables.words[k], tables.words[k + 1], state.counts[k])
    return True


@compiled_in_place
def list_rows(tables, terms, state, depth, highest):
    """Put into ``rows`` the corrections of the last class but one that a bound leaves; return their number.

    Nothing but how many samples each would win alone is needed for it.
    """
    n_classes = tables.order.shape[0]
    i, j = tables.order[n_classes - 2], tables.order[n_classes - 1]
    n_rows = 0
    if bound_node(tables, terms, state, depth) > highest:
        return n_rows
    for s in range(tables.n_distinct[i]):
        state.alone[s] = state.counts[i, s]
    state.alone[tables.n_distinct[i]] = state.most[j]
    # invariant: every correction before s that is not in rows[:n_rows] is hopeless
    for s in range(tables.n_distinct[i]):
        state.most[i] = state.alone[s]
        if not hopeless(terms, state, highest):
            state.rows[n_rows] = s
            n_rows += 1
    return n_rows


@compiled_in_place
def count_last_two(tables, terms, state, found, depth, prune):
    """Evaluate all corrections of the last two classes, the others fixed; return how many were counted."""
    n_classes = tables.order.shape[0]
    i, j = tables.order[n_classes - 2], tables.order[n_classes - 1]
    n_counted = 0
    n_rows = tables.n_distinct[i]
    if prune:
        n_rows = list_rows(tables, terms, state, depth, found.best[0] + TOLERANCE)
    # invariant: no choice in the rows before beats found.best
    for row in range(n_rows):
        s = state.rows[row] if prune else row
        if not count_row(tables, terms, state, depth, s, prune, found.best[0] + TOLERANCE):
            continue
        n_counted += tables.n_distinct[j]
        level_corrections(terms, state)
        highest = found.best[0] + TOLERANCE
        if needs_predicted(terms):
            total = 0
            for k in range(n_classes):
                total += state.most[k]
            highest += most_beyond(total, state.most, terms)
        state.is_named[0] = False
        for r in range(tables.n_distinct[j]):
            if state.gaps[0, r] <= highest:
                state.picked[j] = r
                consider(tables, terms, state, found, r)
        for r in range(tables.n_distinct[j]):
            right = int(state.gaps[1, r])
            cobias = state.gaps[2, r] * terms.tables.factors[0, TO_COBIAS]
            if cobias <= found.reached[right]:
                state.picked[j] = r
                keep_pair(tables, state, found, right, cobias)
    return n_counted


@compiled_in_place
def consider(tables, terms, state, found, column):
    """Take a choice that was counted as the best if it beats the best, as Candidate compares them."""
    best, by_predicted = found.best, needs_predicted(terms)
    lower, total = state.gaps[0, column], int(state.gaps[1, column])
    for k in range(state.picked.shape[0]):
        state.right[0, k] = state.counts[k, column]
    if by_predicted:
        lower -= most_beyond(total, state.right[0], terms)
    if lower > best[0] + TOLERANCE:
        return
    n_changed, size = change_of(tables, state.picked)
    simpler = n_changed < best[1] or (n_changed == best[1] and size < best[2] - TOLERANCE)
    if lower > best[0] - TOLERANCE and not simpler:
        return
    if by_predicted:
        j = tables.order[tables.order.shape[0] - 1]
        if not state.is_named[0]:  # the same for all corrections of the last class
            name_fixed(tables, state, j)
            state.is_named[0] = True
        count_predicted(tables, state, j)
    value = score(state.right, terms.tables, 0, state.levels)
    if terms.costs.shape[0] > 0 and is_within(value, terms.tables, 0):
        value += cost_of(tables, state, terms.costs, tables.order[tables.order.shape[0] - 1])
    if value < best[0] - TOLERANCE or (value <= best[0] + TOLERANCE and simpler):
        best[0], best[1], best[2] = value, n_changed, size
        for k in range(state.picked.shape[0]):
            found.best_choice[k] = state.picked[k]


@compiled_in_place
def keep_pair(tables, state, found, right, cobias):
    """Keep a choice that has the lowest COBias among those with as many samples right."""
    pareto = found.pareto
    if cobias > pareto[0, right] + TOLERANCE:
        return
    n_changed, size = change_of(tables, state.picked)
    simpler = n_changed < pareto[1, right] or (
        n_changed == pareto[1, right] and size < pareto[2, right] - TOLERANCE
    )
    if cobias < pareto[0, right] - TOLERANCE or simpler:
        pareto[0, right], pareto[1, right], pareto[2, right] = cobias, n_changed, size
        for k in range(state.picked.shape[0]):
            found.pareto_choice[right, k] = state.picked[k]


@compiled_in_place
def enumerate_choices(tables, terms, state, found, prefix, prune):
    """Enumerate all choices whose first classes of the order take the corrections of a prefix.

    Returns how many choices were counted, the others below the prefix being ruled out, and
    whether the enumeration is complete: not stopped, and within its limit of work.
    """
    deepest = tables.order.shape[0] - 2
    first = prefix.shape[0]
    for depth in range(first):
        fix_class(tables, state, depth, prefix[depth])
    depth = first
    n_counted = 0
    state.tried[:] = -1
    # invariant: all choices below the prefix that come before picked[:depth] are counted or ruled out
    while depth >= first:
        if state.stop[0] or state.work[0] > state.work[1]:
            return n_counted, False
        if depth == deepest:
            n_counted += count_last_two(tables, terms, state, found, depth, prune)
            depth -= 1
            continue
        state.tried[depth] += 1
        if state.tried[depth] == tables.n_distinct[tables.order[depth]]:
            state.tried[depth] = -1
            depth -= 1
            continue
        fix_class(tables, state, depth, state.tried[depth])
        bounded = prune and depth + 1 < deepest
        if bounded and bound_node(tables, terms, state, depth + 1) > found.best[0] + TOLERANCE:
            continue
        depth += 1
    return n_counted, True


@compiled_in_place
def bound_prefixes(tables, terms, state, prefixes, bounds):
    """Fill ``bounds`` with the least z below each prefix."""
    for p in range(prefixes.shape[0]):
        for depth in range(prefixes.shape[1]):
            fix_class(tables, state, depth, prefixes[p, depth])
        bounds[p] = bound_node(tables, terms, state, prefixes.shape[1])


@compiled_in_place
def probe(tables, terms, state, found, draws):
    """Estimate, from random ways down, the work of an enumeration with pruning, as it counts its own.

    ``draws`` holds uniform numbers, a row per way. A way that is not cut off at a node stands for
    all the others of that length (Knuth, Mathematics of Computation 29, 1975): the mean is unbiased.
    """
    deepest = tables.order.shape[0] - 2
    highest = found.best[0] + TOLERANCE
    work = 0.0
    # invariant: work sums the estimates of the ways before
    for way in range(draws.shape[0]):
        stands_for = 1.0
        alive = True
        for depth in range(deepest):
            n_distinct = tables.n_distinct[tables.order[depth]]
            stands_for *= n_distinct
            work += stands_for
            fix_class(tables, state, depth, min(n_distinct - 1, int(draws[way, depth] * n_distinct)))
            if bound_node(tables, terms, state, depth + 1) > highest:
                alive = False
                break
        n_alive = list_rows(tables, terms, state, deepest, highest) if alive else 0
        if n_alive > 0:
            work += stands_for * n_alive * ROW_TRIED
            s = state.rows[min(n_alive - 1, int(draws[way, deepest] * n_alive))]
            if count_row(tables, terms, state, deepest, s, True, highest):
                work += stands_for * n_alive
    return work / draws.shape[0]
