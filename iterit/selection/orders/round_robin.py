"""Picks by similarity to the examples of a query: each example in turn takes its most similar row left."""

import numpy as np
import numpy.typing as npt

from iterit.row_numbers import RowArray
from iterit.selection.eligibility import SourceRoom
from iterit.selection.limits.completion import plan_of, take

FIRST_RANKED = 64
"""Rows ranked for an example beyond its share of the picks, before more are: a full sort of a million
rows for each of a hundred examples takes longer than all picks."""


class _Ranking:
    """The rows of one example, most similar first; equal ones in their order. Ranked as far as needed."""

    def __init__(self, similarities: npt.NDArray[np.floating], rows: RowArray, n_first: int) -> None:
        self.similarities, self.rows = similarities, rows
        self.n_ranked, self.place = min(n_first, len(rows)), 0
        self.ranked = self._first(self.n_ranked)

    def _first(self, n: int) -> RowArray:
        """Return at least the first n rows: all that are as similar as the n-th are among them."""
        if n >= len(self.rows):
            chosen = self.rows
        else:
            own = self.similarities[self.rows]
            chosen = self.rows[own >= np.partition(own, len(own) - n)[len(own) - n]]
        return chosen[np.argsort(-self.similarities[chosen], kind="stable")]

    def next(self) -> int:
        """Return the next row, -1 after the last one."""
        if self.place == len(self.ranked) < len(self.rows):
            self.n_ranked = max(2 * self.n_ranked, len(self.ranked) + 1)
            self.ranked = self._first(self.n_ranked)  # begins with the rows that were ranked before
        if self.place == len(self.ranked):
            return -1
        self.place += 1
        return int(self.ranked[self.place - 1])


def round_robin(
    similarities: npt.NDArray[np.floating], rows: RowArray, k: int, limits: SourceRoom
) -> tuple[RowArray, npt.NDArray[np.int64]]:
    """Let each example of a query take a row in turn: of those left, the most similar, the first on ties.

    Parameters
    ----------
    similarities : ndarray of shape (n, n_query)
        Finite for `rows`.
    rows : ndarray of int64
        Rows that may be picked, ascending.
    k : int
    limits : SourceRoom
        How many rows of each source and stratum may and must be picked. An example whose next row has no
        room takes the one after it.

    Returns
    -------
    rows, queries : ndarray of int64
        The picks in their order, and the example that took each.

    Examples
    --------
    >>> similarities = np.array([[0.9, 0.8], [0.7, 0.1], [0.2, 0.3]])
    >>> room = SourceRoom(np.zeros(3, int), np.array([3]))
    >>> [array.tolist() for array in round_robin(similarities, np.arange(3), 3, room)]
    [[0, 2, 1], [0, 1, 0]]
    """
    n_query = similarities.shape[1]
    plan = plan_of(limits, rows, k)
    n_first = -(-k // max(n_query, 1)) + FIRST_RANKED
    rankings = [_Ranking(similarities[:, query], rows, n_first) for query in range(n_query)]
    left = np.zeros(len(similarities), dtype=bool)
    left[rows] = True
    picked: list[int] = []
    queries: list[int] = []
    # invariant: a row that an example has passed was picked or has no room for ever, see `take`
    active = list(range(n_query))
    while active and len(picked) < k:
        for query in list(active):
            row = rankings[query].next()
            while row >= 0 and not (left[row] and not plan.blocked[plan.cells[row]] and take(plan, row)):
                row = rankings[query].next()
            if row < 0:
                active.remove(query)
                continue
            left[row] = False
            picked.append(row)
            queries.append(query)
            if len(picked) == k:
                break
    return np.array(picked, dtype=np.int64), np.array(queries, dtype=np.int64)
