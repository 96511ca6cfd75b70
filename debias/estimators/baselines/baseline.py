"""The base of the baselines: input, classes and predictions; each learns its own correction.

All are scikit-learn classifiers over class probabilities, as the debiasers are, and say in
``n_labels_`` how many labels they used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from debias.corrections.bases.base import log_probabilities
from debias.errors import ParameterError
from debias.estimators.column_classifier import ColumnClassifier, LabelArray, Labels, Rows
from debias.tables.class_columns import ClassColumns, FloatArray


@dataclass(kw_only=True, eq=False, repr=False)
class Baseline(ColumnClassifier):
    """Base of the baselines: input, classes and predictions; each learns its own correction.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    n_labels_ : int
        Labels used.
    """

    classes: Sequence[object] | None = None

    _uses_labels = False

    def fit(self, X: Rows, y: Labels | None = None) -> Self:
        """Learn from class probabilities, and from labels where the baseline uses any.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_classes)
            Class probabilities; rows sum to one. Columns of a DataFrame are named after
            the classes; columns of an array are classes 0 .. n_classes - 1, or `classes`.
        y : array-like of shape (n_samples,), optional
            Labels. A baseline that uses none infers only the type of the classes from them.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        TableError
            A row is not a distribution, or a label has no column.
        ParameterError
            A parameter has a value that is not allowed, or labels are needed.
        """
        with self._whole_or_not():
            match, probabilities = self._match(X, y)
            self.n_labels_ = len(match.y) if self._uses_labels else 0
            self._learn(probabilities, match)
        return self

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        """Set the attributes of the baseline; there are none by default."""

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        """Return the corrected values, columns as they came."""
        return probabilities

    def transform(self, X: Rows) -> FloatArray:
        """Return the corrected class probabilities.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_classes)
            Class probabilities.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Rows sum to one; columns as in `X`. A DataFrame after
            ``set_output(transform="pandas")``.
        """
        corrected = self._corrected(self._validated(X))
        return np.asarray(corrected / corrected.sum(axis=1, keepdims=True))

    def predict_proba(self, X: Rows) -> FloatArray:
        """Return the corrected class probabilities, shape (n_samples, n_classes), as ``classes_``."""
        return np.asarray(self.transform(X))[:, self.columns_]

    def predict(self, X: Rows) -> LabelArray:
        """Return the most probable class, shape (n_samples,); among equals, the first column."""
        return np.asarray(self._by_column()[np.asarray(self.transform(X)).argmax(axis=1)])


def logarithms(probabilities: FloatArray, smallest: float) -> FloatArray:
    """Return log-probabilities, bounded below, since 0 has no logarithm.

    Raises
    ------
    ParameterError
        `smallest` is not between 0 and 1.

    Examples
    --------
    >>> logarithms(np.array([[1.0, 0.0]]), 0.5).round(2)
    array([[ 0.  , -0.69]])
    """
    if not 0 < smallest < 1:
        raise ParameterError(parameter="smallest", allowed="a number between 0 and 1", received=smallest)
    return log_probabilities(probabilities, smallest)


def check_class_weight(class_weight: object) -> None:
    """Refuse a class weight that is neither None nor "balanced".

    Examples
    --------
    >>> check_class_weight("even")
    Traceback (most recent call last):
    debias.errors.ParameterError: class_weight must be None or 'balanced', got 'even'.
    """
    if class_weight is not None and class_weight != "balanced":
        raise ParameterError(parameter="class_weight", allowed="None or 'balanced'", received=class_weight)
