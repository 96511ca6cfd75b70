"""The base of all baselines: class probabilities in, labels out, as scikit-learn and the debiasers do it.

What a baseline learns is its own; how columns stand for classes is the same everywhere.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from debias.estimators.column_classifier import ColumnClassifier
from debias.tables.class_columns import ClassColumns, FloatArray


class Baseline(ColumnClassifier):
    """Base of the baselines: input, classes and predictions; what is learned is their own.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    n_labels_ : int
        Labels used.
    """

    _uses_labels = False

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from class probabilities, and from labels where the baseline uses any.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_classes)
            Class probabilities; rows sum to one. Columns of a DataFrame are named after
            the classes; columns of an array are classes 0 .. n_classes - 1, or `classes`.
        y : array-like of shape (n_samples,), optional
            Labels. Without use of labels they only tell what kind the classes are of.

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
        match, probabilities = self._match(X, y)
        self.n_labels_ = len(match.y) if self._uses_labels else 0
        self._learn(probabilities, match)
        return self

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        """Set the attributes of the baseline; there are none by default."""

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        """Return the corrected values, columns as they came."""
        return probabilities

    def transform(self, X: Any) -> FloatArray:
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

    def predict_proba(self, X: Any) -> FloatArray:
        """Return the corrected class probabilities in the order of ``classes_``.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_classes)
            Class probabilities.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Rows sum to one.
        """
        return np.asarray(self.transform(X))[:, self.columns_]

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the most probable class; among equals, the first column.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_classes)
            Class probabilities.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predicted labels.
        """
        by_column = self._by_column()
        return np.asarray(by_column[np.asarray(self.transform(X)).argmax(axis=1)])
