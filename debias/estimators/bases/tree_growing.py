"""Grows boosted trees on the log-probabilities of labelled rows, with scikit-learn."""

import numpy as np

from debias.corrections.bases.base import log_probabilities
from debias.corrections.bases.trees import Tree, TreeBase
from debias.estimators.bases.map_fitting import LabelledRows

_SETTINGS = {"learning_rate": 0.05, "max_iter": 100, "max_leaf_nodes": 15, "min_samples_leaf": 20}


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
