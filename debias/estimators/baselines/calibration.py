"""What a correction has to be compared with: label-free calibrations and supervised references.

All are scikit-learn classifiers over class probabilities, as the debiasers are, and say in
``n_labels_`` how many labels they used.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from debias.errors import ParameterError, TableError
from debias.estimators.baselines.baseline import Baseline
from debias.tables.checks import check_probabilities
from debias.tables.class_columns import ClassColumns, FloatArray
from debias.tables.table import ProbabilityTable

CONTENT_FREE_INPUTS = ("N/A", "", "[MASK]")
"""Texts without content, to ask the model about for contextual calibration (Zhao et al. 2021)."""


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
    if not words or n_inputs < 1:
        raise ParameterError(
            f"domain_context_inputs needs texts with words, and n_inputs of at least 1; got {len(words)} "
            f"words and n_inputs={n_inputs!r}."
        )
    length = max(1, round(len(words) / len(texts)))
    drawn = np.random.default_rng(seed).integers(len(words), size=(n_inputs, length))
    return [" ".join(words[position] for position in row) for row in drawn]


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

    def __init__(self, *, classes: Sequence[Any] | None = None):
        self.classes = classes


class BatchCalibration(Baseline):
    """Divide by the mean class probabilities of a batch (Zhou et al. 2023); needs no labels.

    The batch is what `fit` gets: an even answer over it is taken for granted, which holds
    where the classes are about equally frequent.

    Parameters
    ----------
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Attributes
    ----------
    prior_ : ndarray of shape (n_classes,)
        Mean probability of each column: what is divided by.

    Examples
    --------
    >>> X = [[0.9, 0.1], [0.6, 0.4]]
    >>> calibration = BatchCalibration().fit(X)
    >>> calibration.prior_, calibration.predict(X), calibration.n_labels_
    (array([0.75, 0.25]), array([0, 1]), 0)
    """

    def __init__(self, *, classes: Sequence[Any] | None = None):
        self.classes = classes

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        self.prior_ = _prior(probabilities, match)

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        return np.asarray(probabilities / self.prior_)


class ContextualCalibration(Baseline):
    """Divide by the mean class probabilities of content-free inputs (Zhao et al. 2021).

    With texts of random in-domain words in place of :data:`CONTENT_FREE_INPUTS` it is
    domain-context calibration (Fei et al. 2023), see :func:`domain_context_inputs`.

    Parameters
    ----------
    content_free_probabilities : ProbabilityTable, DataFrame or array of shape (n_inputs, n_classes)
        What the model answers to inputs without content, after the same prompt.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.

    Attributes
    ----------
    prior_ : ndarray of shape (n_classes,)
        Mean probability of each column: what is divided by.

    Examples
    --------
    >>> calibration = ContextualCalibration([[0.8, 0.2], [0.7, 0.3]]).fit([[0.9, 0.1], [0.6, 0.4]])
    >>> calibration.prior_, calibration.predict([[0.7, 0.3], [0.8, 0.2]])
    (array([0.75, 0.25]), array([1, 0]))
    """

    def __init__(self, content_free_probabilities: Any = None, *, classes: Sequence[Any] | None = None):
        self.content_free_probabilities = content_free_probabilities
        self.classes = classes

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        given = self.content_free_probabilities
        if given is None:
            raise ParameterError(
                "ContextualCalibration needs content_free_probabilities: what the model answers to inputs "
                f"such as {CONTENT_FREE_INPUTS}, one row per input and one column per class."
            )
        if isinstance(given, ProbabilityTable):
            given = given.probabilities
        names = match.by_column.tolist()
        if isinstance(given, pd.DataFrame) and not isinstance(given.columns, pd.RangeIndex):
            if set(given.columns) != set(names):
                raise TableError(
                    f"content_free_probabilities has the classes {list(given.columns)}, X has {names}."
                )
            given = given[names]
        values = np.asarray(given, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(names) or not len(values):
            raise TableError(
                f"content_free_probabilities must be (n_inputs, {len(names)}); got {values.shape}."
            )
        self.prior_ = _prior(check_probabilities(values, names, sum_to_one=True), match)

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        return np.asarray(probabilities / self.prior_)


class LogisticRegressionBaseline(Baseline):
    """Class-weighted logistic regression on the log-probabilities: the supervised reference.

    It learns from the same labels as a debiaser. Where it is better in both accuracy and
    COBias, use it.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the regularisation, as in scikit-learn.
    smallest : float, default=1e-6
        Probabilities below it count as it, since a logarithm of 0 is none.
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

    _uses_labels = True

    def __init__(self, *, C: float = 1.0, smallest: float = 1e-6, classes: Sequence[Any] | None = None):
        self.C = C
        self.smallest = smallest
        self.classes = classes

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        if not 0 < self.smallest < 1:
            raise ParameterError(f"smallest must lie between 0 and 1; got {self.smallest!r}.")
        if len(np.unique(match.y)) < 2:
            raise TableError("the labels hold one class only; logistic regression needs two or more.")
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
        Share of the labels of each column, which are its probabilities.

    Examples
    --------
    >>> X = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]
    >>> MajorityClass().fit(X, [0, 1, 1]).predict(X)
    array([1, 1, 1])
    """

    _uses_labels = True

    def __init__(self, *, classes: Sequence[Any] | None = None):
        self.classes = classes

    def _learn(self, probabilities: FloatArray, match: ClassColumns) -> None:
        self.shares_ = np.bincount(match.y, minlength=probabilities.shape[1]) / len(match.y)

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        return np.tile(self.shares_, (len(probabilities), 1))


def _prior(probabilities: FloatArray, match: ClassColumns) -> FloatArray:
    """Return the mean of each column; 1, with a warning, for a class that got nothing at all."""
    prior = probabilities.mean(axis=0)
    empty = prior == 0
    if empty.any():
        names = ", ".join(str(name) for name in match.by_column[empty])
        warnings.warn(
            f"no row gives any probability to {names}: left as it is, since nothing can be divided by 0.",
            UserWarning,
            stacklevel=4,
        )
    return np.where(empty, 1.0, prior)
