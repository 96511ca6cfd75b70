"""Linear maps are fitted by penalised maximum likelihood, pulled towards batch calibration.

With x the log-probabilities, minus their mean over all rows, and b the biases of batch calibration, the
logits are W x + c, and what is minimised is minus the log-likelihood + strength (|W - I|^2 + |c - b|^2).
As strength grows, the map becomes batch calibration, which needs no labels.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize

from debias.corrections.bases.base import log_probabilities
from debias.corrections.bases.linear_maps import LinearMap, batch_calibration
from debias.tables.class_columns import FloatArray, IndexArray

STRENGTHS = (1000.0, 100.0, 10.0, 1.0, 0.1)
"""Strengths that are tried, beside an infinite one, which is batch calibration."""

_SETTINGS: Any = {"maxiter": 500, "maxcor": 20, "gtol": 1e-6, "ftol": 1e-10}


class LabelledRows(NamedTuple):
    """Rows that a map is fitted on.

    Attributes
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    y : ndarray of int, shape (n_samples,)
        Labels, as column indices.
    weights : ndarray of shape (n_samples,)
        How much each row counts.
    """

    probabilities: FloatArray
    y: IndexArray
    weights: FloatArray

    def take(self, rows: IndexArray) -> "LabelledRows":
        """Return some of the rows."""
        return LabelledRows(self.probabilities[rows], self.y[rows], self.weights[rows])


class MapFit(NamedTuple):
    """A fitted map, and its parameters as a start for the next strength."""

    map: LinearMap
    change: FloatArray


def fit_map(
    rows: LabelledRows, unlabelled: FloatArray, kind: str, strength: float, start: FloatArray | None = None
) -> MapFit:
    """Fit a linear map of log-probabilities.

    The problem is convex. Its parameters are changed to those in which the curvature of the
    likelihood is about one in every direction, so that L-BFGS needs some twenty steps.

    Parameters
    ----------
    rows : LabelledRows
        What it is fitted on.
    unlabelled : ndarray of shape (n_rows, n_classes)
        Rows that batch calibration divides by; labelled rows may be among them.
    kind : {"batch", "vector", "affine"}
        What is learnt: nothing but batch calibration, a slope and a bias per class, or all.
    strength : float
        Weight of the pull towards batch calibration; infinite for batch calibration itself.
    start : ndarray, optional
        ``change`` of a fit of another strength.

    Returns
    -------
    MapFit

    Examples
    --------
    >>> P = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    >>> rows = LabelledRows(P, np.array([0, 0, 1, 1]), np.ones(4))
    >>> fit_map(rows, P, "affine", 0.1).map.posteriors(P).argmax(axis=1)
    array([0, 0, 1, 1])
    """
    calibration = batch_calibration(unlabelled)
    n_classes = len(calibration.bias)
    if kind == "batch" or np.isinf(strength):
        return MapFit(calibration, np.zeros((n_classes, n_classes + 1)))
    mean = log_probabilities(unlabelled).mean(axis=0)
    x = log_probabilities(rows.probabilities) - mean
    offset = x + mean + calibration.bias
    features = np.column_stack([x, np.ones(len(x))])
    weights = rows.weights / rows.weights.sum()
    pull = strength / rows.weights.sum()
    is_own = np.column_stack([np.eye(n_classes, dtype=bool), np.ones(n_classes, dtype=bool)])
    used = np.ones_like(is_own) if kind == "affine" else is_own
    scale = _curvature_scale(features, weights, 2 * pull * n_classes, kind == "affine")
    target = np.zeros_like(x)
    target[np.arange(len(x)), rows.y] = 1.0

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        change = parameters.reshape(used.shape) @ scale * used
        logits = offset + features @ change.T
        top = logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits - top)
        sums = exponentials.sum(axis=1, keepdims=True)
        likelihood = ((logits * target).sum(axis=1) - (top + np.log(sums))[:, 0]) @ weights
        residual = weights[:, None] * (exponentials / sums - target)
        gradient = (residual.T @ features + 2 * pull * change) * used
        return float(pull * (change**2).sum() - likelihood), (gradient @ scale.T).ravel()

    first = np.zeros(used.shape) if start is None else solve_triangular(scale, start.T, trans=1, lower=True).T
    found = minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options=_SETTINGS)
    change = found.x.reshape(used.shape) @ scale * used
    matrix = np.eye(n_classes) + change[:, :-1]
    bias = mean + calibration.bias + change[:, -1] - matrix @ mean
    return MapFit(LinearMap(matrix, bias, calibration.spread, kind, strength), change)


def _curvature_scale(features: FloatArray, weights: FloatArray, pull: float, whole: bool) -> FloatArray:
    """Return the triangular matrix that makes the curvature of the loss about one in all directions.

    A class has the curvature of the features, weighted by p (1 - p), about 1 / n_classes; where
    slopes of other classes are not learnt, only the diagonal counts.
    """
    curvature = (features * weights[:, None]).T @ features + pull * np.eye(features.shape[1])
    if not whole:
        return np.diag(1 / np.sqrt(np.diag(curvature)))
    lower = cholesky(curvature, lower=True)
    return np.asarray(solve_triangular(lower, np.eye(len(lower)), lower=True))
