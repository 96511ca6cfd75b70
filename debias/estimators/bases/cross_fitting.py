"""Out-of-fold posteriors: each labelled row is mapped by a base that was fitted without it.

Corrections are searched on these, since posteriors of the fitted rows themselves flatter the base.
"""

from typing import NamedTuple

import numpy as np

from debias.corrections.bases.base import Base, Identity
from debias.corrections.bases.linear_maps import batch_calibration
from debias.errors import ParameterError
from debias.estimators.bases.map_fitting import STRENGTHS, LabelledRows, fit_map
from debias.estimators.bases.tree_growing import fit_trees
from debias.estimators.few_labels.fold_dealing import deal
from debias.tables.class_columns import FloatArray, IndexArray
from debias.tables.information import common_rows

BASES = ("identity", "batch", "vector", "affine", "trees")
"""Names of the bases, from the simplest on."""

N_FOLDS, FEW_FOLDS, MANY_LABELS = 5, 3, 1000
"""Folds from :data:`MANY_LABELS` labelled rows on, and below."""


class CrossFit(NamedTuple):
    """A base and what it says of rows that it was not fitted on.

    Attributes
    ----------
    base : Base
        Fitted on all rows.
    posteriors : ndarray of shape (n_samples, n_classes)
        Each row by a base that was fitted on the other folds; rows that a tenth of all are like by the
        mean of these.
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
    n_folds = min(FEW_FOLDS if quick or len(rows.y) < MANY_LABELS else N_FOLDS, len(rows.y))
    fold = deal(rows.y, n_folds, [seed])
    if kind == "trees":
        posteriors = np.empty_like(rows.probabilities)
        for k in range(n_folds):
            train, held_out = np.flatnonzero(fold != k), fold == k
            trees = fit_trees(rows.take(train), seed)
            posteriors[held_out] = trees.posteriors(rows.probabilities[held_out])
        return CrossFit(fit_trees(rows, seed), _same_for_common_rows(posteriors, rows))
    strength, posteriors = _choose_strength(kind, rows, unlabelled, fold)
    base = fit_map(rows, unlabelled, kind, strength).map
    return CrossFit(base, _same_for_common_rows(posteriors, rows))


def _same_for_common_rows(posteriors: FloatArray, rows: LabelledRows) -> FloatArray:
    """Return posteriors in which rows that are the same have their mean, as one base gives them one.

    The bases of the folds differ a little, and a search would divide such rows between the classes by fold.
    """
    for same in common_rows(rows.probabilities):
        posteriors[same] = posteriors[same].mean(axis=0)
    return posteriors


def _choose_strength(
    kind: str, rows: LabelledRows, unlabelled: FloatArray, fold: IndexArray
) -> tuple[float, FloatArray]:
    """Return the strength of the highest held-out log-likelihood, and the posteriors of the folds.

    Strengths fall until the likelihood has fallen twice in a row.
    """
    best, posteriors = np.inf, batch_calibration(unlabelled).posteriors(rows.probabilities)
    losses = [_loss(posteriors, rows)]
    starts: list[FloatArray | None] = [None] * (int(fold.max()) + 1)
    for strength in STRENGTHS:
        mapped = np.empty_like(posteriors)
        for k in range(len(starts)):
            held_out = fold == k
            fitted = fit_map(rows.take(np.flatnonzero(~held_out)), unlabelled, kind, strength, starts[k])
            starts[k] = fitted.change
            mapped[held_out] = fitted.map.posteriors(rows.probabilities[held_out])
        losses.append(_loss(mapped, rows))
        if losses[-1] < min(losses[:-1]):
            best, posteriors = strength, mapped
        elif len(losses) > 2 and losses[-1] > losses[-2] > losses[-3]:
            break
    return best, posteriors


def _loss(posteriors: FloatArray, rows: LabelledRows) -> float:
    """Return the mean negative log-likelihood of the labels."""
    own = np.maximum(posteriors[np.arange(len(rows.y)), rows.y], np.finfo(np.float64).tiny)
    return float(-np.log(own) @ rows.weights / rows.weights.sum())
