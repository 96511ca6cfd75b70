"""Picks by facility location: every row is to have a pick near to it, by cosine similarity.

The diversity of a row is the growth of the sum over all rows of (similarity to the nearest pick),
similarities below 0 counting as 0. Gains never grow (the function is submodular, and rounding keeps
order), so older gains are upper bounds and only the highest are computed again, some at a time.
Memory is that of the embeddings; the first gains take n_rows**2 * n_dimensions multiplications.
"""

from functools import partial

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled
from debias.errors import ParameterError
from iterit.row_numbers import RowArray
from iterit.selection.eligibility import SourceRoom, source_room
from iterit.selection.lazy_greedy import Floats, Picks
from iterit.selection.limits.completion import plan_of, take
from iterit.threads import n_threads, run_in_threads

AT_ONCE = 16
"""Gains that are updated together: the embeddings are read once for all of them."""
TILE = 64
"""Rows whose embeddings stay in the nearest caches while all candidates of a block pass over them."""

# Sums of products may be taken in any order that suits the machine: the same one every time.
compiled_any_order = partial(compiled, fastmath={"reassoc", "contract"})


def cover_greedily(
    embeddings: npt.ArrayLike,
    complexity: Floats,
    k: int,
    *,
    eligible: RowArray | None = None,
    by_source: SourceRoom | None = None,
    n_jobs: int | None = None,
) -> Picks:
    """Pick up to k rows whose score, complexity * gain, is above zero.

    Parameters
    ----------
    embeddings : array-like of shape (n_rows, n_dimensions)
        Finite, of any length; a row of zeros is near to none.
    complexity : ndarray of float64, shape (n_rows,)
        Finite and not negative.
    k : int
    eligible : ndarray of int64, optional
        Rows that may be picked; all by default. All rows are to have a pick near to them.
    by_source : SourceRoom, optional
        How many rows of each source and stratum may and must be picked.
    n_jobs : int, optional
        Threads; one per core by default. The result is the same for any number.

    Returns
    -------
    Picks

    Raises
    ------
    ParameterError
        An embedding is not finite.

    Examples
    --------
    >>> embeddings = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [1.0, -0.1]]
    >>> picks = cover_greedily(embeddings, np.ones(4), k=2)
    >>> picks.rows.tolist(), picks.diversity.round(2).tolist()
    ([2, 1], [3.07, 0.9])
    """
    vectors = unit_rows(embeddings)
    n_rows = len(vectors)
    n_jobs = n_threads(n_jobs)
    rows = np.arange(n_rows) if eligible is None else eligible
    plan = plan_of(by_source or source_room(None, None, k, n_rows), rows, k)
    nearest = np.zeros(n_rows)
    gains = np.zeros(n_rows)
    gains[rows] = _gains(vectors, rows, nearest, n_jobs)
    keys = np.full(n_rows, -1.0)
    keys[rows] = complexity[rows] * gains[rows]
    updated_at = np.zeros(n_rows, dtype=np.int64)
    picked: list[int] = []
    scores: list[float] = []
    n_sums = len(rows)
    # invariant: keys[row] is at least the score of the row after the picks so far, and equal to it where
    # updated_at[row] is their number; nearest[row] is the similarity of the row to its nearest pick
    while len(picked) < k:
        leader = int(np.argmax(keys))  # the first of equal ones
        if keys[leader] <= 0.0:
            break
        if plan.blocked[plan.cells[leader]]:
            keys[plan.cells == plan.cells[leader]] = -1.0
        elif updated_at[leader] == len(picked):
            if not take(plan, leader):
                continue
            picked.append(leader)
            scores.append(float(keys[leader]))
            keys[leader] = -1.0
            similarities = np.empty((1, n_rows), dtype=np.float32)
            block_gains(vectors, np.array([leader]), nearest, np.zeros(1), similarities)
            np.maximum(nearest, similarities[0], out=nearest)
        else:
            stale = _highest_stale(keys, updated_at, len(picked))
            gains[stale] = _gains(vectors, stale, nearest, n_jobs)
            keys[stale] = complexity[stale] * gains[stale]
            updated_at[stale] = len(picked)
            n_sums += len(stale)
    found = np.array(picked, dtype=np.int64)
    return Picks(found, gains[found], np.array(scores), 0, n_sums)


def unit_rows(embeddings: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return embeddings in single precision, each of length 1 (or 0).

    Raises
    ------
    ParameterError
        It is not a matrix, or a value is not finite.

    Examples
    --------
    >>> unit_rows([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """
    array = np.array(embeddings, dtype=np.float32)
    if array.ndim != 2:
        allowed = "of shape (n_rows, n_dimensions)"
        raise ParameterError(parameter="embeddings", received=array.shape, allowed=allowed)
    wrong = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(wrong):
        raise ParameterError(parameter="embeddings", allowed="finite", row=int(wrong[0]))
    lengths = np.sqrt(np.einsum("ij,ij->i", array, array, dtype=np.float64))
    lengths[lengths == 0.0] = 1.0
    array /= lengths[:, None].astype(np.float32)
    return np.ascontiguousarray(array)


def _highest_stale(keys: Floats, updated_at: RowArray, now: int) -> RowArray:
    """Return those of the highest keys that are older than the last pick."""
    n = min(AT_ONCE, len(keys))
    top = np.argpartition(keys, len(keys) - n)[len(keys) - n :]
    top = np.union1d(top, [np.argmax(keys)])
    return top[(updated_at[top] < now) & (keys[top] > 0.0)]


def _gains(
    vectors: npt.NDArray[np.float32],
    rows: RowArray,
    nearest: Floats,
    n_jobs: int,
) -> Floats:
    """Return how much each of some rows would add."""
    totals = np.zeros(len(rows))
    size = min(256, max(1, -(-len(rows) // n_jobs)))
    nothing = np.empty((0, 0), dtype=np.float32)

    def compute(part: int) -> None:
        here = slice(part * size, (part + 1) * size)
        block_gains(vectors, rows[here], nearest, totals[here], nothing)

    run_in_threads(compute, -(-len(rows) // size), n_jobs)
    return totals


@compiled_any_order
def block_gains(vectors, block, nearest, totals, similarities):  # type: ignore[no-untyped-def]
    """Sum the gain of each row of a block; keep the similarities where there is room for them.

    One function does both, so that a similarity is the same number wherever it is used.
    """
    n_rows, n_dimensions = vectors.shape
    # invariant: totals[place] is the gain of a row of the block over the rows of the tiles before `first`,
    # added in the order of the rows
    for first in range(0, n_rows, TILE):
        last = min(first + TILE, n_rows)
        for place in range(len(block)):
            other = vectors[block[place]]
            total = totals[place]
            for row in range(first, last):
                mine = vectors[row]
                similarity = np.float32(0.0)
                for dimension in range(n_dimensions):
                    similarity += mine[dimension] * other[dimension]
                gain = np.float64(similarity) - nearest[row]
                if gain > 0.0:
                    total += gain
                if place < len(similarities):
                    similarities[place, row] = similarity
            totals[place] = total
