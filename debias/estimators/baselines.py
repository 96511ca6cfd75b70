"""Baselines that a correction has to be compared with: label-free calibrations, supervised references.

All are scikit-learn classifiers over class probabilities, as the debiasers are, and say in
``n_labels_`` how many labels they used.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from debias.errors import ParameterError, TableError
from debias.estimators.column_classifier import ColumnClassifier, LabelArray, Labels, Rows
from debias.tables.checks import check_probabilities
from debias.tables.class_columns import ClassColumns, FloatArray
from debias.tables.table import ProbabilityTable

CONTENT_FREE_INPUTS = ("N/A", "", "[MASK]")
"""Texts without content, for contextual calibration (Zhao et al. 2021)."""


def domain_context_inputs(texts: Sequence[str], n_inputs: int = 20, seed: int = 0) -> list[str]:
    """Draw texts of random in-domain words, for domain-context calibration (Fei et al. 2023).

    Parameters
    ----------
    texts : sequence of str
        Unlabelled texts of the task.
    n_inputs : int, default=20
        Texts to draw.
    seed : int, default=0
        Seed of the drawing.

    Returns
    -------
    list of str
        Each with as many words as an average text, drawn from all words with repetition.

    Raises
    ------
    ParameterError
        The texts hold no word, or `n_inputs` is less than 1.

    Examples
    --------
    >>> domain_context_inputs(["who wrote it", "where is it"], n_inputs=2)
    ['it where where', 'wrote wrote who']
    """
    words = [word for text in texts for word in text.split()]
    if not words:
        raise ParameterError(parameter="texts", allowed="texts with words", received=list(texts))
    if n_inputs < 1:
        raise ParameterError(parameter="n_inputs", allowed="a positive integer", received=n_inputs)
    length = max(1, round(len(words) / len(texts)))
    drawn = np.random.default_rng(seed).integers(len(words), size=(n_inputs, length))
    return [" ".join(words[position] for position in row) for row in drawn]


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


class Uncorrected(Baseline):
    """The class probabilities as the model gave them.

    Parameters
    ----------
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Examples
    --------
    >>> Uncorrected(classes=["no", "yes"]).fit([[0.7, 0.3]]).predict([[0.5, 0.5], [0.1, 0.9]])
    array(['no', 'yes'], dtype='<U3')
    """


class BatchCalibration(Baseline):
    """Divide by the mean class probabilities of a batch (Zhou et al. 2023); needs no labels.

    The batch is what `fit` gets. It assumes that the classes are about equally frequent.

    Parameters
    ----------
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Attributes
    ----------
    prior_ : ndarray of shape (n_classes,)
        Mean probability of each column: the divisor.

    Examples
    --------
    >>> X = [[0.9, 0.1], [0.6, 0.4]]
    >>> calibration = BatchCalibration().fit(X)
    >>> calibration.prior_, calibration.predict(X), calibration.n_labels_
    (array([0.75, 0.25]), array([0, 1]), 0)
    """

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        self.prior_ = _prior(probabilities, match)

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        return np.asarray(probabilities / self.prior_)


class ContextualCalibration(BatchCalibration):
    """Divide by the mean class probabilities of content-free inputs (Zhao et al. 2021).

    With texts of random in-domain words in place of :data:`CONTENT_FREE_INPUTS` it is
    domain-context calibration (Fei et al. 2023), see :func:`domain_context_inputs`.

    Parameters
    ----------
    content_free_probabilities : ProbabilityTable, DataFrame or array of shape (n_inputs, n_classes)
        Answers of the model to inputs without content, after the same prompt.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Attributes
    ----------
    prior_ : ndarray of shape (n_classes,)
        Mean probability of each column: the divisor.

    Examples
    --------
    >>> calibration = ContextualCalibration([[0.8, 0.2], [0.7, 0.3]]).fit([[0.9, 0.1], [0.6, 0.4]])
    >>> calibration.prior_, calibration.predict([[0.7, 0.3], [0.8, 0.2]])
    (array([0.75, 0.25]), array([1, 0]))
    """

    def __init__(
        self,
        content_free_probabilities: ProbabilityTable | Rows | None = None,
        *,
        classes: Sequence[object] | None = None,
    ):
        self.content_free_probabilities = content_free_probabilities
        self.classes = classes

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        given, parameter = self.content_free_probabilities, "content_free_probabilities"
        names = match.by_column.tolist()
        if isinstance(given, ProbabilityTable):
            given = given.probabilities
        if isinstance(given, pd.DataFrame) and not isinstance(given.columns, pd.RangeIndex):
            if set(given.columns) != set(names):
                raise TableError(
                    f"{parameter} has the classes {list(given.columns)}, X has {names}", parameter=parameter
                )
            given = given[names]
        values = np.empty((0, 0)) if given is None else np.asarray(given, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(names) or not len(values):
            kind = ParameterError if given is None else TableError
            raise kind(
                parameter=parameter,
                allowed=f"answers to inputs such as {CONTENT_FREE_INPUTS}, of shape (n_inputs, {len(names)})",
                received=None if given is None else values.shape,
            )
        self.prior_ = _prior(check_probabilities(values, names, sum_to_one=True), match)


@dataclass(kw_only=True, eq=False, repr=False)
class LogisticRegressionBaseline(Baseline):
    """Class-weighted logistic regression on the log-probabilities: the supervised reference.

    It learns from the same labels as a debiaser. Where it is better in both accuracy and
    COBias, use it.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the regularisation, as in scikit-learn.
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
    smallest: float = 1e-6

    _uses_labels = True

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        if not 0 < self.smallest < 1:
            raise ParameterError(
                parameter="smallest", allowed="a number between 0 and 1", received=self.smallest
            )
        if len(np.unique(match.y)) < 2:
            raise TableError("the labels hold one class only; logistic regression needs two or more")
        model = LogisticRegression(C=self.C, class_weight="balanced", max_iter=2000)
        self.model_ = model.fit(self._logarithms(probabilities), match.y)

    def _logarithms(self, probabilities: FloatArray) -> FloatArray:
        """Return log-probabilities, bounded below."""
        return np.asarray(np.log(np.maximum(probabilities, self.smallest)))

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        corrected = np.zeros_like(probabilities)
        corrected[:, self.model_.classes_] = self.model_.predict_proba(self._logarithms(probabilities))
        return corrected


class MajorityClass(Baseline):
    """The most frequent label, whatever the model says.

    Parameters
    ----------
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Attributes
    ----------
    shares_ : ndarray of shape (n_classes,)
        Share of the labels of each column: its probability in every row.

    Examples
    --------
    >>> X = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]
    >>> MajorityClass().fit(X, [0, 1, 1]).predict(X)
    array([1, 1, 1])
    """

    _uses_labels = True

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        self.shares_ = np.bincount(match.y, minlength=probabilities.shape[1]) / len(match.y)

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        return np.tile(self.shares_, (len(probabilities), 1))


def _prior(probabilities: FloatArray, match: ClassColumns) -> FloatArray:
    """Return the mean of each column; 1, with a warning, for a class that never got any probability."""
    prior = probabilities.mean(axis=0)
    empty = prior == 0
    if empty.any():
        names = ", ".join(str(name) for name in match.by_column[empty])
        warnings.warn(
            f"no row gives any probability to {names}, which stays as it is, since 0 cannot divide.",
            UserWarning,
            stacklevel=4,
        )
    return np.where(empty, 1.0, prior)
