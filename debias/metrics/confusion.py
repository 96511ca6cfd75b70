"""Confusion counts, and the metrics as functions of them.

All functions take the counts of many resamples at once: they work on the last two axes, of shape
(n_classes, n_classes + 1), where the last column counts predictions outside of the classes.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import unique_labels

from debias.errors import ParameterError
from debias.metrics.sample_weights import check_weights

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
Numbers: TypeAlias = IndexArray | FloatArray
"""Counts, or sums of weights."""
Labels: TypeAlias = npt.ArrayLike | pd.Series
"""Labels or predictions of shape (n_samples,)."""
Classes: TypeAlias = Sequence[object] | npt.NDArray[np.generic] | pd.Index
"""Classes in the order of a result."""


def confusion(
    y_true: Labels, y_pred: Labels, labels: Classes | None = None, sample_weight: npt.ArrayLike | None = None
) -> pd.DataFrame:
    """Count the predictions for the samples of each class.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        Labels and predictions.
    labels : sequence, optional
        Classes in the order of the rows; default: those of `y_true`, sorted.
    sample_weight : array-like of shape (n_samples,), optional
        How much each row counts; 1 by default.

    Returns
    -------
    DataFrame of int of shape (n_classes, n_classes + 1)
        Row: class of the sample; column: prediction. The last column, None, counts predictions
        outside of the classes. With weights, their sums, as float.

    Raises
    ------
    ParameterError
        No samples, different lengths, strings against numbers, a label that is not in `labels`, or
        a weight that is none.

    Examples
    --------
    >>> confusion(["yes", "yes", "no"], ["yes", "no", "maybe"])
           no  yes  None
    class
    no      0    0     1
    yes     1    1     0
    """
    try:
        check_consistent_length(y_true, y_pred)
        unique_labels(y_true, y_pred)
    except (ValueError, TypeError) as error:  # a TypeError for None, bytes, or what has no length
        raise ParameterError(f"y_true and y_pred do not match: {error}", parameter="y_pred") from error
    truth, predicted = np.asarray(y_true), np.asarray(y_pred)
    if len(truth) == 0:
        raise ParameterError(parameter="y_true", allowed="one sample or more", received=truth.tolist())
    classes = pd.Index(np.unique(truth) if labels is None else list(labels))
    if not classes.is_unique:
        raise ParameterError(parameter="labels", allowed="different classes", received=classes.tolist())
    rows = codes_of(classes, truth)
    if (rows == len(classes)).any():
        allowed = f"one of labels, {classes.tolist()}, in every row"
        unknown = truth[np.argmax(rows == len(classes))]
        raise ParameterError(parameter="y_true", allowed=allowed, received=unknown)
    columns = codes_of(classes, predicted)
    width = len(classes) + 1
    weights = None if sample_weight is None else check_weights(sample_weight, len(truth))
    counts = np.bincount(rows * width + columns, weights, minlength=len(classes) * width).reshape(-1, width)
    index = classes.rename("class")
    return pd.DataFrame(counts, index=index, columns=pd.Index([*classes.tolist(), None], dtype=object))


def codes_of(classes: pd.Index, values: Labels) -> IndexArray:
    """Return positions in `classes`; any other prediction gets the position after the last.

    Truth values and the numbers 0 and 1 are the same, as they are in NumPy.

    Examples
    --------
    >>> codes_of(pd.Index(["no", "yes"]), ["yes", "maybe"])
    array([1, 2])
    >>> codes_of(pd.Index([False, True]), [1, 0, 2])
    array([1, 0, 2])
    """
    both = (one.infer_objects() for one in (classes, pd.Index(np.asarray(values))))
    known, given = (one.astype(np.int64) if one.dtype == bool else one for one in both)
    codes = known.get_indexer(given)
    return np.where(codes < 0, len(classes), codes).astype(np.int64)


def accuracies_of(counts: Numbers) -> FloatArray:
    """Return the class accuracies.

    Parameters
    ----------
    counts : ndarray of int of shape (..., n_classes, n_classes + 1)
        Confusion counts.

    Returns
    -------
    ndarray of float64 of shape (..., n_classes)
        In [0, 1]; NaN for a class without samples.

    Examples
    --------
    >>> accuracies_of(np.array([[3, 1, 0], [0, 0, 0]]))
    array([0.75,  nan])
    """
    support = counts.sum(axis=-1).astype(np.float64)
    correct = np.diagonal(counts, axis1=-2, axis2=-1)
    return np.divide(correct, support, out=np.full(support.shape, np.nan), where=support > 0)


def accuracy_of(counts: Numbers) -> FloatArray:
    """Return the share of samples that is classified correctly.

    Parameters
    ----------
    counts : ndarray of int of shape (..., n_classes, n_classes + 1)
        Confusion counts.

    Returns
    -------
    ndarray of float64 of shape (...)
        In [0, 1].

    Examples
    --------
    >>> float(accuracy_of(np.array([[3, 1, 0], [0, 2, 2]])))
    0.625
    """
    return np.asarray(np.trace(counts, axis1=-2, axis2=-1) / counts.sum(axis=(-2, -1)))


def cobias_of_accuracies(accuracies: FloatArray) -> FloatArray:
    """Return COBias from sorted accuracies, ``2 / (N (N-1)) * sum_k k (N - k) (A_(k+1) - A_(k))``.

    The gap of two neighbours is part of the gaps of all ``k (N - k)`` pairs around it. No term is negative,
    so equal accuracies give 0 exactly.

    Parameters
    ----------
    accuracies : ndarray of float64 of shape (..., n_classes)
        Class accuracies, no NaN.

    Returns
    -------
    ndarray of float64 of shape (...)
        In [0, 1]; 0 for fewer than two classes.

    Examples
    --------
    >>> cobias_of_accuracies(np.array([[0.25, 0.75], [1.0, 1.0]]))
    array([0.5, 0. ])
    """
    n_classes = accuracies.shape[-1]
    if n_classes < 2:
        return np.zeros(accuracies.shape[:-1])
    below = np.arange(1.0, n_classes)
    gaps = np.diff(np.sort(accuracies, axis=-1), axis=-1)
    return np.asarray(gaps @ (below * (n_classes - below)) * 2 / (n_classes * (n_classes - 1)))


def macro_f1_of(counts: Numbers) -> FloatArray:
    """Return the mean F1 of the classes, all of which have samples.

    Parameters
    ----------
    counts : ndarray of int of shape (..., n_classes, n_classes + 1)
        Confusion counts.

    Returns
    -------
    ndarray of float64 of shape (...)
        In [0, 1].

    Examples
    --------
    >>> float(macro_f1_of(np.array([[1, 1, 0], [0, 2, 0]])))  # F1 2/3 and 4/5
    0.7333333333333334
    """
    correct = np.diagonal(counts, axis1=-2, axis2=-1)
    both = counts.sum(axis=-1) + counts.sum(axis=-2)[..., :-1]
    return np.asarray((2 * correct / both).mean(axis=-1))


def overall_metrics(counts: Numbers) -> dict[str, FloatArray]:
    """Return accuracy, COBias, worst class accuracy and macro F1.

    Parameters
    ----------
    counts : ndarray of int of shape (..., n_classes, n_classes + 1)
        Confusion counts. A class without samples, which is one without samples everywhere, is
        omitted, but predictions of it stay wrong.

    Returns
    -------
    dict of ndarray of float64 of shape (...)
        By name.

    Examples
    --------
    >>> {name: float(value) for name, value in overall_metrics(np.array([[2, 2, 0], [0, 4, 0]])).items()}
    {'accuracy': 0.75, 'cobias': 0.5, 'worst_class_accuracy': 0.5, 'macro_f1': 0.7333333333333334}
    """
    present = np.flatnonzero(counts.sum(axis=-1).reshape(-1, counts.shape[-2])[0])
    absent = np.setdiff1d(np.arange(counts.shape[-1]), present)
    others = counts[..., present, :][..., absent].sum(axis=-1, keepdims=True)
    kept = np.concatenate([counts[..., present, :][..., present], others], axis=-1)
    accuracies = accuracies_of(kept)
    return {
        "accuracy": accuracy_of(kept),
        "cobias": cobias_of_accuracies(accuracies),
        "worst_class_accuracy": accuracies.min(axis=-1),
        "macro_f1": macro_f1_of(kept),
    }
