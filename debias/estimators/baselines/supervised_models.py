"""Plain learning on the log-probabilities with the same labels: logistic regression and boosted trees."""

from dataclasses import dataclass

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from debias.errors import TableError
from debias.estimators.baselines.baseline import Baseline, check_class_weight, logarithms
from debias.estimators.column_classifier import RandomState
from debias.tables.class_columns import ClassColumns, FloatArray


class SupervisedBaseline(Baseline):
    """Base of the baselines that train a classifier of scikit-learn on the log-probabilities.

    Attributes
    ----------
    model_ : classifier
        Fitted over column indices; a class without labels is never predicted.
    """

    class_weight: str | None
    smallest: float

    _uses_labels = True

    def _model(self) -> ClassifierMixin:
        """Return the classifier, not fitted."""
        raise TypeError(f"{type(self).__name__} must define _model().")

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        check_class_weight(self.class_weight)
        x = logarithms(probabilities, self.smallest)
        if len(np.unique(match.y)) < 2:
            raise TableError(f"the labels contain only one class; {type(self).__name__} needs two or more")
        self.model_ = self._model().fit(x, match.y)

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        corrected = np.zeros_like(probabilities)
        x = logarithms(probabilities, self.smallest)
        corrected[:, self.model_.classes_] = self.model_.predict_proba(x)
        return corrected


@dataclass(kw_only=True, eq=False, repr=False)
class LogisticRegressionBaseline(SupervisedBaseline):
    """Logistic regression on the log-probabilities: the supervised reference.

    It learns from the same labels as a debiaser. Where it is better in both accuracy and
    COBias, use it.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the regularisation, as in scikit-learn.
    class_weight : {None, "balanced"}, default="balanced"
        Whether all classes weigh the same, however many rows they have.
    smallest : float, default=1e-6
        Lower bound of the probabilities, since 0 has no logarithm.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Attributes
    ----------
    model_ : LogisticRegression
        The fitted model over column indices; a class without labels is never predicted.

    Examples
    --------
    >>> X = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]
    >>> baseline = LogisticRegressionBaseline(C=100.0).fit(X, [0, 0, 1, 1])
    >>> baseline.predict(X), baseline.n_labels_
    (array([0, 0, 1, 1]), 4)
    """

    C: float = 1.0
    class_weight: str | None = "balanced"
    smallest: float = 1e-6

    def _model(self) -> ClassifierMixin:
        return LogisticRegression(C=self.C, class_weight=self.class_weight, max_iter=2000)


@dataclass(kw_only=True, eq=False, repr=False)
class BoostedTrees(SupervisedBaseline):
    """Boosted trees on the log-probabilities: what a curved boundary between classes can reach.

    scikit-learn's histogram-based boosting, with its defaults (the algorithm of LightGBM, Ke et al. 2017).

    Parameters
    ----------
    class_weight : {None, "balanced"}, default="balanced"
        Whether all classes weigh the same, however many rows they have.
    n_rounds : int, default=100
        Rounds of boosting.
    smallest : float, default=1e-6
        Lower bound of the probabilities, since 0 has no logarithm.
    random_state : int, RandomState or None, default=0
        Seed of the rows set aside to stop early, where there are more than 10,000.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Attributes
    ----------
    model_ : HistGradientBoostingClassifier
        The fitted model over column indices; a class without labels is never predicted.

    Examples
    --------
    >>> X = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6]]).repeat(40, axis=0)  # the middle is class 1
    >>> y = np.array([0, 1, 0]).repeat(40)
    >>> BoostedTrees(n_rounds=10).fit(X, y).predict([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6]])
    array([0, 1, 0])
    """

    class_weight: str | None = "balanced"
    n_rounds: int = 100
    smallest: float = 1e-6
    random_state: RandomState = 0

    def _model(self) -> ClassifierMixin:
        return HistGradientBoostingClassifier(
            class_weight=self.class_weight, max_iter=self.n_rounds, random_state=self.random_state
        )
