"""Plans packs that hold any picks: the schedule of a run needs as many packs in each round.

The longest records that a round could pick are packed once (best fit, decreasing). The i-th longest
pick of a round takes the place of the i-th longest of these: it is not longer, so every pack holds.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass

import numpy as np

from iterit.row_numbers import RowArray

Pack = tuple[int, ...]
"""Rows that are trained as one sequence."""


@dataclass(frozen=True)
class PackPlan:
    """Packs of a round.

    Parameters
    ----------
    places : int64 array, shape (n_picks,)
        The pack of the longest pick, of the second longest, and so on.
    n_packs : int
    """

    places: RowArray
    n_packs: int

    def packs(self, rows: RowArray, lengths: RowArray, seed: int, epoch: int) -> list[Pack]:
        """Pack the picks of a round, and shuffle the packs.

        Parameters
        ----------
        rows : int64 array, shape (n_picks,)
        lengths : int64 array
            Length of every record, by row.
        seed, epoch : int

        Examples
        --------
        >>> lengths = np.array([3, 9, 4, 5, 2])
        >>> plan = plan_packs(lengths, n_picks=4, most_tokens=10)
        >>> plan.n_packs, plan.packs(np.array([0, 2, 3, 4]), lengths, seed=0, epoch=0)
        (3, [(4,), (3,), (2, 0)])
        """
        longest_first = rows[np.lexsort((rows, -lengths[rows]))]
        order = np.random.default_rng([seed, epoch]).permutation(self.n_packs)
        members: list[list[int]] = [[] for _ in range(self.n_packs)]
        for row, place in zip(longest_first.tolist(), self.places.tolist(), strict=True):
            members[place].append(row)
        return [tuple(members[place]) for place in order.tolist()]


def plan_packs(lengths: RowArray, n_picks: int, most_tokens: int) -> PackPlan:
    """Plan packs of at most this many tokens that hold any picks of a round.

    Parameters
    ----------
    lengths : int64 array
        Lengths of the records that take part, none above `most_tokens`.
    n_picks : int
        Records that a round picks.
    most_tokens : int

    Returns
    -------
    PackPlan
        As many packs as the longest records need; each has a record.
    """
    longest = np.sort(lengths)[::-1][:n_picks]
    room: list[tuple[int, int]] = []  # invariant: (tokens left, pack) of every pack, ascending
    places = []
    for length in longest.tolist():
        found = bisect_left(room, (length, -1))
        left, pack = room.pop(found) if found < len(room) else (most_tokens, len(room))
        insort(room, (left - length, pack))
        places.append(pack)
    return PackPlan(np.array(places, dtype=np.int64), len(room))
