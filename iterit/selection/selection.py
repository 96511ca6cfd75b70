"""Picks rows by score, as a pure function: numbers in, row numbers out, with a table of reasons.

Ties go to the first row among the candidates; where no further row adds anything, the rest is picked
by complexity. No mode depends on the number of threads.
"""

import operator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError, param
from iterit.ngrams.ngram_counts import NgramCounts
from iterit.ngrams.ngram_weights import Weights, diversity_of_picks, weigh
from iterit.row_numbers import RowArray
from iterit.selection.eligibility import SourceRoom, eligible, source_room, within_room
from iterit.selection.facility_location import cover_greedily
from iterit.selection.lazy_greedy import Floats, Picks, lazy_greedy
from iterit.selection.modes import MODES, Mode
from iterit.selection.selection_inputs import Inputs, checked_inputs
from iterit.selection.selection_settings import SelectionSettings


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
        Number of excluded candidates by reason.
    n_missing : int
        Number of rows that were asked for and not picked, because of bounds and quotas.

    Examples
    --------
    >>> select([0.9, 0.5, 0.8], k=4, mode="complexity").n_missing
    1
    """

    rows: RowArray
    table: pd.DataFrame
    excluded: dict[str, int]
    n_missing: int


class _Candidates(NamedTuple):
    """What a mode picks from: candidates by their place; `places` are those that may be picked."""

    mode: Mode
    decay: float
    places: RowArray
    complexity: Floats
    by_source: SourceRoom
    k: int


def select(
    complexity: npt.ArrayLike | pd.DataFrame | None = None,
    counts: NgramCounts | None = None,
    k: int = 0,
    *,
    candidates: npt.ArrayLike | None = None,
    status: npt.ArrayLike | None = None,
    sources: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    embeddings: npt.ArrayLike | None = None,
    round: int = 0,
    **settings: object,
) -> Selection:
    """Pick k rows.

    Parameters
    ----------
    complexity : array-like of shape (n_rows,) or DataFrame, optional
        IFD of every row, NaN where there is none; or a table with the columns `ifd` and `status`,
        indexed by row (other rows have no score). The modes "diversity", "random" and "longest" do
        not need it; where given, bounds hold there too.
    counts : NgramCounts, optional
        Of all rows, see :func:`iterit.ngrams.ngram_counts.count_ngrams`. Needed by the modes that use
        n-grams; in other modes it fills in the diversity and the words of the table.
    k : int
        Number of rows to pick.
    candidates : array-like of int, optional
        Rows to pick from, each once; all by default. Idf and norms are those of these rows.
    status : array-like of str, shape (n_rows,), optional
        Only rows of status "ok", "truncated" or "ifd_ge_1" are picked.
    sources : array-like of shape (n_rows,), optional
        Source of each row.
    lengths : array-like of shape (n_rows,), optional
        For the mode "longest": length of each response; by default its number of words.
    embeddings : array-like of shape (n_rows, n_dimensions), optional
        For the mode "facility_location", see :mod:`iterit.selection.embeddings`. Every candidate is to
        have a pick near to it, whether it may be picked itself or not.
    round : int
        Written into the table.
    **settings
        `mode`, `decay`, `min_ifd`, `max_ifd`, `tokens`, `quotas` and `seed`: see
        :class:`iterit.selection.selection_settings.SelectionSettings`.

    Returns
    -------
    Selection

    Raises
    ------
    ParameterError
        An argument that the mode needs is missing, or a value is not allowed.

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
    how = SelectionSettings.of(**settings)
    if "tokens" in settings and counts is not None and counts.tokens != how.tokens:
        raise ParameterError(
            f"the n-grams were counted with {param('tokens', repr(counts.tokens))}",
            parameter="tokens",
            received=how.tokens,
            fix=f"omit {param('tokens')}, or pass it to count_ngrams",
        )
    k = _checked_k(k)
    given = checked_inputs(
        how, complexity, counts,
        candidates=candidates, status=status, sources=sources, lengths=lengths, embeddings=embeddings,
    )  # fmt: skip
    rows, ifd = given.rows, given.ifd
    may = eligible(ifd, given.status, min_ifd=how.min_ifd, max_ifd=how.max_ifd, n=len(rows))
    known = np.ones(len(rows)) if ifd is None else np.nan_to_num(ifd, nan=0.0)
    by_source = source_room(given.sources, how.quotas, k, len(rows))
    pool = _Candidates(MODES[how.mode], float(how.decay), may.places, known, by_source, k)
    weights = None if counts is None else weigh(counts, None if candidates is None else rows)
    if pool.mode.greedy:
        words = None if counts is None else counts.words_per_token[rows]
        picks = _filled(_by_gain(pool, weights, words, given.embeddings), pool)
    else:
        picks = _by_order(pool, how, given.lengths, weights)
    table = _table(picks, given, counts, round)
    return Selection(rows[picks.rows], table, may.excluded, k - len(picks.rows))


def _checked_k(k: int) -> int:
    try:
        number = -1 if isinstance(k, bool) else operator.index(k)
    except TypeError:
        number = -1
    if number < 0:
        raise ParameterError(parameter="k", received=k, allowed="a number of rows, not negative")
    return number


def _by_gain(
    pool: _Candidates,
    weights: Weights | None,
    words_per_token: Floats | None,
    embeddings: npt.NDArray[np.float32] | None,
) -> Picks:
    """Pick one row after the other, the one that adds most.

    The sum of a row's weights, whose norm is 1, grows with the root of their number: in a script without
    spaces it is as large as if words, not characters, made its n-grams.
    """
    k = min(pool.k, len(pool.places))
    if embeddings is not None:
        return cover_greedily(embeddings, pool.complexity, k, eligible=pool.places, by_source=pool.by_source)
    assert weights is not None and words_per_token is not None
    complexity = pool.complexity if "complexity" in pool.mode.needs else np.ones(weights.n_rows)
    power = pool.mode.length_power
    divisors = np.maximum(weights.n_distinct, 1).astype(np.float64) ** power
    divisors *= words_per_token ** (power - 0.5)
    return lazy_greedy(
        weights, complexity, k, pool.decay, eligible=pool.places, divisors=divisors, by_source=pool.by_source
    )


def _filled(picks: Picks, pool: _Candidates) -> Picks:
    """Add rows by complexity where no further row adds anything."""
    missing = min(pool.k, len(pool.places)) - len(picks.rows)
    if missing <= 0:
        return picks
    left = np.setdiff1d(pool.places, picks.rows)
    left = left[np.argsort(-pool.complexity[left], kind="stable")]
    sources, room = pool.by_source
    room = room - np.bincount(sources[picks.rows], minlength=len(room))
    more = within_room(left, SourceRoom(sources, room), missing)
    zeros = np.zeros(len(more))
    return picks._replace(
        rows=np.concatenate([picks.rows, more]),
        diversity=np.concatenate([picks.diversity, zeros]),
        score=np.concatenate([picks.score, zeros]),
    )


def _by_order(
    pool: _Candidates, how: SelectionSettings, lengths: Floats | None, weights: Weights | None
) -> Picks:
    """Pick in one order, where no pick changes what the others are worth."""
    places = pool.places
    if how.mode == "random":
        order = np.random.default_rng(how.seed).permutation(places)
        values = np.full(len(pool.complexity), np.nan)
    else:
        values = pool.complexity if lengths is None else lengths
        order = places[np.argsort(-values[places], kind="stable")]
    rows = within_room(order, pool.by_source, pool.k)
    unknown = np.full(len(rows), np.nan)
    diversity = unknown if weights is None else diversity_of_picks(weights, rows, pool.decay)
    return Picks(rows, diversity, values[rows])


def _table(picks: Picks, given: Inputs, counts: NgramCounts | None, round: int) -> pd.DataFrame:
    picked = given.rows[picks.rows]
    table = pd.DataFrame(
        {
            "row": picked,
            "rank": np.arange(1, len(picked) + 1),
            "complexity": np.nan if given.ifd is None else given.ifd[picks.rows],
            "diversity": picks.diversity,
            "score": picks.score,
            "words": pd.NA if counts is None else counts.n_words[picked],
            "round": round,
        }
    )
    return table if given.sources is None else table.assign(source=given.sources[picks.rows])
