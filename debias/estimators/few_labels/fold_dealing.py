"""Rows are dealt out to folds class by class, however few a class has."""

from collections.abc import Sequence

import numpy as np

from debias.tables.class_columns import IndexArray


def deal(y: IndexArray, n_folds: int, seed: Sequence[int]) -> IndexArray:
    """Return the fold of each row: rows are shuffled, then dealt out class after class.

    scikit-learn's StratifiedKFold refuses classes of fewer rows than folds.

    Parameters
    ----------
    y : ndarray of int, shape (n_samples,)
        Labels, as column indices.
    n_folds : int
        Folds; sizes differ by one row at most.
    seed : sequence of int
        Seed of the shuffling.

    Returns
    -------
    ndarray of int, shape (n_samples,)

    Examples
    --------
    >>> deal(np.array([0, 0, 0, 1, 1, 1]), 3, [0]).tolist()
    [1, 2, 0, 0, 2, 1]
    """
    shuffled = np.random.default_rng(seed).permutation(len(y))
    ordered = shuffled[np.argsort(y[shuffled], kind="stable")]
    fold = np.empty(len(y), dtype=np.int64)
    fold[ordered] = np.arange(len(y)) % n_folds
    return fold
