"""Which rows a round scores again: the hardest by the newest scores, or the first of round 0.

A full new scoring of all rows would cost more than the training that it serves.
"""

import math
from dataclasses import dataclass

import numpy as np

from iterit.rounds.round_state import RoundSettings, RoundState, RowArray, ranked


@dataclass(frozen=True)
class Window:
    """Rows to score, in the order of their claims, and how many claim what.

    Parameters
    ----------
    rows : int64 array
    n_top, n_stale, n_above : int
        How many are among the hardest, have old scores, or were too hard to be picked.
    """

    rows: RowArray
    n_top: int = 0
    n_stale: int = 0
    n_above: int = 0


def window_of(state: RoundState, settings: RoundSettings) -> Window:
    """Choose the rows that a round scores: all that take part in round 0.

    Parameters
    ----------
    state : RoundState
    settings : RoundSettings

    Returns
    -------
    Window

    Examples
    --------
    Row 3 is too hard to be picked; one row in ten of the window is of its kind, none here:

    >>> import pandas as pd
    >>> from iterit.rounds.round_state import first_state, with_picks, with_scores
    >>> scores = pd.DataFrame({"ifd": [0.2, 0.9, 0.7, 1.3], "status": ["ok"] * 3 + ["ifd_ge_1"]})
    >>> state = with_scores(first_state(4), scores, RoundSettings(n_picks=1))
    >>> state = with_picks(state, pd.DataFrame({"row": [1]}))
    >>> window_of(state, RoundSettings(n_picks=1, update_ratio=2)).rows
    array([1, 2])
    >>> window_of(state, RoundSettings(n_picks=1, update_ratio=2, above_share=0.5, stale_share=0)).rows
    array([1, 3])
    """
    if state.round == 0:
        return Window(state.rows, n_top=len(state.rows))
    if settings.window == "published":
        rows = state.permutation[: settings.window_size]
        return Window(rows, n_top=len(rows))
    newest = state.newest()
    below, above = ranked(newest, settings)
    size = min(settings.window_size, len(below) + len(above))
    n_above = min(math.floor(settings.above_share * size + 1e-9), len(above))
    n_stale = math.floor(settings.stale_share * size + 1e-9)
    top, others = np.split(below, [size - n_above - n_stale])
    oldest_first = others[np.argsort(newest["round"].to_numpy()[others], kind="stable")]
    stale = oldest_first[:n_stale]
    above = above[: size - len(top) - len(stale)]  # its share, and what the others leave
    return Window(np.concatenate([top, stale, above]), len(top), len(stale), len(above))


def next_rows(state: RoundState, settings: RoundSettings, scored: RowArray, count: int) -> RowArray:
    """Rows to score beyond a window that holds too few rows to pick: the next ones in its order.

    Parameters
    ----------
    state : RoundState
    settings : RoundSettings
    scored : int64 array
        Rows that this round has scored.
    count : int
        How many are wanted.

    Returns
    -------
    int64 array
        At most ``count`` rows, none when all are scored.
    """
    if settings.window == "published":
        order = state.permutation
    else:
        order = np.concatenate(ranked(state.newest(), settings))
    return np.asarray(order[~np.isin(order, scored)][:count], dtype=np.int64)
