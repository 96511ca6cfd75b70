"""Runs a round as a pure function: scores a window with the current model, picks k rows, keeps both.

The caller passes what scores and what picks, so that nothing here knows a model. Rounds are those of
IterIT (Jia et al., arXiv 2412.17365).
"""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError, param
from iterit.rounds.bounds.bounded_window import hardest, score_within_bounds
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import RoundState, pickable, with_picks, with_scores
from iterit.rounds.windows import next_rows, next_rows_for_floors, window_of
from iterit.row_numbers import RowArray
from iterit.selection.eligibility import SCORED, band_of, quota_rows, within_quotas

RowScorer = Callable[[RowArray], pd.DataFrame]
"""Scores rows with the current model: a DataFrame indexed by row, see :mod:`iterit.scoring.complexity`."""

RowPicker = Callable[[RowArray, pd.DataFrame, int], pd.DataFrame]
"""Picks from candidates, given the newest scores of all rows and the round: a table of picks."""


def run_round(
    state: RoundState,
    settings: RoundSettings,
    score: RowScorer,
    pick: RowPicker,
    sources: npt.NDArray[np.object_] | None = None,
) -> tuple[RoundState, dict[str, float]]:
    """Score a window, widen it until it holds enough rows to pick, of each source with a floor too, and pick.

    Where all rows together hold too few, the picks are completed with the rows whose IFD is nearest
    to the bounds, so that every round trains the same number of rows; the table of picks names them.
    Quotas hold for these rows too.

    Parameters
    ----------
    state : RoundState
    settings : RoundSettings
    score : callable
        Scores rows with the current model.
    pick : callable
        Picks from candidates.
    sources : ndarray of shape (n_rows,), optional
        Source of each row, where sources have floors or quotas.

    Returns
    -------
    state : RoundState
        The state in which the next round begins.
    counts : dict
        n_scored, n_top, n_stale, n_above, n_widened, n_candidates, n_completed; with the window ``bounded``
        also those of :class:`iterit.rounds.bounds.bounded_window.Bounded`; and n_compromises, picks that a
        stratum, a floor or a value of 0 or below made necessary, where there are any.

    Raises
    ------
    ParameterError
        Fewer rows have a score than are to be picked.
    """
    is_bounded = settings.window == "bounded" and state.round > 0
    if is_bounded:
        state, rows, counts = score_within_bounds(state, settings, score)
    else:
        window = window_of(state, settings)
        rows = window.rows
        state = with_scores(state, score(rows), settings)
        counts = {"n_top": window.n_top, "n_stale": window.n_stale, "n_above": window.n_above}
    n_first = len(rows)
    while True:
        may = rows[pickable(state.newest(), settings)[rows]]
        missing = settings.n_picks - len(_with_room(may, settings, sources))
        if missing > 0:
            more = _next_with_room(state, settings, rows, may, missing, sources)
        else:
            more = next_rows_for_floors(state, settings, rows, sources)
        if not len(more):
            break
        state = with_scores(state, score(more), settings)
        rows = np.concatenate([rows, more])
    newest = state.newest()
    candidates = np.sort(rows[pickable(newest, settings)[rows]])
    if is_bounded:
        candidates = hardest(newest, candidates, settings)
    stale = state.of_proxy() if state.round else np.zeros(state.n_rows, dtype=bool)
    picked = pick(candidates, newest, state.round)
    table = _completed(picked, newest.assign(ifd=newest["ifd"].mask(stale)), settings, sources)
    counts = {
        "n_scored": len(rows),
        "n_stale": 0,
        **counts,
        "n_widened": len(rows) - n_first,
        "n_candidates": len(candidates),
        "n_completed": int(table["completed"].sum()),
    }
    if compromises := int(picked.attrs.get("n_compromises", 0)):
        counts["n_compromises"] = compromises
    return with_picks(state, table), counts


def training_order(rows: RowArray, seed: int, epoch: int, lengths: RowArray, rows_per_step: int) -> RowArray:
    """Return the order in which picked rows are trained: optimiser steps shuffled by seed and epoch.

    Within a step longer rows come first: batches then hold rows of similar length, and little padding.
    The Trainer's loss is a mean over all tokens of a step, for any batches.

    Parameters
    ----------
    rows : int64 array
    seed, epoch : int
    lengths : int64 array
        Length of every record.
    rows_per_step : int
        Rows of a step, over all batches and processes.

    Examples
    --------
    >>> lengths = np.array([10, 30, 20, 40])
    >>> training_order(np.array([0, 1, 2, 3]), 0, 0, lengths, rows_per_step=4)
    array([3, 1, 2, 0])
    """
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    steps = np.arange(len(order)) // rows_per_step
    return order[np.lexsort((-lengths[order], steps))]


def _with_room(
    rows: RowArray,
    settings: RoundSettings,
    sources: npt.NDArray[np.object_] | None,
    picked: RowArray | None = None,
) -> RowArray:
    """Return the rows that quotas leave room for beside picks, the first ones of each source."""
    if sources is None or not settings.quotas:
        return rows
    taken = [] if picked is None else sources[picked].tolist()
    return rows[within_quotas(sources[rows], settings.quotas, settings.n_picks, taken)]


def _next_with_room(
    state: RoundState,
    settings: RoundSettings,
    scored: RowArray,
    may: RowArray,
    missing: int,
    sources: npt.NDArray[np.object_] | None,
) -> RowArray:
    """Return rows to score beyond a window that holds too few rows to pick, of sources that may have more."""
    count = max(missing, math.ceil(0.1 * settings.window_size))
    if sources is None or not settings.quotas:
        return next_rows(state, settings, scored, count)
    taken = Counter(sources[may].tolist())
    full = [one for one, most in quota_rows(settings.quotas, settings.n_picks).items() if taken[one] >= most]
    order = next_rows(state, settings, scored, state.n_rows)
    return order[~np.isin(sources[order], full)][:count]


def _completed(
    table: pd.DataFrame,
    newest: pd.DataFrame,
    settings: RoundSettings,
    sources: npt.NDArray[np.object_] | None,
) -> pd.DataFrame:
    """Complete a table of picks to the number that every round trains."""
    table = table.assign(completed=False)
    missing = settings.n_picks - len(table)
    if missing <= 0:
        return table
    ifd = newest["ifd"].to_numpy().astype(np.float64)
    usable = newest["status"].isin(SCORED).to_numpy() & np.isfinite(ifd)
    low = -np.inf if settings.min_ifd is None else settings.min_ifd
    high = settings.max_ifd
    if settings.mode == "banded":
        within = ifd[usable & (ifd >= low) & (ifd < high)]
        low, high = band_of(within, settings.low_quantile, settings.high_quantile)
    picked = table["row"].to_numpy(dtype=np.int64)
    usable[picked] = False
    gap = np.maximum(np.maximum(low - ifd, ifd - high), 0)
    rows = np.flatnonzero(usable)
    rows = rows[np.lexsort((-ifd[rows], gap[rows]))]
    n_usable = len(rows)
    rows = _with_room(rows, settings, sources, picked)[:missing]
    if n_usable >= missing > len(rows):
        raise ParameterError(
            f"a round picks {settings.n_picks} records, but {param('quotas')} leave only"
            f" {len(table) + len(rows)} that have an IFD",
            parameter="quotas",
            received=settings.quotas,
            fix="use larger quotas, or a smaller ratio",
        )
    if len(rows) < missing:
        raise ParameterError(
            f"a round picks {settings.n_picks} records, but only {len(table) + len(rows)} of {len(newest)} "
            "have an IFD",
            parameter="ratio",
            received=settings.n_picks,
            fix="use a smaller ratio, or records whose answers fit into the context",
        )
    more = pd.DataFrame({"row": rows, "complexity": ifd[rows], "completed": True})
    return more if table.empty else pd.concat([table, more], ignore_index=True)
