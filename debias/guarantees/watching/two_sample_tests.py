"""Two samples compared: p-values that hold for any number of rows, and Holm's correction for several.

A p-value is at most x with a probability of at most x where both samples are from one distribution.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from debias.tables.class_columns import FloatArray, IndexArray

_MOST_EXACT = 1_000_000
"""Product of two sizes up to which the distribution of the statistic is computed exactly."""


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
        Exact for few rows, by the limiting distribution else; ties and bins make it larger, never smaller.

    Examples
    --------
    >>> distance, p_value = distribution_test([50, 50], [80, 20])
    >>> round(distance, 2), round(p_value, 5)
    (0.3, 0.00022)
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
    if n * m <= _MOST_EXACT:
        from scipy.stats import ks_2samp

        values = [np.repeat(np.arange(len(counts)), counts) for counts in (ours, theirs)]
        side = "greater" if lower_only else "two-sided"
        return distance, float(ks_2samp(*values, alternative=side, method="exact").pvalue)
    effective = n / (n + m) * m
    if lower_only:
        return distance, float(np.exp(-2 * effective * distance**2))
    from scipy.stats import kstwo

    return distance, float(kstwo.sf(distance, max(1, round(effective))))


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
    from scipy.stats import fisher_exact

    ours, theirs = np.asarray(now, dtype=np.int64), np.asarray(fitted, dtype=np.int64)
    n, m = int(ours.sum()), int(theirs.sum())
    if not n or not m:
        return 0.0, 1.0
    distance = float(np.abs(ours / n - theirs / m).sum() / 2)
    pairs = [(k, f) for k, f in zip(ours.tolist(), theirs.tolist(), strict=True) if k or f]
    least = min(fisher_exact([[k, n - k], [f, m - f]]).pvalue for k, f in pairs)
    return distance, min(1.0, len(pairs) * float(least))


def fall_test(correct_before: int, n_before: int, correct: int, n: int) -> tuple[float, float]:
    """Test whether a share has fallen between two samples (Fisher's exact test, one-sided).

    Parameters
    ----------
    correct_before, n_before, correct, n : int
        Such as correct rows, and rows, of a class: held-out ones, and new ones.

    Returns
    -------
    fall : float
        By how much; negative where it rose, 0 where a sample is empty.
    p_value : float

    Examples
    --------
    >>> fall, p_value = fall_test(80, 100, 30, 60)
    >>> round(fall, 2), round(p_value, 5)
    (0.3, 8e-05)
    """
    from scipy.stats import fisher_exact

    if not n or not n_before:
        return 0.0, 1.0
    table = [[correct, n - correct], [correct_before, n_before - correct_before]]
    return correct_before / n_before - correct / n, float(fisher_exact(table, alternative="less").pvalue)


def below_test(correct: int, n: int, low: float) -> tuple[float, float]:
    """Test whether a share lies below what is guaranteed (binomial test, one-sided).

    Parameters
    ----------
    correct, n : int
        Correct rows, and rows, of a class.
    low : float
        What is guaranteed.

    Returns
    -------
    fall : float
        How far the measured share lies below it; negative where it does not.
    p_value : float
        Of so few correct rows, were the guarantee to hold.

    Examples
    --------
    >>> fall, p_value = below_test(50, 100, 0.7)
    >>> round(fall, 2), round(p_value, 6)
    (0.2, 2.2e-05)
    """
    from scipy.stats import binom

    if not n:
        return 0.0, 1.0
    return low - correct / n, float(binom.cdf(correct, n, low))


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
