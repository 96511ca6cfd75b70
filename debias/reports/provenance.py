"""Provenance of a report: the correction, the rows, and whether the figures may be trusted."""

import numpy as np
import pandas as pd

from debias.errors import OverlapError
from debias.estimators.base_debiaser import BaseDebiaser
from debias.estimators.fitted.fitted_correction import FittedCorrection
from debias.estimators.fitted.summary import came_later
from debias.estimators.prediction import describe_other_mixes, matched_probabilities
from debias.guarantees.certification import certify
from debias.guarantees.guarantee import Guarantee
from debias.reports.findings import Finding, Kind
from debias.search.constraints import Constrained
from debias.search.objective import confusion_counts
from debias.tables.class_columns import fingerprint_of
from debias.tables.labels.column_order import better_order
from debias.tables.overlap import check_disjoint
from debias.tables.table import ProbabilityTable

SHOWN_DIGITS = 16
"""Digits of a fingerprint that a report shows."""

DIGESTS = ("collection", "request")
"""Metadata for machines: digests of what the other entries say in words."""


def describe_provenance(debiaser: BaseDebiaser, table: ProbabilityTable) -> dict[str, dict[str, object]]:
    """List settings of a correction and facts of a table.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted.
    table : ProbabilityTable
        The rows of the report.

    Returns
    -------
    dict of dict
        Sections of names and values.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> table = ProbabilityTable([[0.6, 0.4], [0.9, 0.1]], [0, 1], metadata={"model": "demo"})
    >>> debiaser = WeightDebiaser().fit(table.probabilities, table.labels)
    >>> describe_provenance(debiaser, table)["Correction"]["labels used"]
    2
    """
    fitted = debiaser.fitted_
    correction = {
        "method": type(debiaser).__name__,
        "search": fitted.search,
        "labels used": fitted.n_labels,
        "choices evaluated": fitted.n_evaluations,
        "search time in seconds": round(fitted.search_seconds, 3),
        **_describe_objective(fitted),
        **_describe_proof(fitted),
        "fingerprint of the fitted rows": fitted.data_fingerprint[:SHOWN_DIGITS],
    }
    if fitted.n_weights is not None:
        correction["weight steps"] = fitted.n_weights
    rows: dict[str, object] = {"rows": len(table), "classes": len(table.classes)}
    if table.label_mass is not None:
        rows["mean probability of all labels together"] = round(float(table.label_mass.mean()), 4)
    rows["fingerprint"] = table.fingerprint[:SHOWN_DIGITS]
    facts = {name: value for name, value in table.metadata.items() if name not in DIGESTS}
    return {"Correction": correction, "Rows of this report": rows | facts}


def describe_model(table: ProbabilityTable) -> str | None:
    """Name the model that a table was collected from, and which version of it.

    Parameters
    ----------
    table : ProbabilityTable
        With the metadata that a collection writes.

    Returns
    -------
    str or None
        Name, revision or digest of the weights, number format and engine, as far as they are known.

    Examples
    --------
    >>> engine = {"engine": "transformers", "weights": "a05d17f4", "dtype": "float32"}
    >>> metadata = {"model": "demo", "collection": {"engine": engine}}
    >>> describe_model(ProbabilityTable([[0.6, 0.4]], metadata=metadata))
    'demo (weights a05d17f4, float32, transformers)'
    """
    name, collection, facts = (table.metadata.get(key) for key in ("model", "collection", "engine"))
    if not name:
        return None
    engine = collection.get("engine") if isinstance(collection, dict) else None
    known = (engine if isinstance(engine, dict) else {}) | (facts if isinstance(facts, dict) else {})
    said = [f"{key} {known[key]}" for key in ("revision", "weights") if known.get(key)]
    said += [str(known[key]) for key in ("dtype", "engine") if known.get(key)]
    return f"{name} ({', '.join(said)})" if said else str(name)


def _describe_proof(fitted: FittedCorrection) -> dict[str, object]:
    """Say what is proved of the choice, or that a person made it."""
    if fitted.picked_row is not None:
        return {"picked by hand": f"row {fitted.picked_row} of the frontier"}
    if fitted.certificate is None:
        return {}
    return {f"proved{came_later(fitted).removeprefix(',')}": fitted.certificate.proved}


def _describe_objective(fitted: FittedCorrection) -> dict[str, object]:
    """List what was minimised, within which bounds, and its values before and after."""
    goal = fitted.objective
    weighted = goal.inner if isinstance(goal, Constrained) else goal
    values = {
        f"objective {side} (fitted rows)": value if goal.is_feasible(value) else "out of bounds"
        for side, value in (
            ("before", fitted.baseline_objective_value),
            ("after", fitted.objective_value),
        )
    }
    described: dict[str, object] = {"objective weights": weighted.used_params()}
    described |= {"bounds": goal.describe()} if isinstance(goal, Constrained) else {}
    return described | values


def notes_on_rows(
    debiaser: BaseDebiaser, table: ProbabilityTable, fitted_on: ProbabilityTable | None = None
) -> list[Finding]:
    """Say whether the correction changed anything, and whether the rows are fresh.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted.
    table : ProbabilityTable
        The rows of the report.
    fitted_on : ProbabilityTable, optional
        The rows it was fitted on, if known.

    Returns
    -------
    list of Finding
        Warnings and notes.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> table = ProbabilityTable([[0.9, 0.1], [0.2, 0.8]], [0, 1])
    >>> debiaser = WeightDebiaser().fit(table.probabilities, table.labels)
    >>> [finding.kind for finding in notes_on_rows(debiaser, table)]
    ['warning', 'note']
    """
    notes = []
    if is_fitted_on(debiaser, table):
        notes.append(
            Finding(
                "warning",
                "The correction was fitted on these very rows, so the figures flatter it. Report on "
                "rows that it has not seen.",
            )
        )
    elif fitted_on is not None:
        notes += _notes_on_overlap(debiaser, table, fitted_on)
    other = None if table.labels is None else better_order(table.to_numpy(), table.label_indices)
    if other is not None:
        said = other.describe(list(table.classes))
        notes.append(Finding("warning", f"Check the labels before you read the figures: {said}."))
    if not is_fitted_on(debiaser, table):
        notes += [Finding("warning", said) for said in describe_other_mixes(debiaser, table)]
    kind: Kind = "note" if debiaser.feasible_ else "warning"
    notes.append(Finding(kind, debiaser.summary()))
    near = debiaser.fitted_.near_ties
    if near is not None and near.differ:
        notes.append(Finding("note", f"On the fitted rows. {near.describe()}"))
    return [*notes, *_notes_on_bounds(debiaser, table)]


def guarantee_of(
    debiaser: BaseDebiaser, table: ProbabilityTable, fitted_on: ProbabilityTable | None, confidence: float
) -> Guarantee | None:
    """Return what the rows of a report guarantee of new rows; nothing where some were fitted on.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted.
    table : ProbabilityTable
        The labelled rows of the report.
    fitted_on : ProbabilityTable, optional
        The rows it was fitted on, if known.
    confidence : float
        Of all statements together.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> table = ProbabilityTable([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], [0, 1, 1])
    >>> debiaser = WeightDebiaser().fit(table.probabilities, table.labels)
    >>> guarantee_of(debiaser, table, None, 0.95) is None
    True
    """
    opt = fitted_on if fitted_on is not None and may_be_fitted_on(debiaser, fitted_on) else None
    try:
        return certify(debiaser, table, confidence=confidence, opt=opt)
    except OverlapError:
        return None


def blockers_of(debiaser: BaseDebiaser, table: ProbabilityTable, guarantee: Guarantee | None) -> list[str]:
    """Say, in clauses, why the figures of a report cannot speak for a correction.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted.
    table : ProbabilityTable
        The labelled rows of the report.
    guarantee : Guarantee, optional
        Of :func:`guarantee_of`: None where rows were fitted on.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> table = ProbabilityTable([[0.9, 0.1], [0.2, 0.8]], [0, 1])
    >>> debiaser = WeightDebiaser().fit(table.probabilities, table.labels)
    >>> blockers_of(debiaser, table, None)
    ['it was fitted on these rows, which flatters it: report on rows that it has not seen']
    """
    if guarantee is None:
        which = "these rows" if is_fitted_on(debiaser, table) else "some of these rows"
        return [f"it was fitted on {which}, which flatters it: report on rows that it has not seen"]
    if not debiaser.feasible_:
        return ["it does not satisfy the requested bounds, as no choice found does"]
    unmet = _unmet_bounds(debiaser, table)
    return [f"it does not satisfy its bounds on these rows: {'; '.join(unmet)}"] if unmet else []


def _unmet_bounds(debiaser: BaseDebiaser, table: ProbabilityTable) -> list[str] | None:
    """Return the bounds that are not kept on labelled rows; None where there are none."""
    goal = debiaser.objective_
    if not isinstance(goal, Constrained) or table.labels is None:
        return None
    classes = pd.Index(debiaser.classes_)
    predicted = classes.get_indexer(pd.Index(debiaser.predict(matched_probabilities(debiaser, table))))
    labels = classes.get_indexer(pd.Index(table.labels))
    counts = confusion_counts(labels, predicted, len(classes))
    if isinstance(goal.no_class_worse_than, str):  # a model is judged on the same rows
        probabilities = matched_probabilities(debiaser, table).to_numpy()
        uncorrected = np.argsort(debiaser.columns_)[probabilities.argmax(axis=1)]
        goal = goal.resolve_on(labels, uncorrected, probabilities[:, debiaser.columns_])
    return list(goal.unmet(counts.correct, counts.support))


def _notes_on_bounds(debiaser: BaseDebiaser, table: ProbabilityTable) -> list[Finding]:
    """Say whether bounds that were kept on the fitted rows are kept on other rows, too."""
    if not debiaser.feasible_ or is_fitted_on(debiaser, table):
        return []
    unmet = _unmet_bounds(debiaser, table)
    if unmet is None:
        return []
    if not unmet:
        return [
            Finding("note", f"The bounds are also satisfied on these rows: {debiaser.objective_.describe()}.")
        ]
    return [Finding("warning", f"Satisfied on the fitted rows, but not on these: {'; '.join(unmet)}.")]


def _notes_on_overlap(
    debiaser: BaseDebiaser, table: ProbabilityTable, fitted_on: ProbabilityTable
) -> list[Finding]:
    """Warn of shared rows, and of a table that the correction was not fitted on after all."""
    if not may_be_fitted_on(debiaser, fitted_on):
        said = "The table given as the fitted rows is not the one that the correction was fitted on."
        return [Finding("warning", said)]
    try:
        check_disjoint(fitted_on, table)
    except OverlapError as error:  # which names ids and begins texts, and a page may show neither
        assert isinstance(error.received, list)
        shown = ", ".join(map(str, error.received[:3])) + (", ..." if len(error.received) > 3 else "")
        said = f"share {len(error.received):,} of the {len(fitted_on):,} opt rows (rows {shown} there)"
        fix = "remove what they share (in Python: remove_overlap(opt, test)), and fit again"
        text = f"The figures flatter the correction: the opt set and the test set {said}; {fix}."
        return [Finding("warning", text)]
    return []


def may_be_fitted_on(debiaser: BaseDebiaser, table: ProbabilityTable) -> bool:
    """Tell whether a correction can have been fitted on these labelled rows, with weights or without.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted.
    table : ProbabilityTable
        With the same classes.

    Returns
    -------
    bool
        Weights repeat and omit rows, so of a weighted fit no table can be told to be another one.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> table = ProbabilityTable([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], [0, 1, 1])
    >>> debiaser = WeightDebiaser().fit(table.probabilities, table.labels, sample_weight=[1, 2, 1])
    >>> is_fitted_on(debiaser, table), may_be_fitted_on(debiaser, table)
    (False, True)
    """
    fitted = debiaser.fitted_
    return fitted.n_labels != int(fitted.counts().support.sum()) or is_fitted_on(debiaser, table)


def is_fitted_on(debiaser: BaseDebiaser, table: ProbabilityTable) -> bool:
    """Tell whether a correction was fitted on exactly these labelled rows.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted.
    table : ProbabilityTable
        With the same classes.

    Returns
    -------
    bool
        False for an unlabelled table.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> table = ProbabilityTable([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], [0, 1, 1])
    >>> debiaser = WeightDebiaser().fit(table.probabilities, table.labels)
    >>> is_fitted_on(debiaser, table), is_fitted_on(debiaser, table.take([0, 2]))
    (True, False)
    """
    if table.labels is None:
        return False
    probabilities = matched_probabilities(debiaser, table)
    codes = pd.Index(probabilities.columns).get_indexer(pd.Index(table.labels))
    return fingerprint_of(probabilities.to_numpy(), codes.astype("int64")) == debiaser.data_fingerprint_
