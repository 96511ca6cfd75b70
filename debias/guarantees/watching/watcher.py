"""Watches a correction: tells from new rows whether what was fitted and guaranteed still holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.console.number_formats import counted
from debias.errors import ParameterError, TableError
from debias.guarantees.accuracy_bounds import check_confidence, clopper_pearson
from debias.guarantees.certification import Classifier
from debias.guarantees.guarantee import Guarantee
from debias.guarantees.watching.origin_facts import changed_facts, origin_facts
from debias.guarantees.watching.producible_mixes import ProducibleMix, producible_mix, share_ranges
from debias.guarantees.watching.reference import Reference
from debias.guarantees.watching.shift_checks import NewRows, label_checks, prediction_checks, shift_checks
from debias.guarantees.watching.two_sample_tests import holm
from debias.guarantees.watching.watched import ClassWatch, Watched, with_corrected
from debias.tables.class_columns import IndexArray
from debias.tables.labels.label_reading import plain_labels
from debias.tables.matched_columns import matched_columns
from debias.tables.row_digests import are_rounded
from debias.tables.table import ProbabilityTable

FEW_ROWS = 50
"""New rows below which a note says how little they can tell."""


def watch(
    correction: Classifier,
    rows: ProbabilityTable | pd.DataFrame | npt.ArrayLike,
    labels: Any = None,
    *,
    confidence: float = 0.95,
    least_shift: float = 0.02,
) -> Watched:
    """Tell from new rows whether a correction is still right.

    Parameters
    ----------
    correction : BaseDebiaser
        Fitted, or loaded from a file.
    rows : ProbabilityTable, DataFrame or array of shape (n_samples, n_classes)
        New rows, as the model gives them. A table may have labels, a label mass, and metadata that name the
        model and the template.
    labels : array-like of shape (n_samples,), optional
        Labels, None where there is none: those of the table by default. Rows with a label must be a random
        part of the rows.
    confidence : float, default=0.95
        If nothing has changed, the verdict is "holds" with this probability, all checks together. Of
        daily runs at .95, one in twenty finds something by chance: take .999 for these. The check against
        a guarantee presumes that it holds, which it does with its own confidence.
    least_shift : float, default=0.02
        Shifts of shares and distributions below it are never found, however many rows show them.

    Returns
    -------
    Watched
        The verdict, and every check.

    Raises
    ------
    ParameterError
        The correction has no reference, or a parameter has a value that is not allowed.
    TableError
        The rows have other classes, or a label is of none of them.

    Notes
    -----
    New rows are compared with the fitted ones by what the model said of them, on which nothing was chosen;
    with held-out rows by corrected predictions, where the file has a guarantee. p-values are corrected
    by Holm's method over all checks. The reference is a sample, too: if it happens to be an odd one, runs
    against it find something more often, all in the same way.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(2, size=1200)
    >>> first = 1 / (1 + np.exp(rng.normal(size=1200) - 2 + 2 * y))
    >>> X = np.column_stack([first, 1 - first])
    >>> debiaser = WeightDebiaser().fit(X[:600], y[:600])
    >>> watch(debiaser, X[600:]).verdict
    'holds'
    >>> mostly_0 = np.flatnonzero(y[600:] <= rng.random(600) - 0.8) + 600
    >>> watch(debiaser, X[mostly_0]).verdict
    'mix shifted'
    >>> other = X[600:] ** 4 / (X[600:] ** 4).sum(axis=1, keepdims=True)  # a model that is too sure
    >>> watched = watch(debiaser, other)
    >>> watched.verdict, watched.exit_code
    ('expired', 5)
    """
    check_confidence(confidence)
    if not (isinstance(least_shift, (int, float)) and 0 <= least_shift < 1):
        allowed = "a number from 0 to below 1"
        raise ParameterError(parameter="least_shift", allowed=allowed, received=least_shift)
    reference, guarantee = _kept(correction)
    new = _new_rows(correction, rows, labels)
    names = [str(name) for name in correction.get_feature_names_out()]
    held_out = None if guarantee is None else guarantee.confusion
    compared = _Compared.of(new, reference, held_out, 1 - confidence)
    checks = [
        *shift_checks(new, reference, names),
        *prediction_checks(compared.confusion, compared.predicted, compared.mix),
        *label_checks(new, reference, guarantee, names),
    ]
    corrected = holm([check.p_value for check in checks])
    judged = with_corrected(checks, corrected.tolist(), 1 - confidence, least_shift)
    metadata = rows.metadata if isinstance(rows, ProbabilityTable) else {}
    labelled = new.y >= 0
    return Watched(
        n_rows=len(new.predicted),
        n_labelled=int(labelled.sum()),
        n_reference=reference.n_rows,
        confidence=float(confidence),
        least_shift=float(least_shift),
        checks=judged,
        classes=_classes(names, new, guarantee, compared, any(one.found for one in judged), 1 - confidence),
        changed=changed_facts(reference.origin, origin_facts(metadata)),
        held_out=held_out is not None,
        accuracy=float((new.predicted == new.y)[labelled].mean()) if labelled.any() else None,
        notes=tuple(_notes(correction, new, reference, guarantee, metadata)),
    )


def remember(correction: Any, table: ProbabilityTable) -> None:
    """Let a correction remember what only the table of its fit knows: label mass, model and template.

    ``debias fit`` does so by itself; ``fit(table.probabilities, table.labels)`` cannot.

    Parameters
    ----------
    correction : BaseDebiaser
        Fitted on the rows of the table.
    table : ProbabilityTable
        With labels.

    Raises
    ------
    ParameterError
        The correction was fitted on other rows.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> table = ProbabilityTable([[0.6, 0.4], [0.1, 0.9]] * 9, [0, 1] * 9, metadata={"model": "demo"})
    >>> debiaser = WeightDebiaser().fit(table.probabilities, table.labels)
    >>> remember(debiaser, table)
    >>> dict(debiaser.fitted_.reference.origin)
    {'model': 'demo'}
    """
    fitted = correction.fitted_
    reference: Reference | None = fitted.reference
    _ = table.label_indices  # refuses a table without labels
    names = [str(name) for name in correction.get_feature_names_out()]
    frame, y = matched_columns(table, names), _codes(table.labels, names)
    if reference is None or not _same(Reference.of(frame.to_numpy(), y), reference):
        allowed = f"the {fitted.n_labels:,} rows that the correction was fitted on"
        raise ParameterError(
            parameter="table", allowed=allowed, received=f"another table of {len(table):,} rows"
        )
    mass = None if table.label_mass is None else table.label_mass.to_numpy(dtype=np.float64)
    correction.fitted_ = replace(fitted, reference=reference.with_origin(y, mass, table.metadata))


def _same(one: Reference, other: Reference) -> bool:
    """Tell whether two references are of the same rows."""
    return bool(np.array_equal(one.predicted, other.predicted)) and all(
        np.array_equal(a.edges, b.edges) and np.array_equal(a.counts, b.counts)
        for a, b in zip(one.probabilities, other.probabilities, strict=True)
    )


@dataclass(frozen=True)
class _Compared:
    """Predictions of new rows beside those of labelled rows, and what they tell of the mix."""

    confusion: IndexArray
    predicted: IndexArray
    mix: ProducibleMix | None

    @classmethod
    def of(
        cls, new: NewRows, reference: Reference, held_out: tuple[tuple[int, ...], ...] | None, level: float
    ) -> "_Compared":
        is_held_out = held_out is not None
        confusion = np.array(held_out, dtype=np.int64) if is_held_out else reference.predicted
        predicted = new.counts_of(new.predicted if is_held_out else new.uncorrected)
        by_class = is_held_out or reference.by_class
        return cls(confusion, predicted, producible_mix(confusion, predicted, level) if by_class else None)


def _kept(correction: Any) -> tuple[Reference, Guarantee | None]:
    """Return the reference of a correction, and its guarantee, if any."""
    fitted = getattr(correction, "fitted_", None)
    reference = getattr(fitted, "reference", None)
    if reference is None:
        raise ParameterError(
            "the correction does not record the distribution of the rows that it was fitted on",
            parameter="correction",
            fix="fit it again: earlier releases did not record it",
        )
    return reference, getattr(fitted, "guarantee", None)


def _new_rows(correction: Classifier, rows: Any, labels: Any) -> NewRows:
    """Return new rows in the order of the correction's columns."""
    names = [str(name) for name in correction.get_feature_names_out()]
    X, mass = rows, None
    if isinstance(rows, ProbabilityTable):
        frame = matched_columns(rows, names)
        X = frame if hasattr(correction, "feature_names_in_") else frame.to_numpy()
        mass = None if rows.label_mass is None else rows.label_mass.to_numpy(dtype=np.float64)
        labels = rows.labels if labels is None else labels
    if mass is not None and not np.isfinite(mass).all():
        mass = None
    predicted = _codes(correction.predict(X), names)  # refuses rows that are no distributions
    y = np.full(len(predicted), -1, dtype=np.int64) if labels is None else _codes(labels, names)
    if len(y) != len(predicted):
        allowed = f"{len(predicted)} labels, one a row, or None"
        raise ParameterError(parameter="labels", allowed=allowed, received=f"{len(y)} labels")
    return NewRows(np.asarray(X, dtype=np.float64), predicted, mass, y)


def _codes(labels: Any, names: Sequence[str]) -> IndexArray:
    """Return labels as columns, -1 where there is none."""
    values = pd.Series(labels, dtype=object).reset_index(drop=True)
    given = values.notna().to_numpy()
    try:
        plain = plain_labels(values[given].to_numpy())
    except TableError as error:
        raise error.in_row(None if error.row is None else int(np.flatnonzero(given)[error.row])) from error
    texts = pd.Index([str(value) for value in plain.tolist()], dtype=object)
    codes = np.full(len(values), -1, dtype=np.int64)
    codes[given] = pd.Index(list(names)).get_indexer(texts)
    unknown = np.flatnonzero(given & (codes < 0))
    if len(unknown):
        row = int(unknown[0])
        label = texts[int(given[:row].sum())]
        raise TableError(
            f"the label {label!r} is not a class of the correction, which has {list(names)}",
            received=label,
            row=row,
        )
    return codes


def _classes(
    names: Sequence[str],
    new: NewRows,
    guarantee: Guarantee | None,
    compared: _Compared,
    with_ranges: bool,
    level: float,
) -> tuple[ClassWatch, ...]:
    """Return what is known of each class on new rows; ranges of shares only where something was found."""
    n_classes, mix = len(names), compared.mix
    labelled = new.y >= 0
    y = new.y[labelled]
    support = np.bincount(y, minlength=n_classes)
    correct = np.bincount(y[new.predicted[labelled] == y], minlength=n_classes)
    low, high = clopper_pearson(correct, support, level / (2 * n_classes))
    before = compared.confusion.sum(axis=1 if mix is not None else 0)
    shares = compared.predicted / compared.predicted.sum() if mix is None else mix.shares
    shares = support / support.sum() if labelled.any() else shares
    ranges = None
    if mix is not None and with_ranges:
        ranges = share_ranges(compared.confusion, compared.predicted, level)
    return tuple(
        ClassWatch(
            class_name=name,
            fitted_share=float(before[k] / before.sum()),
            share=float(shares[k]),
            share_low=None if ranges is None else float(ranges[0][k]),
            share_high=None if ranges is None else float(ranges[1][k]),
            guaranteed=None if guarantee is None else float(guarantee.low[k]),
            n=int(support[k]) if labelled.any() else None,
            correct=int(correct[k]) if labelled.any() else None,
            accuracy_low=float(low[k]) if labelled.any() else None,
            accuracy_high=float(high[k]) if labelled.any() else None,
        )
        for k, name in enumerate(names)
    )


def _notes(
    correction: Any,
    new: NewRows,
    reference: Reference,
    guarantee: Guarantee | None,
    metadata: Mapping[str, Any],
) -> list[str]:
    """Say what limits the judgement."""
    said, n = [], len(new.predicted)
    digests = correction.fitted_.row_digests
    n_fitted = 0 if digests is None else len(digests.shared(new.probabilities))
    if n_fitted:
        said.append(
            f"{counted(n_fitted, 'row')} have exactly the same probabilities as rows that the correction was "
            "fitted on, and show nothing new."
        )
    if min(n, reference.n_rows) < FEW_ROWS:
        said.append(
            f"With {counted(n, 'new row')} and {reference.n_rows:,} fitted rows, only large shifts can be "
            "found."
        )
    repeated = int(pd.DataFrame(new.probabilities).duplicated().sum())
    if repeated > n // 20:
        said.append(
            f"{counted(repeated, 'row')} repeat the probabilities of another row: rows that are not "
            "independent cause false alarms."
        )
    edges = np.concatenate([one.edges for one in reference.probabilities])
    if are_rounded(new.probabilities) and not are_rounded(edges):
        said.append(
            "These rows have six decimals at most, and the fitted rows have more: rounding alone moves small "
            "probabilities, which looks like a change."
        )
    absent = [k for k in range(reference.n_classes) if reference.by_class and not reference.support[k]]
    if absent:
        said.append(
            f"{counted(len(absent), 'class')} had no fitted rows, so nothing is known about them: new rows "
            "of these classes look like a change."
        )
    if reference.origin and not origin_facts(metadata):
        said.append("These rows do not record which model and template they come from.")
    if correction.fitted_.edited:
        said.append(
            "The correction was edited after the fit: a guarantee from before the edit does not apply to it."
        )
    if guarantee is None:
        said.append("The correction has no guarantee to compare with: debias certify adds one.")
    elif guarantee.confusion is None:
        said.append(
            "The guarantee was made by an earlier release: certify again to compare corrected predictions."
        )
    return said
