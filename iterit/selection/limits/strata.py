"""Cuts records into strata of answer tokens and gives each stratum its share of the picks.

Modes favour long or short answers, and a longer answer teaches more by itself. Within strata a mode
competes with records of the same length only: the picks have the records' histogram.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from iterit.selection.length_matching import quantile_bins

Numbers = npt.NDArray[np.int64]

MOST_STRATA = 10
"""Deciles of the pool."""
PICKS_PER_STRATUM = 5
"""Fewer picks have fewer strata, so that rounding of shares does not rule."""


class Strata(NamedTuple):
    """Strata of lengths.

    Attributes
    ----------
    of_row : ndarray of int64, shape (n_rows,)
        Numbered from the shortest; -1 where the length is unknown.
    shares : ndarray of int64, shape (n_strata,)
        Picks of each stratum.
    """

    of_row: Numbers
    shares: Numbers


def length_strata(lengths: npt.NDArray[np.float64], k: int) -> Strata:
    """Cut rows into strata of about equal size; rows of one length are in one stratum.

    Parameters
    ----------
    lengths : ndarray of float64, shape (n_rows,)
        NaN where unknown: such a row counts in no stratum.
    k : int
        Rows to pick.

    Examples
    --------
    >>> length_strata(np.array([9.0, 1, 2, np.nan, 3, 8, 7]), k=10)
    Strata(of_row=array([ 1,  0,  0, -1,  0,  1,  1]), shares=array([5, 5]))
    """
    known = np.isfinite(lengths)
    of_row = np.full(len(lengths), -1, dtype=np.int64)
    n_strata = max(1, min(MOST_STRATA, k // PICKS_PER_STRATUM))
    bins = quantile_bins(lengths[known], lengths[known], n_strata)
    named, of_row[known], sizes = np.unique(bins, return_inverse=True, return_counts=True)
    return Strata(of_row, shares_of(sizes, k) if len(named) else np.array([k], dtype=np.int64))


def shares_of(sizes: Numbers, k: int) -> Numbers:
    """Divide k in proportion to sizes, by largest remainders; the first of equal ones is rounded up.

    Examples
    --------
    >>> shares_of(np.array([5, 5, 2]), 4)
    array([2, 2, 0])
    """
    total = int(sizes.sum())
    whole = [int(size) * k // total for size in sizes]
    remainders = np.array([int(size) * k % total for size in sizes])
    shares = np.array(whole, dtype=np.int64)
    shares[np.argsort(-remainders, kind="stable")[: k - sum(whole)]] += 1
    return shares
