"""Whether some mix of the classes explains new rows: the test of everything but the class mix.

If only the mix has changed, the distribution of each probability is that of the fitted classes, mixed
in other shares. A linear program finds the shares that come closest.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from debias.guarantees.watching.histograms import Histogram
from debias.tables.class_columns import FloatArray, IndexArray

_ROUNDS = 10
"""Of linear programs after which the mix that explains rows best is good enough."""
_SAME = 1e-9


class Mixture(NamedTuple):
    """The mix of classes that comes closest to new rows.

    Attributes
    ----------
    shares : ndarray of shape (n_classes,)
    distance : float
        Largest gap that is left between cumulative shares, over all quantities.
    p_value : float
        Of the mix that explains the rows best, which may be another one: where a class has few fitted rows,
        a larger gap is no surprise.
    """

    shares: FloatArray
    distance: float
    p_value: float


def closest_mixture(histograms: Sequence[Histogram], counts: Sequence[IndexArray]) -> Mixture:
    r"""Return the mix of fitted classes that explains new rows best, and a p-value.

    Parameters
    ----------
    histograms : sequence of Histogram
        Of each quantity on the fitted rows, by class.
    counts : sequence of ndarray
        How many new rows fall into each bin of each.

    Returns
    -------
    Mixture
        A class without fitted rows has no share: what it looks like is unknown.

    Notes
    -----
    With F the distribution of new rows and F_j that of fitted rows of class j, the program minimises,
    over shares q, the largest ``|F(b) - sum_j q_j F_j(b)|`` over all quantities and edges b. At the true
    shares each term is a mean of independent bridges, whose variance is that of the Brownian bridge of a
    mixture times ``s^2 = 1/n + sum_j q_j^2 / n_j``, less something: so its largest gap is, in the limit,
    no larger than s times that of Kolmogorov. The p-value is Kolmogorov's at the gap over s, times the number
    of quantities, at the shares that make the gap over s least. At those that make the gap alone least it
    would be too small: they avoid the classes that have few fitted rows, and so a large s.

    Examples
    --------
    >>> values, y = np.repeat([0.1, 0.9], 200), np.repeat([0, 1], 200)
    >>> histogram = Histogram.of(values, y, 2, 4)
    >>> mixture = closest_mixture([histogram], [histogram.count(np.repeat([0.1, 0.9], [90, 10]))])
    >>> mixture.shares.round(3), round(mixture.distance, 3), mixture.p_value
    (array([0.9, 0.1]), 0.0, 1.0)
    """
    from scipy.special import kolmogorov

    support = histograms[0].counts.sum(axis=1)
    known = np.flatnonzero(support)
    # at a gap of columns every share is right, so a quantity without edges says nothing
    pairs = [(one, new) for one, new in zip(histograms, counts, strict=True) if len(one.edges)]
    n = int(counts[0].sum())
    shares = np.zeros(len(support))
    if not pairs:
        shares[known] = support[known] / support.sum()
        return Mixture(shares, 0.0, 1.0)
    now = np.concatenate([new.cumsum()[:-1] / n for _, new in pairs])
    classes = [one.counts[known].cumsum(axis=1)[:, :-1] / support[known, None] for one, _ in pairs]
    by_class = np.concatenate(classes, axis=1)
    shares[known], distance = closest_shares(by_class, now)
    surprise = _least_surprise(by_class, now, (shares[known], distance), support[known], n)
    return Mixture(shares, distance, min(1.0, len(pairs) * float(kolmogorov(surprise))))


def _least_surprise(
    classes: FloatArray, now: FloatArray, start: tuple[FloatArray, float], support: IndexArray, n: int
) -> float:
    """Return the least gap over its spread that shares near the closest ones have; see the notes above.

    The spread is convex in the shares, so its tangent is never above it: where the gap less `least` times
    the tangent is below 0, the gap over the spread is below `least`.
    """
    (shares, gap), least = start, np.inf
    for _ in range(_ROUNDS):  # invariant: some shares have the quotient `least`, and it falls
        spread = float(np.sqrt(1 / n + (shares**2 / support).sum()))
        if gap / spread >= least - _SAME:
            break
        least = gap / spread
        shares, gap = closest_shares(classes, now, least * shares / support / spread)
    return float(min(least, gap / spread))


def closest_shares(
    classes: FloatArray, now: FloatArray, allowances: FloatArray | None = None
) -> tuple[FloatArray, float]:
    """Return shares whose mixture has the smallest largest gap to new figures, and the gap.

    Parameters
    ----------
    classes : ndarray of shape (n_classes, n_figures)
        The figures of each class.
    now : ndarray of shape (n_figures,)
    allowances : ndarray of shape (n_classes,), optional
        How much larger the gap may be for a share of one of each class; nothing by default.

    Returns
    -------
    shares : ndarray of shape (n_classes,)
    gap : float

    Examples
    --------
    >>> closest_shares(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0.25, 0.75]))
    (array([0.75, 0.25]), 0.0)
    """
    from scipy.optimize import linprog

    n_classes, n_figures = classes.shape
    # variables: the shares, then the gap; figure by figure, mixture - gap <= now <= mixture + gap
    gap = np.ones((n_figures, 1))
    rows = np.block([[classes.T, -gap], [-classes.T, -gap]])
    found = linprog(
        np.append(np.zeros(n_classes) if allowances is None else -allowances, 1.0),
        A_ub=rows,
        b_ub=np.concatenate([now, -now]),
        A_eq=np.append(np.ones(n_classes), 0.0)[None],
        b_eq=[1.0],
        bounds=(0, None),
        method="highs",
    )
    shares = np.clip(np.asarray(found.x)[:-1], 0, None)
    shares = shares / shares.sum()
    return shares, float(np.abs(shares @ classes - now).max())
