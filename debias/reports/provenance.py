"""Where a report's figures come from: the correction, the rows, and whether they may be trusted."""

from typing import Any

import pandas as pd

from debias.errors import OverlapError
from debias.estimators.debiaser import Debiaser
from debias.estimators.prediction import matched_probabilities
from debias.estimators.summary import came_later
from debias.reports.findings import Finding, Kind
from debias.search.constraints import Constrained, is_feasible
from debias.search.objective import confusion_counts
from debias.tables.class_columns import fingerprint_of
from debias.tables.table import ProbabilityTable, check_disjoint

SHOWN_DIGITS = 16
"""Digits of a fingerprint that a report shows."""

DIGESTS = ("collection",)
"""Metadata for machines, which repeats in digests what the rest says in words."""


def describe_provenance(debiaser: Debiaser, table: ProbabilityTable) -> dict[str, dict[str, Any]]:
    """List settings of a correction and facts of a table.

    Parameters
    ----------
    debiaser : Debiaser
        Fitted.
    table : ProbabilityTable
        What is reported on.

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
    correction = {
        "method": type(debiaser).__name__,
        "search": debiaser.search,
        "labels used": debiaser.n_labels_,
        "choices evaluated": debiaser.n_evaluations_,
        "search time in seconds": round(debiaser.search_seconds_, 3),
        **_describe_objective(debiaser),
        **_describe_proof(debiaser),
        "fingerprint of the fitted rows": debiaser.data_fingerprint_[:SHOWN_DIGITS],
    }
    if hasattr(debiaser, "n_weights"):
        correction["weight steps"] = debiaser.n_weights
    rows: dict[str, Any] = {"rows": len(table), "classes": len(table.classes)}
    if table.label_mass is not None:
        rows["mean probability of all labels together"] = round(float(table.label_mass.mean()), 4)
    rows["fingerprint"] = table.fingerprint[:SHOWN_DIGITS]
    facts = {name: value for name, value in table.metadata.items() if name not in DIGESTS}
    return {"Correction": correction, "Rows of this report": rows | facts}


def _describe_proof(debiaser: Debiaser) -> dict[str, Any]:
    """Say what is proved of the choice, or that a person made it."""
    if debiaser.picked_row_ is not None:
        return {"picked by hand": f"row {debiaser.picked_row_} of the frontier"}
    if debiaser.certificate_ is None:
        return {}
    return {f"proved{came_later(debiaser.fitted_).removeprefix(',')}": debiaser.certificate_.proved}


def _describe_objective(debiaser: Debiaser) -> dict[str, Any]:
    """List what was minimised, within which bounds, and what it was before and after."""
    goal = debiaser.objective_
    weighted = goal.inner if isinstance(goal, Constrained) else goal
    values = {
        f"objective {side} (fitted rows)": value if is_feasible(goal, value) else "out of bounds"
        for side, value in (
            ("before", debiaser.baseline_objective_value_),
            ("after", debiaser.objective_value_),
        )
    }
    bounds = {"bounds": goal.describe()} if isinstance(goal, Constrained) else {}
    return {"objective weights": weighted.get_params()} | bounds | values


def notes_on_rows(
    debiaser: Debiaser, table: ProbabilityTable, fitted_on: ProbabilityTable | None = None
) -> list[Finding]:
    """Say whether the correction changed anything, and whether the rows are fresh.

    Parameters
    ----------
    debiaser : Debiaser
        Fitted.
    table : ProbabilityTable
        What is reported on.
    fitted_on : ProbabilityTable, optional
        What it was fitted on, as far as known.

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
                "These are the very rows that the correction was fitted on: the figures flatter it. "
                "Report on rows that it has not seen.",
            )
        )
    elif fitted_on is not None:
        notes += _notes_on_overlap(debiaser, table, fitted_on)
    kind: Kind = "note" if debiaser.feasible_ else "warning"
    return [*notes, Finding(kind, debiaser.summary()), *_notes_on_bounds(debiaser, table)]


def _notes_on_bounds(debiaser: Debiaser, table: ProbabilityTable) -> list[Finding]:
    """Say whether bounds that were kept on the fitted rows are kept on other rows, too."""
    goal = debiaser.objective_
    if not isinstance(goal, Constrained) or not debiaser.feasible_ or table.labels is None:
        return []
    if is_fitted_on(debiaser, table):
        return []
    classes = pd.Index(debiaser.classes_)
    predicted = classes.get_indexer(debiaser.predict(matched_probabilities(debiaser, table)))
    labels = classes.get_indexer(pd.Index(table.labels))
    counts = confusion_counts(labels, predicted, len(classes))
    unmet = goal.unmet(counts.correct, counts.support)
    if not unmet:
        return [Finding("note", f"The bounds are kept on these rows, too: {goal.describe()}.")]
    return [Finding("warning", f"Kept on the fitted rows, but not on these: {'; '.join(unmet)}.")]


def _notes_on_overlap(
    debiaser: Debiaser, table: ProbabilityTable, fitted_on: ProbabilityTable
) -> list[Finding]:
    """Warn of shared rows, and of a table that the correction was not fitted on after all."""
    notes = []
    if not is_fitted_on(debiaser, fitted_on):
        notes.append(
            Finding("warning", "The table given as the fitted rows is not what the correction was fitted on.")
        )
    try:
        check_disjoint(fitted_on, table)
    except OverlapError as error:
        notes.append(Finding("warning", f"The figures flatter the correction: {error}"))
    return notes


def is_fitted_on(debiaser: Debiaser, table: ProbabilityTable) -> bool:
    """Tell whether a correction was fitted on exactly these labelled rows.

    Parameters
    ----------
    debiaser : Debiaser
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
