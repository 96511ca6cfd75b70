"""Boosted trees on log-probabilities, kept as plain arrays: a base that is not a formula.

scikit-learn grows the trees; they are applied here, so that a file needs no pickle.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from debias.estimators.bases.base import Base, log_probabilities
from debias.estimators.bases.map_fitting import LabelledRows
from debias.tables.class_columns import FloatArray, IndexArray

_SETTINGS = {"learning_rate": 0.05, "max_iter": 100, "max_leaf_nodes": 15, "min_samples_leaf": 20}


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
        posteriors[:, self.columns] = softmax(logits, axis=1)
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


def fit_trees(rows: LabelledRows, seed: int) -> TreeBase:
    """Grow trees on the log-probabilities of labelled rows.

    Parameters
    ----------
    rows : LabelledRows
        What they are grown on.
    seed : int
        Seed.

    Returns
    -------
    TreeBase
        With one class only, trees that always name it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=200)
    >>> P = np.column_stack([p, 1 - p])
    >>> trees = fit_trees(LabelledRows(P, (p < 0.5).astype(int), np.ones(200)), 0)
    >>> trees.posteriors(P).argmax(axis=1)[:4], (p < 0.5).astype(int)[:4]
    (array([0, 1, 1, 1]), array([0, 1, 1, 1]))
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    n_classes, columns = rows.probabilities.shape[1], np.unique(rows.y)
    if len(columns) < 2:
        return TreeBase(n_classes, columns, np.zeros(1), ())
    model = HistGradientBoostingClassifier(**_SETTINGS, early_stopping=False, random_state=seed)
    model.fit(log_probabilities(rows.probabilities), rows.y, sample_weight=rows.weights)
    first = np.asarray(model._baseline_prediction, dtype=np.float64).ravel()
    grown = [[_plain(predictor.nodes) for predictor in of_round] for of_round in model._predictors]
    if len(columns) == 2:  # one logit, that of the second class
        nothing = Tree(*(np.zeros(1, dtype=kind) for kind in (int, float, int, int, float)))
        first, grown = np.array([0.0, first[0]]), [[nothing, of_round[0]] for of_round in grown]
    return TreeBase(n_classes, columns, first, tuple(tuple(of_round) for of_round in grown))


def _plain(nodes: np.ndarray) -> Tree:
    """Return the nodes of a tree of scikit-learn as plain arrays."""
    own, is_leaf = np.arange(len(nodes)), nodes["is_leaf"].astype(bool)
    left, right = (np.where(is_leaf, own, nodes[side].astype(np.int64)) for side in ("left", "right"))
    threshold = np.where(is_leaf, 0.0, nodes["num_threshold"])
    return Tree(
        nodes["feature_idx"].astype(np.int64), threshold, left, right, np.where(is_leaf, nodes["value"], 0.0)
    )
