"""Whether some mix of the classes explains new rows: the test of everything but the class mix.

If only the mix has changed, the distribution of each probability is that of the fitted classes, mixed
in other shares. A linear program finds the shares that come closest.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from debias.guarantees.watching.histograms import Histogram
from debias.tables.class_columns import FloatArray, IndexArray


class Mixture(NamedTuple):
    """The mix of classes that comes closest to new rows.

    Attributes
    ----------
    shares : ndarray of shape (n_classes,)
    distance : float
        Largest gap that is left between cumulative shares, over all quantities.
    p_value : float
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
    no larger than s times that of Kolmogorov. The smallest gap over all q is smaller still. The p-value is
    Kolmogorov's at the gap over s, times the number of quantities; s is taken at the shares found.

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
    shares[known], distance = closest_shares(np.concatenate(classes, axis=1), now)
    spread = np.sqrt(1 / n + (shares[known] ** 2 / support[known]).sum())
    p_value = min(1.0, len(pairs) * float(kolmogorov(distance / spread)))
    return Mixture(shares, distance, p_value)


def closest_shares(classes: FloatArray, now: FloatArray) -> tuple[FloatArray, float]:
    """Return shares whose mixture has the smallest largest gap to new figures, and the gap.

    Parameters
    ----------
    classes : ndarray of shape (n_classes, n_figures)
        The figures of each class.
    now : ndarray of shape (n_figures,)

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
        np.append(np.zeros(n_classes), 1.0),
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
