"""The reference: how the rows of a fit were distributed, for comparison with new rows.

It holds the model's own probabilities and predictions, never corrected ones: nothing was chosen to
make these look good, so new rows from the same source are distributed in the same way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from debias.errors import CorrectionFileError
from debias.guarantees.watching.histograms import Histogram, read_counts
from debias.guarantees.watching.origin_facts import origin_facts, read_facts
from debias.tables.class_columns import FloatArray, IndexArray

MOST_BY_CLASS = 150
"""Classes above which histograms are not kept by class: their size grows with the square of the classes."""
MOST_COUNTS = 100_000
"""Counts of all histograms together; they decide how many bins there are."""
FEWEST_BINS, MOST_BINS = 4, 32


@dataclass(frozen=True, eq=False)
class Reference:
    """The distribution of the fitted rows.

    Attributes
    ----------
    probabilities : tuple of Histogram
        Of the probability of each class, in the order of the columns.
    predicted : ndarray of int64, shape (n_groups, n_classes)
        Rows of each class (or of all, where there are more than 150) by the class that the model gave the
        highest probability.
    label_mass : Histogram or None
        Of the probability that all labels together got, where the table of the fit had it.
    origin : dict of str to str
        Model, tokenizer, template and demonstrations, where the table of the fit named them.

    Examples
    --------
    >>> P = np.array([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]])
    >>> reference = Reference.of(P, np.array([0, 1, 1]))
    >>> reference.predicted.tolist(), reference.n_rows, reference.support.tolist()
    ([[1, 0], [1, 1]], 3, [1, 2])
    >>> Reference.from_dict(reference.to_dict(), 2).support.tolist()
    [1, 2]
    """

    probabilities: tuple[Histogram, ...]
    predicted: IndexArray
    label_mass: Histogram | None = None
    origin: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, probabilities: FloatArray, y: IndexArray) -> Self:
        """Return the reference of some labelled rows.

        Parameters
        ----------
        probabilities : ndarray of shape (n_samples, n_classes)
            Class probabilities, as the model gave them.
        y : ndarray of int64, shape (n_samples,)
            Labels, as column indices.
        """
        n_classes = probabilities.shape[1]
        groups, n_groups, n_bins = _groups(y, n_classes)
        histograms = tuple(Histogram.of(column, groups, n_groups, n_bins) for column in probabilities.T)
        predicted = np.zeros((n_groups, n_classes), dtype=np.int64)
        np.add.at(predicted, (groups, probabilities.argmax(axis=1)), 1)
        return cls(histograms, predicted)

    def with_origin(
        self, y: IndexArray, label_mass: FloatArray | None, metadata: Mapping[str, Any]
    ) -> "Reference":
        """Return the reference with what only a table knows.

        Parameters
        ----------
        y : ndarray of int64, shape (n_samples,)
            Labels, as column indices.
        label_mass : ndarray of shape (n_samples,), or None
        metadata : mapping
            Of the table.
        """
        mass = None
        if label_mass is not None and np.isfinite(label_mass).all():
            groups, n_groups, n_bins = _groups(y, self.n_classes)
            mass = Histogram.of(label_mass, groups, n_groups, n_bins)
        return replace(self, label_mass=mass, origin=origin_facts(metadata))

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.probabilities)

    @property
    def by_class(self) -> bool:
        """Whether the rows of each class are counted apart."""
        return len(self.predicted) == self.n_classes

    @property
    def support(self) -> IndexArray:
        """Rows of each class; of all, where classes are not counted apart."""
        return np.asarray(self.predicted.sum(axis=1))

    @property
    def n_rows(self) -> int:
        """All rows."""
        return int(self.predicted.sum())

    def to_dict(self) -> dict[str, object]:
        """Return the reference as plain data."""
        return {
            "probabilities": [one.to_dict() for one in self.probabilities],
            "predicted": self.predicted.tolist(),
            "label_mass": None if self.label_mass is None else self.label_mass.to_dict(),
            "origin": dict(self.origin),
        }

    @classmethod
    def from_dict(cls, entry: object, n_classes: int) -> Self:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        CorrectionFileError
            A field is missing, a number is not allowed, or two histograms are not of the same rows.
        """
        if not isinstance(entry, Mapping) or not isinstance(entry.get("probabilities"), list):
            raise CorrectionFileError(parameter="reference", allowed="histograms", received=entry)
        histograms, mass = entry["probabilities"], entry.get("label_mass")
        if len(histograms) != n_classes:
            allowed = f"{n_classes} histograms, one for each class"
            raise CorrectionFileError(parameter="reference", allowed=allowed, received=len(histograms))
        n_groups = n_classes if n_classes <= MOST_BY_CLASS else 1
        found = cls(
            probabilities=tuple(Histogram.from_dict(one, n_groups) for one in histograms),
            predicted=read_counts(entry.get("predicted"), (n_groups, n_classes)),
            label_mass=None if mass is None else Histogram.from_dict(mass, n_groups),
            origin=read_facts(entry.get("origin", {})),
        )
        every = [*found.probabilities, *([found.label_mass] if found.label_mass else [])]
        if not found.n_rows or any((one.counts.sum(axis=1) != found.support).any() for one in every):
            allowed = "histograms of the same rows, one or more"
            received = [one.counts.sum(axis=1).tolist() for one in every][:3]
            raise CorrectionFileError(parameter="reference", allowed=allowed, received=received)
        return found


def _groups(y: IndexArray, n_classes: int) -> tuple[IndexArray, int, int]:
    """Return the group of each row, the groups, and the bins that a histogram has."""
    by_class = n_classes <= MOST_BY_CLASS
    n_groups = n_classes if by_class else 1
    n_bins = int(np.clip(MOST_COUNTS // (n_classes * n_groups), FEWEST_BINS, MOST_BINS))
    return (y if by_class else np.zeros_like(y)), n_groups, n_bins
