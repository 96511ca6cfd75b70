"""Chooses the rows that a round scores again: the hardest by the newest scores, or the first of round 0.

Scoring all rows again would cost more than the training that it serves.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import RoundState, pickable, ranked
from iterit.row_numbers import RowArray
from iterit.selection.eligibility import floor_rows


class Window(NamedTuple):
    """Rows to score, in the order of their priority, and their number by reason.

    Attributes
    ----------
    rows : int64 array
    n_top, n_stale, n_above : int
        Rows that are among the hardest, have old scores, or were too hard to be picked.
    """

    rows: RowArray
    n_top: int = 0
    n_stale: int = 0
    n_above: int = 0


def window_of(state: RoundState, settings: RoundSettings) -> Window:
    """Choose the rows that a round scores; round 0 scores all that take part.

    Examples
    --------
    Row 3 is too hard to be picked; a tenth of the window is for such rows, here none of two:

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
    below, above = ranked(newest, settings, state.of_proxy())
    size = min(settings.window_size, len(below) + len(above))
    n_above = min(math.floor(settings.above_share * size + 1e-9), len(above))
    n_stale = math.floor(settings.stale_share * size + 1e-9)
    top, others = np.split(below, [size - n_above - n_stale])
    oldest_first = others[np.argsort(newest["round"].to_numpy()[others], kind="stable")]
    stale = oldest_first[:n_stale]
    above = above[: size - len(top) - len(stale)]  # its share, and what the others leave
    return Window(np.concatenate([top, stale, above]), len(top), len(stale), len(above))


def next_rows(state: RoundState, settings: RoundSettings, scored: RowArray, count: int) -> RowArray:
    """Return at most `count` rows to score beyond a window that holds too few rows to pick, in its order."""
    if settings.window == "published":
        order = state.permutation
    else:
        order = np.concatenate(ranked(state.newest(), settings, state.of_proxy()))
    return np.asarray(order[~np.isin(order, scored)][:count], dtype=np.int64)


def next_rows_for_floors(
    state: RoundState,
    settings: RoundSettings,
    scored: RowArray,
    sources: npt.NDArray[np.object_] | None,
) -> RowArray:
    """Return rows to score beyond a window that holds too few rows to pick of a source with a floor.

    They are of that source, in the order of the window; none where it has no others.

    Parameters
    ----------
    state : RoundState
    settings : RoundSettings
    scored : int64 array
        Rows of the window.
    sources : ndarray of shape (n_rows,), optional
        Source of each row.
    """
    found = [np.empty(0, dtype=np.int64)]
    if sources is None:
        return found[0]
    may = pickable(state.newest(), settings)[scored]
    for source, least in floor_rows(settings.floors, settings.n_picks).items():
        own = np.asarray(sources == source, dtype=bool)
        missing = least - int((may & own[scored]).sum())
        if missing > 0:
            order = next_rows(state, settings, scored, state.n_rows)
            found.append(order[own[order]][: max(missing, math.ceil(0.1 * settings.update_ratio * least))])
    return np.concatenate(found)
