"""The frontier of a fit: the choices that no other choice met beats in both accuracy and COBias."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.corrections.families import Family
from debias.metrics.confusion import cobias_of_accuracies
from debias.search.objective import Counts
from debias.search.pareto import ParetoFronts
from debias.search.problem import Problem
from debias.tables.class_columns import FloatArray, IndexArray


@dataclass(frozen=True, eq=False)
class Frontier:
    """The choices that no other choice met beats in both accuracy and COBias.

    Attributes
    ----------
    choice : ndarray of shape (n_rows, n_classes)
        Indices into the family, by column of the probabilities; rows by falling accuracy.
    correct, predicted : ndarray of shape (n_rows, n_classes)
        Confusion counts of each choice on the fitted rows.
    support : ndarray of shape (n_classes,)
        Samples per class.
    complete : bool
        Whether every choice was evaluated, so that no trade-off is missing.
    family : Family
        The corrections that were chosen from.
    cost : ndarray of shape (n_rows,), optional
        Mean cost of a sample, where the objective has costs.
    """

    choice: IndexArray
    correct: IndexArray
    predicted: IndexArray
    support: IndexArray
    complete: bool
    family: Family
    cost: FloatArray | None = None

    @classmethod
    def of(cls, problem: Problem, pareto: ParetoFronts, complete: bool, family: Family) -> Self:
        """Return the frontier of all that a search has met.

        Examples
        --------
        >>> from debias.corrections.families import weights
        >>> from debias.search.objective import Objective
        >>> from debias.search.proof.exact_search import ExactSearch
        >>> from debias.search.problem import build_problem
        >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]])
        >>> problem = build_problem(P, np.array([1, 0, 0, 1]), weights(10), Objective(pmi=0))
        >>> result = ExactSearch(problem).run(prune=False)
        >>> frontier = Frontier.of(problem, result.pareto, result.frontier_complete, weights(10))
        >>> frontier.to_frame(["no", "yes"], [0, 1])[["accuracy", "cobias", "choice"]]
           accuracy  cobias    choice
        0      0.75     0.5  (24, 28)
        1      0.50     0.0  (22, 28)
        """
        rows = pareto.not_dominated()[::-1]
        counts = [problem.counts(choice) for choice in pareto.choice[rows]]
        correct, predicted = (np.array([getattr(one, name) for one in counts]) for name in Counts._fields[:2])
        cost = np.array([one.cost for one in counts], dtype=np.float64)
        return cls(pareto.choice[rows], correct, predicted, problem.support, complete, family, cost)

    def to_frame(self, labels: Sequence[object], columns: npt.ArrayLike) -> pd.DataFrame:
        """Return one row per choice.

        Parameters
        ----------
        labels : sequence of length n_classes
            Class labels.
        columns : array-like of shape (n_classes,)
            Column of each of these classes.

        Returns
        -------
        DataFrame
            ``accuracy``, ``cobias``, ``worst_class_accuracy``, ``n_changed`` and, under ``choice``,
            the ids of the corrections in the order of `labels`; ``attrs["complete"]`` says whether
            no trade-off is missing.
        """
        present = self.support > 0
        accuracies = self.correct[:, present] / self.support[present]
        ids = self.family.ids[self.choice][:, np.asarray(columns)]
        frame = pd.DataFrame(
            {
                "accuracy": self.correct.sum(axis=1) / self.support.sum(),
                "cobias": cobias_of_accuracies(accuracies),
                "worst_class_accuracy": accuracies.min(axis=1),
                "n_changed": (self.choice != self.family.identity).sum(axis=1),
                "choice": [tuple(row) for row in ids.tolist()],
            }
        )
        frame.attrs.update(complete=self.complete, classes=[str(label) for label in labels])
        return frame
