"""Keeps a plan of the picks still to make, and takes a row only if the picks can be completed with it.

Sources have a most and a least number of picks, strata a share each: a flow from sources to strata. A
row is of one cell, a source and a stratum. If the plan has no pick for its cell, a path through the
residual flow finds a plan that has (Ford and Fulkerson); if there is none, the cell is blocked.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled
from iterit.row_numbers import RowArray
from iterit.selection.eligibility import SourceRoom

Numbers = npt.NDArray[np.int64]


class Plan(NamedTuple):
    """How many picks are still to make of each cell. Arrays change as rows are taken.

    Attributes
    ----------
    cells : ndarray of int64, shape (n,)
        Cell of each candidate: source * n_strata + stratum.
    planned, left : ndarray of int64, shape (n_sources, n_strata)
        Picks to make, and rows that may be picked and are not.
    least, most : ndarray of int64, shape (n_sources,)
        Bounds of the picks to make of each source.
    shares : ndarray of int64, shape (n_strata,)
        The most picks to make of each stratum.
    of_source, of_stratum : ndarray of int64
        Sums of `planned`.
    blocked : ndarray of bool, shape (n_cells,)
        Cells whose rows cannot be picked any more.
    """

    cells: RowArray
    planned: Numbers
    left: Numbers
    least: Numbers
    most: Numbers
    shares: Numbers
    of_source: Numbers
    of_stratum: Numbers
    blocked: npt.NDArray[np.bool_]


def plan_of(limits: SourceRoom, eligible: RowArray, k: int) -> Plan:
    """Plan picks: as many as the sources' most allow, at least their least, in strata as near as possible.

    Where a stratum has too few rows, the rest of its share goes to the strata nearest to it, first the
    one below. Where a source has too few rows for its least, the plan has all of them.

    Parameters
    ----------
    limits : SourceRoom
        Its shares sum to k.
    eligible : ndarray of int64
        Candidates that may be picked.
    k : int
        Rows to pick.

    Examples
    --------
    Of stratum 0 two rows are wanted, and it has one; the other comes from stratum 1:

    >>> strata, shares = np.array([0, 1, 1, 2]), np.array([2, 0, 1])
    >>> by_source = SourceRoom(np.zeros(4, int), np.array([4]), None, strata, shares)
    >>> plan_of(by_source, np.arange(4), 3).shares
    array([1, 1, 1])
    """
    n_sources = len(limits.room)
    strata = np.zeros(len(limits.sources), dtype=np.int64) if limits.strata is None else limits.strata
    shares = np.array([k]) if limits.shares is None else limits.shares
    n_strata = len(shares)
    cells = limits.sources * n_strata + strata
    left = np.bincount(cells[eligible], minlength=n_sources * n_strata).reshape(n_sources, n_strata)
    there = np.minimum(limits.room, left.sum(axis=1))
    least = np.zeros(n_sources, dtype=np.int64) if limits.least is None else np.minimum(limits.least, there)
    plan = Plan(
        cells, np.zeros_like(left), left, np.zeros(n_sources, dtype=np.int64), least.copy(),
        shares.astype(np.int64), np.zeros(n_sources, dtype=np.int64), np.zeros(n_strata, dtype=np.int64),
        np.zeros(n_sources * n_strata, dtype=np.bool_),
    )  # fmt: skip
    _fill(plan, int(least.sum()))
    plan.least[:] = plan.of_source
    plan.most[:] = limits.room
    _fill(plan, min(k, int(there.sum())))
    return plan


def take_in_order(order: RowArray, limits: SourceRoom, k: int) -> RowArray:
    """Take rows in order, each if the picks can be completed with it, k at most.

    Examples
    --------
    >>> by_source = SourceRoom(np.array([0, 1, 0, 1]), np.array([2, 1]))
    >>> take_in_order(np.array([3, 1, 0, 2]), by_source, k=3)
    array([3, 0, 2])
    """
    return order[_taken(plan_of(limits, order, k), order)]


def rest_of(limits: SourceRoom, picked: RowArray) -> SourceRoom:
    """Return what is left of the limits after some picks.

    Examples
    --------
    >>> rest_of(SourceRoom(np.array([0, 1, 0]), np.array([2, 1])), np.array([2])).room
    array([1, 1])
    """
    of_source = np.bincount(limits.sources[picked], minlength=len(limits.room))
    left = limits._replace(room=limits.room - of_source)
    if left.least is not None:
        left = left._replace(least=np.maximum(left.least - of_source, 0))
    if left.shares is not None:
        strata = np.zeros(len(left.sources), dtype=np.int64) if left.strata is None else left.strata
        of_stratum = np.bincount(strata[picked], minlength=len(left.shares))
        left = left._replace(shares=left.shares - of_stratum)
    return left


def _fill(plan: Plan, target: int) -> None:
    """Add picks to a plan until it has as many as wanted, and move shares of strata where that needs it.

    The shares sum to at least `target`. So as long as picks are missing, some source has a row left in a
    full stratum, and some other stratum has an unused share: a move between the two adds picks, and the
    loop ends.
    """
    augment(plan)
    n_strata = len(plan.shares)
    while plan.of_source.sum() < target:
        for distance in range(1, n_strata):
            for giver in range(n_strata):
                for taker in (giver - distance, giver + distance):
                    unused = plan.shares[giver] - plan.of_stratum[giver]
                    if unused == 0 or not 0 <= taker < n_strata:
                        continue
                    plan.shares[giver] -= unused
                    plan.shares[taker] += unused
                    back = unused - augment(plan)
                    plan.shares[taker] -= back
                    plan.shares[giver] += back


@compiled
def take(plan, row):  # type: ignore[no-untyped-def]
    """Take a row if the picks can be completed with it, and tell whether it was taken.

    A row that is refused stays so: were there a completion with it after more picks, it would be one, with
    those picks in it, now. So a blocked cell is never looked at again.
    """
    # invariant: `planned` is a completion: at most `left`, its sums of sources from `least` to `most`, those
    # of strata at most `shares`, and its total the number of picks still to make
    cell = plan.cells[row]
    n_strata = plan.planned.shape[1]
    source, stratum = cell // n_strata, cell % n_strata
    if plan.blocked[cell]:
        return False
    if plan.planned[source, stratum] == 0 and not reroute(plan, source, stratum):
        plan.blocked[cell] = True
        return False
    plan.planned[source, stratum] -= 1
    plan.left[source, stratum] -= 1
    plan.of_source[source] -= 1
    plan.of_stratum[stratum] -= 1
    plan.most[source] -= 1
    plan.least[source] = max(plan.least[source] - 1, 0)
    plan.shares[stratum] -= 1
    return True


@compiled
def _taken(plan, order):  # type: ignore[no-untyped-def]
    """Tell for each row, in order, whether it is taken."""
    kept = np.zeros(len(order), dtype=np.bool_)
    for place in range(len(order)):
        kept[place] = take(plan, order[place])
    return kept


@compiled
def reroute(plan, source, stratum):  # type: ignore[no-untyped-def]
    """Change the plan so that it has a pick of a cell that it has none of; tell whether that was possible."""
    n_sources, n_strata = plan.planned.shape
    before = np.empty(n_sources + n_strata + 2, dtype=np.int64)
    goal, start = source, n_sources + stratum
    if not find_path(plan, start, goal, before):
        return False
    push(plan, before, start, goal, 1)
    plan.planned[source, stratum] += 1
    return True


@compiled
def augment(plan):  # type: ignore[no-untyped-def]
    """Add as many picks to a plan as its bounds allow, and return their number."""
    n_sources, n_strata = plan.planned.shape
    supply, demand = n_sources + n_strata, n_sources + n_strata + 1
    before = np.empty(demand + 1, dtype=np.int64)
    added = 0
    while find_path(plan, supply, demand, before):
        amount = spare(plan, before[demand], demand)
        node = before[demand]
        while node != supply:
            amount = min(amount, spare(plan, before[node], node))
            node = before[node]
        push(plan, before, supply, demand, amount)
        added += amount
    return added


@compiled
def spare(plan, here, there):  # type: ignore[no-untyped-def]
    """Return how much more may flow between two nodes that are joined.

    Nodes are sources, then strata, then the supply of all sources and the demand of all strata.
    """
    n_sources, n_strata = plan.planned.shape
    supply, demand = n_sources + n_strata, n_sources + n_strata + 1
    if here == supply:
        return plan.most[there] - plan.of_source[there]
    if here == demand:
        return plan.of_stratum[there - n_sources]
    if there == supply:
        return plan.of_source[here] - plan.least[here]
    if there == demand:
        return plan.shares[here - n_sources] - plan.of_stratum[here - n_sources]
    if here < n_sources:
        stratum = there - n_sources
        return plan.left[here, stratum] - plan.planned[here, stratum]
    return plan.planned[there, here - n_sources]


@compiled
def find_path(plan, start, goal, before):  # type: ignore[no-untyped-def]
    """Find a shortest path that can carry more: `before[node]` is the node before it, -1 for none."""
    n_sources, n_strata = plan.planned.shape
    supply, demand = n_sources + n_strata, n_sources + n_strata + 1
    before[:] = -1
    before[start] = start
    queue = np.empty(len(before), dtype=np.int64)
    queue[0] = start
    first, last = 0, 1
    # invariant: queue[:last] are the nodes that were reached; those before `first` have been left
    while first < last:
        here = queue[first]
        first += 1
        to_strata = here < n_sources or here == demand  # else to sources
        n_others = n_strata if to_strata else n_sources
        for step in range(n_others + 1):
            if step < n_others:
                there = n_sources + step if to_strata else step
            elif here < supply:
                there = supply if to_strata else demand
            else:
                continue
            if before[there] >= 0 or spare(plan, here, there) <= 0:
                continue
            before[there] = here
            if there == goal:
                return True
            queue[last] = there
            last += 1
    return False


@compiled
def push(plan, before, start, goal, amount):  # type: ignore[no-untyped-def]
    """Let more flow along a path."""
    n_sources, n_strata = plan.planned.shape
    supply, demand = n_sources + n_strata, n_sources + n_strata + 1
    there = goal
    while there != start:
        here = before[there]
        if here == supply:
            plan.of_source[there] += amount
        elif there == supply:
            plan.of_source[here] -= amount
        elif there == demand:
            plan.of_stratum[here - n_sources] += amount
        elif here == demand:
            plan.of_stratum[there - n_sources] -= amount
        elif here < n_sources:
            plan.planned[here, there - n_sources] += amount
        else:
            plan.planned[there, here - n_sources] -= amount
        there = here
