"""The frontier as a table: every pair of accuracy and COBias that no other choice beats in both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.corrections.families import Family
from debias.metrics.scores import cobias_from_accuracies
from debias.search.objective import IndexArray
from debias.search.pareto import ParetoFronts
from debias.search.problem import Problem


@dataclass(frozen=True)
class Frontier:
    """The choices of a frontier with their counts on the rows that were searched.

    Attributes
    ----------
    choice : ndarray of shape (n_rows, n_classes)
        Indices into the family, by column of the probabilities; rows by falling accuracy.
    correct, predicted : ndarray of shape (n_rows, n_classes)
        Confusion counts of each choice.
    support : ndarray of shape (n_classes,)
        Samples per class.
    complete : bool
        Whether every choice was evaluated: nothing that exists is missing.
    """

    choice: IndexArray
    correct: IndexArray
    predicted: IndexArray
    support: IndexArray
    complete: bool

    def to_frame(self, family: Family, labels: Sequence[Any], columns: npt.ArrayLike) -> pd.DataFrame:
        """Return a row per choice.

        Parameters
        ----------
        family : Family
            What was chosen from.
        labels : sequence of length n_classes
            Class labels.
        columns : array-like of shape (n_classes,)
            Column of each of these classes.

        Returns
        -------
        DataFrame
            ``accuracy``, ``cobias``, ``worst_class_accuracy``, ``n_changed`` and, under
            ``choice``, the ids of the corrections in the order of `labels`;
            ``attrs["complete"]`` says whether nothing is missing.
        """
        by_class = np.asarray(columns)
        present = self.support > 0
        accuracies = self.correct[:, present] / self.support[present]
        ids = family.ids[self.choice][:, by_class]
        frame = pd.DataFrame(
            {
                "accuracy": self.correct.sum(axis=1) / self.support.sum(),
                "cobias": [cobias_from_accuracies(row) for row in accuracies],
                "worst_class_accuracy": accuracies.min(axis=1),
                "n_changed": (self.choice != family.identity).sum(axis=1),
                "choice": [tuple(row) for row in ids.tolist()],
            }
        )
        frame.attrs.update(complete=self.complete, classes=[str(label) for label in labels])
        return frame


def frontier_of(problem: Problem, fronts: ParetoFronts, complete: bool) -> Frontier:
    """Return the frontier that a search has met.

    Parameters
    ----------
    problem : Problem
        What was searched.
    fronts : ParetoFronts
        What it has met.
    complete : bool
        Whether it has met everything.

    Returns
    -------
    Frontier
        Rows by falling accuracy.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> from debias.search.proof.exact_search import ExactSearch
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]])
    >>> problem = build_problem(P, np.array([1, 0, 0, 1]), weights(10), Objective(pmi=0))
    >>> result = ExactSearch(problem).run(prune=False)
    >>> frontier = frontier_of(problem, result.pareto, result.frontier_complete)
    >>> frontier.to_frame(weights(10), ["no", "yes"], [0, 1])[["accuracy", "cobias", "choice"]]
       accuracy  cobias    choice
    0      0.75     0.5  (24, 28)
    1      0.50     0.0  (22, 28)
    """
    rows = fronts.not_dominated()[::-1]
    counts = [problem.counts(choice) for choice in fronts.choice[rows]]
    return Frontier(
        choice=fronts.choice[rows],
        correct=np.array([count.correct for count in counts]),
        predicted=np.array([count.predicted for count in counts]),
        support=problem.support,
        complete=complete,
    )
