"""Rows that count by their weights: each as often as it counts, so that every count is exact."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.metrics.sample_weights import check_weights, whole_counts
from debias.tables.class_columns import ClassColumns, FloatArray


class WeightedRows(NamedTuple):
    """The rows that a fit counts.

    Attributes
    ----------
    match, probabilities
        Labels and class probabilities, each row as often as its weight says.
    counted : ndarray of bool of shape (n_samples,)
        Which of the given rows count at all.
    parts : int
        Parts of a row that are counted, where weights are fractions.
    weighted : bool
        Whether any weight is not 1.
    """

    match: ClassColumns
    probabilities: FloatArray
    counted: npt.NDArray[np.bool_]
    parts: int
    weighted: bool = False


def weighted_rows(
    match: ClassColumns, probabilities: FloatArray, sample_weight: npt.ArrayLike | None
) -> WeightedRows:
    """Return the rows of a fit as often as their weights say.

    Examples
    --------
    >>> from debias.tables.class_columns import match_classes
    >>> import pandas as pd
    >>> P = pd.DataFrame({"a": [0.9, 0.2], "b": [0.1, 0.8]})
    >>> weighted_rows(match_classes(P, ["a", "b"]), P.to_numpy(), [2, 1]).match.y
    array([0, 0, 1])
    """
    n_rows = len(match.y)
    if sample_weight is None:
        return WeightedRows(match, probabilities, np.ones(n_rows, dtype=bool), 1)
    weights = check_weights(sample_weight, n_rows)
    times, parts = whole_counts(weights)
    if (times == 1).all():
        return WeightedRows(match, probabilities, times > 0, 1)
    rows = np.repeat(np.arange(n_rows), times)
    match_of_rows = replace(match, y=match.y[rows])
    return WeightedRows(match_of_rows, probabilities[rows], times > 0, parts, weighted=True)
