"""A fitted correction as a readable JSON file: data only, checked field by field when read."""

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args

import numpy as np

from debias.atomic_file import atomic_path
from debias.corrections.correction import Correction
from debias.corrections.explanations import ClassFacts
from debias.corrections.families import Family
from debias.corrections.serialization import correction_from_dict
from debias.errors import CorrectionFileError, DebiasError
from debias.estimators.few_labels.generalization import Change, Expectation
from debias.search.certificate import Certificate, Limit, Status
from debias.search.constraints import Constrained, Goal, is_feasible
from debias.search.objective import Objective

FORMAT = "debias correction"
SCHEMA_VERSION = 2
READABLE_VERSIONS = (1, 2)
"""Version 2 may hold an objective with bounds."""

LARGEST_FILE = 16 << 20
"""Bytes; a correction of a thousand classes takes less than one."""

_NUMBERS = ("objective_value", "baseline_objective_value", "search_seconds")
_COUNTS = ("n_evaluations", "n_labels")


def write_correction(debiaser: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted debiaser.

    Parameters
    ----------
    debiaser : WeightDebiaser, FuzzyDebiaser or EnsembleDebiaser
        Fitted.
    path : str or path-like
        Where to; the file is there whole or not at all.
    """
    document = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "summary": debiaser.summary(),
        "method": type(debiaser).__name__,
        "objective": _objective_entry(debiaser.objective_),
        "feasible": debiaser.feasible_,
        "certificate": None if debiaser.certificate_ is None else debiaser.certificate_.to_dict(),
        "picked_row": debiaser.picked_row_,
        "shrunk": debiaser.shrunk_,
        "expectation": None if debiaser.expectation_ is None else debiaser.expectation_.to_dict(),
        "search": debiaser.search,
        **{name: getattr(debiaser, f"{name}_") for name in (*_NUMBERS, *_COUNTS)},
        "named_columns": hasattr(debiaser, "feature_names_in_"),
        "classes": [_class_entry(debiaser, k) for k in np.argsort(debiaser.columns_)],
        "data_fingerprint": debiaser.data_fingerprint_,
        "versions": _versions(),
    }
    if hasattr(debiaser, "n_weights"):
        document["n_weights"] = debiaser.n_weights
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")


def _objective_entry(objective: Goal) -> dict[str, Any]:
    """Describe what was minimised; bounds as numbers, the objective within them in full."""
    if isinstance(objective, Constrained):
        return objective.get_params(deep=False) | {"objective": objective.inner.get_params()}
    return dict(objective.get_params())


def _class_entry(debiaser: Any, k: int) -> dict[str, Any]:
    """Describe one class."""
    label = debiaser.classes_[k]
    return {
        "label": label.item() if isinstance(label, np.generic) else label,
        "correction": debiaser.corrections_[k].to_dict(),
        "facts": asdict(debiaser.facts_[k]),
    }


def _versions() -> dict[str, str]:
    """Name what the correction was made with."""
    found: dict[str, str] = {"python": platform.python_version()}
    for package in ("debias-iterit", "numpy", "scikit-learn", "scikit-fuzzy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def read_correction(
    path: str | os.PathLike[str], methods: Sequence[str], family: Sequence[Correction] | None = None
) -> tuple[str, dict[str, Any], dict[str, Any]]:
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
    method : str
        One of `methods`.
    parameters, attributes : dict
        For the constructor, and learned.

    Raises
    ------
    CorrectionFileError
        Anything is missing or not as it should be; the message says what.
    """
    document = _parse(Path(path))
    try:
        method = _one_of(document, "method", tuple(methods))
        objective = _read_objective(document["objective"])
        parameters: dict[str, Any] = {"objective": objective}
        if method != "LogBiasDebiaser":
            parameters["search"] = _text(document, "search")
        if method in ("WeightDebiaser", "EnsembleDebiaser"):
            parameters["n_weights"] = _count(document, "n_weights")
        attributes: dict[str, Any] = {f"{name}_": _number(document, name) for name in _NUMBERS}
        attributes |= {f"{name}_": _count(document, name) for name in _COUNTS}
        attributes |= {"objective_": objective, "data_fingerprint_": _text(document, "data_fingerprint")}
        attributes["feasible_"] = is_feasible(objective, attributes["objective_value_"])
        attributes |= _read_classes(document, family)
        attributes["certificate_"] = _read_certificate(document, attributes["objective_value_"])
        picked = document.get("picked_row") is not None
        attributes["picked_row_"] = _count(document, "picked_row") if picked else None
        attributes["shrunk_"] = "shrunk" in document and _flag(document, "shrunk")
        attributes["expectation_"] = _read_expectation(document.get("expectation"))
        attributes["shrinkage_path_"] = None
    except KeyError as error:
        raise CorrectionFileError(f"{path}: the field {error.args[0]!r} is missing.") from error
    except (DebiasError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CorrectionFileError(f"{path}: {error}") from error
    if "feature_names_in_" not in attributes and isinstance(document["classes"][0]["label"], str):
        parameters["classes"] = [entry["label"] for entry in document["classes"]]
    if family is not None and method == "EnsembleDebiaser":
        parameters["family"] = family
    return method, parameters, attributes


def _parse(path: Path) -> dict[str, Any]:
    """Read the JSON and check what kind of file it is."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise CorrectionFileError(f"{path}: {path.stat().st_size:,} bytes is too large for a correction.")
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CorrectionFileError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise CorrectionFileError(
            f"{path}: not JSON ({error}); a correction is written by .save() or `debias fit`."
        ) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CorrectionFileError(
            f'{path}: not a correction: "format" must be {FORMAT!r}; write one with .save() or `debias fit`.'
        )
    if document.get("schema_version") not in READABLE_VERSIONS:
        raise CorrectionFileError(
            f"{path}: schema version {document.get('schema_version')!r}, this release reads "
            f"{' and '.join(map(str, READABLE_VERSIONS))}: fit again, or install the release that wrote it."
        )
    return document


def _read_objective(description: dict[str, Any]) -> Goal:
    """Read an objective, with bounds where it has another one within."""
    bounds = dict(description.items())
    weights = bounds.pop("objective", description)
    objective = Objective(**{name: float(value) for name, value in weights.items()}).validate()
    if weights is description:
        return objective
    numbers = {name: None if value is None else float(value) for name, value in bounds.items()}
    return Constrained(**numbers, objective=objective).validate()


def _read_certificate(document: dict[str, Any], objective_value: float) -> Certificate | None:
    """Read what was proved, if anything, and refuse what could not have been."""
    entry = document.get("certificate")
    if entry is None:
        return None
    certificate = Certificate(
        status=_one_of(entry, "status", get_args(Status)),  # type: ignore[arg-type]
        radius=_count(entry, "radius"),
        objective=_number(entry, "objective"),
        lower_bound=_number(entry, "lower_bound"),
        n_evaluations=_count(entry, "n_evaluations"),
        interrupted=_flag(entry, "interrupted"),
        limit=_one_of(entry, "limit", get_args(Limit)) if "limit" in entry else "",  # type: ignore[arg-type]
    )
    n_classes, gap = len(document["classes"]), certificate.gap
    radii = {"optimal": (n_classes,), "radius": range(1, n_classes), "heuristic": (0,)}
    same = 1e-9 * max(1.0, abs(objective_value))  # differences by rounding
    shrunk = document.get("shrunk") is True and (
        certificate.status != "optimal" or objective_value >= certificate.objective - same
    )
    fits_together = (
        certificate.radius in radii[certificate.status]
        and (shrunk or certificate.objective >= objective_value - same)  # a polish may lower it afterwards
        and gap >= -same
        and (certificate.status != "optimal" or gap <= same)
    )
    if not fits_together:
        raise ValueError(
            f"certificate: {certificate!r} is impossible for {n_classes} classes and an objective of "
            f"{objective_value}."
        )
    return certificate


def _read_expectation(entry: Any) -> Expectation | None:
    """Read what cross-validation said of new rows, if anything."""
    if entry is None:
        return None
    fields = ("before", "after", "difference", "low", "high")
    accuracy, cobias = (
        Change(**{field: _number(entry[metric], field) for field in fields})
        for metric in ("accuracy", "cobias")
    )
    if accuracy.low > accuracy.high or cobias.low > cobias.high:
        raise ValueError(f"expectation: an interval ends below its begin: {accuracy!r}, {cobias!r}.")
    return Expectation(
        n_labels=_count(entry, "n_labels"),
        n_folds=_count(entry, "n_folds"),
        n_repeats=_count(entry, "n_repeats"),
        level=_number(entry, "level"),
        accuracy=accuracy,
        cobias=cobias,
        objective_before=_number(entry, "objective_before"),
        objective_after=_number(entry, "objective_after"),
    )


def _read_classes(document: dict[str, Any], family: Sequence[Correction] | None) -> dict[str, Any]:
    """Read labels, corrections and facts of all classes, given in the order of the columns."""
    entries = document["classes"]
    if not isinstance(entries, list) or len(entries) < 2:
        raise ValueError("classes must be a list of two or more.")
    labels = [entry["label"] for entry in entries]
    if not (all(isinstance(x, str) for x in labels) or all(isinstance(x, int) for x in labels)):
        raise ValueError(f"class labels must be all text or all integers; got {labels[:10]!r}.")
    if len(set(labels)) < len(labels):
        raise ValueError(f"class labels must differ; got {labels[:10]!r}.")
    names = np.array(labels)
    columns = np.argsort(names, kind="stable")
    read_own = partial(_read_own, family=family)
    corrections = [correction_from_dict(entries[k]["correction"], read_own) for k in columns]
    attributes: dict[str, Any] = {
        "classes_": names[columns],
        "columns_": columns.astype(np.int64),
        "corrections_": corrections,
        "choice_": np.array([correction.id for correction in corrections], dtype=np.int64),
        "improved_": any(not correction.is_identity for correction in corrections),
        "facts_": [_read_facts(entries[k]["facts"]) for k in columns],
        "n_features_in_": len(labels),
    }
    if document["named_columns"] is True:
        attributes["feature_names_in_"] = np.array(labels, dtype=object)
    return attributes


def _read_own(description: dict[str, Any], family: Sequence[Correction] | None) -> Correction:
    """Look up a correction of the user's own in `family`."""
    if family is None:
        raise ValueError(
            f"the correction {description.get('label', description.get('id'))!r} is a function of your own, "
            "which a file cannot hold: load it in Python with the family it was fitted with, "
            "load(path, family=...)."
        )
    own = Family.of(family)
    return own[own.index_of(int(description["id"]))]


def _read_facts(facts: Any) -> ClassFacts:
    """Read the counts of one class."""
    names = ("support", "correct_before", "correct_after", "predicted_before", "predicted_after")
    low, middle, high = (float(value) for value in facts["quartiles"])
    return ClassFacts(**{name: _count(facts, name) for name in names}, quartiles=(low, middle, high))


def _number(document: dict[str, Any], name: str) -> float:
    value = document[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number; got {value!r}.")
    return float(value)


def _count(document: dict[str, Any], name: str) -> int:
    value = document[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} must be a whole number of at least 0; got {value!r}.")
    return value


def _flag(document: dict[str, Any], name: str) -> bool:
    value = document[name]
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false; got {value!r}.")
    return value


def _text(document: dict[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text; got {value!r}.")
    return value


def _one_of(document: dict[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = _text(document, name)
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}; got {value!r}.")
    return value
