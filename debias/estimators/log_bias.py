"""The estimator that chooses a continuous factor per class: a log-bias, not tied to a scale of weights.

Adding a log-bias to the logarithm of a probability multiplies the probability by a factor. Only
ratios of factors matter, so the largest is 1 and every corrected value stays in [0, 1].
"""

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils import check_random_state

from debias.corrections.correction import Correction, Triangle
from debias.corrections.families import Family
from debias.corrections.shapes import Scaled, scale
from debias.errors import ParameterError
from debias.estimators.debiaser import Debiaser
from debias.estimators.few_labels.generalization import Expectation
from debias.estimators.few_labels.shrinkage import cross_validate
from debias.estimators.summary import describe_infeasible
from debias.metrics.class_support import warn_of_few_rows
from debias.search.constraints import Constrained, Goal
from debias.search.log_bias.log_bias_descent import descend_log_bias
from debias.search.objective import Objective
from debias.search.problem import build_problem
from debias.search.result import SearchResult
from debias.tables.class_columns import FloatArray, IndexArray

_IDENTITY = Triangle(0.0, 1.0, 1.0, id=17)
_FOLD_STARTS = 4


class LogBiasDebiaser(Debiaser):
    """A continuous factor per class, searched for by exact line searches over its logarithm.

    Where :class:`~debias.estimators.debiasers.WeightDebiaser` takes one of 30 steps, this takes any factor
    in (0, 1]: enough for classes that the model names a hundred times too often.

    Parameters
    ----------
    objective : Objective or Constrained, optional
        What is minimised, within bounds or without; ``Objective()`` if not given.
    n_starts : int, default=32
        Starts of the descent.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.
    random_state : int, RandomState or None, default=0
        Seed of the random starts.

    Attributes
    ----------
    corrections_ : list of Correction
        The identity, or :class:`~debias.corrections.shapes.Scaled`, with the factor, for every class.
    choice_ : ndarray of shape (n_classes,)
        17 where the probability is left as it is, else a number from 1000 on: a continuous factor
        has no published id.
    n_evaluations_ : int
        Values of the objective computed.

    The other attributes are those of :class:`~debias.estimators.debiasers.EnsembleDebiaser`.

    Examples
    --------
    >>> X = np.array([[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]])
    >>> debiaser = LogBiasDebiaser(objective=Objective(pmi=0.0)).fit(X, [1, 0, 0])
    >>> debiaser.explain()["correction"].tolist()
    ['factor 0.513', 'identity']
    >>> debiaser.predict(X)
    array([1, 0, 0])
    """

    search = "log-bias descent"

    def __init__(
        self,
        *,
        objective: Goal | None = None,
        n_starts: int = 32,
        classes: Sequence[Any] | None = None,
        random_state: Any = 0,
    ):
        self.objective = objective
        self.n_starts = n_starts
        self.classes = classes
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Choose one factor per class.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_classes)
            Class probabilities; rows sum to one. Columns of a DataFrame are named after
            the classes; columns of an array are classes 0 .. n_classes - 1, or `classes`.
        y : array-like of shape (n_samples,)
            Labels.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        TableError
            A row is not a distribution, a label has no column, or only one class has rows.
        ParameterError
            A parameter has a value that is not allowed.
        """
        if not isinstance(self.n_starts, (int, np.integer)) or self.n_starts < 1:
            raise ParameterError(f"n_starts must be an integer of at least 1; got {self.n_starts!r}.")
        objective = Objective() if self.objective is None else self.objective
        if not isinstance(objective, (Objective, Constrained)):
            raise ParameterError(
                f"objective must be an Objective(...) or Constrained(...); got {self.objective!r}."
            )
        match, probabilities = self._match(X, y)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        found = descend_log_bias(probabilities, probabilities, match.y, objective, self.n_starts, seed)
        if found.interrupted:
            warnings.warn(
                "the search was interrupted: these are the best factors met so far.",
                UserWarning,
                stacklevel=2,
            )
        # What was found is a family of its own: the identity and one correction per changed class.
        factors = np.exp(found.biases).tolist()
        family = Family([_IDENTITY, *(Scaled(_IDENTITY, factor) for factor in factors if factor < 1)])
        changed = np.array([factor < 1 for factor in factors])
        choice = np.where(changed, np.cumsum(changed), 0)
        problem = build_problem(probabilities, match.y, family, objective)
        warn_of_few_rows(match.by_column, problem.support)
        result = SearchResult(
            problem.candidate(choice), found.n_evaluations, found.seconds, found.interrupted
        )
        self._keep(match, probabilities, problem, result, family)
        if not self.feasible_:
            warnings.warn(describe_infeasible(self), UserWarning, stacklevel=2)
        return self

    def _expect(self, probabilities: FloatArray, y: IndexArray, seed: int) -> Expectation:
        def choose(rows: IndexArray, fold_seed: int) -> list[Correction]:
            values = probabilities[rows]
            found = descend_log_bias(values, values, y[rows], self.objective_, _FOLD_STARTS, fold_seed)
            return scale([_IDENTITY] * probabilities.shape[1], np.exp(found.biases))

        return cross_validate(self, choose, self.objective_, probabilities, y, seed)
