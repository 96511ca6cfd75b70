"""Boosted trees on log-probabilities as plain arrays: a base that is not a formula.

Whatever grew the trees, they are applied here, so a file needs no pickle.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from debias.corrections.bases.base import Base, log_probabilities, softmax
from debias.corrections.correction import FloatArray

IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tree:
    """A regression tree; node 0 is its root, and a leaf is its own child.

    Attributes
    ----------
    feature : ndarray of int, shape (n_nodes,)
        Column whose log-probability is asked for.
    threshold : ndarray of shape (n_nodes,)
        Rows at or below it go left.
    left, right : ndarray of int, shape (n_nodes,)
        Children.
    value : ndarray of shape (n_nodes,)
        What a leaf adds to its logit.
    """

    feature: IndexArray
    threshold: FloatArray
    left: IndexArray
    right: IndexArray
    value: FloatArray

    def __call__(self, x: FloatArray) -> FloatArray:
        """Return the value of the leaf of each row, shape (n_samples,)."""
        rows, node = np.arange(len(x)), np.zeros(len(x), dtype=np.int64)
        while True:
            goes_left = x[rows, self.feature[node]] <= self.threshold[node]
            child = np.where(goes_left, self.left[node], self.right[node])
            if (child == node).all():
                return np.asarray(self.value[node])
            node = child

    def to_dict(self) -> dict[str, object]:
        """Describe the tree as plain data."""
        return {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}


@dataclass(frozen=True, eq=False)
class TreeBase(Base):
    """A sum of trees for the logit of every class that had rows.

    Parameters
    ----------
    n_classes : int
        Columns of the probabilities.
    columns : ndarray of int
        Columns of the classes that had rows; the others get no probability.
    first : ndarray of the same shape
        Logits before the first tree.
    trees : tuple of tuple of Tree
        One tree per column, per round.
    """

    n_classes: int
    columns: IndexArray
    first: FloatArray
    trees: tuple[tuple[Tree, ...], ...]

    kind = "trees"

    def posteriors(self, probabilities: FloatArray) -> FloatArray:  # noqa: D102
        x = log_probabilities(probabilities)
        logits = np.tile(self.first, (len(x), 1))
        for of_round in self.trees:
            for k, tree in enumerate(of_round):
                logits[:, k] += tree(x)
        posteriors = np.zeros((len(x), self.n_classes))
        posteriors[:, self.columns] = softmax(logits)
        return posteriors

    def to_dict(self) -> dict[str, object]:
        """Describe the trees as plain data."""
        return {
            "kind": self.kind,
            "n_classes": self.n_classes,
            "columns": self.columns.tolist(),
            "first": self.first.tolist(),
            "trees": [[tree.to_dict() for tree in of_round] for of_round in self.trees],
        }
