"""The base of all baselines: class probabilities in, labels out, as scikit-learn and the debiasers do it.

What a baseline learns is its own; how columns stand for classes is the same everywhere.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from debias.class_probabilities import (
    ClassColumns,
    FloatArray,
    match_classes,
    validate_probabilities,
)
from debias.errors import ParameterError


class Baseline(ClassifierMixin, TransformerMixin, BaseEstimator):
    """Base of the baselines: input, classes and predictions; what is learned is their own.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    n_labels_ : int
        Labels used.
    """

    classes: Sequence[Any] | None
    _uses_labels = False

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.target_tags.required = self._uses_labels
        return tags

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
        if y is None and self._uses_labels:
            raise ParameterError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: it uses labels."
            )
        match, probabilities = self._match(X, y)
        self.classes_ = match.classes
        self.columns_ = match.columns
        self.n_labels_ = len(match.y) if self._uses_labels else 0
        self._learn(probabilities, match)
        return self

    def _match(self, X: Any, y: Any) -> tuple[ClassColumns, FloatArray]:
        """Validate the input and match its columns to the classes."""
        if y is None:
            probabilities = validate_data(self, X, dtype=np.float64, ensure_all_finite=False)
        else:
            probabilities, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite=False)
            y = column_or_1d(y, warn=True)
            check_classification_targets(y)
        names = getattr(self, "feature_names_in_", None)
        validate_probabilities(probabilities, names)
        classes = names if self.classes is None else self.classes
        if y is None:
            y = np.arange(probabilities.shape[1]) if classes is None else np.asarray(classes)
        return match_classes(probabilities, y, classes), probabilities

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
        check_is_fitted(self)
        probabilities = validate_data(self, X, dtype=np.float64, ensure_all_finite=False, reset=False)
        validate_probabilities(probabilities, getattr(self, "feature_names_in_", None))
        corrected = self._corrected(probabilities)
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

    def _by_column(self) -> npt.NDArray[Any]:
        """Return the class labels in column order."""
        check_is_fitted(self)
        return np.asarray(self.classes_[np.argsort(self.columns_)])

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return the class names, in the order of the columns."""
        return np.array([str(name) for name in self._by_column()], dtype=object)
