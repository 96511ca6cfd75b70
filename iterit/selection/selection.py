"""Picks rows by score, as a pure function: numbers in, row numbers out, with a table of reasons.

Ties go to the first row among the candidates; where no further row adds anything, the rest is picked
by complexity, or by value. No mode depends on the number of threads.
"""

import operator
from dataclasses import dataclass, field
from html import escape
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError, param, visible
from iterit.ngrams.ngram_counts import NgramCounts
from iterit.ngrams.ngram_weights import Weights, diversity_of_picks, weigh
from iterit.row_numbers import RowArray
from iterit.selection.eligibility import Eligible, SourceRoom, eligible, in_band, source_room
from iterit.selection.facility_location import cover_greedily
from iterit.selection.lazy_greedy import Floats, Picks, lazy_greedy
from iterit.selection.limits.completion import plan_of, rest_of, take_in_order
from iterit.selection.limits.strata import length_strata
from iterit.selection.modes import Mode
from iterit.selection.orders.left_out import sum_divisors
from iterit.selection.orders.round_robin import round_robin
from iterit.selection.selection_inputs import Inputs, checked_inputs
from iterit.selection.selection_settings import SelectionSettings

_SHOWN = 5
"""Picks that a notebook shows."""


@dataclass(frozen=True, eq=False)
class Selection:
    """The rows that were picked.

    Attributes
    ----------
    rows : ndarray of int64
        Row numbers, in the order of picks.
    table : DataFrame
        One line per pick: `row`, `rank` (from 1), `complexity`, `diversity` when it was picked,
        `score`, `words` in the response, `round`, and `source` where sources were given; in modes that
        use them also `value`, or `query` (the example whose turn it was).
    excluded : dict of str to int
        Number of excluded candidates by reason.
    n_missing : int
        Number of rows that were asked for and not picked, because of bounds and quotas.
    compromises : dict of str to int
        Number of picks by reason that were made only because nothing better was left: with a value of 0
        or below, for a stratum of lengths with too few rows; or not made for a floor.

    Examples
    --------
    >>> select([0.9, 0.5, 0.8], k=4, mode="complexity").n_missing
    1
    """

    rows: RowArray
    table: pd.DataFrame
    excluded: dict[str, int]
    n_missing: int
    compromises: dict[str, int] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """Return a short table for notebooks: the first picks, and what was excluded or missing."""
        counts = {**self.excluded, **{f"compromise: {why}": n for why, n in self.compromises.items()}}
        if self.n_missing:
            counts["missing"] = self.n_missing
        said = "; ".join(f"{why}: {number:,}" for why, number in counts.items())
        title = f"Selection: {len(self.rows):,} picks, the first {min(len(self.rows), _SHOWN)}"
        below = f"<div>{escape(visible(said))}</div>" if said else ""
        head = self.table.head(_SHOWN).to_html(index=False, border=0, float_format="{:.3f}".format)
        return f"<div><strong>{title}</strong>{visible(head)}{below}</div>"


class _Candidates(NamedTuple):
    """What a mode picks from: candidates by their place; `places` are those that may be picked.

    `worth` is their complexity or their value, and 1 where neither is known.
    """

    mode: Mode
    decay: float
    places: RowArray
    worth: Floats
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
    values: npt.ArrayLike | None = None,
    similarities: npt.ArrayLike | None = None,
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
        For the mode "longest": length of each response; by default its number of words. With
        `match_length`: answer tokens of each row, NaN for one outside the pool; by default those of a
        table of scores, else words. The pool is every row with a length, candidate or not: the picks
        have its histogram.
    embeddings : array-like of shape (n_rows, n_dimensions), optional
        For diversity by vectors and the mode "facility_location", see :mod:`iterit.selection.embeddings`.
        Every candidate is to have a pick near to it, whether it may be picked itself or not.
    values : array-like of shape (n_rows,), optional
        For the modes "influence" and "learnable": what a record is worth, such as a loss before training
        minus the loss after. It may be negative; NaN excludes a row. A row with a value of 0 or below is
        picked only after those above 0.
    similarities : array-like of shape (n_rows, n_query), optional
        For the mode "representation": to each example of a query, such as cosines; NaN excludes a row.
    round : int
        Written into the table.
    **settings
        `mode`, `decay`, `min_ifd`, `max_ifd`, `tokens`, `quotas`, `floors`, `seed`, `match_length`,
        `diversity`, `low_quantile` and `high_quantile`: see
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
    >>> aimed = select(k=3, mode="influence", values=[0.2, -0.1, np.nan, 0.4])
    >>> aimed.rows.tolist(), aimed.excluded, aimed.compromises
    ([3, 0, 1], {'no value': 1}, {'value of 0 or below': 1})
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
        values=values, similarities=similarities,
    )  # fmt: skip
    rows, n = given.rows, len(given.rows)
    by_source = source_room(given.sources, how.quotas, k, n, how.floors)
    if given.tokens is not None:
        strata, shares = length_strata(given.tokens, k)
        by_source = by_source._replace(strata=strata[rows], shares=shares)
    may = _eligible(given, how, by_source)
    plan = plan_of(by_source, may.places, k)  # settles what strata and floors can have
    settled = by_source._replace(least=plan.least.copy())
    if by_source.strata is not None:
        settled = settled._replace(shares=plan.shares.copy())
    pool = _Candidates(how.how, float(how.decay), may.places, _worth(given), settled, k)
    weights = None if counts is None else weigh(counts, None if candidates is None else rows)
    queries = None
    if how.mode == "representation":
        picks, queries = _by_turns(pool, given.similarities, weights)
    elif pool.mode.diversity != "none":
        words = None if counts is None else counts.words_per_token[rows]
        picks = _filled(_by_gain(pool, weights, words, given.embeddings), pool)
    else:
        picks = _by_order(pool, how, given.lengths, weights)
    table = _table(picks, given, counts, round, queries)
    compromises = _compromises(picks.rows, given.values, by_source, how)
    return Selection(rows[picks.rows], table, may.excluded, k - len(picks.rows), compromises)


def _checked_k(k: int) -> int:
    try:
        number = -1 if isinstance(k, bool) else operator.index(k)
    except TypeError:
        number = -1
    if number < 0:
        raise ParameterError(parameter="k", received=k, allowed="a number of rows, not negative")
    return number


def _worth(given: Inputs) -> Floats:
    if given.values is not None:
        return np.nan_to_num(given.values, nan=0.0)
    return np.ones(len(given.rows)) if given.ifd is None else np.nan_to_num(given.ifd, nan=0.0)


def _eligible(given: Inputs, how: SelectionSettings, by_source: SourceRoom) -> Eligible:
    """Return the candidates that may be picked by their IFD, status, length, value and the mode's band."""
    may = eligible(given.ifd, given.status, min_ifd=how.min_ifd, max_ifd=how.max_ifd, n=len(given.rows))
    if by_source.strata is not None:
        may = may.without(np.asarray(by_source.strata < 0), "no length")
    if given.values is not None:
        may = may.without(np.isnan(given.values), "no value")
    if given.similarities is not None:
        may = may.without(np.asarray(np.isnan(given.similarities).any(axis=1)), "no similarity")
    if how.mode == "banded":
        assert given.ifd is not None
        may = in_band(may, given.ifd, how.low_quantile, how.high_quantile)
    return may


def _by_gain(
    pool: _Candidates,
    weights: Weights | None,
    words_per_token: Floats | None,
    embeddings: npt.NDArray[np.float32] | None,
) -> Picks:
    """Pick one row after the other, the one that adds most; none whose value is 0 or below."""
    k = min(pool.k, len(pool.places))
    worth = np.maximum(pool.worth, 0.0) if pool.mode.needs else np.ones(len(pool.worth))
    if embeddings is not None:
        return cover_greedily(embeddings, worth, k, eligible=pool.places, by_source=pool.by_source)
    assert weights is not None and words_per_token is not None
    divisors = sum_divisors(weights, words_per_token, pool.mode.length_power)
    return lazy_greedy(
        weights, worth, k, pool.decay, eligible=pool.places, divisors=divisors, by_source=pool.by_source
    )


def _filled(picks: Picks, pool: _Candidates) -> Picks:
    """Add rows by complexity, or by value, where no further row adds anything."""
    missing = min(pool.k, len(pool.places)) - len(picks.rows)
    if missing <= 0:
        return picks
    left = np.setdiff1d(pool.places, picks.rows)
    left = left[np.argsort(-pool.worth[left], kind="stable")]
    more = take_in_order(left, rest_of(pool.by_source, picks.rows), missing)
    zeros = np.zeros(len(more))
    return picks._replace(
        rows=np.concatenate([picks.rows, more]),
        diversity=np.concatenate([picks.diversity, zeros]),
        score=np.concatenate([picks.score, zeros]),
    )


def _by_turns(
    pool: _Candidates, similarities: npt.NDArray[np.float32] | None, weights: Weights | None
) -> tuple[Picks, RowArray]:
    """Let each example of a query take its most similar row in turn; return which took each."""
    assert similarities is not None
    rows, queries = round_robin(similarities, pool.places, pool.k, pool.by_source)
    return Picks(rows, _diversity(pool, weights, rows), similarities[rows, queries].astype(float)), queries


def _by_order(
    pool: _Candidates, how: SelectionSettings, lengths: Floats | None, weights: Weights | None
) -> Picks:
    """Pick in one order, where no pick changes what the others are worth."""
    places = pool.places
    if how.mode == "random":
        order = np.random.default_rng(how.seed).permutation(places)
        values = np.full(len(pool.worth), np.nan)
    else:
        values = pool.worth if lengths is None else lengths
        order = places[np.argsort(-values[places], kind="stable")]
    rows = take_in_order(order, pool.by_source, pool.k)
    return Picks(rows, _diversity(pool, weights, rows), values[rows])


def _diversity(pool: _Candidates, weights: Weights | None, rows: RowArray) -> Floats:
    return np.full(len(rows), np.nan) if weights is None else diversity_of_picks(weights, rows, pool.decay)


def _compromises(
    picked: RowArray, values: Floats | None, asked: SourceRoom, how: SelectionSettings
) -> dict[str, int]:
    """Count picks that are not what was asked for."""
    found: dict[str, int] = {}
    if values is not None:
        found["value of 0 or below"] = int((values[picked] <= 0).sum())
    if asked.strata is not None and asked.shares is not None:
        there = np.bincount(asked.strata[picked], minlength=len(asked.shares))
        found["from another stratum of lengths"] = int(np.maximum(there - asked.shares, 0).sum())
    if asked.least is not None:
        lacking = asked.least - np.bincount(asked.sources[picked], minlength=len(asked.least))
        for place, source in enumerate(dict.fromkeys([*(how.quotas or {}), *(how.floors or {})]), start=1):
            found[f"lacking for the floor of {source!r}"] = int(max(lacking[place], 0))
    return {reason: number for reason, number in found.items() if number}


def _table(
    picks: Picks, given: Inputs, counts: NgramCounts | None, round: int, queries: RowArray | None
) -> pd.DataFrame:
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
    if given.values is not None:
        table["value"] = given.values[picks.rows]
    if queries is not None:
        table["query"] = queries
    return table if given.sources is None else table.assign(source=given.sources[picks.rows])
