"""A fitted correction as a readable JSON file: data only, checked field by field when read."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from typing import Any

import numpy as np

from debias.corrections.correction import Correction
from debias.corrections.correction_document import (
    FORMAT,
    LARGEST_FILE,
    SCHEMA_VERSION,
    base_of,
    checksum_of,
    corrections_of,
    damage_named,
    labels_of,
    read_document,
    was_edited,
)
from debias.corrections.explanations import ClassFacts, Moves
from debias.corrections.families import FAMILY_NAMES, Family
from debias.errors import CorrectionFileError, visible_json
from debias.estimators.few_labels.generalization import Expectation
from debias.estimators.few_labels.one_standard_error import JudgedMethod, MethodSelection
from debias.estimators.fitted.checked_entries import Entry, one_of, read_entry, value_of
from debias.estimators.fitted.fitted_correction import FittedCorrection
from debias.estimators.fitted.label_free import LabelFree
from debias.estimators.fitted.summary import describe_outcome
from debias.files.atomic_file import atomic_path
from debias.guarantees.guarantee import Guarantee
from debias.guarantees.watching.reference import Reference
from debias.search.certificate import Certificate
from debias.search.goals.goal_entry import objective_entry, read_objective
from debias.search.proof.near_ties import NearTie, NearTies
from debias.tables.row_digests import RowDigests

FAMILIES = (*FAMILY_NAMES, "log-bias", "none", "own")
"""What may be searched, behind a base or without one."""


def write_correction(fitted: FittedCorrection, path: str | PathLike[str], named_columns: bool) -> None:
    """Write what a fit learned.

    Parameters
    ----------
    fitted : FittedCorrection
        All that it learned.
    path : str or path-like
        The file; it appears whole or not at all.
    named_columns : bool
        Whether it was fitted on columns with names.
    """
    certificate, expectation = fitted.certificate, fitted.expectation
    document = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "summary": describe_outcome(fitted),
        "method": fitted.method,
        "objective": objective_entry(fitted.objective),
        "feasible": fitted.feasible,
        "certificate": None if certificate is None else certificate.to_dict(),
        "picked_row": fitted.picked_row,
        "near_ties": None if fitted.near_ties is None else asdict(fitted.near_ties),
        "shrunk": fitted.shrunk,
        "expectation": None if expectation is None else asdict(expectation),
        "search": fitted.search,
        "objective_value": fitted.objective_value,
        "baseline_objective_value": fitted.baseline_objective_value,
        "search_seconds": fitted.search_seconds,
        "n_evaluations": fitted.n_evaluations,
        "n_labels": fitted.n_labels,
        "named_columns": named_columns,
        "classes": [_class_entry(fitted, k) for k in np.argsort(fitted.columns)],
        "data_fingerprint": fitted.data_fingerprint,
        "family_size": fitted.family_size,
        "settings_tried": fitted.settings_tried,
        "row_digests": None if fitted.row_digests is None else fitted.row_digests.text,
        "guarantee": None if fitted.guarantee is None else fitted.guarantee.to_dict(),
        "interrupted": fitted.interrupted,
        "versions": _versions(),
        "label_free": None if fitted.label_free is None else asdict(fitted.label_free),
        "selection": None if fitted.selection is None else asdict(fitted.selection),
        "base": fitted.base.to_dict(),
        "reference": None if fitted.reference is None else fitted.reference.to_dict(),
    }
    if fitted.n_weights is not None:
        document["n_weights"] = fitted.n_weights
    if fitted.family is not None:
        document["family"] = fitted.family
    if fitted.edited:
        document["edited"] = True
    document["checksum"] = checksum_of(document)
    content = f"{visible_json(_readable(document))}\n".encode()
    if len(content) > LARGEST_FILE:
        raise CorrectionFileError(
            f"the correction takes {len(content):,} bytes, and files may have {LARGEST_FILE:,} at most",
            parameter="base",
            received=fitted.base.kind,
            file=path,
            fix="fit it with another base",
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _readable(document: Entry) -> str:
    """Write JSON with one entry a line, the numbers of base and reference in as few lines as they need."""
    compact = {name: _compact(document[name]) for name in ("base", "reference")}
    marks = {name: f"{{{name}}}" for name in compact}
    text = json.dumps(document | marks, indent=2, ensure_ascii=False, allow_nan=False)
    for name, numbers in reversed(compact.items()):  # from the end: no text before it is taken for a mark
        head, tail = text.rsplit(f'"{name}": "{{{name}}}"', 1)
        text = f'{head}"{name}": {numbers}{tail}'
    return text


def _compact(value: object) -> str:
    """Write JSON in one line, but each list in a list in a line of its own; texts stay as they are."""
    if isinstance(value, dict):
        entries = (f"{json.dumps(name, ensure_ascii=False)}: {_compact(one)}" for name, one in value.items())
        return f"{{{', '.join(entries)}}}"
    if isinstance(value, list) and any(isinstance(one, (list, dict)) for one in value):
        return f"[{f',{chr(10)}    '.join(map(_compact, value))}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _class_entry(fitted: FittedCorrection, k: int) -> Entry:
    """Describe one class."""
    label, facts = fitted.classes[k], fitted.facts[k]
    counted = {
        name: value for name, value in asdict(facts).items() if facts.n_rows or name not in Moves._fields
    }
    return {
        "label": label.item() if isinstance(label, np.generic) else label,
        "correction": fitted.corrections[k].to_dict(),
        "facts": counted,
    }


def _versions() -> dict[str, str]:
    """Name what the correction was made with."""
    found: dict[str, str] = {"python": platform.python_version()}
    for package in ("debias-iterit", "numpy", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def read_correction(
    path: str | PathLike[str], methods: Sequence[str], family: Sequence[Correction] | None = None
) -> tuple[FittedCorrection, bool]:
    """Read what :func:`write_correction` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.
    methods : sequence of str
        Class names that it may hold.
    family : sequence of Correction, optional
        Corrections that a file names by id and label only.

    Returns
    -------
    fitted : FittedCorrection
        What a fit learned.
    named_columns : bool
        Whether it was fitted on columns with names.

    Raises
    ------
    CorrectionFileError
        A field is missing or not as it should be; the error names file and field.
    """
    with damage_named(path):
        document = read_document(path)
        return _read_fitted(document, methods, family), document["named_columns"] is True


def _read_fitted(
    document: Entry, methods: Sequence[str], family: Sequence[Correction] | None
) -> FittedCorrection:
    """Read everything, checked field by field."""
    method = one_of(document, "method", methods)
    entries = document["classes"]
    names = np.array(labels_of(document))
    columns = np.argsort(names, kind="stable").astype(np.int64)
    read_own = partial(_read_own, family=family)
    corrections = corrections_of(document, read_own)
    certificate = _read_certificate(document, value_of(float, document, "objective_value"))
    picked = document.get("picked_row") is not None
    return read_entry(
        FittedCorrection,
        {"interrupted": certificate is not None and certificate.interrupted} | document,
        method=method,
        n_weights=(value_of(int, document, "n_weights") if document.get("n_weights") is not None else None),
        classes=names[columns],
        columns=columns,
        corrections=tuple(corrections[k] for k in columns),
        facts=tuple(read_entry(ClassFacts, entries[k]["facts"]) for k in columns),
        objective=read_objective(document["objective"], len(names)),
        certificate=certificate,
        expectation=_read_expectation(document.get("expectation")),
        row_digests=None if document.get("row_digests") is None else RowDigests.read(document["row_digests"]),
        guarantee=_read_guarantee(document.get("guarantee"), names),
        reference=(
            None
            if document.get("reference") is None
            else Reference.from_dict(document["reference"], len(entries))
        ),
        picked_row=value_of(int, document, "picked_row") if picked else None,
        base=base_of(document),
        edited=was_edited(document),
        label_free=read_entry(LabelFree, document["label_free"]) if document.get("label_free") else None,
        selection=_read_selection(document.get("selection")),
        near_ties=_read_near_ties(document.get("near_ties"), len(names)),
        shrinkage_path=None,
        frontier=None,
        family=None if document.get("family") is None else one_of(document, "family", FAMILIES),
    )


def _read_certificate(document: Entry, objective_value: float) -> Certificate | None:
    """Read what was proved, if anything, and refuse what could not have been."""
    entry = document.get("certificate")
    if entry is None:
        return None
    known = {name: value for name, value in entry.items() if name != "seconds"}
    certificate = read_entry(Certificate, known, has_bounds="objective" in document["objective"])
    status = certificate.status
    n_classes, gap = len(document["classes"]), certificate.gap
    radii = {"optimal": (n_classes,), "radius": range(1, n_classes), "heuristic": (0,)}
    same = 1e-9 * max(1.0, abs(objective_value))  # differences by rounding
    shrunk = document.get("shrunk") is True and (
        status != "optimal" or objective_value >= certificate.objective - same
    )
    fits_together = (
        certificate.radius in radii[status]
        and certificate.given_up >= 0
        # a polish may lower it afterwards
        and (shrunk or certificate.objective + certificate.given_up >= objective_value - same)
        and gap >= -same
        and (status != "optimal" or gap <= same)
    )
    if not fits_together:
        raise CorrectionFileError(
            parameter="certificate",
            received=certificate,
            allowed=f"possible for {n_classes} classes and an objective of {objective_value}",
        )
    return certificate


def _read_expectation(entry: Entry | None) -> Expectation | None:
    """Read the cross-validated figures of new rows, if any."""
    if entry is None:
        return None
    expectation = read_entry(Expectation, entry)
    for change in (expectation.accuracy, expectation.cobias):
        if change.low > change.high:
            raise CorrectionFileError(
                parameter="expectation", allowed="intervals from low to high", received=change
            )
    return expectation


def _read_selection(entry: Entry | None) -> MethodSelection | None:
    """Read what methods were worth on held-out rows, if any were judged."""
    if entry is None:
        return None
    judged = tuple(read_entry(JudgedMethod, one) for one in entry["judged"])
    names = [one.method for one in judged]
    return read_entry(
        MethodSelection,
        entry,
        judged=judged,
        chosen=one_of(entry, "chosen", names),
        best=one_of(entry, "best", names),
    )


def _read_guarantee(entry: object, names: np.ndarray[Any, np.dtype[np.generic]]) -> Guarantee | None:
    """Read what is guaranteed on new rows, if anything."""
    guarantee = None if entry is None else Guarantee.from_dict(entry)
    if guarantee is not None and guarantee.classes != (expected := tuple(str(name) for name in names)):
        raise CorrectionFileError(
            parameter="guarantee", allowed=f"for the classes {expected}", received=guarantee.classes
        )
    return guarantee


def _read_near_ties(entry: Entry | None, n_classes: int) -> NearTies | None:
    """Read what is nearly as good as the choice, if that is kept."""
    if entry is None:
        return None
    rows = entry["rows"]
    if not isinstance(rows, list) or not rows:
        raise CorrectionFileError(parameter="near_ties", allowed="a list of one or more", received=rows)
    return read_entry(NearTies, entry, rows=tuple(_read_near_tie(row, n_classes) for row in rows))


def _read_near_tie(row: Entry, n_classes: int) -> NearTie:
    choice = row["choice"]
    if not isinstance(choice, list) or len(choice) != n_classes or any(type(x) is not int for x in choice):
        allowed = f"a list of {n_classes} ids of corrections"
        raise CorrectionFileError(parameter="choice", allowed=allowed, received=choice)
    return read_entry(NearTie, row, choice=tuple(choice))


def _read_own(description: Entry, family: Sequence[Correction] | None) -> Correction:
    """Look up a correction of the user's own in `family`."""
    if family is None:
        raise CorrectionFileError(
            f"the correction {description.get('label', description.get('id'))!r} is a custom function, "
            "which cannot be stored in a file",
            parameter="family",
            fix="load it in Python with the family it was fitted with, load(path, family=...)",
        )
    own = Family.of(family)
    return own[own.index_of(int(description["id"]))]
