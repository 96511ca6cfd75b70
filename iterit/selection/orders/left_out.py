"""Scores rows that were left out as a mode would score them for the next pick, beside the picks' scores.

A pick's score is that of the moment in which it was picked; that of a row left out can only have fallen
since then, as each pick lowers what its n-grams are still worth.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from iterit.ngrams.ngram_counts import NgramCounts
from iterit.ngrams.ngram_weights import Weights, weigh
from iterit.ngrams.row_sums import count_pick, row_sum
from iterit.row_numbers import RowArray
from iterit.selection.selection_settings import SelectionSettings

Floats = npt.NDArray[np.float64]


def sum_divisors(weights: Weights, words_per_token: Floats, power: float) -> Floats:
    """Return what a mode divides the sum of each row's weights by.

    The sum of a row's weights, whose norm is 1, grows with the root of their number: in a script without
    spaces it is as large as if words, not characters, made its n-grams.

    Parameters
    ----------
    weights : Weights
    words_per_token : ndarray of float64, shape (n_rows,)
    power : float
        Of the number of different n-grams, see :class:`iterit.selection.modes.Mode`.
    """
    divisors = np.maximum(weights.n_distinct, 1).astype(np.float64) ** power
    return np.asarray(divisors * words_per_token ** (power - 0.5))


def scores_of_left_out(
    rows: RowArray,
    *,
    how: SelectionSettings,
    counts: NgramCounts,
    candidates: RowArray,
    picked: RowArray,
    ifd: npt.ArrayLike,
    values: npt.ArrayLike | None = None,
) -> pd.DataFrame:
    """Return the scores that rows would have as the next pick.

    Parameters
    ----------
    rows : ndarray of int64
    how : SelectionSettings
        By which the others were picked.
    counts : NgramCounts
        Of all rows.
    candidates, picked : ndarray of int64
        Rows that were picked from, and those that were picked.
    ifd, values : array-like of shape (n_rows,)
        What the rows are worth; `values` where the mode has them.

    Returns
    -------
    DataFrame
        Indexed by row: diversity and score. NaN for rows that are no candidates, for a mode whose order is
        random, and for diversity by vectors, which is not computed again.

    Examples
    --------
    >>> from iterit.ngrams.ngram_counts import count_ngrams
    >>> counts = count_ngrams(["good day", "good day", "night", "odd"])
    >>> how = SelectionSettings(mode="published", decay=0.1)
    >>> left = scores_of_left_out(np.array([1, 3]), how=how, counts=counts, candidates=np.arange(3),
    ...     picked=np.array([0, 2]), ifd=[0.9, 0.9, 0.8, 0.7])
    >>> left.round(3)
         diversity  score
    row
    1        0.173  0.156
    3          NaN    NaN
    """
    found = pd.DataFrame({"diversity": np.nan, "score": np.nan}, index=pd.Index(rows, name="row"))
    mode, order = how.how, np.sort(candidates)
    known = np.intersect1d(rows, order)
    if mode.diversity == "vectors" or not len(known):
        return found
    worth = np.asarray(ifd if values is None else values, dtype=np.float64)
    if mode.diversity == "none":
        by_words = np.asarray(counts.n_words, dtype=np.float64)
        score = {"random": np.full(len(worth), np.nan), "longest": by_words}.get(how.mode, worth)
        found.loc[known, "score"] = score[known]
        return found
    weights = weigh(counts, order)
    divisors = sum_divisors(weights, counts.words_per_token[order], mode.length_power)
    times = np.zeros(weights.n_columns, dtype=np.int32)
    for place in np.searchsorted(order, np.intersect1d(picked, order)):
        count_pick(weights.indptr[place], weights.indptr[place + 1], weights.indices, times)
    factors = np.maximum(worth, 0.0) if mode.needs else np.ones(len(worth))
    for row in known.tolist():
        place = int(np.searchsorted(order, row))
        low, high = weights.indptr[place], weights.indptr[place + 1]
        total = row_sum(low, high, weights.indices, weights.data, times, float(how.decay))
        diversity = total / divisors[place]
        found.loc[row] = diversity, factors[row] * diversity
    return found
