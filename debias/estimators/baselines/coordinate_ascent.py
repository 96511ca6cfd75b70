"""Coordinate-wise class weights: one factor after the other is set to the best value for a metric."""

from dataclasses import dataclass

import numpy as np

from debias.errors import ParameterError
from debias.estimators.baselines.class_factors import FactorBaseline
from debias.tables.class_columns import ClassColumns, FloatArray, IndexArray

METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
_ROUNDS = 100
_GAIN = 1e-12
_EDGE = 1.0
"""How far beyond the outermost row a logarithm is put."""


@dataclass(kw_only=True, eq=False, repr=False)
class ClassWeights(FactorBaseline):
    """Multiply by class weights that coordinate ascent finds for a chosen metric (arXiv 2503.02119).

    With all other weights fixed, the weight of a class only decides for which rows it beats their best
    rival. Sorted by the weight that each row needs, all values of the metric come out of one pass; the
    best is taken, in the middle of its widest span. Classes take turns until none improves. It starts
    once from equal weights and once from those of batch calibration, and keeps the better result.

    Parameters
    ----------
    metric : {"balanced_accuracy", "accuracy", "macro_f1"}, default="balanced_accuracy"
        What is maximised on the labelled rows; classes without labels are omitted from means.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Attributes
    ----------
    factors_ : ndarray of shape (n_classes,)
        Weight of each column; the largest is 1.
    score_ : float
        The metric on the labelled rows.

    Examples
    --------
    >>> X = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]
    >>> weighted = ClassWeights(metric="accuracy").fit(X, [0, 0, 1, 1])
    >>> weighted.predict(X), weighted.score_
    (array([0, 0, 1, 1]), 1.0)
    """

    metric: str = "balanced_accuracy"

    _uses_labels = True

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        if self.metric not in METRICS:
            raise ParameterError(
                parameter="metric", allowed=f"one of {', '.join(map(repr, METRICS))}", received=self.metric
            )
        with np.errstate(divide="ignore"):
            x = np.log(probabilities)
        means = probabilities.mean(axis=0)
        starts = np.zeros(len(means)), -np.log(np.where(means > 0, means, 1.0))
        found = [_ascended(x, match.y, start, self.metric) for start in starts]
        self.score_, b = max(found, key=lambda one: one[0])
        self._keep(b)


def _ascended(x: FloatArray, y: IndexArray, b: FloatArray, metric: str) -> tuple[float, FloatArray]:
    """Return the metric and the logarithms of the weights where no class improves."""
    n_classes = x.shape[1]
    b, score = b.copy(), -np.inf
    for _ in range(_ROUNDS):
        before = score
        for k in range(n_classes):
            others = x + b
            others[:, k] = -np.inf
            rival = others.argmax(axis=1)
            with np.errstate(invalid="ignore"):
                needed = others[np.arange(len(x)), rival] - x[:, k]
            needed = np.where(np.isnan(needed), np.inf, needed)  # neither gives the row any probability
            order = np.argsort(needed, kind="stable")
            scores = _scores(y[order], rival[order], k, n_classes, metric)
            value, place = _widest_best(needed[order], scores)
            if value > score + _GAIN:
                score, b[k] = value, place
        if score <= before + _GAIN:
            break
    return float(score), b


def _scores(y: IndexArray, rival: IndexArray, k: int, n_classes: int, metric: str) -> FloatArray:
    """Return the metric where the first m rows go to class k and the others to their rivals, m = 0 .. n."""
    eye = np.eye(n_classes)
    support = np.bincount(y, minlength=n_classes)
    lost = np.vstack([np.zeros(n_classes), np.cumsum(eye[rival] * (y == rival)[:, None], axis=0)])
    correct = lost[-1] - lost
    correct[:, k] = np.concatenate([[0], np.cumsum(y == k)])
    if metric == "accuracy":
        return np.asarray(correct.sum(axis=1) / len(y))
    present = support > 0
    if metric == "balanced_accuracy":
        return np.asarray((correct / np.maximum(support, 1))[:, present].mean(axis=1))
    moved = np.vstack([np.zeros(n_classes), np.cumsum(eye[rival], axis=0)])
    predicted = moved[-1] - moved
    predicted[:, k] = np.arange(len(y) + 1)
    return np.asarray((2 * correct / np.maximum(predicted + support, 1))[:, present].mean(axis=1))


def _widest_best(needed: FloatArray, scores: FloatArray) -> tuple[float, float]:
    """Return the best value, and the middle of the widest span of logarithms that has it."""
    finite = needed[np.isfinite(needed)]
    if not len(finite):
        return -np.inf, 0.0
    low = np.concatenate([[finite[0] - 2 * _EDGE], needed])
    high = np.concatenate([needed, [finite[-1] + 2 * _EDGE]])
    low = np.where(np.isneginf(low), finite[0] - 2 * _EDGE, low)
    high = np.where(np.isposinf(high), finite[-1] + 2 * _EDGE, high)
    open_spans = high > low
    best = scores[open_spans].max()
    widest = np.where(open_spans & (scores >= best - _GAIN), high - low, -np.inf).argmax()
    return float(scores[widest]), float((low[widest] + high[widest]) / 2)
