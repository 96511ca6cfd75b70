"""Maps are fitted by penalised maximum likelihood, pulled towards batch calibration.

With x the log-probabilities, minus their mean over all rows, and b the biases of batch calibration, the
logits are W x + c, and what is minimised is minus the log-likelihood + strength (|W - I|^2 + |c - b|^2).
As strength grows, the map becomes batch calibration, which needs no labels. A quadratic map has
logits W x + c + Q q, with q the products of log-probabilities less their means, pulled by a strength of its
own times |Q|^2: as that grows, it becomes the affine map.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize

from debias.corrections.bases.base import log_probabilities
from debias.corrections.bases.linear_maps import LinearMap, batch_calibration
from debias.corrections.bases.quadratic_maps import FLAT, QuadraticMap, products_of
from debias.tables.class_columns import FloatArray, IndexArray

STRENGTHS = (1000.0, 100.0, 10.0, 1.0, 0.1)
"""Strengths that are tried, beside an infinite one, which is batch calibration."""

CURVED_STRENGTHS = (100.0, 10.0, 1.0)
"""Strengths of the pull of the curvature that are tried, beside an infinite one, which is the affine map."""

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


class Strength(NamedTuple):
    """How strongly a map is pulled.

    Attributes
    ----------
    linear : float
        Weight of the pull of slopes and biases towards batch calibration; infinite for that itself.
    curved : float
        Weight of the pull of the curvature towards 0; infinite for a linear map.
    """

    linear: float
    curved: float = np.inf


class MapFit(NamedTuple):
    """A fitted map, and its parameters as a start for the next strength."""

    map: LinearMap | QuadraticMap
    change: FloatArray


def fit_map(
    rows: LabelledRows, unlabelled: FloatArray, kind: str, strength: Strength, start: FloatArray | None = None
) -> MapFit:
    """Fit a map of log-probabilities.

    The problem is convex.

    Parameters
    ----------
    rows : LabelledRows
        What it is fitted on.
    unlabelled : ndarray of shape (n_rows, n_classes)
        Rows that batch calibration divides by; labelled rows may be among them.
    kind : {"batch", "vector", "affine", "quadratic"}
        What is learnt: nothing but batch calibration, a slope and a bias per class, slopes of all
        classes, or products of log-probabilities as well.
    strength : Strength
        Weights of the pulls.
    start : ndarray, optional
        ``change`` of a fit of another strength; it may have fewer columns.

    Returns
    -------
    MapFit

    Examples
    --------
    >>> P = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    >>> rows = LabelledRows(P, np.array([0, 0, 1, 1]), np.ones(4))
    >>> fit_map(rows, P, "affine", Strength(0.1)).map.posteriors(P).argmax(axis=1)
    array([0, 0, 1, 1])
    """
    calibration = batch_calibration(unlabelled)
    n_classes = len(calibration.bias)
    if kind == "batch" or np.isinf(strength.linear):
        return MapFit(calibration, np.zeros((n_classes, n_classes + 1)))
    free = log_probabilities(unlabelled)
    mean = free.mean(axis=0)
    logs = log_probabilities(rows.probabilities)
    offset = logs + calibration.bias
    features = np.column_stack([logs - mean, np.ones(len(logs))])
    pulls = np.full(features.shape[1], strength.linear)
    is_curved = kind == "quadratic" and np.isfinite(strength.curved)
    if is_curved:
        spread = np.where(calibration.spread < FLAT, 0.0, calibration.spread)
        centre = products_of(free, mean, spread).mean(axis=0)
        features = np.column_stack([features, products_of(logs, mean, spread) - centre])
        pulls = np.concatenate([pulls, np.full(len(centre), strength.curved)])
    used = np.ones((n_classes, len(pulls)), dtype=bool)
    if kind == "vector":
        used[:, :n_classes] = np.eye(n_classes, dtype=bool)
    change = _least_loss(features, offset, rows, pulls, used, start)
    matrix = np.eye(n_classes) + change[:, :n_classes]
    bias = mean + calibration.bias + change[:, n_classes] - matrix @ mean
    if not is_curved:
        name = "affine" if kind == "quadratic" else kind
        return MapFit(LinearMap(matrix, bias, calibration.spread, name, strength.linear), change)
    curvature = change[:, n_classes + 1 :]
    linear = LinearMap(matrix, bias - curvature @ centre, spread, "affine", strength.linear)
    return MapFit(QuadraticMap(linear, mean, curvature, strength.curved), change)


def _least_loss(
    features: FloatArray,
    offset: FloatArray,
    rows: LabelledRows,
    pulls: FloatArray,
    used: npt.NDArray[np.bool_],
    start: FloatArray | None,
) -> FloatArray:
    """Return what is added to the logits `offset` for each feature, of shape (n_classes, n_features).

    The curvature of the likelihood is about one in every direction of the parameters, so that L-BFGS
    needs some twenty steps. Only entries that are `used` are learnt.
    """
    weights = rows.weights / rows.weights.sum()
    pulls = pulls / rows.weights.sum()
    scale = _curvature_scale(features, weights, 2 * len(used) * pulls, bool(used.all()))
    # A line per class from here on: NumPy takes the sum over classes of all rows at once.
    offset, transposed = np.ascontiguousarray(offset.T), np.ascontiguousarray(features.T)
    own = np.zeros_like(offset)
    own[rows.y, np.arange(len(features))] = weights

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        change = parameters.reshape(used.shape) @ scale * used
        logits = offset + change @ transposed
        top = logits.max(axis=0)
        exponentials = np.exp(logits - top)
        sums = exponentials.sum(axis=0)
        likelihood = np.vdot(own, logits) - (top + np.log(sums)) @ weights
        residual = exponentials * (weights / sums) - own
        gradient = (residual @ features + 2 * pulls * change) * used
        return float((pulls * change**2).sum() - likelihood), (gradient @ scale.T).ravel()

    first = np.zeros(used.shape)
    if start is not None:
        first[:, : start.shape[1]] = start
        first = solve_triangular(scale, first.T, trans=1, lower=True).T
    found = minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options=_SETTINGS)
    return np.asarray(found.x.reshape(used.shape) @ scale * used)


def _curvature_scale(features: FloatArray, weights: FloatArray, pulls: FloatArray, whole: bool) -> FloatArray:
    """Return the triangular matrix that makes the curvature of the loss about one in all directions.

    A class has the curvature of the features, weighted by p (1 - p), about 1 / n_classes; where
    slopes of other classes are not learnt, only the diagonal counts.
    """
    curvature = (features * weights[:, None]).T @ features + np.diag(pulls)
    if not whole:
        return np.diag(1 / np.sqrt(np.diag(curvature)))
    lower = cholesky(curvature, lower=True)
    return np.asarray(solve_triangular(lower, np.eye(len(lower)), lower=True))
