"""Holds what a run of rounds knows: every score, the first order, every pick.

Scores are instruction-following difficulties (IFD), see :mod:`iterit.scoring.complexity`. States do
not change: a round makes a new one out of the last one.
"""

import math
from dataclasses import dataclass, field, replace
from numbers import Real

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debias.console.number_formats import counted
from debias.errors import ParameterError
from iterit.rounds.length_order import in_length_order
from iterit.rounds.round_settings import RoundSettings
from iterit.row_numbers import RowArray
from iterit.selection.eligibility import SCORED, band_of

SCORE_COLUMNS = {
    "ifd": "float32",
    "conditional": "float64",
    "direct": "float64",
    "n_tokens": "int64",
    "status": "str",
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
class RoundState:
    """What is known when a round begins: every score so far, the order of round 0, every pick.

    Parameters
    ----------
    n_rows : int
    rows : int64 array
        Rows that take part, ascending.
    round : int
        Number of the round that is to begin; the first is 0.
    scores : DataFrame
        Every score so far, in order: row, round, ifd, conditional, direct, n_tokens, status.
    permutation : int64 array
        These rows in the order of round 0, empty before it: hardest first, rows that cannot be
        picked last.
    picks : DataFrame
        Every pick so far: row, rank, complexity, diversity, score, round and completed.
    by_proxy : bool, default=False
        Whether the scores of round 0 are those of a proxy model, which are on a scale of their own.
    """

    n_rows: int
    rows: RowArray
    round: int
    scores: pd.DataFrame
    permutation: RowArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    picks: pd.DataFrame = field(default_factory=lambda: empty_table(PICK_COLUMNS))
    by_proxy: bool = False

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

    def own_scores(self) -> pd.DataFrame:
        """Every score by the model that is trained, in order: all but those of a proxy."""
        return self.scores[self.scores["round"] > 0] if self.by_proxy else self.scores

    def of_proxy(self) -> NDArray[np.bool_]:
        """Tell for each row whether its newest score is a proxy's, from before the model scored anything."""
        if not self.by_proxy:
            return np.zeros(self.n_rows, dtype=bool)
        return np.asarray(self.newest()["round"].to_numpy() == 0)

    def rows_of(self, number: int) -> RowArray:
        """Rows that were picked in a round, in the order of their picks."""
        return self.picks.loc[self.picks["round"] == number, "row"].to_numpy(dtype=np.int64)


def first_state(n_rows: int, rows: RowArray | None = None) -> RoundState:
    """Return the state in which nothing has been scored.

    Parameters
    ----------
    n_rows : int
    rows : int64 array, optional
        Rows that take part; all by default.

    Examples
    --------
    >>> first_state(3).newest()["status"].tolist()
    ['', '', '']
    """
    taken = np.arange(n_rows, dtype=np.int64) if rows is None else np.unique(rows).astype(np.int64)
    return RoundState(n_rows, taken, 0, empty_table({"row": "int64", "round": "int64"} | SCORE_COLUMNS))


def n_picks_of(ratio: float, n_rows: int) -> int:
    """Return the number of rows to pick in a round: floor(ratio * n_rows), as published.

    Parameters
    ----------
    ratio : float
        Above 0 and at most 1.
    n_rows : int

    Raises
    ------
    ParameterError
        The ratio is out of bounds, or so small that nothing would be picked.

    Examples
    --------
    >>> n_picks_of(0.05, 52_002), n_picks_of(0.29, 100)
    (2600, 29)
    """
    if not isinstance(ratio, Real) or not 0 < ratio <= 1:
        raise ParameterError(parameter="ratio", received=ratio, allowed="a number above 0 and at most 1")
    n_picks = math.floor(ratio * n_rows + 1e-9)  # 0.29 * 100 is 28.999...
    if n_picks < 1:
        if not n_rows:
            raise ParameterError("there is no record to pick from", parameter="ratio", received=ratio)
        least = math.ceil(1e6 / n_rows) / 1e6
        allowed = f"at least {least:g}, which picks one of {counted(n_rows, 'record')}"
        raise ParameterError(parameter="ratio", received=ratio, allowed=allowed)
    return n_picks


def pickable(scores: pd.DataFrame, settings: RoundSettings) -> NDArray[np.bool_]:
    """Tell for each row of a table with columns ifd and status whether its score is within the bounds.

    In the mode "banded" also within the band: the quantiles are those of all rows of the table within the
    bounds. Of :meth:`RoundState.newest` these are the newest IFDs of all records, of this round or older.
    """
    ifd = scores["ifd"].to_numpy()
    low = -np.inf if settings.min_ifd is None else settings.min_ifd
    with np.errstate(invalid="ignore"):
        within = (ifd >= low) & (ifd < settings.max_ifd)
        may = np.asarray(within & scores["status"].isin(SCORED).to_numpy())
        if settings.mode == "banded":
            least, most = band_of(ifd[may], settings.low_quantile, settings.high_quantile)
            may &= (ifd >= least) & (ifd <= most)
    return may


def fall_of_losses(before: pd.DataFrame, newest: pd.DataFrame, number: int) -> NDArray[np.float64]:
    """Return how much the loss of each answer fell between its last two scores.

    Parameters
    ----------
    before, newest : DataFrame
        Of :meth:`RoundState.newest`, before and after the scores of a round.
    number : int
        The round. NaN for rows that it did not score, or that were never scored before.

    Examples
    --------
    >>> before = pd.DataFrame({"conditional": [2.0, 1.0, np.nan], "round": [0, 0, -1]})
    >>> newest = pd.DataFrame({"conditional": [1.5, 1.0, 3.0], "round": [1, 0, 1]})
    >>> fall_of_losses(before, newest, 1)
    array([0.5, nan, nan])
    """
    drop = before["conditional"].to_numpy(np.float64) - newest["conditional"].to_numpy(np.float64)
    return np.where(newest["round"].to_numpy() == number, drop, np.nan)


def rescorable(newest: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell for each row whether it has a score that training can move."""
    return np.asarray(newest["status"].isin(SCORED).to_numpy() & np.isfinite(newest["ifd"].to_numpy()))


def with_scores(state: RoundState, scores: pd.DataFrame, settings: RoundSettings) -> RoundState:
    """Return a state that has new scores; those of round 0 also give the permutation.

    Parameters
    ----------
    state : RoundState
    scores : DataFrame
        Indexed by row; columns as in :func:`iterit.scoring.complexity.score_complexity`.
    settings : RoundSettings
    """
    table = scores.reindex(columns=list(SCORE_COLUMNS)).fillna({"n_tokens": 0}).astype(SCORE_COLUMNS)
    fresh = table.rename_axis("row").reset_index().astype({"row": "int64"})
    fresh.insert(1, "round", np.int64(state.round))
    changed = replace(state, scores=_appended(state.scores, fresh))
    if state.round == 0:
        order = np.concatenate(ranked(changed.newest(), settings))
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
    """
    known = {"completed": False, **table.to_dict("series")}
    known |= {"round": state.round, "rank": np.arange(1, len(table) + 1)}
    picks = pd.DataFrame(known, index=table.index).reindex(columns=list(PICK_COLUMNS)).astype(PICK_COLUMNS)
    picks = picks.reset_index(drop=True)
    return replace(state, picks=_appended(state.picks, picks), round=state.round + 1)


def ranked(
    newest: pd.DataFrame, settings: RoundSettings, of_proxy: NDArray[np.bool_] | None = None
) -> tuple[RowArray, RowArray]:
    """Return rows in the order in which they are worth a new score.

    Parameters
    ----------
    newest : DataFrame
        Of :meth:`RoundState.newest`.
    settings : RoundSettings
    of_proxy : ndarray of bool, optional
        Rows whose score is a proxy's: they come after the others, which they are not compared with.

    Returns
    -------
    below : int64 array
        Rows that may be picked, hardest first; ties go to the first row. Where lengths are matched, the
        first rows of this order, however many, have the lengths of all records.
    above : int64 array
        Scored rows that may not be picked, those with the oldest score first.
    """
    ifd, rounds = newest["ifd"].to_numpy(), newest["round"].to_numpy()
    may = pickable(newest, settings)
    others = rescorable(newest) & ~may
    below, above = np.flatnonzero(may), np.flatnonzero(others)
    last = np.zeros(len(ifd), dtype=bool) if of_proxy is None else of_proxy
    below = below[np.lexsort((-ifd[below], last[below]))]
    if settings.match_length:
        below = in_length_order(below, answer_tokens(newest), settings.n_picks)
    return below, above[np.lexsort((ifd[above], rounds[above]))]


def answer_tokens(newest: pd.DataFrame) -> NDArray[np.float64]:
    """Return the answer tokens of each row as its newest score has them, NaN where it has none."""
    tokens = newest["n_tokens"].to_numpy().astype(np.float64)
    return np.where((tokens > 0) & newest["status"].isin(SCORED).to_numpy(), tokens, np.nan)


def empty_table(columns: dict[str, str]) -> pd.DataFrame:
    """Return a table without rows, its columns of these types."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})


def _appended(table: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    return more if table.empty else pd.concat([table, more], ignore_index=True)
