"""Log-biases: a continuous number per class that is added to the logarithm of its corrected value.

With the other classes fixed, z is piecewise constant in one of them, so a search along one class
is exact: every interval is scored. :mod:`debias.search.log_bias.log_bias_descent` puts many together.
"""

from typing import NamedTuple

import numpy as np

from debias.errors import TableError
from debias.search.constraints import Constrained, Goal
from debias.search.counting.score import are_within, costs_per_sample, score, tabulate
from debias.search.log_bias import log_bias_kernels as bias_kernels
from debias.search.objective import FloatArray, IndexArray
from debias.search.problem import TOLERANCE

FARTHEST = 230.0
"""Two log-biases differ by no more (a factor of 1e100), so that no product comes near underflow."""

NARROWEST = 1e-9
"""Narrower intervals are passed over: rounding of the corrected values could miss them."""

END_WIDTH = 2.0
"""How much of the two intervals without an end counts, beyond the first and the last edge."""


class LinePoint(NamedTuple):
    """The end of a line search.

    Attributes
    ----------
    bias : float
        Log-bias of the class.
    objective : float
        z per sample there.
    """

    bias: float
    objective: float


class LogBiasProblem:
    """Corrected values to which log-biases are added, and what is minimised.

    A log-bias b multiplies the values of a class by exp(b), so zeros stay zeros. Decided as
    :func:`debias.corrections.correction.decide` does: the first class wins among equals, and a row of zeros
    is left to the fallback. Only differences between log-biases matter.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_classes)
        Corrected values, none negative.
    fallback_probabilities : ndarray of shape (n_samples, n_classes)
        Original probabilities: they decide rows of zeros, and are the uncorrected model.
    y : ndarray of int, shape (n_samples,)
        Labels, as column indices.
    objective : Objective or Constrained
        What is minimised.

    Attributes
    ----------
    n_evaluations : int
        Values of z computed so far.

    Raises
    ------
    TableError
        Samples of fewer than two classes.

    Examples
    --------
    >>> from debias.search.objective import Objective
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> problem = LogBiasProblem(P, P, np.array([1, 0, 0]), Objective(pmi=0))
    >>> point = problem.line_search(np.zeros(2), 1)
    >>> round(point.bias, 4), point.objective  # between log(.6 / .4) and log(.7 / .3)
    (0.6264, 0.0)
    """

    def __init__(
        self, values: FloatArray, fallback_probabilities: FloatArray, y: IndexArray, objective: Goal
    ):
        self.values = np.ascontiguousarray(np.asarray(values, dtype=np.float64).T)
        self.n_classes, self.n_samples = self.values.shape
        self._y = np.asarray(y, dtype=np.int64)
        self.support = np.bincount(self._y, minlength=self.n_classes)
        if (self.support > 0).sum() < 2:
            raise TableError(
                parameter="y", allowed="of at least two classes", received=np.unique(self._y).tolist()
            )
        self._fallback = np.argmax(fallback_probabilities, axis=1).astype(np.int64)
        objective = objective.validate()
        if isinstance(objective, Constrained):
            objective = objective.resolve_on(self._y, self._fallback, np.asarray(fallback_probabilities))
        self.objective = objective
        self._tables = tabulate([objective], self.support)
        self._costs = costs_per_sample(objective, self.support)
        self._counts = np.zeros((2, self.n_classes), dtype=np.int64)
        self._accuracy = np.zeros(self.n_classes)
        self.n_evaluations = 0

    def evaluate(self, biases: FloatArray) -> float:
        """Return z per sample, decided literally.

        Parameters
        ----------
        biases : ndarray of shape (n_classes,)
            A log-bias per class.
        """
        bias_kernels.count(self.values, np.exp(biases), self._fallback, self._y, self._counts)
        self.n_evaluations += 1
        z = float(score(self._counts, self._tables, 0, self._accuracy))
        if len(self._costs) and self.objective.is_feasible(z):
            named = np.empty(self.n_samples, dtype=np.int64)
            bias_kernels.name(self.values, np.exp(biases), self._fallback, named)
            z += float(self._costs[self._y, named].sum())
        return z

    def profile(self, biases: FloatArray, j: int) -> tuple[FloatArray, FloatArray]:
        """Return z at every log-bias of class `j`, the others as in `biases`.

        The edges, at most one per sample, are sorted and the samples go over to class j one by
        one: O(M log M) for the sort, and one evaluation from counts per interval. Samples that
        class j can never win, or never lose, have no edge.

        Parameters
        ----------
        biases : ndarray of shape (n_classes,)
            Log-biases; that of class `j` does not matter.
        j : int
            The class.

        Returns
        -------
        bounds : ndarray of shape (n_intervals + 1,)
            Sorted; the intervals lie between neighbours. Empty where nothing depends on class j.
        z : ndarray of shape (n_intervals,)
            z per sample inside of each; infinite where it is narrower than :data:`NARROWEST`.
        """
        edges, rival = np.empty(self.n_samples), np.empty(self.n_samples, dtype=np.int64)
        bias_kernels.find_edges(self.values, np.exp(biases), self._fallback, j, rival, edges)
        order = np.argsort(edges, kind="stable")[: np.isfinite(edges).sum()]
        if not len(order):
            return np.zeros(0), np.zeros(0)
        inner, others = edges[order], np.delete(biases, j)
        bounds = np.concatenate([[inner[0] - END_WIDTH], inner, [inner[-1] + END_WIDTH]])
        bounds = np.clip(bounds, others.max() - FARTHEST, others.min() + FARTHEST)
        z = np.empty(len(bounds) - 1)
        bias_kernels.score_between(
            bounds, order, NARROWEST, rival, self._y, j, self._tables, self._counts, self._accuracy, z
        )
        if len(self._costs):
            z += np.where(are_within(z, self.objective), self._costs_between(order, rival, j), 0.0)
        self.n_evaluations += int(np.isfinite(z).sum())
        return bounds, z

    def _costs_between(self, order: IndexArray, rival: IndexArray, j: int) -> FloatArray:
        """Return what all samples cost in each interval: class j takes the samples one by one, in order."""
        of_rivals = self._costs[self._y, rival]
        more = self._costs[self._y, j] - of_rivals
        return np.asarray(of_rivals.sum() + np.concatenate([[0.0], np.cumsum(more[order])]))

    def line_search(self, biases: FloatArray, j: int) -> LinePoint:
        """Find the best log-bias of class `j`, the others as they are.

        Of the best intervals the widest is taken, of these the one nearest to where class j is,
        and in it the middle. Where none is better than the present log-bias, that is kept.

        Parameters
        ----------
        biases : ndarray of shape (n_classes,)
            Log-biases.
        j : int
            The class.

        Returns
        -------
        LinePoint
            The log-bias of class j, and z there.
        """
        present = LinePoint(float(biases[j]), self.evaluate(biases))
        bounds, z = self.profile(biases, j)
        if not len(z) or z.min() >= present.objective - TOLERANCE:
            return present
        best = np.flatnonzero(z <= z.min() + TOLERANCE)
        width = np.round(bounds[best + 1] - bounds[best], 9)  # equal ones may differ by rounding
        middle = bounds[best] + width / 2
        chosen = np.lexsort((np.abs(middle - present.bias), -width))[0]
        return LinePoint(float(middle[chosen]), float(z[best[chosen]]))
