"""Out-of-fold posteriors: each labelled row is mapped by a base that was fitted without it.

Corrections are searched on these, since posteriors of the fitted rows themselves flatter the base.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from debias.corrections.bases.base import Base, Identity
from debias.corrections.bases.linear_maps import batch_calibration
from debias.errors import ParameterError
from debias.estimators.bases.map_fitting import CURVED_STRENGTHS, STRENGTHS, LabelledRows, Strength, fit_map
from debias.estimators.bases.tree_growing import fit_trees
from debias.estimators.few_labels.fold_dealing import deal, groups_of
from debias.tables.class_columns import FloatArray, IndexArray
from debias.tables.information import common_rows

BASES = ("identity", "batch", "vector", "affine", "quadratic", "trees")
"""Names of the bases, from the simplest on."""

LEAST_CURVED, MOST_CURVED = 100, 20
"""Labelled rows from which on a map is curved, copies being one, and classes up to which it is."""

N_FOLDS, FEW_FOLDS, MANY_LABELS = 5, 3, 1000
"""Folds from :data:`MANY_LABELS` labelled rows on, and below."""

N_DEALS = 5
"""Times that rows are dealt to folds. With one deal, what is found depends on its luck."""


class CrossFit(NamedTuple):
    """A base and what it says of rows that it was not fitted on.

    Attributes
    ----------
    base : Base
        Fitted on all rows.
    posteriors : ndarray of shape (n_samples, n_classes)
        Each row by bases that were fitted on the other folds: the mean over :data:`N_DEALS` deals of the
        rows to folds, but for trees, whose fits take long. Rows that a tenth of all are like by the mean
        of these.
    """

    base: Base
    posteriors: FloatArray


def check_base(base: object) -> None:
    """Refuse a base that there is not.

    Raises
    ------
    ParameterError
        It is none of :data:`BASES`.
    """
    if not isinstance(base, str) or base not in BASES:
        raise ParameterError(parameter="base", allowed="one of " + ", ".join(map(repr, BASES)), received=base)


def cross_fit(
    kind: str, rows: LabelledRows, unlabelled: FloatArray, seed: int, quick: bool = False
) -> CrossFit:
    """Fit a base on all rows, and on each fold's other rows.

    The strength of a linear map is that of the highest log-likelihood of held-out labels.

    Parameters
    ----------
    kind : str
        One of :data:`BASES`.
    rows : LabelledRows
        What it is fitted on, of two classes or more.
    unlabelled : ndarray of shape (n_rows, n_classes)
        Rows that batch calibration divides by.
    seed : int
        Seed of the folds.
    quick : bool, default=False
        Whether three folds do, as when this is itself cross-validated. Else five, from 1,000 labelled
        rows on.

    Returns
    -------
    CrossFit
        The label-free bases have nothing to fit, so no folds either.

    Examples
    --------
    >>> P = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    >>> rows = LabelledRows(P, np.array([0, 0, 1, 1]), np.ones(4))
    >>> cross_fit("batch", rows, P, 0).posteriors.argmax(axis=1)
    array([0, 0, 1, 1])
    """
    check_base(kind)
    if kind == "identity":
        return CrossFit(Identity(), rows.probabilities)
    if kind == "batch":
        base = batch_calibration(unlabelled)
        return CrossFit(base, base.posteriors(rows.probabilities))
    counted = rows.weights > 0
    if not counted.all():
        found = cross_fit(kind, rows.take(np.flatnonzero(counted)), unlabelled, seed, quick)
        posteriors = found.base.posteriors(rows.probabilities)
        posteriors[counted] = found.posteriors
        return found._replace(posteriors=posteriors)
    group, first = groups_of(rows.probabilities, rows.y)
    n_folds = min(FEW_FOLDS if quick or len(first) < MANY_LABELS else N_FOLDS, len(first))
    fold = deal(rows.y[first], n_folds, [seed])[group]
    if kind == "trees":
        posteriors = np.empty_like(rows.probabilities)
        for k in range(n_folds):
            train, held_out = np.flatnonzero(fold != k), fold == k
            trees = fit_trees(rows.take(train), seed)
            posteriors[held_out] = trees.posteriors(rows.probabilities[held_out])
        return CrossFit(fit_trees(rows, seed), _same_for_common_rows(posteriors, rows))
    if kind == "quadratic" and (len(first) < LEAST_CURVED or rows.probabilities.shape[1] > MOST_CURVED):
        kind = "affine"
    strength, posteriors = _choose_strength(kind, rows, unlabelled, fold, group)
    fitted = fit_map(rows, unlabelled, kind, strength)
    if np.isfinite(strength.linear):
        for again in range(1, N_DEALS):
            fold = deal(rows.y[first], n_folds, [seed, again])[group]
            posteriors += _map_held_out(kind, rows, unlabelled, fold, strength, fitted.change)
        posteriors /= N_DEALS
    return CrossFit(fitted.map, _same_for_common_rows(posteriors, rows))


def _same_for_common_rows(posteriors: FloatArray, rows: LabelledRows) -> FloatArray:
    """Return posteriors in which rows that are the same have their mean, as one base gives them one.

    The bases of the folds differ a little, and a search would divide such rows between the classes by fold.
    """
    for same in common_rows(rows.probabilities):
        posteriors[same] = posteriors[same].mean(axis=0)
    return posteriors


def _choose_strength(
    kind: str, rows: LabelledRows, unlabelled: FloatArray, fold: IndexArray, group: IndexArray
) -> tuple[Strength, FloatArray]:
    """Return the strengths of the highest held-out log-likelihood, and the posteriors of the folds.

    A map is curved only where that raises the likelihood by more than a standard error; copies of a row,
    a group, are one row. Rows of classes that a fold leaves no row of say nothing of that: no map of the
    other rows can be right on them.
    """
    batch = batch_calibration(unlabelled).posteriors(rows.probabilities)
    pulls = [Strength(one) for one in STRENGTHS]
    linear = _walk(kind, rows, unlabelled, fold, pulls, _Walked(Strength(np.inf), batch, []))
    if kind != "quadratic" or np.isinf(linear.strength.linear):
        return linear.strength, linear.posteriors
    pulls = [Strength(linear.strength.linear, one) for one in CURVED_STRENGTHS]
    curved = _walk(kind, rows, unlabelled, fold, pulls, linear)
    gained = _losses(linear.posteriors, rows) - _losses(curved.posteriors, rows)
    rows_of = np.zeros((int(fold.max()) + 1, rows.probabilities.shape[1]), dtype=np.int64)
    np.add.at(rows_of, (fold, rows.y), 1)
    elsewhere = rows_of.sum(axis=0)[rows.y] - rows_of[fold, rows.y]
    weights = rows.weights * (elsewhere > 0)
    weights /= weights.sum()
    gain = gained @ weights
    error = np.sqrt((np.bincount(group, weights * (gained - gain)) ** 2).sum())
    best = curved if gain > error else linear
    return best.strength, best.posteriors


class _Walked(NamedTuple):
    """The best strengths so far, the posteriors of the folds, and a start per fold."""

    strength: Strength
    posteriors: FloatArray
    starts: list[FloatArray | None]


def _walk(
    kind: str,
    rows: LabelledRows,
    unlabelled: FloatArray,
    fold: IndexArray,
    strengths: Sequence[Strength],
    first: _Walked,
) -> _Walked:
    """Fit maps to the rows outside of each fold, one strength after the other, from the strongest on.

    It ends where the likelihood of held-out labels has fallen twice in a row.
    """
    best, losses = first, [_loss(first.posteriors, rows)]
    starts = first.starts or [None] * (int(fold.max()) + 1)
    for strength in strengths:
        mapped, fits = np.empty_like(first.posteriors), []
        for k, start in enumerate(starts):
            held_out = fold == k
            fits.append(fit_map(rows.take(np.flatnonzero(~held_out)), unlabelled, kind, strength, start))
            mapped[held_out] = fits[-1].map.posteriors(rows.probabilities[held_out])
        starts = [one.change for one in fits]
        losses.append(_loss(mapped, rows))
        if losses[-1] < min(losses[:-1]):
            best = _Walked(strength, mapped, starts)
        elif len(losses) > 2 and losses[-1] > losses[-2] > losses[-3]:
            break
    return best


def _map_held_out(
    kind: str,
    rows: LabelledRows,
    unlabelled: FloatArray,
    fold: IndexArray,
    strength: Strength,
    start: FloatArray,
) -> FloatArray:
    """Return the posteriors of each fold's rows by a map of the other rows."""
    posteriors = np.empty_like(rows.probabilities)
    for k in np.unique(fold):
        held_out = fold == k
        fitted = fit_map(rows.take(np.flatnonzero(~held_out)), unlabelled, kind, strength, start)
        posteriors[held_out] = fitted.map.posteriors(rows.probabilities[held_out])
    return posteriors


def _losses(posteriors: FloatArray, rows: LabelledRows) -> FloatArray:
    """Return the negative log-likelihood of each label."""
    own = np.maximum(posteriors[np.arange(len(rows.y)), rows.y], np.finfo(np.float64).tiny)
    return np.asarray(-np.log(own))


def _loss(posteriors: FloatArray, rows: LabelledRows) -> float:
    """Return the mean negative log-likelihood of the labels."""
    return float(_losses(posteriors, rows) @ rows.weights / rows.weights.sum())
