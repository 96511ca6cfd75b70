"""Folds of labelled rows: train rows to search on, dev rows to judge by."""

import warnings
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from sklearn.model_selection import BaseCrossValidator, ShuffleSplit, StratifiedKFold, check_cv

from debias.errors import ParameterError, TableError
from debias.estimators.few_labels.fold_dealing import deal
from debias.search.objective import IndexArray

DEV_SHARE = 0.05
"""Share of the rows that the published protocol holds out."""

Fold: TypeAlias = tuple[IndexArray, IndexArray]
Splitter: TypeAlias = int | str | BaseCrossValidator | Iterable[tuple[IndexArray, IndexArray]]
"""What divides rows into folds: their number, "holdout", or what scikit-learn takes."""


def make_folds(
    y: IndexArray,
    labels: Sequence[object],
    cv: Splitter,
    random_state: int,
    times: IndexArray | None = None,
    group: IndexArray | None = None,
) -> list[Fold]:
    """Divide labelled rows into train and dev rows, once or several times.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels, as column indices.
    labels : sequence
        Class label of each column, for messages.
    cv : int, "holdout", splitter or iterable
        A number of stratified, shuffled folds; ``"holdout"`` for the published 95 / 5 split,
        which is not stratified; or what scikit-learn takes.
    random_state : int
        Seed of what is shuffled here.
    times : ndarray of int64 of shape (n_samples,), optional
        How often each row counts; rows are divided first, then repeated. 1 by default.
    group : ndarray of int64 of shape (n_samples,), optional
        Rows of one group are copies, and are not divided; folds that are given stay as they are. By
        default each row is its own.

    Returns
    -------
    list of (ndarray, ndarray)
        Positions of train and dev rows.

    Raises
    ------
    ParameterError
        `cv` is none of these, or some rows are train and dev rows at once.
    TableError
        Too few rows for so many folds, or train rows of one class only.

    Warns
    -----
    UserWarning
        A class has fewer rows than there are folds, so that it is missing from some.

    Examples
    --------
    >>> y = np.array([0, 0, 0, 0, 1, 1])
    >>> [np.bincount(y[dev]).tolist() for train, dev in make_folds(y, ["no", "yes"], 2, 0)]
    [[2, 1], [2, 1]]
    """
    times = np.ones(len(y), dtype=np.int64) if times is None else times
    counted = np.flatnonzero(times)
    group = np.arange(len(y)) if group is None else group
    _, first, copy_of = np.unique(group[counted], return_index=True, return_inverse=True)
    if isinstance(cv, (int, np.integer)) and not isinstance(cv, (bool, np.bool_)):
        folds = _stratified(y[counted], first, labels, int(cv), random_state)
        folds = [(counted[np.isin(copy_of, train)], counted[np.isin(copy_of, dev)]) for train, dev in folds]
    elif isinstance(cv, str) and cv == "holdout":
        ((_, dev),) = ShuffleSplit(1, test_size=DEV_SHARE, random_state=random_state).split(first)
        is_dev = np.isin(copy_of, dev)
        folds = [(counted[~is_dev], counted[is_dev])]
    else:
        folds = _as_given(y, cv)
    folds = [(np.repeat(train, times[train]), np.repeat(dev, times[dev])) for train, dev in folds]
    for train, dev in folds:
        n_shared, n_classes = len(np.intersect1d(train, dev)), len(np.unique(y[train]))
        if n_shared:
            raise ParameterError(f"cv: {n_shared:,} rows are both train and dev rows", parameter="cv")
        if n_classes < 2 or not len(dev):
            raise TableError(
                f"a fold has {len(train):,} train rows of {n_classes} classes and {len(dev):,} dev rows",
                parameter="cv",
                received=cv,
                allowed="train rows of at least two classes, and at least one dev row",
                fix="use fewer folds, or more rows",
            )
    return folds


def _stratified(
    y: IndexArray, first: IndexArray, labels: Sequence[object], n_folds: int, random_state: int
) -> list[Fold]:
    """Deal the shuffled rows of each class to the folds, copies together; warn of classes with too few."""
    support = np.bincount(y, minlength=len(labels))
    if n_folds < 2 or support.max() < n_folds:
        allowed = f"an integer from 2 to {support.max():,}, the number of rows of the largest class"
        raise ParameterError(parameter="cv", allowed=allowed, received=n_folds)
    n_rows, y = len(y), y[first]
    support = np.bincount(y, minlength=len(labels))
    few = [
        f"{labels[k]} ({support[k]})" for k in np.flatnonzero((support > 0) & (support < n_folds)).tolist()
    ]
    if few:
        copies = ", copies counted once" if len(first) < n_rows else ""
        warnings.warn(
            f"fewer rows than the {n_folds} folds{copies}: {', '.join(few)}. Some folds cannot evaluate "
            f"{'this class' if len(few) == 1 else 'these classes'}; label more rows, or use fewer folds.",
            UserWarning,
            stacklevel=4,
        )
    if support.max() < n_folds:  # scikit-learn refuses that
        fold = deal(y, n_folds, [random_state])
        return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_folds)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
        return list(splitter.split(np.zeros((len(y), 1)), y))


def _as_given(y: IndexArray, cv: Splitter) -> list[Fold]:
    """Return the folds of a splitter of scikit-learn, or of an iterable of train and dev rows."""
    if cv is None or isinstance(cv, (str, bool, float)):
        allowed = "a number of folds, 'holdout', or a splitter of scikit-learn"
        raise ParameterError(parameter="cv", allowed=allowed, received=cv)
    try:
        pairs = list(check_cv(cv).split(np.zeros((len(y), 1)), y))
    except (TypeError, ValueError) as error:
        problem = f"cv={cv!r} does not split these {len(y):,} rows: {error}"
        raise ParameterError(problem, parameter="cv", received=cv) from error
    if not pairs:
        raise ParameterError(parameter="cv", allowed="a splitter with at least one fold", received=cv)
    rows = np.arange(len(y))
    try:
        folds = [(rows[np.asarray(train)], rows[np.asarray(dev)]) for train, dev in pairs]
    except (IndexError, TypeError, ValueError) as error:
        problem = f"cv has folds that are not positions of these {len(y):,} rows: {error}"
        raise ParameterError(problem, parameter="cv", received=cv) from error
    return folds
