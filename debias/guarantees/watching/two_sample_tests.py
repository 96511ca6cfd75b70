"""Two samples compared: p-values that hold for any number of rows, and Holm's correction for several.

A p-value is at most x with a probability of at most x where both samples are from one distribution.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from debias.tables.class_columns import FloatArray, IndexArray


def distribution_test(
    fitted: npt.ArrayLike, now: npt.ArrayLike, lower_only: bool = False
) -> tuple[float, float]:
    """Compare two histograms over the same ascending bins (Kolmogorov and Smirnov).

    Parameters
    ----------
    fitted, now : array-like of int, shape (n_bins,)
        Rows in each bin.
    lower_only : bool, default=False
        Whether only a fall of the values counts.

    Returns
    -------
    distance : float
        Largest gap of the cumulative shares; 0 where a sample is empty.
    p_value : float
        By the limiting distribution: with more than ten rows it is larger than the exact one, with five a
        tenth smaller at most; bins and ties make it larger still.

    Examples
    --------
    >>> distance, p_value = distribution_test([50, 50], [80, 20])
    >>> round(distance, 2), round(p_value, 5)
    (0.3, 0.00025)
    >>> distribution_test([50, 50], [20, 80], lower_only=True)
    (0.0, 1.0)
    """
    ours, theirs = np.asarray(now, dtype=np.int64), np.asarray(fitted, dtype=np.int64)
    n, m = int(ours.sum()), int(theirs.sum())
    if not n or not m:
        return 0.0, 1.0
    gaps = ours.cumsum() / n - theirs.cumsum() / m
    distance = float(max(gaps.max(), 0.0) if lower_only else np.abs(gaps).max())
    if distance < 1e-12:
        return 0.0, 1.0
    effective = n / (n + m) * m
    if lower_only:
        return distance, float(np.exp(-2 * effective * distance**2))
    from scipy.special import kolmogorov

    return distance, float(kolmogorov(np.sqrt(effective) * distance))


def shares_test(fitted: npt.ArrayLike, now: npt.ArrayLike) -> tuple[float, float]:
    """Compare how often each of some classes occurs in two samples (Fisher's exact test of each class).

    Parameters
    ----------
    fitted, now : array-like of int, shape (n_classes,)
        Rows of each class.

    Returns
    -------
    distance : float
        Share of the rows that would have to move (total variation).
    p_value : float
        The smallest of all classes, times their number.

    Examples
    --------
    >>> distance, p_value = shares_test([50, 50, 0], [30, 60, 10])
    >>> round(distance, 2), round(p_value, 4)
    (0.2, 0.0046)
    """
    from scipy.stats import hypergeom

    ours, theirs = np.asarray(now, dtype=np.int64), np.asarray(fitted, dtype=np.int64)
    n, m = int(ours.sum()), int(theirs.sum())
    if not n or not m:
        return 0.0, 1.0
    distance = float(np.abs(ours / n - theirs / m).sum() / 2)
    both = ours + theirs
    drawn = hypergeom(n + m, both, n)
    tails = np.minimum(np.asarray(drawn.cdf(ours)), np.asarray(drawn.sf(ours - 1)))[both > 0]
    return distance, min(1.0, 2 * len(tails) * float(tails.min()))


def fall_tests(
    correct_before: npt.ArrayLike, n_before: npt.ArrayLike, correct: npt.ArrayLike, n: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Test of some shares whether they have fallen between two samples (Fisher's exact test, one-sided).

    Parameters
    ----------
    correct_before, n_before, correct, n : array-like of int, shape (n_classes,)
        Such as correct rows, and rows, of each class: held-out ones, and new ones.

    Returns
    -------
    falls : ndarray of shape (n_classes,)
        By how much; negative where a share rose, 0 where a sample is empty.
    p_values : ndarray of shape (n_classes,)

    Examples
    --------
    >>> falls, p_values = fall_tests([80, 5], [100, 5], [30, 0], [60, 0])
    >>> falls.round(2), p_values.round(5)
    (array([0.3, 0. ]), array([8.e-05, 1.e+00]))
    """
    from scipy.stats import hypergeom

    c, m, ours, size = (np.asarray(x, dtype=np.int64) for x in (correct_before, n_before, correct, n))
    known = (m > 0) & (size > 0)
    falls = np.where(known, c / np.maximum(m, 1) - ours / np.maximum(size, 1), 0.0)
    p_values = np.ones(len(c))
    p_values[known] = np.asarray(hypergeom.cdf(ours, m + size, c + ours, size))[known]
    return falls, np.minimum(p_values, 1.0)


def below_tests(
    correct: npt.ArrayLike, n: npt.ArrayLike, low: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Test of some shares whether they lie below what is guaranteed (binomial test, one-sided).

    Parameters
    ----------
    correct, n : array-like of int, shape (n_classes,)
        Correct rows, and rows, of each class.
    low : array-like of float, shape (n_classes,)
        What is guaranteed.

    Returns
    -------
    falls : ndarray of shape (n_classes,)
        How far each measured share lies below it; negative where it does not, 0 without rows.
    p_values : ndarray of shape (n_classes,)
        Of so few correct rows, were the guarantee to hold.

    Examples
    --------
    >>> falls, p_values = below_tests([50, 0], [100, 0], [0.7, 0.7])
    >>> falls.round(2), p_values.round(6)
    (array([0.2, 0. ]), array([2.2e-05, 1.0e+00]))
    """
    from scipy.stats import binom

    ours, size, bound = np.asarray(correct), np.asarray(n), np.asarray(low, dtype=np.float64)
    falls = np.where(size > 0, bound - ours / np.maximum(size, 1), 0.0)
    return falls, np.asarray(np.where(size > 0, binom.cdf(ours, size, bound), 1.0))


def holm(p_values: Sequence[float]) -> FloatArray:
    """Return p-values corrected for their number (Holm, 1979).

    Rejecting those that are at most a, something true is rejected with a probability of at most a,
    whichever hypotheses are true and however the tests depend on each other.

    Parameters
    ----------
    p_values : sequence of float

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> holm([0.01, 0.04, 0.02])
    array([0.03, 0.04, 0.04])
    """
    values = np.asarray(p_values, dtype=np.float64)
    order: IndexArray = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return corrected
