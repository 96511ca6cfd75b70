"""Bounds of class accuracies that hold jointly, and the largest COBias within them: exact, closed forms.

Rows are independent given their class, so the correct rows of a class are binomial.
"""

import math

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]

_HALVINGS = 60
"""Of [0, 1], after which two bounds differ by less than a float can say."""


def check_confidence(confidence: float) -> float:
    """Return a confidence, or refuse it.

    Raises
    ------
    ParameterError
        It is not a number between 0 and 1.
    """
    if not (isinstance(confidence, (float, np.floating)) and 0 < confidence < 1):
        allowed = "a number between 0 and 1, such as 0.95"
        raise ParameterError(parameter="confidence", allowed=allowed, received=confidence)
    return float(confidence)


def clopper_pearson(
    correct: npt.ArrayLike, support: npt.ArrayLike, tail: float
) -> tuple[FloatArray, FloatArray]:
    """Return exact bounds of the accuracies of some classes (Clopper and Pearson, 1934).

    Parameters
    ----------
    correct, support : array-like of shape (n_classes,)
        Correct rows, and rows, of each class; they may be fractions.
    tail : float
        How probable it may be that one bound does not hold.

    Returns
    -------
    low, high : ndarray of shape (n_classes,)
        0 and 1 for a class without rows.

    Notes
    -----
    The lower bound is the accuracy at which so many correct rows or more have the probability `tail`.
    A true accuracy below it makes that event rarer still, so the bound lies above the true accuracy
    with a probability of at most `tail`; the upper bound likewise. With ``tail = d / (2 N)`` all 2 N
    bounds hold at once with a probability of at least 1 - d, since probabilities of failing add up.

    Examples
    --------
    >>> low, high = clopper_pearson([8, 0], [10, 0], 0.025)
    >>> low.round(3), high.round(3)
    (array([0.444, 0.   ]), array([0.975, 1.   ]))
    """
    from scipy.stats import beta

    c, n = np.asarray(correct, dtype=np.float64), np.asarray(support, dtype=np.float64)
    low = np.where(c > 0, beta.ppf(tail, np.maximum(c, 1e-9), n - c + 1), 0.0)
    high = np.where(c < n, beta.ppf(1 - tail, c + 1, np.maximum(n - c, 1e-9)), 1.0)
    return np.asarray(low), np.asarray(high)


def divergence_bounds(
    correct: npt.ArrayLike, support: npt.ArrayLike, nats: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Return the accuracies whose divergence from the measured ones is at most ``nats / support``.

    Parameters
    ----------
    correct, support : array-like of shape (n_classes,)
        Correct rows, and rows, of each class.
    nats : float or array-like of shape (n_classes,)
        Such as ``ln(1/P) + ln(2N/d)``.

    Returns
    -------
    low, high : ndarray of shape (n_classes,)
        Where ``kl(measured, low) = kl(measured, high) = nats / support``, or 0 and 1.

    Notes
    -----
    Chernoff: a binomial share falls as far below its accuracy A as a, or further, with a probability of
    at most ``exp(-n kl(a, A))``, and likewise above it. So each of the two bounds fails with a
    probability of at most ``exp(-nats)``.

    Examples
    --------
    >>> low, high = divergence_bounds([50, 0], [100, 0], 3.0)
    >>> low.round(3), high.round(3)
    (array([0.379, 0.   ]), array([0.621, 1.   ]))
    """
    c, n, most = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (correct, support, nats)))
    share, limit = c / np.maximum(n, 1), np.where(n > 0, most / np.maximum(n, 1), np.inf)
    ends = []
    for end in (0.0, 1.0):
        inside, outside = share.copy(), np.full(share.shape, end)
        # invariant: inside is within the bound; outside is not, or is the end itself
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            within = divergence(share, middle) <= limit
            inside, outside = np.where(within, middle, inside), np.where(within, outside, middle)
        at_end = divergence(share, np.full(share.shape, end)) <= limit
        ends.append(np.where(at_end, end, outside))
    return ends[0], ends[1]


def divergence(share: FloatArray, accuracy: FloatArray) -> FloatArray:
    """Return kl(share, accuracy) of two binary distributions, in nats.

    Examples
    --------
    >>> divergence(np.array([0.5, 0.0, 0.2]), np.array([0.25, 0.5, 0.0])).round(4)
    array([0.1438, 0.6931,    inf])
    """
    from scipy.special import rel_entr

    return np.asarray(rel_entr(share, accuracy) + rel_entr(1 - share, 1 - accuracy))


def most_cobias(low: npt.ArrayLike, high: npt.ArrayLike) -> float:
    """Return the largest COBias of class accuracies that lie within bounds, for any number of classes.

    Parameters
    ----------
    low, high : array-like of shape (n_classes,)
        Bounds.

    Returns
    -------
    float
        Reached by some accuracies within the bounds; 0 for one class.

    Notes
    -----
    With the accuracies sorted, COBias is ``2 / (N (N - 1)) * sum_r w_r A_(r)``, ``w_r = 2 r - N - 1``. As
    the weights rise with the rank, the sorted order gives the largest sum of all orders: so COBias is
    the maximum over all permutations. The two maxima, over permutations and over the bounds, may be
    exchanged, and for a given permutation each class is at one of its bounds alone. What is left is
    a linear assignment of ranks to classes, which is solved exactly.

    Examples
    --------
    >>> most_cobias([0.5, 0.6], [0.7, 0.9])
    0.4
    """
    from scipy.optimize import linear_sum_assignment

    lows, highs = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    n = len(lows)
    if n < 2:
        return 0.0
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    gains = np.maximum(np.outer(lows, weights), np.outer(highs, weights))
    classes, ranks = linear_sum_assignment(gains, maximize=True)
    return float(2 / (n * (n - 1)) * gains[classes, ranks].sum())


def labels_needed(share: float, tail: float, precision: float) -> int:
    """Return how many rows of a class bring both its bounds within `precision` of what is measured.

    Parameters
    ----------
    share : float
        The measured class accuracy; .5 needs the most rows.
    tail : float
        As in :func:`clopper_pearson`.
    precision : float
        Such as .05, five points.

    Returns
    -------
    int
        About: the measured accuracy of more rows is another one.

    Examples
    --------
    >>> labels_needed(0.5, 0.05 / 8, 0.05), labels_needed(0.9, 0.05 / 8, 0.05)
    (641, 312)
    """

    def reaches(n: int) -> bool:
        low, high = clopper_pearson([share * n], [n], tail)
        return bool(max(share - low[0], high[0] - share) <= precision)

    enough = 1
    while not reaches(enough):
        enough *= 2
    fewer = enough // 2  # invariant: too few, or 0
    while enough - fewer > 1:
        middle = (enough + fewer) // 2
        enough, fewer = (middle, fewer) if reaches(middle) else (enough, middle)
    return enough


def nats_of_choice(n_classes: int, n_changed: int, family_size: int) -> float:
    """Return ln(1/P) of a choice under the prior that is fixed before any row is seen.

    Parameters
    ----------
    n_classes, n_changed : int
        Classes, and those that do not have the identity.
    family_size : int
        Corrections that each class could have.

    Returns
    -------
    float
        Per class, half the mass is on the identity and the rest is spread evenly.

    Examples
    --------
    >>> round(nats_of_choice(4, 4, 48), 2), nats_of_choice(4, 0, 1)
    (18.17, 0.0)
    """
    if family_size < 2:
        return 0.0
    return n_classes * math.log(2) + n_changed * math.log(family_size - 1)
