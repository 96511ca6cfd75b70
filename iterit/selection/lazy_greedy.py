"""The greedy picks of the plain definition, without looking at every row for every pick.

Plain definition: score = complexity * diversity; pick the highest, the first row on ties; multiply
the weights of the pick's n-grams by the decay everywhere (:mod:`iterit.ngrams.row_sums`); again.
Scores never grow, in floating point too: rounding keeps order, so a product by a decay <= 1, a sum
from left to right of smaller addends and a product by a complexity >= 0 are never larger. Any older
score is therefore an upper bound, and a heap of them needs to be brought up to date only at its top:
first by a bound in one pass (powers of the decay, made larger by more than all roundings together),
then, if the row still leads, exactly. The row that leads with its exact score is the plain pick.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled
from iterit.ngrams.ngram_weights import Weights
from iterit.ngrams.row_sums import bump_columns, row_bound, row_sum, row_sums

PICKS_AT_ONCE = 512
"""Compiled code runs for so many picks at a time, so that Ctrl-C is heard between."""
SIZE, PICKED, BOUNDS, SUMS = range(4)
"""Places in the state: rows in the heap, picks so far, bounds and exact sums computed."""


@dataclass(eq=False)
class Picks:
    """What the greedy search picked.

    Attributes
    ----------
    rows : ndarray of int64
        Rows of the weights, in the order of picks; shorter than asked for where no row was left
        that adds anything.
    diversity, score : ndarray of float64
        Of each row when it was picked.
    n_bounds, n_sums : int
        How many rows were bounded, and summed exactly, on the way.
    """

    rows: npt.NDArray[np.int64]
    diversity: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]
    n_bounds: int = field(default=0)
    n_sums: int = field(default=0)


def lazy_greedy(
    weights: Weights,
    complexity: npt.NDArray[np.float64],
    k: int,
    decay: float,
    *,
    eligible: npt.NDArray[np.int64] | None = None,
    divisors: npt.NDArray[np.float64] | None = None,
    sources: npt.NDArray[np.int64] | None = None,
    room: npt.NDArray[np.int64] | None = None,
) -> Picks:
    """Pick up to k rows whose score is above zero.

    Parameters
    ----------
    weights : Weights
    complexity : ndarray of float64, shape (n_rows,)
        Finite and 0 or more.
    k : int
    decay : float
        From 0 to 1.
    eligible : ndarray of int64, optional
        Rows that may be picked; all if not given.
    divisors : ndarray of float64, optional
        What the sum of each row's weights is divided by; 1 if not given.
    sources, room : ndarray of int64, optional
        The source of each row, as a number, and how many rows of each may be picked.

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
    sources = np.zeros(n_rows, dtype=np.int64) if sources is None else sources
    room = np.array([n_rows]) if room is None else room.copy()
    diversity = row_sums(weights.indptr, weights.data) / divisors
    keys = (complexity * diversity)[rows]
    heap = rows.astype(np.int64)
    state = np.array([len(heap), 0, 0, 0], dtype=np.int64)
    make_heap(keys, heap)
    powers, slack, least = _powers(decay, k, weights.data.max(initial=0.0))
    bounded_at, summed_at = np.zeros((2, n_rows), dtype=np.int32)
    times = np.zeros(weights.n_columns, dtype=np.int32)
    picked, scores = np.empty(k, dtype=np.int64), np.empty(k)
    while state[PICKED] < k:
        until = min(k, state[PICKED] + PICKS_AT_ONCE)
        advance(
            weights.indptr, weights.indices, weights.data, complexity, divisors, decay,
            sources, room, powers, slack, least,
            keys, heap, bounded_at, summed_at, times, diversity, picked, scores, state, until,
        )  # fmt: skip
        if state[PICKED] < until:
            break
    found = picked[: state[PICKED]]
    return Picks(found, diversity[found], scores[: len(found)], int(state[BOUNDS]), int(state[SUMS]))


def _powers(decay: float, k: int, largest: float) -> tuple[npt.NDArray[np.float64], float, float]:
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
    return powers, float(k + 16), least


@compiled
def leads(key, row, other_key, other_row):  # type: ignore[no-untyped-def]
    """Tell whether one entry stands above another: a higher key, then an earlier row."""
    return key > other_key or (key == other_key and row < other_row)


@compiled
def sift_down(keys, heap, size, place):  # type: ignore[no-untyped-def]
    """Let the entry at a place sink to where it belongs."""
    key, row = keys[place], heap[place]
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
    for place in range(len(heap) // 2 - 1, -1, -1):
        sift_down(keys, heap, len(heap), place)


@compiled
def advance(  # type: ignore[no-untyped-def]
    indptr, indices, data, complexity, divisors, decay, sources, room, powers, slack, least,
    keys, heap, bounded_at, summed_at, times, diversity, picked, scores, state, until,
):  # fmt: skip
    """Pick rows until there are so many, or no row is left that adds anything.

    Loop invariant: the key of every row in the heap is at least its score after the picks so far,
    and equal to it where `summed_at[row]` is the number of picks so far.
    """
    while state[PICKED] < until and state[SIZE] > 0 and keys[0] > 0.0:
        row, now = heap[0], state[PICKED]
        low, high = indptr[row], indptr[row + 1]
        full = room[sources[row]] == 0
        if full or summed_at[row] == now:
            if not full:
                picked[now], scores[now] = row, keys[0]
                room[sources[row]] -= 1
                bump_columns(low, high, indices, times)
                state[PICKED] += 1
            state[SIZE] -= 1
            keys[0], heap[0] = keys[state[SIZE]], heap[state[SIZE]]
        elif bounded_at[row] != now:
            bound = row_bound(low, high, indices, data, times, powers)
            bound = bound * (1.0 + (high - low + slack) * 2.0**-51) + (high - low) * least
            keys[0] = min(keys[0], complexity[row] * (bound / divisors[row]))
            bounded_at[row] = now
            state[BOUNDS] += 1
        else:
            diversity[row] = row_sum(low, high, indices, data, times, decay) / divisors[row]
            keys[0] = complexity[row] * diversity[row]
            summed_at[row] = now
            state[SUMS] += 1
        if state[SIZE] > 0:
            sift_down(keys, heap, state[SIZE], 0)
