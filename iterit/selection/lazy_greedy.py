"""Makes the greedy picks of the plain definition without looking at every row for every pick.

Plain definition: score = complexity * diversity; pick the highest, the first row on ties; multiply
the weights of the pick's n-grams by the decay everywhere (:mod:`iterit.ngrams.row_sums`); repeat.
Scores never grow, in floating point too: rounding keeps order, so a product by a decay <= 1, a sum
from left to right of smaller addends and a product by a complexity >= 0 are never larger. An older
score is therefore an upper bound, and a heap of scores needs to be updated only at its top: first by
a bound in one pass (powers of the decay, raised by more than all roundings together), then, if the
row still leads, exactly. The row that leads with its exact score is the plain pick.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled
from iterit.ngrams.ngram_weights import Weights
from iterit.ngrams.row_sums import count_pick, row_bound, row_sum, row_sums
from iterit.row_numbers import RowArray
from iterit.selection.eligibility import SourceRoom, source_room
from iterit.selection.limits.completion import plan_of, take

PICKS_AT_ONCE = 512
"""Picks per call of the compiled code, so that Ctrl-C is noticed between calls."""
SIZE, PICKED, BOUNDS, SUMS = range(4)
"""Places in the counters: rows in the heap, picks so far, bounds and exact sums computed."""

Floats = npt.NDArray[np.float64]


class Picks(NamedTuple):
    """Rows that a greedy search picked.

    Attributes
    ----------
    rows : ndarray of int64
        Rows of the weights, in the order of picks; fewer than asked for where no further row adds
        anything.
    diversity, score : ndarray of float64
        Of each row when it was picked.
    n_bounds, n_sums : int
        Number of rows bounded, and summed exactly.
    """

    rows: RowArray
    diversity: Floats
    score: Floats
    n_bounds: int = 0
    n_sums: int = 0


class Problem(NamedTuple):
    """What does not change while rows are picked: weights as a CSR matrix, and a value per row."""

    indptr: RowArray
    indices: npt.NDArray[np.signedinteger]
    data: Floats
    complexity: Floats
    divisors: Floats


class Decay(NamedTuple):
    """The decay, its powers, and what makes a sum with them an upper bound, see :func:`decay_bound`."""

    decay: float
    powers: Floats
    slack: float
    least: float


class SearchState(NamedTuple):
    """What changes while rows are picked; `counters` is indexed by SIZE, PICKED, BOUNDS and SUMS."""

    keys: Floats
    heap: RowArray
    bounded_at: npt.NDArray[np.int32]
    summed_at: npt.NDArray[np.int32]
    times: npt.NDArray[np.int32]
    diversity: Floats
    picked: RowArray
    scores: Floats
    counters: RowArray


def lazy_greedy(
    weights: Weights,
    complexity: Floats,
    k: int,
    decay: float,
    *,
    eligible: RowArray | None = None,
    divisors: Floats | None = None,
    by_source: SourceRoom | None = None,
) -> Picks:
    """Pick up to k rows whose score is above zero.

    Parameters
    ----------
    weights : Weights
    complexity : ndarray of float64, shape (n_rows,)
        Finite and not negative.
    k : int
    decay : float
        From 0 to 1.
    eligible : ndarray of int64, optional
        Rows that may be picked; all by default.
    divisors : ndarray of float64, optional
        Divisors of the sums of the rows' weights; 1 by default.
    by_source : SourceRoom, optional
        How many rows of each source and stratum may and must be picked.

    Returns
    -------
    Picks

    Examples
    --------
    >>> from iterit.ngrams.ngram_weights import weigh
    >>> from iterit.ngrams.ngram_counts import count_ngrams
    >>> weights = weigh(count_ngrams(["good day", "good day", "night"]))
    >>> picks = lazy_greedy(weights, np.array([0.9, 0.9, 0.8]), k=3, decay=0.1)
    >>> picks.rows.tolist(), picks.score.round(3).tolist()
    ([0, 2, 1], [1.559, 0.8, 0.156])
    """
    n_rows = weights.n_rows
    rows = np.arange(n_rows) if eligible is None else eligible
    divisors = np.ones(n_rows) if divisors is None else divisors
    plan = plan_of(by_source or source_room(None, None, k, n_rows), rows, k)
    diversity = row_sums(weights.indptr, weights.data) / divisors
    bounded_at, summed_at = np.zeros((2, n_rows), dtype=np.int32)
    state = SearchState(
        (complexity * diversity)[rows], rows.astype(np.int64), bounded_at, summed_at,
        np.zeros(weights.n_columns, dtype=np.int32), diversity, np.empty(k, dtype=np.int64), np.empty(k),
        np.array([len(rows), 0, 0, 0], dtype=np.int64),
    )  # fmt: skip
    make_heap(state.keys, state.heap)
    problem = Problem(weights.indptr, weights.indices, weights.data, complexity, divisors)
    bound = decay_bound(decay, k, weights.data.max(initial=0.0))
    while (n_picked := state.counters[PICKED]) < k:
        until = min(k, n_picked + PICKS_AT_ONCE)
        advance(problem, bound, state, plan, until)
        if state.counters[PICKED] < until:
            break
    found = state.picked[: state.counters[PICKED]]
    _, _, n_bounds, n_sums = state.counters.tolist()
    return Picks(found, diversity[found], state.scores[: len(found)], n_bounds, n_sums)


def decay_bound(decay: float, k: int, largest: float) -> Decay:
    """Return powers of the decay, and what makes a sum with them an upper bound.

    After m picks, a stored weight is at most ``w * decay**m * (1 + u)**m`` with u = 2**-53, and a
    little where numbers are no longer normal; each power here is at least ``decay**m * (1 - u)**m``,
    with the same exception. A sum of n addends is off by a factor of at most ``(1 + u)**n`` either
    way. The bound is therefore raised by ``(n + slack) * 2**-51``, which is twice what is needed, and
    by n times `least`, far above what is lost among numbers that are not normal.
    """
    powers = np.empty(k + 1)
    powers[0] = 1.0
    with np.errstate(under="ignore"):
        np.multiply.accumulate(np.full(k, decay), out=powers[1:])
    least = 0.0 if decay in (0.0, 1.0) else 1e-300 * (1.0 + largest)
    return Decay(float(decay), powers, float(k + 16), least)


@compiled
def leads(key, row, other_key, other_row):  # type: ignore[no-untyped-def]
    """Tell whether one entry leads another: a higher key, then an earlier row."""
    return key > other_key or (key == other_key and row < other_row)


@compiled
def sift_down(keys, heap, size, place):  # type: ignore[no-untyped-def]
    """Let the entry at a place sink to where it belongs."""
    key, row = keys[place], heap[place]
    # invariant: every entry but the one at `place` leads the two below it; that one may hold (key, row)
    # or a copy of its child, and each entry above `place` leads (key, row)
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and leads(keys[child + 1], heap[child + 1], keys[child], heap[child]):
            child += 1
        if not leads(keys[child], heap[child], key, row):
            break
        keys[place], heap[place] = keys[child], heap[child]
        place = child
    keys[place], heap[place] = key, row


@compiled
def make_heap(keys, heap):  # type: ignore[no-untyped-def]
    """Order entries so that each leads the two below it."""
    # invariant: each entry after `place` leads the two below it
    for place in range(len(heap) // 2 - 1, -1, -1):
        sift_down(keys, heap, len(heap), place)


@compiled
def advance(problem, bound, state, plan, until):  # type: ignore[no-untyped-def]
    """Pick rows up to a number of picks, or until no row adds anything."""
    keys, heap, counters = state.keys, state.heap, state.counters
    # invariant: the key of every row in the heap is at least its score after the picks so far, and equal
    # to it where summed_at[row] is the number of picks so far; the heap is ordered; a row that left it was
    # picked or is blocked for ever, see `take`
    while counters[PICKED] < until and counters[SIZE] > 0 and keys[0] > 0.0:
        row, now = heap[0], counters[PICKED]
        low, high = problem.indptr[row], problem.indptr[row + 1]
        blocked = plan.blocked[plan.cells[row]]
        if blocked or state.summed_at[row] == now:
            if not blocked and take(plan, row):
                state.picked[now], state.scores[now] = row, keys[0]
                count_pick(low, high, problem.indices, state.times)
                counters[PICKED] += 1
            counters[SIZE] -= 1
            keys[0], heap[0] = keys[counters[SIZE]], heap[counters[SIZE]]
        elif state.bounded_at[row] != now:
            total = row_bound(low, high, problem.indices, problem.data, state.times, bound.powers)
            total = total * (1.0 + (high - low + bound.slack) * 2.0**-51) + (high - low) * bound.least
            keys[0] = min(keys[0], problem.complexity[row] * (total / problem.divisors[row]))
            state.bounded_at[row] = now
            counters[BOUNDS] += 1
        else:
            total = row_sum(low, high, problem.indices, problem.data, state.times, bound.decay)
            state.diversity[row] = total / problem.divisors[row]
            keys[0] = problem.complexity[row] * state.diversity[row]
            state.summed_at[row] = now
            counters[SUMS] += 1
        if counters[SIZE] > 0:
            sift_down(keys, heap, counters[SIZE], 0)
