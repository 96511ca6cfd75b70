"""Rows are dealt out to folds class by class, however few a class has."""

from collections.abc import Sequence

import numpy as np

from debias.tables.class_columns import FloatArray, IndexArray
from debias.tables.information import common_rows

_MOST_MIXED = 0.05
"""Share of the pairs of copies whose labels may differ, by errors of labelling."""


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


def deal_rows(probabilities: FloatArray, y: IndexArray, n_folds: int, seed: Sequence[int]) -> IndexArray:
    """Return the fold of each row, as :func:`deal` does, where copies of a row share theirs.

    A row that is also on the other side of a fold says how well it is remembered, not how well new rows are
    predicted. Rows that a tenth of all are like are dealt out one by one: they would fill a fold. So are all
    where probabilities are so coarse that rows of different labels are alike: those are no copies, and
    what is left for training would contradict them.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    y, n_folds, seed
        As in :func:`deal`.

    Returns
    -------
    ndarray of int, shape (n_samples,)

    Examples
    --------
    >>> P = np.array([[p, 1 - p] for p in np.linspace(0.1, 0.9, 12)])
    >>> fold = deal_rows(np.tile(P, (3, 1)), np.tile(np.arange(12) % 2, 3), 3, [0])
    >>> (fold == np.tile(deal(np.arange(12) % 2, 3, [0]), 3)).all()
    np.True_
    """
    group, first = groups_of(probabilities, y)
    return deal(y[first], n_folds, seed)[group]


def groups_of(probabilities: FloatArray, y: IndexArray) -> tuple[IndexArray, IndexArray]:
    """Return the group of each row, copies being one, and the first row of each group, in order.

    Labels only tell copies from rows that are alike by chance: see :func:`deal_rows`.

    Examples
    --------
    >>> P = np.array([[0.2, 0.8], [0.3, 0.7], *[[p, 1 - p] for p in np.linspace(0.4, 0.9, 25)], [0.2, 0.8]])
    >>> group, first = groups_of(P, np.zeros(28, dtype=int))
    >>> group[[0, 1, 27]].tolist(), len(first)
    ([0, 1, 0], 27)
    """
    leader = np.arange(len(y))
    _, kind, times = np.unique(probabilities[:, 0], return_inverse=True, return_counts=True)
    has_like = times[kind.ravel()] > 1  # by the first column, which leaves few rows, if any; then by all
    for rows in common_rows(probabilities):
        has_like[rows] = False
    rows = np.flatnonzero(has_like)
    _, first, group = np.unique(probabilities[rows], axis=0, return_index=True, return_inverse=True)
    if not _alike_by_chance(group.ravel(), y[rows]):
        leader[rows] = rows[first[group.ravel()]]
    firsts = np.unique(leader)
    return np.searchsorted(firsts, leader), firsts


def _alike_by_chance(group: IndexArray, y: IndexArray) -> bool:
    """Whether so many pairs of rows that are alike have different labels that they cannot be copies."""
    of_label = np.unique(np.column_stack([group, y]), axis=0, return_counts=True)[1]
    pairs, same = (int((n * (n - 1)).sum()) for n in (np.bincount(group), of_label))
    return pairs - same > _MOST_MIXED * pairs
