"""Scores again only the rows that could be among the hardest, as far as scores are known to move.

The k-th best new score bounds from below what is worth a forward: a row whose newest score and bound
(:mod:`iterit.rounds.bounds.moves`) stay below it cannot be among the k hardest (the threshold algorithm;
Fagin, Lotem and Naor, PODS 2001). A check sample is scored whatever its scores are.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from iterit.rounds.bounds.moves import MoveBound, bound_of, check_sample
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import RoundState, pickable, ranked, rescorable, with_scores
from iterit.row_numbers import RowArray


class Bounded(NamedTuple):
    """What a round scored within bounds.

    Attributes
    ----------
    state : RoundState
        With the new scores.
    rows : int64 array
        All rows that were scored.
    counts : dict
        n_top, n_above (rows whose IFD was too high before), n_checked (rows of the check sample that
        nothing else would have scored), n_check_top (rows of the whole check sample that are among the
        hardest), n_missed (those of them that the bound would have missed), missed_at_most (upper
        confidence limit of their share), is_exact (1 where all rows were scored), and bound (of a move
        in a round), where it is known.
    """

    state: RoundState
    rows: RowArray
    counts: dict[str, float]


def score_within_bounds(
    state: RoundState, settings: RoundSettings, score: Callable[[RowArray], pd.DataFrame]
) -> Bounded:
    """Score the rows of a later round that could be among its ``window_size`` hardest, and the check sample.

    Parameters
    ----------
    state : RoundState
        Of a round after the first.
    settings : RoundSettings
    score : callable
        Scores rows with the current model.
    """
    newest = state.newest()
    known = np.flatnonzero(rescorable(newest))
    bound = bound_of(state, settings)
    if bound is None:
        rows = state.rows if state.of_proxy().any() else known
        counts = {"n_top": len(rows), "n_above": 0, "n_checked": 0, "n_check_top": 0, "n_missed": 0}
        return Bounded(
            with_scores(state, score(rows), settings), rows, {**counts, "missed_at_most": 0.0, "is_exact": 1}
        )
    sample = np.intersect1d(check_sample(state, settings), known)
    below, above = ranked(newest, settings)
    first = below[: settings.window_size]
    rows = np.union1d(first, sample)
    state = with_scores(state, score(rows), settings)
    while len(more := _worth_a_forward(state, newest, bound, settings, rows)):
        more = more[: max(settings.window_size, len(rows))]  # few large batches, and the threshold in between
        state = with_scores(state, score(more), settings)
        rows = np.concatenate([rows, more])
    threshold = threshold_of(state.newest(), rows, settings)
    entering = np.union1d(first, known[could_enter(newest, bound, threshold, settings, state.round)[known]])
    hard = sample[hard_enough(state.newest(), threshold, settings)[sample]]
    n_missed = int((~np.isin(hard, entering)).sum())
    return Bounded(
        state,
        rows,
        {
            "n_top": int(np.isin(rows, np.setdiff1d(below, np.setdiff1d(sample, entering))).sum()),
            "n_above": int(np.isin(rows, np.setdiff1d(above, np.setdiff1d(sample, entering))).sum()),
            "n_checked": int((~np.isin(sample, entering)).sum()),
            "n_check_top": len(hard),
            "n_missed": n_missed,
            "missed_at_most": upper_limit(n_missed, len(hard), settings.confidence),
            "is_exact": 0,
            "bound": bound.per_round,
        },
    )


def hardest(newest: pd.DataFrame, rows: RowArray, settings: RoundSettings) -> RowArray:
    """Return those of some rows that are the ``window_size`` hardest which may be picked, ascending.

    They are the candidates of a round: the same as if all rows had been scored, unless one was missed.
    """
    own = np.sort(rows[pickable(newest, settings)[rows]])
    ifd = newest["ifd"].to_numpy()[own]
    return np.sort(own[np.argsort(-ifd, kind="stable")[: settings.window_size]])


def threshold_of(newest: pd.DataFrame, rows: RowArray, settings: RoundSettings) -> float:
    """Return the lowest new score of the ``window_size`` hardest of some rows, -inf where they are fewer."""
    own = hardest(newest, rows, settings)
    is_full = len(own) == settings.window_size
    return float(newest["ifd"].to_numpy()[own].min()) if is_full else -np.inf


def could_enter(
    newest: pd.DataFrame, bound: MoveBound, threshold: float, settings: RoundSettings, number: int
) -> NDArray[np.bool_]:
    """Tell for each row whether it could be among the hardest in a round.

    Parameters
    ----------
    newest : DataFrame
        Scores from before the round.
    bound : MoveBound
    threshold : float
        A score that as many rows have as there are among the hardest.
    settings : RoundSettings
    number : int
        The round.

    Examples
    --------
    Scores are one round old and move by at most 0.2, and one below 0.7 is no use:

    >>> newest = pd.DataFrame({"ifd": [0.4, 0.6, 1.1, 1.3], "round": 0, "status": "ok"})
    >>> could_enter(newest, MoveBound(0.2, 100), 0.7, RoundSettings(), 1)
    array([False,  True,  True, False])
    """
    ifd = newest["ifd"].to_numpy().astype(np.float64)
    reach = (number - newest["round"].to_numpy()) * bound.per_round
    low = threshold if settings.min_ifd is None else max(threshold, settings.min_ifd)
    rising, falling = ifd + reach >= low, ifd - reach < settings.max_ifd
    return np.asarray(np.where(ifd < settings.max_ifd, rising, falling) & rescorable(newest))


def hard_enough(newest: pd.DataFrame, threshold: float, settings: RoundSettings) -> NDArray[np.bool_]:
    """Tell for each row whether it may be picked and is not below a threshold."""
    return np.asarray(pickable(newest, settings) & (newest["ifd"].to_numpy() >= threshold))


def upper_limit(n_missed: int, n: int, confidence: float) -> float:
    """Return the upper confidence limit of a share (Clopper and Pearson, Biometrika 1934).

    Examples
    --------
    >>> round(upper_limit(0, 50, 0.95), 3), upper_limit(0, 0, 0.95)
    (0.058, 1.0)
    """
    from scipy.stats import beta

    return 1.0 if n_missed >= n else float(beta.ppf(confidence, n_missed + 1, n - n_missed))


def _worth_a_forward(
    state: RoundState, newest: pd.DataFrame, bound: MoveBound, settings: RoundSettings, rows: RowArray
) -> RowArray:
    """Return rows that were not scored and could be among the hardest, the most promising first."""
    threshold = threshold_of(state.newest(), rows, settings)
    could = could_enter(newest, bound, threshold, settings, state.round)
    could[rows] = False
    found = np.flatnonzero(could)
    ifd = newest["ifd"].to_numpy()[found].astype(np.float64)
    return np.asarray(found[np.argsort(np.abs(ifd - settings.max_ifd), kind="stable")])
