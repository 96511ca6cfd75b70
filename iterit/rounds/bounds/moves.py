"""Bounds how far a score moves in a round, from the moves of earlier rounds: without a model of them.

If the moves of n rows are exchangeable with those of N others, the number of the others beyond the j-th
largest of the n is beta-binomial (N, j, n - j + 1); this is the count behind conformal prediction.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import RoundState, rescorable
from iterit.row_numbers import RowArray

LEAST_CHECKED = 50
"""Fewest rows of a check sample, where there are as many."""
_SALT = 7907
_SLACK = 1e-6
"""More than the rounding of a float32 score: a move that is equal to the bound is within it."""


class MoveBound(NamedTuple):
    """How far a score moves towards the range of picks in one round.

    Attributes
    ----------
    per_round : float
        In IFD, per round of a score's age; negative where all scores move away.
    n_moves : int
        Moves that it was measured on.
    """

    per_round: float
    n_moves: int


def order_of_bound(n_moves: int, n_rows: int, n_allowed: int, confidence: float) -> int:
    """Return which of the largest known moves bounds new ones, 0 where too few are known.

    Parameters
    ----------
    n_moves : int
        Known moves (n).
    n_rows : int
        Rows whose moves are unknown (N).
    n_allowed : int
        How many of these may move further.
    confidence : float
        With which no more do.

    Returns
    -------
    int
        The largest j with P(more than `n_allowed` beyond the j-th largest) <= 1 - confidence.

    Examples
    --------
    >>> order_of_bound(1000, 1000, 50, 0.95)
    36
    >>> order_of_bound(20, 1000, 50, 0.95)
    0
    """
    from scipy.stats import betabinom

    if n_allowed >= n_rows:
        return n_moves
    low, high = 0, n_moves
    while low < high:  # invariant: low is allowed (or 0), high + 1 is not
        middle = (low + high + 1) // 2
        if betabinom.sf(n_allowed, n_rows, middle, n_moves - middle + 1) <= 1 - confidence:
            low = middle
        else:
            high = middle - 1
    return low


def check_sample(state: RoundState, settings: RoundSettings, number: int | None = None) -> RowArray:
    """Return the rows that a round scores whatever their scores are, ascending: they check the bound.

    Parameters
    ----------
    state : RoundState
    settings : RoundSettings
    number : int, optional
        The round; the one that is to begin by default.

    Examples
    --------
    >>> from iterit.rounds.round_state import first_state
    >>> rows = check_sample(first_state(5000), RoundSettings(check_share=0.02))
    >>> len(rows), len(check_sample(first_state(60), RoundSettings(check_share=0.02)))
    (100, 50)
    """
    of_round = state.round if number is None else number
    size = min(max(round(settings.check_share * len(state.rows)), LEAST_CHECKED), len(state.rows))
    source = np.random.default_rng([settings.seed, of_round, _SALT])
    return np.sort(source.choice(state.rows, size, replace=False))


def moves_of(state: RoundState, max_ifd: float) -> pd.DataFrame:
    """Return how far scores moved towards the range of picks, per round of their age.

    A score below `max_ifd` moves there by rising, another one by falling. Scores of a proxy are not
    compared with those of the model.

    Parameters
    ----------
    state : RoundState
    max_ifd : float

    Returns
    -------
    DataFrame
        row, round (in which it was scored again), age (rounds since its score before), move.

    Examples
    --------
    >>> from iterit.rounds.round_state import first_state, with_picks, with_scores
    >>> state, settings = first_state(2), RoundSettings()
    >>> for ifd in ([0.5, 1.5], [0.75, 1.25]):
    ...     scores = pd.DataFrame({"ifd": ifd, "status": "ok"})
    ...     state = with_picks(with_scores(state, scores, settings), pd.DataFrame({"row": [0]}))
    >>> moves_of(state, 1.0)["move"].tolist()
    [0.25, 0.25]
    """
    log = state.own_scores()[["row", "round", "ifd"]].astype({"ifd": "float64"})
    log = log[np.isfinite(log["ifd"])]
    before = log.groupby("row")[["round", "ifd"]].shift()
    age = log["round"] - before["round"]
    sign = np.where(before["ifd"] < max_ifd, 1.0, -1.0)
    move = sign * (log["ifd"] - before["ifd"]) / age
    table = pd.DataFrame({"row": log["row"], "round": log["round"], "age": age, "move": move})
    return table[age.notna()].astype({"age": "int64"}).reset_index(drop=True)


def bound_of(state: RoundState, settings: RoundSettings) -> MoveBound | None:
    """Bound the moves of a round that is to begin, None where too few moves are known.

    With the stated confidence, at most the share ``missed_share`` of the window moves further, if moves
    are like those of the last round that has enough of them; of later rounds, whose check samples are
    too small for that, the largest move counts.

    Parameters
    ----------
    state : RoundState
    settings : RoundSettings
    """
    newest = state.newest()
    rows = np.flatnonzero(rescorable(newest))
    if not len(rows) or state.of_proxy()[rows].any():
        return None
    # A score that is `oldest` rounds old has moved as often: what may go wrong is shared among them.
    oldest = int(state.round - newest["round"].to_numpy()[rows].min())
    n_allowed = int(settings.missed_share * settings.window_size / oldest + 1e-9)
    confidence = 1 - (1 - settings.confidence) / oldest
    moves = moves_of(state, settings.max_ifd)
    largest, n_moves = -np.inf, 0
    for number in sorted(moves["round"].unique(), reverse=True):
        known = _exchangeable(moves[moves["round"] == number], rows, state, settings, int(number))
        n_moves += len(known)
        if order := order_of_bound(len(known), len(rows), n_allowed, confidence):
            largest = max(largest, float(known[-order]))
            return MoveBound(largest + _SLACK, n_moves)
        largest = max(largest, float(known[-1])) if len(known) else largest
    return None


def _exchangeable(
    moves: pd.DataFrame, rows: RowArray, state: RoundState, settings: RoundSettings, number: int
) -> NDArray[np.float64]:
    """Return the moves of a round that are like those of all rows, ascending.

    They are all moves where all rows were scored, and else those of the check sample: other rows were
    scored because of their scores, and such rows move in their own way.
    """
    if not np.isin(rows, moves["row"]).all():
        moves = moves[moves["row"].isin(check_sample(state, settings, number))]
    return np.sort(moves["move"].to_numpy())
