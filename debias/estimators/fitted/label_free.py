"""The label-free answer, batch calibration, beside that of a fit with few labels."""

from dataclasses import dataclass
from typing import Self

from debias.estimators.bases.linear_maps import batch_calibration
from debias.metrics.confusion import cobias_of_accuracies
from debias.search.constraints import Constrained, Goal
from debias.tables.class_columns import FloatArray, IndexArray


@dataclass(frozen=True)
class LabelFree:
    """What batch calibration, which uses no labels, reaches on the fitted rows.

    Attributes
    ----------
    accuracy, cobias : float
        Fractions.
    objective : float
        The objective per sample, bounds ignored.
    """

    accuracy: float
    cobias: float
    objective: float

    @classmethod
    def of(cls, y: IndexArray, probabilities: FloatArray, goal: Goal) -> Self:
        """Return the figures of labelled rows; the goal is by column."""
        n_classes = probabilities.shape[1]
        decided = batch_calibration(probabilities).posteriors(probabilities).argmax(axis=1)
        inner = goal.inner if isinstance(goal, Constrained) else goal
        counts = inner.counts(y, decided, n_classes)
        present = counts.support > 0
        accuracies = counts.correct[present] / counts.support[present]
        accuracy = float(counts.correct.sum() / counts.support.sum())
        return cls(accuracy, float(cobias_of_accuracies(accuracies)), float(inner(*counts)))
