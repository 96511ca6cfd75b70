"""Calibrations without labels, which divide by what the model expects: of a batch, or without content."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from debias.errors import ParameterError, TableError
from debias.estimators.baselines.baseline import Baseline
from debias.estimators.column_classifier import Rows
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
        raise ParameterError(parameter="texts", allowed="non-empty texts", received=list(texts))
    if n_inputs < 1:
        raise ParameterError(parameter="n_inputs", allowed="a positive integer", received=n_inputs)
    length = max(1, round(len(words) / len(texts)))
    drawn = np.random.default_rng(seed).integers(len(words), size=(n_inputs, length))
    return [" ".join(words[position] for position in row) for row in drawn]


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


def _prior(probabilities: FloatArray, match: ClassColumns) -> FloatArray:
    """Return the mean of each column; 1, with a warning, for a class that never got any probability."""
    prior = probabilities.mean(axis=0)
    empty = prior == 0
    if empty.any():
        names = ", ".join(str(name) for name in match.by_column[empty])
        warnings.warn(
            f"no row gives any probability to {names}, which is left unchanged, since it would be divided "
            "by 0.",
            UserWarning,
            stacklevel=4,
        )
    return np.where(empty, 1.0, prior)
