"""Prior matching: factors with which the mean corrected probabilities equal a prior."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from debias.errors import ParameterError
from debias.estimators.baselines.class_factors import FactorBaseline
from debias.tables.class_columns import ClassColumns, FloatArray

TARGETS = ("uniform", "labels")
_MOST = 50.0
"""Bound of the logarithm of a factor, for rows that no factor can move."""
_CLOSE = 0.01


@dataclass(kw_only=True, eq=False, repr=False)
class PriorMatching(FactorBaseline):
    r"""Multiply by factors such that the mean corrected probabilities equal a prior.

    The factors :math:`w` solve :math:`\frac{1}{M} \sum_i w_j p_{ij} / \sum_k w_k p_{ik} = \pi_j` for every
    class: the prior matching of Liusie, Manakul and Gales (arXiv 2309.04992), which is the scaling of rows
    and columns of Sinkhorn and Knopp (1967). Their logarithms maximise the concave
    :math:`\sum_j \pi_j b_j - \frac{1}{M} \sum_i \log \sum_k p_{ik} e^{b_k}`, which is solved here.

    Parameters
    ----------
    target : {"uniform", "labels"}, default="uniform"
        The prior: all classes equally frequent, which needs no labels, or the shares of the labels.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Attributes
    ----------
    factors_ : ndarray of shape (n_classes,)
        Factor of each column; the largest is 1.
    target_ : ndarray of shape (n_classes,)
        The prior of each column; a class that never got any probability has none.

    Examples
    --------
    >>> X = [[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]]
    >>> matched = PriorMatching().fit(X)
    >>> matched.transform(X).mean(axis=0).round(3), matched.predict(X), matched.n_labels_
    (array([0.5, 0.5]), array([0, 1, 0]), 0)
    >>> PriorMatching(target="flat").fit(X)
    Traceback (most recent call last):
    debias.errors.ParameterError: target must be one of 'uniform', 'labels', got 'flat'.
    """

    target: str = "uniform"

    @property
    def _uses_labels(self) -> bool:  # type: ignore[override]
        return self.target == "labels"

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        if self.target not in TARGETS:
            raise ParameterError(
                parameter="target", allowed=f"one of {', '.join(map(repr, TARGETS))}", received=self.target
            )
        n_classes = probabilities.shape[1]
        given = probabilities.any(axis=0)
        prior = np.bincount(match.y, minlength=n_classes) if self._uses_labels else np.ones(n_classes)
        prior = np.where(given, prior, 0.0)
        self.target_ = prior / prior.sum()
        wanted = self.target_ > 0
        logarithms = np.full(n_classes, -np.inf)
        logarithms[wanted], gap = _matched(probabilities[:, wanted], self.target_[wanted])
        if gap > _CLOSE:
            warnings.warn(
                f"no factors match the mean probabilities to the prior: {100 * gap:.0f} points are missing, "
                "because some rows give all their probability to one class.",
                UserWarning,
                stacklevel=3,
            )
        self._keep(logarithms)
        if not given.all():
            self.factors_ = np.where(given, self.factors_, 1.0)  # nothing is known of such a class


def _matched(probabilities: FloatArray, target: FloatArray) -> tuple[FloatArray, float]:
    """Return the logarithms of the factors, and the largest difference from the target that is left."""
    rows = probabilities[probabilities.any(axis=1)]
    with np.errstate(divide="ignore"):
        x = np.log(rows)

    def posterior_gap(b: FloatArray) -> tuple[float, FloatArray]:
        shifted = x + b
        total = logsumexp(shifted, axis=1, keepdims=True)
        return float(total.mean() - target @ b), np.exp(shifted - total).mean(axis=0) - target

    start = np.log(target) - np.log(rows.mean(axis=0))
    start -= start.mean()
    bounds = [(-_MOST, _MOST)] * len(target)
    found = minimize(
        posterior_gap, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 0, "gtol": 1e-9}
    )
    return np.asarray(found.x), float(np.abs(posterior_gap(found.x)[1]).max())
