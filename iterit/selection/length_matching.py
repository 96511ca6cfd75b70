"""Draws rows at random that are as long as given ones: what picks must beat to have won by more than length.

A draw has the picks' histogram of lengths (and of turns), and nearly their total. Quantile bins keep
rows of the same length together, see :func:`quantile_bins`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError
from debias.settings import check_positive_integer
from iterit.row_numbers import RowArray, row_numbers

Floats = npt.NDArray[np.float64]

TOLERANCE = 0.005
"""The totals of a draw and of the picks differ by this share at most, where swaps can bring them there."""
TRIES = 20
"""Draws that are made before the nearest of them is returned, where none comes within the tolerance."""


class _Cells(NamedTuple):
    """Rows that may stand for each other: those of cell c are ``rows[first[c]:first[c + 1]]``, by length."""

    rows: RowArray
    lengths: Floats
    first: RowArray


def length_matched_draw(
    lengths: npt.ArrayLike,
    picks: npt.ArrayLike,
    seed: int,
    *,
    turns: npt.ArrayLike | None = None,
    candidates: npt.ArrayLike | None = None,
    n_bins: int = 10,
) -> RowArray:
    """Draw as many rows as were picked, at random among rows as long as the picks.

    Each pick is answered by a row of its own bin of lengths (quantiles of the picks' lengths; the first
    and the last end at the shortest and the longest pick), and with as many turns. Random swaps within
    bins then bring the total to that of the picks, within 0.5 %.

    Parameters
    ----------
    lengths : array-like of shape (n_rows,)
        Answer tokens of each row; finite for picks and candidates.
    picks : array-like of int
        Rows that were picked, each once.
    seed : int
        Not negative. The draw depends on nothing else: the same on any machine.
    turns : array-like of int, shape (n_rows,), optional
        Turns of each row: a draw then has the picks' histogram of turns in every bin.
    candidates : array-like of int, optional
        Rows to draw from, each once; all by default. The picks should be among them: chance picks from
        everything, and a draw that must avoid the picks is worse than chance where they are good.
    n_bins : int, default=10
        Bins of lengths; fewer where many picks are equally long.

    Returns
    -------
    ndarray of int64
        Different rows; each is in the bin of the pick in its place.

    Raises
    ------
    ParameterError
        An argument is not allowed, or a bin has fewer candidates than picks.

    Examples
    --------
    >>> lengths = np.arange(1000) % 97
    >>> picks = np.arange(900, 1000)
    >>> drawn = length_matched_draw(lengths, picks, seed=1)
    >>> len(drawn), bool(abs(lengths[drawn].sum() / lengths[picks].sum() - 1) <= 0.005)
    (100, True)
    >>> length_matched_draw([5, 5, 9], [0, 2], seed=0, candidates=[0, 1])
    Traceback (most recent call last):
        ...
    debias.errors.ParameterError: candidates must be at least as many as picks in every bin of lengths: ...
    """
    check_positive_integer("n_bins", n_bins)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ParameterError(parameter="seed", received=seed, allowed="an integer, not negative")
    known = np.asarray(lengths, dtype=np.float64)
    if known.ndim != 1:
        raise ParameterError(parameter="lengths", received=known.shape, allowed="one value per row")
    picked = _different_rows(picks, known, "picks")
    pool = np.arange(len(known)) if candidates is None else candidates
    pool = np.sort(_different_rows(pool, known, "candidates"))
    if not len(picked):
        return picked
    cell_of = _cells_of(known, picked, turns, n_bins)
    cells, of_pick = _checked_cells(known, picked, pool, cell_of)
    generator = np.random.default_rng(seed)
    target, best, least = float(known[picked].sum()), picked, np.inf
    for _ in range(TRIES):
        places = _drawn(cells, of_pick, generator)
        missing = _swapped(cells, of_pick, places, target, generator)
        if abs(missing) < least:
            best, least = cells.rows[places], abs(missing)
        if least <= TOLERANCE * abs(target):
            break
    return best


def quantile_bins(lengths: Floats, of: Floats, n_bins: int) -> npt.NDArray[np.int64]:
    """Return the bin of each length: bins between the quantiles of some lengths, at most `n_bins`.

    Equal lengths are in one bin; bins are numbered from the shortest, and some may hold none of `lengths`.

    Examples
    --------
    >>> quantile_bins(np.array([1.0, 2, 2, 2, 3, 4]), np.array([1.0, 2, 2, 2, 3, 4]), 3).tolist()
    [0, 1, 1, 1, 2, 2]
    """
    if not len(of):
        return np.zeros(len(lengths), dtype=np.int64)
    ascending = np.sort(of)
    # a bin begins at the length that stands at its share of the rows, so that no rounding decides
    edges = np.unique(ascending[[len(ascending) * number // n_bins for number in range(1, n_bins)]])
    return np.searchsorted(edges, lengths, side="right").astype(np.int64)


def _different_rows(rows: npt.ArrayLike, lengths: Floats, parameter: str) -> RowArray:
    found = row_numbers(rows, len(lengths), parameter)
    if len(np.unique(found)) < len(found):
        raise ParameterError(parameter=parameter, allowed="different rows: one is named twice")
    wrong = found[~np.isfinite(lengths[found])]
    if len(wrong):
        row = int(wrong[0])
        raise ParameterError(parameter="lengths", received=float(lengths[row]), allowed="finite", row=row)
    return found


def _cells_of(
    lengths: Floats, picked: RowArray, turns: npt.ArrayLike | None, n_bins: int
) -> npt.NDArray[np.int64]:
    """Return the cell of each row, -1 for one that is shorter or longer than every pick."""
    own = lengths[picked]
    cells = quantile_bins(lengths, own, n_bins)
    if turns is not None:
        numbers = np.asarray(turns)
        if numbers.shape != lengths.shape:
            allowed = f"one value per row, of shape {lengths.shape}"
            raise ParameterError(parameter="turns", received=numbers.shape, allowed=allowed)
        kinds = np.unique(numbers, return_inverse=True)[1].reshape(-1)
        cells = cells * (int(kinds.max()) + 1) + kinds
    with np.errstate(invalid="ignore"):
        outside = ~((lengths >= own.min()) & (lengths <= own.max()))
    cells[outside] = -1
    return cells


def _checked_cells(
    lengths: Floats, picked: RowArray, pool: RowArray, cell_of: npt.NDArray[np.int64]
) -> tuple[_Cells, npt.NDArray[np.int64]]:
    """Return the candidates by cell, and the cell of each pick, numbered without gaps."""
    named, of_pick = np.unique(cell_of[picked], return_inverse=True)
    pool = pool[np.isin(cell_of[pool], named)]
    number = np.searchsorted(named, cell_of[pool])
    order = np.lexsort((lengths[pool], number))  # ties: the first row first
    rows, number = pool[order], number[order]
    first = np.searchsorted(number, np.arange(len(named) + 1))
    wanted, there = np.bincount(of_pick, minlength=len(named)), np.diff(first)
    short = np.flatnonzero(there < wanted)
    if len(short):
        cell = int(short[0])
        own = lengths[picked[of_pick == cell]]
        raise ParameterError(
            parameter="candidates",
            received=int(there[cell]),
            allowed="at least as many as picks in every bin of lengths:"
            f" {int(wanted[cell])} from {own.min():g} to {own.max():g}",
            fix="let the picks be among the candidates, or make n_bins smaller",
        )
    return _Cells(rows, lengths[rows], first.astype(np.int64)), of_pick.astype(np.int64).reshape(-1)


def _drawn(
    cells: _Cells, of_pick: npt.NDArray[np.int64], generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return a place of `cells.rows` for each pick, different ones of its cell."""
    places = np.empty(len(of_pick), dtype=np.int64)
    for cell in range(len(cells.first) - 1):
        low, high = cells.first[cell], cells.first[cell + 1]
        mine = np.flatnonzero(of_pick == cell)
        places[mine] = low + generator.permutation(high - low)[: len(mine)]
    return places


def _swapped(
    cells: _Cells,
    of_pick: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    target: float,
    generator: np.random.Generator,
) -> float:
    """Swap drawn rows for others of their cells until the total is near enough; return what it lacks.

    A swap is drawn among those that bring the total nearer, for drawn rows in random order, again and
    again until a whole pass has found none.
    """
    taken = np.zeros(len(cells.rows), dtype=bool)
    taken[places] = True
    missing = target - float(cells.lengths[places].sum())
    moved = True
    # invariant: |missing| falls with every swap, so that no draw comes twice and the loop ends
    while moved and abs(missing) > TOLERANCE * abs(target):
        moved = False
        for pick in generator.permutation(len(places)):
            low, high = cells.first[of_pick[pick]], cells.first[of_pick[pick] + 1]
            old = places[pick]
            ends = np.sort([cells.lengths[old], cells.lengths[old] + 2 * missing])
            # lengths strictly between `ends` bring the total nearer
            begin = low + np.searchsorted(cells.lengths[low:high], ends[0], side="right")
            end = low + np.searchsorted(cells.lengths[low:high], ends[1], side="left")
            free = begin + np.flatnonzero(~taken[begin:end])
            if not len(free):
                continue
            new = free[generator.integers(len(free))]
            after = missing - float(cells.lengths[new] - cells.lengths[old])
            if abs(after) >= abs(missing):  # only rounding can
                continue
            taken[old], taken[new], places[pick], missing, moved = False, True, new, after, True
            if abs(missing) <= TOLERANCE * abs(target):
                break
    return missing
