"""What a run of rounds is set to do and what it remembers: every score, the first order, every pick.

Scores are instruction-following difficulties (IFD), see :mod:`iterit.scoring.complexity`. All of it is
immutable: a round makes a new state out of the last one.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debias.errors import ParameterError

RowArray = NDArray[np.int64]
WindowMode = Literal["top", "published"]
SCORED = ("ok", "truncated", "ifd_ge_1")
"""Statuses of rows that may have an IFD; a truncated answer of which nothing is left has none."""

SCORE_COLUMNS = {
    "ifd": "float32",
    "conditional": "float64",
    "direct": "float64",
    "n_tokens": "int64",
    "status": "object",
}
PICK_COLUMNS = {
    "row": "int64",
    "rank": "int64",
    "complexity": "float64",
    "diversity": "float64",
    "score": "float64",
    "round": "int64",
    "completed": "bool",
}


@dataclass(frozen=True)
class RoundSettings:
    """How many rows a round picks, and which it scores again.

    Parameters
    ----------
    n_picks : int
        Rows to pick in each round (k).
    window : {"top", "published"}, default="top"
        "top": the rows that are hardest by the newest scores, recomputed each round.
        "published": the first rows of the order that round 0 found, the same in each round.
    update_ratio : float, default=3.0
        Rows scored again per row to pick.
    above_share : float, default=0.1
        Share of the window ``top`` for rows whose newest IFD is not below ``max_ifd``: they cannot
        be picked until a new score says otherwise. Those with the oldest scores come first.
    stale_share : float, default=0.1
        Share of the window ``top`` for rows outside of it, those with the oldest scores first, so
        that no score stays that of round 0 for ever.
    min_ifd : float, optional
    max_ifd : float, default=1.0
        A row may be picked where ``min_ifd <= IFD < max_ifd``.
    seed : int, default=0
        Of the order in which picked rows are trained, and of the random modes of selection.

    Raises
    ------
    ParameterError
        A value is not allowed.

    Examples
    --------
    >>> RoundSettings(n_picks=100).window_size
    300
    >>> RoundSettings(n_picks=100, window="middle")
    Traceback (most recent call last):
    debias.errors.ParameterError: window is 'middle'; allowed are 'top', 'published'
    """

    n_picks: int
    window: WindowMode = "top"
    update_ratio: float = 3.0
    above_share: float = 0.1
    stale_share: float = 0.1
    min_ifd: float | None = None
    max_ifd: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_picks < 1:
            raise ParameterError(f"n_picks is {self.n_picks}; a round must pick at least one row")
        if self.window not in get_args(WindowMode):
            allowed = ", ".join(map(repr, get_args(WindowMode)))
            raise ParameterError(f"window is {self.window!r}; allowed are {allowed}")
        if not self.update_ratio >= 1:
            raise ParameterError(f"update_ratio is {self.update_ratio}; it must be at least 1")
        shares = (self.above_share, self.stale_share)
        if min(shares) < 0 or sum(shares) >= 1:
            raise ParameterError(
                f"above_share is {shares[0]} and stale_share is {shares[1]}; give shares from 0 on that"
                " together leave a part of the window to the hardest rows"
            )

    @property
    def window_size(self) -> int:
        """Rows scored again in a later round."""
        return math.floor(self.update_ratio * self.n_picks + 1e-9)


@dataclass(frozen=True)
class RoundState:
    """What is known when a round begins: every score so far, the order of round 0, every pick.

    Parameters
    ----------
    n_rows : int
    rows : int64 array
        Those that take part, ascending: all, or what was left of them beforehand.
    round : int
        The round that is to begin, from 0 on.
    scores : DataFrame
        Every score ever made, in the order made: row, round, ifd, conditional, direct, n_tokens, status.
    permutation : int64 array
        These rows in the order of round 0, empty before it: hardest first, rows that cannot be
        picked behind.
    picks : DataFrame
        Every pick so far: row, rank, complexity, diversity, score, round and completed.
    """

    n_rows: int
    rows: RowArray
    round: int
    scores: pd.DataFrame
    permutation: RowArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    picks: pd.DataFrame = field(default_factory=lambda: empty_table(PICK_COLUMNS))

    def newest(self) -> pd.DataFrame:
        """Newest score of each row.

        Returns
        -------
        DataFrame
            Indexed by all rows: ifd (NaN where there is none), conditional, direct, n_tokens,
            status ("" where it was never scored) and round (-1 there).
        """
        last = self.scores.drop_duplicates("row", keep="last").set_index("row")
        table = last.reindex(pd.RangeIndex(self.n_rows, name="row"))
        fill = {"n_tokens": 0, "status": "", "round": -1}
        return table.fillna(fill).astype({"n_tokens": "int64", "round": "int64", "ifd": "float32"})

    def rows_of(self, number: int) -> RowArray:
        """Rows that were picked in a round, in the order of their picks."""
        return self.picks.loc[self.picks["round"] == number, "row"].to_numpy(dtype=np.int64)


def first_state(n_rows: int, rows: RowArray | None = None) -> RoundState:
    """Return the state in which nothing has been scored.

    Parameters
    ----------
    n_rows : int
    rows : int64 array, optional
        Those that take part; all when left out.

    Returns
    -------
    RoundState

    Examples
    --------
    >>> first_state(3).newest()["status"].tolist()
    ['', '', '']
    """
    taken = np.arange(n_rows, dtype=np.int64) if rows is None else np.unique(rows).astype(np.int64)
    return RoundState(n_rows, taken, 0, empty_table({"row": "int64", "round": "int64"} | SCORE_COLUMNS))


def n_picks_of(ratio: float, n_rows: int) -> int:
    """Rows to pick in a round: floor(ratio * n_rows), methods as published.

    Parameters
    ----------
    ratio : float
        Above 0 and at most 1.
    n_rows : int

    Returns
    -------
    int

    Raises
    ------
    ParameterError
        The ratio is out of bounds, or so small that nothing would be picked.

    Examples
    --------
    >>> n_picks_of(0.05, 52_002), n_picks_of(0.29, 100)
    (2600, 29)
    """
    if not 0 < ratio <= 1:
        raise ParameterError(f"ratio is {ratio}; give a share of the rows above 0 and up to 1, such as 0.05")
    n_picks = math.floor(ratio * n_rows + 1e-9)  # 0.29 * 100 is 28.999...
    if n_picks < 1:
        raise ParameterError(
            f"ratio is {ratio}: that is less than one of {n_rows} rows; give at least"
            f" {1 / max(n_rows, 1):.3g}"
        )
    return n_picks


def pickable(scores: pd.DataFrame, settings: RoundSettings) -> NDArray[np.bool_]:
    """Whether each row has a score within the bounds.

    Parameters
    ----------
    scores : DataFrame
        With columns ifd and status.
    settings : RoundSettings

    Returns
    -------
    bool array
    """
    ifd = scores["ifd"].to_numpy()
    low = -np.inf if settings.min_ifd is None else settings.min_ifd
    with np.errstate(invalid="ignore"):
        within = (ifd >= low) & (ifd < settings.max_ifd)
    return np.asarray(within & scores["status"].isin(SCORED).to_numpy())


def with_scores(state: RoundState, scores: pd.DataFrame, settings: RoundSettings) -> RoundState:
    """Return a state that knows new scores; those of round 0 also give the permutation.

    Parameters
    ----------
    state : RoundState
    scores : DataFrame
        Indexed by row; columns as :func:`iterit.scoring.complexity.score_complexity` gives them.
    settings : RoundSettings

    Returns
    -------
    RoundState
    """
    fresh = pd.DataFrame({"row": np.asarray(scores.index, dtype=np.int64), "round": np.int64(state.round)})
    blank = {"conditional": np.nan, "direct": np.nan, "n_tokens": 0}
    for name, kind in SCORE_COLUMNS.items():
        column = scores[name].to_numpy() if name in scores else np.full(len(scores), blank[name])
        fresh[name] = np.asarray(column).astype(kind)
    log = fresh if state.scores.empty else pd.concat([state.scores, fresh], ignore_index=True)
    changed = replace(state, scores=log)
    if state.round == 0:
        newest = changed.newest()
        order = np.concatenate(ranked(newest, settings))
        rest = np.setdiff1d(state.rows, order)
        changed = replace(changed, permutation=np.concatenate([order, rest]))
    return changed


def with_picks(state: RoundState, table: pd.DataFrame) -> RoundState:
    """Return the state in which the next round begins.

    Parameters
    ----------
    state : RoundState
    table : DataFrame
        Picks of this round in their order, with at least the column ``row``.

    Returns
    -------
    RoundState
    """
    picks = table.reset_index(drop=True).assign(round=state.round, rank=np.arange(1, len(table) + 1))
    for name in ("complexity", "diversity", "score"):
        if name not in picks:
            picks[name] = np.nan
    if "completed" not in picks:
        picks["completed"] = False
    picks = pd.DataFrame({name: np.asarray(picks[name]).astype(kind) for name, kind in PICK_COLUMNS.items()})
    log = picks if state.picks.empty else pd.concat([state.picks, picks], ignore_index=True)
    return replace(state, picks=log, round=state.round + 1)


def ranked(newest: pd.DataFrame, settings: RoundSettings) -> tuple[RowArray, RowArray]:
    """Rows in the order in which they are worth a new score.

    Parameters
    ----------
    newest : DataFrame
        Of :meth:`RoundState.newest`.
    settings : RoundSettings

    Returns
    -------
    below : int64 array
        Rows that may be picked, hardest first; ties to the first row.
    above : int64 array
        Scored rows that may not, those with the oldest score first.
    """
    ifd, rounds = newest["ifd"].to_numpy(), newest["round"].to_numpy()
    may = pickable(newest, settings)
    others = newest["status"].isin(SCORED).to_numpy() & ~may & np.isfinite(ifd)
    below, above = np.flatnonzero(may), np.flatnonzero(others)
    return below[np.argsort(-ifd[below], kind="stable")], above[np.lexsort((ifd[above], rounds[above]))]


def empty_table(columns: dict[str, str]) -> pd.DataFrame:
    """Return a table without rows, its columns of these types."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})
