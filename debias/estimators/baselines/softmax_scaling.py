"""Temperature and vector scaling: a softmax of log-probabilities that are stretched and shifted."""

from dataclasses import dataclass
from math import log

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.utils.class_weight import compute_sample_weight

from debias.errors import ParameterError
from debias.estimators.baselines.baseline import Baseline, check_class_weight, logarithms
from debias.tables.class_columns import ClassColumns, FloatArray

_COLDEST, _HOTTEST = 0.01, 100.0


@dataclass(kw_only=True, eq=False, repr=False)
class TemperatureScaling(Baseline):
    """Divide the log-probabilities by one temperature (Guo et al. 2017, arXiv 1706.04599).

    It changes how sure an answer is, and no answer: a classifier that it corrects is as accurate as before.

    Parameters
    ----------
    smallest : float, default=1e-6
        Lower bound of the probabilities, since 0 has no logarithm.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Attributes
    ----------
    temperature_ : float
        That with the highest likelihood of the labels, from 0.01 to 100.

    Examples
    --------
    >>> X = [[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]]
    >>> scaled = TemperatureScaling().fit(X, [0, 1, 1, 1])  # right in three of four
    >>> scaled.transform([[0.9, 0.1]]).round(2), scaled.temperature_ > 1
    (array([[0.75, 0.25]]), True)
    """

    smallest: float = 1e-6

    _uses_labels = True

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        x = logarithms(probabilities, self.smallest)
        rows = np.arange(len(x))

        def loss(log_temperature: float) -> float:
            return -float(log_softmax(x / np.exp(log_temperature), axis=1)[rows, match.y].mean())

        found = minimize_scalar(loss, bounds=(log(_COLDEST), log(_HOTTEST)), method="bounded")
        self.temperature_ = float(np.exp(found.x))

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        return np.asarray(softmax(logarithms(probabilities, self.smallest) / self.temperature_, axis=1))


@dataclass(kw_only=True, eq=False, repr=False)
class VectorScaling(Baseline):
    """Give every class a slope and a shift of its log-probability (Guo et al. 2017, arXiv 1706.04599).

    Minimises the mean of minus the log-likelihood of the labels, plus
    ``penalty / 2 * (|slopes - 1|**2 + |shifts|**2)``.

    Parameters
    ----------
    class_weight : {None, "balanced"}, default=None
        Whether all classes weigh the same, however many rows they have.
    penalty : float, default=1e-6
        Keeps the solution finite where the labels can be told apart; as good as none elsewhere.
    smallest : float, default=1e-6
        Lower bound of the probabilities, since 0 has no logarithm.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Attributes
    ----------
    slopes_, shifts_ : ndarray of shape (n_classes,)
        Of each column.

    Examples
    --------
    >>> X = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]
    >>> VectorScaling().fit(X, [0, 0, 1, 1]).predict(X)
    array([0, 0, 1, 1])
    """

    class_weight: str | None = None
    penalty: float = 1e-6
    smallest: float = 1e-6

    _uses_labels = True

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        check_class_weight(self.class_weight)
        if not 0 < self.penalty < np.inf:
            raise ParameterError(parameter="penalty", allowed="a number above 0", received=self.penalty)
        x, n_classes = logarithms(probabilities, self.smallest), probabilities.shape[1]
        weights = compute_sample_weight(self.class_weight, match.y)
        weights /= weights.sum()
        truth = np.eye(n_classes)[match.y]

        def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
            slopes, shifts = parameters.reshape(2, n_classes)
            logs = log_softmax(x * slopes + shifts, axis=1)
            wrong = (np.exp(logs) - truth) * weights[:, None]
            gradient = np.concatenate([(wrong * x).sum(axis=0), wrong.sum(axis=0)])
            away = parameters - start
            value = -(weights @ logs[truth > 0]) + self.penalty / 2 * (away @ away)
            return float(value), gradient + self.penalty * away

        start = np.repeat([1.0, 0.0], n_classes)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000})
        self.slopes_, self.shifts_ = found.x.reshape(2, n_classes)

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        x = logarithms(probabilities, self.smallest)
        return np.asarray(softmax(x * self.slopes_ + self.shifts_, axis=1))
