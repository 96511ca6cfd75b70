"""A histogram of one quantity by class: what a correction's file keeps of the rows it was fitted on.

Bins end at quantiles of these rows. A test on them never says more than one on the rows themselves: the
largest gap of two distributions at some points is at most their largest gap.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from debias.errors import CorrectionFileError
from debias.tables.class_columns import FloatArray, IndexArray

MOST_COUNT = 1 << 53
_MOST = sys.float_info.max
"""A label mass may be above 1, and so may a probability, by the rounding of a softmax."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often a quantity fell into each bin, by class.

    Attributes
    ----------
    edges : ndarray of shape (n_bins - 1,)
        Ascending; a value belongs to the first bin whose upper edge is not below it.
    counts : ndarray of int64, shape (n_groups, n_bins)
        Rows of each class; one row for all classes together where there are many.

    Examples
    --------
    >>> values, classes = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])
    >>> histogram = Histogram.of(values, classes, 2, 2)
    >>> histogram.edges, histogram.counts.tolist()
    (array([0.2]), [[2, 0], [0, 2]])
    >>> histogram.count(np.array([0.15, 0.2, 0.21]))
    array([2, 1])
    """

    edges: FloatArray
    counts: IndexArray

    @classmethod
    def of(cls, values: FloatArray, groups: IndexArray, n_groups: int, n_bins: int) -> Self:
        """Return the histogram of some rows.

        Parameters
        ----------
        values : ndarray of shape (n_samples,)
        groups : ndarray of int64, shape (n_samples,)
            The class of each row.
        n_groups, n_bins : int
        """
        levels = np.arange(1, n_bins) / n_bins
        edges = np.unique(np.quantile(values, levels, method="inverted_cdf"))
        edges = edges[edges < values.max()]  # nothing lies above the last one otherwise
        return cls(edges, _counted(edges, values, groups, n_groups))

    @property
    def total(self) -> IndexArray:
        """Rows in each bin, of all classes."""
        return np.asarray(self.counts.sum(axis=0))

    def count(self, values: FloatArray) -> IndexArray:
        """Return how many of other values fall into each bin."""
        bins = np.searchsorted(self.edges, values, side="left")
        return np.bincount(bins, minlength=len(self.edges) + 1)

    def to_dict(self) -> dict[str, object]:
        """Return the histogram as plain data."""
        return {"edges": self.edges.tolist(), "counts": self.counts.tolist()}

    @classmethod
    def from_dict(cls, entry: object, n_groups: int) -> Self:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        CorrectionFileError
            A number is not allowed, or edges and counts do not belong together.
        """
        if not isinstance(entry, Mapping) or {"edges", "counts"} - set(entry):
            raise CorrectionFileError(parameter="reference", allowed="edges and counts", received=entry)
        edges = entry["edges"]
        numbers = isinstance(edges, list) and all(type(x) in (int, float) and 0 <= x <= _MOST for x in edges)
        if not numbers or any(a >= b for a, b in zip(edges, edges[1:], strict=False)):
            allowed = "ascending finite numbers, none below 0"
            raise CorrectionFileError(parameter="edges", allowed=allowed, received=edges)
        counts = read_counts(entry["counts"], (n_groups, len(edges) + 1))
        return cls(np.array(edges, dtype=np.float64), counts)


def _counted(edges: FloatArray, values: FloatArray, groups: IndexArray, n_groups: int) -> IndexArray:
    """Return the rows of each class in each bin."""
    n_bins = len(edges) + 1
    bins = np.searchsorted(edges, values, side="left")
    flat = np.bincount(groups * n_bins + bins, minlength=n_groups * n_bins)
    return flat.reshape(n_groups, n_bins).astype(np.int64)


def read_counts(entry: Any, shape: tuple[int, int]) -> IndexArray:
    """Return a table of counts from a file.

    Raises
    ------
    CorrectionFileError
        It has another shape, or something in it is not a count.

    Examples
    --------
    >>> read_counts([[1, 2]], (1, 2))
    array([[1, 2]])
    >>> read_counts([[1, -2]], (1, 2))
    Traceback (most recent call last):
    debias.errors.CorrectionFileError: counts must be 1 lists of 2 counts, got [[1, -2]].
    """
    rows = entry if isinstance(entry, list) else []
    fits = len(rows) == shape[0] and all(
        isinstance(row, list)
        and len(row) == shape[1]
        and all(type(n) is int and 0 <= n < MOST_COUNT for n in row)
        for row in rows
    )
    if not fits:
        allowed = f"{shape[0]} lists of {shape[1]} counts"
        raise CorrectionFileError(parameter="counts", allowed=allowed, received=entry)
    return np.array(rows, dtype=np.int64).reshape(shape)
