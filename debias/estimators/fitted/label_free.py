"""The label-free answer, batch calibration, beside that of a fit with few labels."""

from dataclasses import dataclass
from typing import Self

from debias.metrics.confusion import cobias_of_accuracies
from debias.search.goals.class_guard import batch_counts
from debias.tables.class_columns import FloatArray, IndexArray


@dataclass(frozen=True)
class LabelFree:
    """What batch calibration, which uses no labels, reaches on the fitted rows.

    Attributes
    ----------
    accuracy, cobias : float
        Fractions.
    """

    accuracy: float
    cobias: float

    @classmethod
    def of(cls, y: IndexArray, probabilities: FloatArray, batch: FloatArray | None = None) -> Self:
        """Return the figures of labelled rows; labels are columns, `batch` the rows that it divides by.

        Examples
        --------
        >>> import numpy as np
        >>> LabelFree.of(np.array([0, 1]), np.array([[0.9, 0.1], [0.7, 0.3]]))
        LabelFree(accuracy=1.0, cobias=0.0)
        """
        counts = batch_counts(y, probabilities, batch)
        present = counts.support > 0
        accuracies = counts.correct[present] / counts.support[present]
        accuracy = float(counts.correct.sum() / counts.support.sum())
        return cls(accuracy, float(cobias_of_accuracies(accuracies)))
