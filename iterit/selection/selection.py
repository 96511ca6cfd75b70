"""Picks rows by score, as a pure function: numbers in, row numbers out, with a table of why.

Ties go to the row that stands first among the candidates; where no row is left that adds anything,
the rest is picked by complexity. No mode depends on the number of threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from iterit.ngrams.ngram_counts import NgramCounts
from iterit.ngrams.ngram_weights import Weights, diversity_of_picks, weigh
from iterit.selection.eligibility import eligible, source_room, within_room
from iterit.selection.facility_location import cover_greedily
from iterit.selection.lazy_greedy import Picks, lazy_greedy
from iterit.selection.modes import MODES, Mode, mode_called
from iterit.selection.selection_inputs import Inputs, checked_inputs

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Selection:
    """The rows that were picked.

    Attributes
    ----------
    rows : ndarray of int64
        Row numbers, in the order of picks.
    table : DataFrame
        One line per pick: `row`, `rank` (from 1), `complexity`, `diversity` when it was picked,
        `score`, `words` in the response, `round`, and `source` where sources were given.
    excluded : dict of str to int
        How many candidates could not be picked, by reason.
    n_missing : int
        How many fewer were picked than asked for: bounds and quotas left no more.
    """

    rows: Rows
    table: pd.DataFrame
    excluded: dict[str, int]
    n_missing: int


@dataclass(frozen=True, eq=False)
class _Contest:
    """What a mode picks from: candidates by their place; `places` are those that may be picked."""

    mode: Mode
    places: Rows
    complexity: Floats
    decay: float
    sources: npt.NDArray[np.int64]
    room: npt.NDArray[np.int64]
    k: int


def select(
    complexity: Any = None,
    counts: NgramCounts | None = None,
    k: int = 0,
    *,
    mode: str = "published",
    decay: float = 0.1,
    candidates: Any = None,
    status: Any = None,
    sources: Any = None,
    quotas: Mapping[Any, float] | None = None,
    min_ifd: float | None = None,
    max_ifd: float | None = 1.0,
    seed: int = 0,
    lengths: Any = None,
    embeddings: Any = None,
    round: int = 0,
) -> Selection:
    """Pick k rows.

    Parameters
    ----------
    complexity : array-like of shape (n_rows,) or DataFrame, optional
        IFD of every row, NaN where there is none; or a table with the columns `ifd` and `status`,
        indexed by row (rows that are not in it have no score). Not needed by the modes
        "diversity", "random" and "longest"; where given, bounds hold there too.
    counts : NgramCounts, optional
        Of all rows, see :func:`iterit.ngrams.ngram_counts.count_ngrams`. Needed by the modes
        that use n-grams;
        elsewhere it fills in the diversity and the words of the table.
    k : int
        How many rows to pick.
    mode : str
        See :data:`iterit.selection.modes.MODES`.
    decay : float
        What a pick multiplies the weights of its n-grams by, from 0 to 1: lambda of the paper, 0.1
        for general data, 0 for one domain.
    candidates : array-like of int, optional
        Rows to pick from, each once; all if not given. Idf and norms are those of these rows.
    status : array-like of str, shape (n_rows,), optional
        "empty" and other rows without a score are not picked, nor is any status but "ok",
        "truncated" and "ifd_ge_1".
    sources : array-like of shape (n_rows,), optional
        Where each row comes from.
    quotas : mapping of source to int or float, optional
        The most rows of a source, as a number of rows (int) or a share of k (float).
    min_ifd, max_ifd : float, optional
        Only rows with ``min_ifd <= IFD < max_ifd`` are picked.
    seed : int
        For the mode "random".
    lengths : array-like of shape (n_rows,), optional
        For the mode "longest": length of each response; words as counted if not given.
    embeddings : array-like of shape (n_rows, n_dimensions), optional
        For the mode "facility_location", see :mod:`iterit.selection.embeddings`. Every candidate is to be
        near to a pick, also one that may not be picked itself.
    round : int
        Written into the table.

    Returns
    -------
    Selection

    Raises
    ------
    ParameterError
        Something that a mode needs is missing, or a value is not allowed.

    Examples
    --------
    >>> from iterit.ngrams.ngram_counts import count_ngrams
    >>> counts = count_ngrams(["a good day", "good day to all", "what a night", "good day"])
    >>> picked = select([0.9, 0.5, 0.8, 1.3], counts, k=2)
    >>> picked.rows
    array([0, 2])
    >>> picked.table[["row", "rank", "complexity", "diversity", "score"]].round(3)
       row  rank  complexity  diversity  score
    0    0     1         0.9      1.732  1.559
    1    2     2         0.8      1.732  1.386
    >>> picked.excluded
    {'IFD >= 1.0': 1}
    """
    chosen = mode_called(mode)
    given = checked_inputs(
        chosen, complexity, counts, k=k, decay=decay, candidates=candidates, status=status,
        sources=sources, quotas=quotas, lengths=lengths, embeddings=embeddings,
    )  # fmt: skip
    rows, ifd = given.rows, given.ifd
    may = eligible(ifd, given.status, min_ifd=min_ifd, max_ifd=max_ifd, n=len(rows))
    numbers, room = source_room(given.sources, quotas, k, len(rows))
    known = np.ones(len(rows)) if ifd is None else np.nan_to_num(ifd, nan=0.0)
    contest = _Contest(chosen, may.places, known, float(decay), numbers, room, int(k))
    weights = None if counts is None else weigh(counts, None if candidates is None else rows)
    if given.embeddings is not None:
        picks = _fill(_by_embeddings(contest, given.embeddings), contest)
    elif chosen.greedy:
        assert weights is not None
        picks = _fill(_by_ngrams(contest, weights), contest)
    else:
        picks = _by_order(contest, seed, given.lengths, weights)
    table = _table(picks, given, counts, round)
    return Selection(rows[picks.rows], table, may.excluded, int(k) - len(picks.rows))


def _by_ngrams(contest: _Contest, weights: Weights) -> Picks:
    complexity = contest.complexity if "complexity" in contest.mode.needs else np.ones(weights.n_rows)
    n_distinct = np.maximum(weights.n_distinct, 1).astype(np.float64)
    return lazy_greedy(
        weights,
        complexity,
        min(contest.k, len(contest.places)),
        contest.decay,
        eligible=contest.places,
        divisors=n_distinct**contest.mode.length_power,
        sources=contest.sources,
        room=contest.room,
    )


def _by_embeddings(contest: _Contest, embeddings: npt.NDArray[np.float32]) -> Picks:
    return cover_greedily(
        embeddings,
        contest.complexity,
        min(contest.k, len(contest.places)),
        eligible=contest.places,
        sources=contest.sources,
        room=contest.room,
    )


def _fill(picks: Picks, contest: _Contest) -> Picks:
    """Add rows by complexity where those that add anything ran out."""
    missing = min(contest.k, len(contest.places)) - len(picks.rows)
    if missing <= 0:
        return picks
    left = np.setdiff1d(contest.places, picks.rows)
    left = left[np.argsort(-contest.complexity[left], kind="stable")]
    room = contest.room - np.bincount(contest.sources[picks.rows], minlength=len(contest.room))
    more = within_room(left, contest.sources, room, missing)
    zeros = np.zeros(len(more))
    return Picks(
        np.concatenate([picks.rows, more]),
        np.concatenate([picks.diversity, zeros]),
        np.concatenate([picks.score, zeros]),
        picks.n_bounds,
        picks.n_sums,
    )


def _by_order(contest: _Contest, seed: int, lengths: Floats | None, weights: Weights | None) -> Picks:
    """Pick in one order, in which no pick changes what the others are worth."""
    places = contest.places
    if contest.mode is MODES["random"]:
        order = np.random.default_rng(seed).permutation(places)
        values = np.full(len(contest.complexity), np.nan)
    else:
        values = contest.complexity if lengths is None else lengths
        order = places[np.argsort(-values[places], kind="stable")]
    rows = within_room(order, contest.sources, contest.room, contest.k)
    if weights is None:
        diversity = np.full(len(rows), np.nan)
    else:
        diversity = diversity_of_picks(weights, rows, contest.decay)
    return Picks(rows, diversity, values[rows])


def _table(picks: Picks, given: Inputs, counts: NgramCounts | None, round: int) -> pd.DataFrame:
    picked = given.rows[picks.rows]
    columns: dict[str, Any] = {
        "row": picked,
        "rank": np.arange(1, len(picked) + 1),
        "complexity": np.nan if given.ifd is None else given.ifd[picks.rows],
        "diversity": picks.diversity,
        "score": picks.score,
        "words": pd.NA if counts is None else counts.n_words[picked],
        "round": round,
    }
    if given.sources is not None:
        columns["source"] = given.sources[picks.rows]
    return pd.DataFrame(columns)
