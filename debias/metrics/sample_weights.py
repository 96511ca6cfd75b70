"""Sample weights: how much a row counts, checked, and as whole numbers where counts must stay exact."""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError, param

MOST_ROWS = 1_000_000
"""The rows that weighted rows may stand for, where there are not more rows than that anyway."""

_LARGEST_DENOMINATOR = 10_000
_SUM = (
    f"whole weights that sum to at most {MOST_ROWS:,}, or fractions that a small factor turns into such "
    "weights"
)


class RowCounts(NamedTuple):
    """Weights as whole numbers.

    Attributes
    ----------
    times : ndarray of int64 of shape (n_samples,)
        How often each row counts, in parts of a row.
    parts : int
        How many parts a row of weight 1 has; 1 where all weights are whole numbers.
    """

    times: npt.NDArray[np.int64]
    parts: int


def check_weights(sample_weight: npt.ArrayLike, n_samples: int) -> npt.NDArray[np.float64]:
    """Return weights as an array, or say which is not one.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,)
        Finite and at least 0; a row of weight 0 does not count.
    n_samples : int
        Number of rows.

    Returns
    -------
    ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ParameterError
        The shape is another, a weight is negative or not finite, or all are 0.

    Examples
    --------
    >>> check_weights([2, 1], 2)
    array([2., 1.])
    >>> check_weights([2, -1], 2)
    Traceback (most recent call last):
        ...
    debias.errors.ParameterError: row 1: sample_weight must be a finite number of at least 0, got -1.0.
    """
    name = "sample_weight"
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            parameter=name, allowed="numbers, one per row", received=sample_weight
        ) from error
    if weights.shape != (n_samples,):
        raise ParameterError(
            f"{name}.shape == {weights.shape}, expected {(n_samples,)}: one number per row is needed",
            parameter=name,
            received=weights.shape,
            allowed=f"of shape {(n_samples,)}",
        )
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        allowed = "a finite number of at least 0"
        raise ParameterError(parameter=name, allowed=allowed, received=float(weights[row]), row=row)
    if not weights.any():
        raise ParameterError(
            f"all weights in {param(name)} are 0; one or more must be above 0",
            parameter=name,
            allowed="above 0 for one row or more",
            received=0.0,
        )
    return weights


def whole_counts(weights: npt.NDArray[np.float64]) -> RowCounts:
    """Return weights as whole numbers of equal parts, never rounded.

    Parameters
    ----------
    weights : ndarray of shape (n_samples,)
        As :func:`check_weights` returns them.

    Returns
    -------
    RowCounts
        ``times / parts`` are the weights.

    Raises
    ------
    ParameterError
        They have no small common part, or stand for too many rows.

    Examples
    --------
    >>> whole_counts(np.array([2.0, 0.0, 1.0])).times, whole_counts(np.array([0.5, 1.5]))
    (array([2, 0, 1]), RowCounts(times=array([1, 3]), parts=2))
    """
    values, positions = np.unique(weights, return_inverse=True)
    fractions = [Fraction(float(value)).limit_denominator(_LARGEST_DENOMINATOR) for value in values]
    exact = all(float(one) == value for one, value in zip(fractions, values, strict=True))
    parts = math.lcm(*(one.denominator for one in fractions)) if exact else 0
    most = max(MOST_ROWS, len(weights))
    numbers = [int(one * parts) for one in fractions]
    total = sum(one * int(n) for one, n in zip(numbers, np.bincount(positions), strict=True))
    if not exact or total > most:
        decimals = min(2, max(0, int(math.log10(0.9 * most / len(weights)))))
        raise ParameterError(
            parameter="sample_weight",
            allowed=_SUM,
            received=weights.tolist(),
            fix=f"round them yourself, such as numpy.round(weights / weights.mean(), {decimals})",
        )
    return RowCounts(np.array(numbers, dtype=np.int64)[positions], parts)
