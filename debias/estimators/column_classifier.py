"""The base of every estimator here: class probabilities in, one column per class, labels out.

How columns stand for classes, and which input is refused, is the same for debiasers and baselines.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from debias.errors import ParameterError, TableError, shortened
from debias.metrics.sample_weights import check_weights
from debias.tables.checks import check_probabilities, two_orders
from debias.tables.class_columns import (
    ClassColumns,
    FloatArray,
    IndexArray,
    check_names,
    has_names,
    match_classes,
    with_names,
)
from debias.tables.labels.class_headers import refuse_extra_columns
from debias.tables.labels.column_order import check_order
from debias.tables.labels.label_reading import did_you_mean, label_text, plain_labels

Rows: TypeAlias = npt.ArrayLike | pd.DataFrame
"""Class probabilities of shape (n_samples, n_classes)."""
Labels: TypeAlias = npt.ArrayLike | pd.Series
LabelArray: TypeAlias = npt.NDArray[np.generic]
RandomState: TypeAlias = int | np.random.RandomState | None


def seed_of(random_state: RandomState) -> int:
    """Return the seed of all random starts and folds.

    Examples
    --------
    >>> seed_of(0) == seed_of(0)
    True
    >>> seed_of(-1)
    Traceback (most recent call last):
    debias.errors.ParameterError: random_state must be None, an integer from 0 to 2**32 - 1 or a
    numpy.random.RandomState, got -1.
    """
    try:
        return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    except ValueError as error:
        allowed = "None, an integer from 0 to 2**32 - 1 or a numpy.random.RandomState"
        raise ParameterError(parameter="random_state", allowed=allowed, received=random_state) from error


class ColumnClassifier(ClassifierMixin, TransformerMixin, BaseEstimator):
    """A classifier and transformer whose features are class probabilities.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    columns_ : ndarray of shape (n_classes,)
        Column of each of these classes.
    column_names_in_ : list or None
        Names of the columns of a fitted DataFrame, whatever their kind.
    """

    classes: Sequence[object] | None
    classes_: LabelArray
    columns_: IndexArray
    column_names_in_: list[object] | None = None
    _uses_labels = True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.target_tags.required = self._uses_labels
        return tags

    @contextmanager
    def _whole_or_not(self) -> Iterator[None]:
        """Leave the estimator as it was where a fit fails: no classes of new rows beside old corrections."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _match(self, X: Rows, y: Labels | None) -> tuple[ClassColumns, FloatArray]:
        """Validate the input, match its columns to the classes and keep that.

        Without labels, where none are needed, every column is a class.
        """
        if y is None and self._uses_labels:
            raise ParameterError(
                f"{type(self).__name__} requires y to be passed, but the target y is None", parameter="y"
            )
        X = with_names(X)
        if y is None:
            check_names(X)
            probabilities = validate_data(self, X, dtype=np.float64, ensure_all_finite=False)
        else:
            y = plain_labels(y)
            check_names(X)
            probabilities, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite=False)
            y = column_or_1d(y, warn=True)
            check_classification_targets(y)
        names = getattr(self, "feature_names_in_", None)
        header = _header(X)
        if header is not None and self.classes is None and len(probabilities):
            found = None if y is None else np.asarray(y).tolist()
            fix = "drop the columns that are not classes, from the rows to predict as well"
            refuse_extra_columns(None, list(map(str, header)), probabilities, found, fix)
        check_probabilities(probabilities, names, sum_to_one=True)
        frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(probabilities)
        given = None if self.classes is None else np.asarray(self.classes)
        classes = names if given is None and not isinstance(X, pd.DataFrame) else given
        labels = np.asarray(frame.columns if classes is None else classes) if y is None else y
        match = match_classes(frame, labels, classes)
        if y is not None:
            stated = given is not None or header is not None
            by_header = header is not None and _texts(header) == _texts(match.by_column.tolist())
            check_order(probabilities, match, stated, by_header, stacklevel=3)
        self.column_names_in_ = header
        self.classes_, self.columns_ = match.classes, match.columns
        return match, probabilities

    def _validated(self, X: Rows) -> FloatArray:
        """Return the probabilities of new rows, columns as when fitted."""
        check_is_fitted(self)
        X = with_names(X)
        check_names(X)
        columns = _header(X)
        if columns is None and isinstance(X, pd.DataFrame) and self.column_names_in_ is not None:
            fitted, numbered = _texts(self.column_names_in_), _texts(list(X.columns))
            if fitted != numbered and set(fitted) == set(numbered):
                raise two_orders(list(X.columns), self.column_names_in_)
        probabilities = validate_data(self, X, dtype=np.float64, ensure_all_finite=False, reset=False)
        names = getattr(self, "feature_names_in_", None)
        if columns is not None:
            # scikit-learn compares text only; numbers of a frame may name classes that are text
            expected = self.column_names_in_ or self._by_column().tolist()
            if _texts(columns) != _texts(expected):
                allowed = f"{shortened(expected)}, as in the fit"
                raise TableError(parameter="the columns", allowed=allowed, received=columns)
        return check_probabilities(probabilities, names, sum_to_one=True)

    def score(self, X: Rows, y: Labels, sample_weight: npt.ArrayLike | None = None) -> float:
        """Return the share of rows that are predicted as labelled.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_classes)
            Class probabilities.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), optional
            How much each row counts.

        Returns
        -------
        float

        Raises
        ------
        TableError
            A label is missing or no class, or a row is not a distribution: the error has its row.
        ParameterError
            A weight is none.
        """
        check_is_fitted(self)
        labels = column_or_1d(plain_labels(y), warn=True)
        self._refuse_unknown(labels)
        if sample_weight is not None:
            sample_weight = check_weights(sample_weight, len(labels))
        return float(super().score(X, labels, sample_weight))

    def _refuse_unknown(self, labels: LabelArray) -> None:
        """Refuse labels that are no classes: they were numbered anew, or are of another kind."""
        known = self.classes_.tolist()
        same_kind = {"U": "text", "O": "text", "b": "truth"}
        kinds = [same_kind.get(one.dtype.kind, "number") for one in (labels, self.classes_)]
        found = set(known) if kinds[0] == kinds[1] else set()
        unknown = next(((row, one) for row, one in enumerate(labels.tolist()) if one not in found), None)
        if unknown is not None:
            row, label = unknown
            raise TableError(
                f"the label {shortened(label)} is not one of the classes {shortened(known)}",
                parameter="y",
                received=label,
                row=row,
                fix=(did_you_mean(label, known) if kinds[0] == kinds[1] else None)
                or "pass labels in the same form as in fit",
            )

    def _by_column(self) -> LabelArray:
        """Return the class labels in the order of the columns."""
        check_is_fitted(self)
        return np.asarray(self.classes_[np.argsort(self.columns_)])

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:
        """Return the class names, in the order of the columns."""
        return np.array([str(name) for name in self._by_column()], dtype=object)


def _header(X: Rows) -> list[object] | None:
    """Return the names of the columns, None where they have none of their own."""
    return list(X.columns) if isinstance(X, pd.DataFrame) and has_names(X) else None


def _texts(names: Sequence[object]) -> list[str]:
    """Return what names are compared by."""
    return [label_text(name) for name in names]
