"""Applies corrections to rows: a base, one correction per class, and the largest corrected value wins.

Everything that predicts goes through here: estimators, files that are served, searches. A row gets the same
values alone and in any batch. Only NumPy is needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.corrections.bases.base import Base, Identity
from debias.corrections.correction import ONE, Correction, FloatArray, Triangle, Weight, trapezoid_height
from debias.corrections.shapes import Scaled

IndexArray = npt.NDArray[np.int64]
_IDENTITY = Triangle(0, 1, 1)
_FEW_COLUMNS = 16
"""Up to so many columns NumPy takes longer to begin than to compute."""
_FEW_VALUES = 64
"""Up to so many values Python ends before NumPy has begun."""
_NARROW = 1e-290
"""A side that is narrower is steep enough for a quotient to overflow."""


def correct(probabilities: FloatArray, corrections: Sequence[Correction]) -> FloatArray:
    """Apply one correction per column.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    corrections : sequence of length n_classes
        One correction per column.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Corrected values, not renormalised.

    Examples
    --------
    >>> from debias.corrections.correction import Triangle, Weight
    >>> correct(np.array([[0.4, 0.6]]), [Triangle(0, 1, 1), Weight(1, 3)])
    array([[0.4, 0.2]])
    """
    return DecisionRule(tuple(corrections)).corrected(probabilities)


def decide(corrected: FloatArray, probabilities: FloatArray) -> IndexArray:
    """Return the predicted column of every row.

    The largest corrected value wins, the first column among equals; a row whose corrected
    values are all zero is decided by its original probabilities (methods of DCS).

    Parameters
    ----------
    corrected, probabilities : ndarray of shape (n_samples, n_classes)
        Corrected values and original probabilities.

    Returns
    -------
    ndarray of shape (n_samples,)
        Column indices.

    Examples
    --------
    >>> decide(np.array([[0.5, 0.5], [0.0, 0.0]]), np.array([[0.1, 0.9], [0.1, 0.9]]))
    array([0, 1])
    """
    winners = corrected.argmax(axis=1)
    if np.count_nonzero(corrected) < corrected.size:  # cheaper than to look at each row
        if corrected.size <= _FEW_VALUES and all(map(any, corrected.tolist())):
            return winners
        decided = corrected.any(axis=1)
        if np.count_nonzero(decided) < len(corrected):
            winners[~decided] = probabilities[~decided].argmax(axis=1)
    return winners


def in_rows(probabilities: FloatArray) -> FloatArray:
    """Return an array whose rows lie one behind the other, as those of a frame do not.

    NumPy adds up in the order of the memory, so that sums would differ by a rounding.
    """
    return np.ascontiguousarray(probabilities)


@dataclass(frozen=True, eq=False)
class DecisionRule:
    """A base and one correction per column.

    Parameters
    ----------
    corrections : tuple of length n_classes
        One correction per column.
    base : Base
        What maps class probabilities to the posteriors that the corrections are applied to.

    Examples
    --------
    >>> from debias.corrections.correction import Triangle, Weight
    >>> rule = DecisionRule((Triangle(0, 1, 1), Weight(1, 3)))
    >>> rule.decide(np.array([[0.4, 0.6], [0.1, 0.9]]))
    array([0, 1])
    """

    corrections: tuple[Correction, ...]
    base: Base = Identity()

    @cached_property
    def _parts(self) -> tuple[list["_Group"], list[tuple[int, Correction]], FloatArray | None]:
        """Columns whose corrections share a formula, the others, and the factors behind them."""
        plain, factors = zip(*map(_without_factor, self.corrections), strict=True)
        groups: dict[tuple[object, tuple[float, ...]], list[int]] = {}
        others: list[tuple[int, Correction]] = []
        for column, correction in enumerate(plain):
            own = type(correction)._values is not Correction._values or correction.formula is None
            if own:
                others.append((column, correction))
            elif not correction.is_identity:
                numbers = zip(correction.number_names, correction.numbers(), strict=True)
                shared = tuple(number for name, number in numbers if name in correction.shared_numbers)
                groups.setdefault((correction.formula, shared), []).append(column)
        if [*groups] == [(trapezoid_height, ())] and not others and len(plain) <= _FEW_COLUMNS:
            # To compute the identity as a triangle, too, is faster than to take the other columns out.
            plain = tuple(_IDENTITY if one.is_identity else one for one in plain)
            groups = dict.fromkeys(groups, [*range(len(plain))])
        together = [_Group.of(columns, plain) for columns in groups.values()]
        return together, others, np.array([factors]) if any(factor != 1 for factor in factors) else None

    def corrected(self, posteriors: FloatArray) -> FloatArray:
        """Return the corrected values of posteriors, shape (n_samples, n_classes), not renormalised."""
        groups, others, factors = self._parts
        values = np.minimum(in_rows(posteriors), ONE)  # a softmax in float32 may be a little above 1
        if values.shape[1] != len(self.corrections):
            raise ValueError(f"{len(self.corrections)} columns are needed, got {values.shape[1]}")
        for group in groups:
            columns = group.columns
            part = group(values if columns is None else values.take(columns, axis=1))
            if columns is None:
                values = part
            else:
                values[:, columns] = part
        for column, correction in others:
            values[:, column] = correction(values[:, column])
        return values if factors is None else values * factors

    def values(self, probabilities: FloatArray) -> FloatArray:
        """Return the corrected values of class probabilities, the base included."""
        return self.corrected(self.base.posteriors(in_rows(probabilities)))

    def shares(self, probabilities: FloatArray) -> FloatArray:
        """Return the corrected values divided by their sum; the posteriors where all are zero."""
        posteriors = self.base.posteriors(in_rows(probabilities))
        values = self.corrected(posteriors)
        values = np.where(values.any(axis=1, keepdims=True), values, posteriors)
        return np.asarray(values / values.sum(axis=1, keepdims=True))

    def decide(self, probabilities: FloatArray) -> IndexArray:
        """Return the predicted column of every row, shape (n_samples,)."""
        posteriors = self.base.posteriors(in_rows(probabilities))
        return decide(self.corrected(posteriors), posteriors)


class _Group(NamedTuple):
    """Columns whose corrections are computed together; None for all columns.

    Numbers that differ by column have shape (1, n_columns), as one row has: NumPy needs half the time then.
    """

    columns: npt.NDArray[np.int64] | None
    formula: Callable[..., FloatArray]
    numbers: list[FloatArray | float]
    may_overflow: bool

    def __call__(self, values: FloatArray) -> FloatArray:
        """Return the corrected values of the columns."""
        if not self.may_overflow:
            return self.formula(values, *self.numbers)
        with np.errstate(over="ignore"):  # far above or below a side that is all but a step
            return self.formula(values, *self.numbers)

    @classmethod
    def of(cls, columns: list[int], plain: Sequence[Correction]) -> "_Group":
        """Group columns of one formula; a number that they share stays one number."""
        first = plain[columns[0]]
        assert first.formula is not None
        rows = [plain[column].numbers() for column in columns]
        by_name = zip(first.number_names, zip(*rows, strict=True), strict=True)
        numbers: list[FloatArray | float] = [
            values[0] if name in first.shared_numbers else np.array([values], dtype=np.float64)
            for name, values in by_name
        ]
        may_overflow = any(0 < abs(number) < _NARROW for row in rows for number in row)
        own = None if len(columns) == len(plain) else np.array(columns)
        return cls(own, first.formula, numbers, may_overflow)


def _without_factor(correction: Correction) -> tuple[Correction, float]:
    """Return a correction and the factor behind it, 1 where there is none; a weight is only a factor."""
    if type(correction) is Scaled:
        return correction.correction, correction.factor
    if type(correction) is Weight:
        return _IDENTITY, correction.weight
    return correction, 1.0
