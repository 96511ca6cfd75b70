"""The JSON document of a correction: its format, its versions, and the checksum of all its fields.

What the fields mean is read elsewhere: all of them by :mod:`debias.estimators`, those that predict by
:mod:`debias.serving`.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from debias.corrections.bases.base import Base, Identity
from debias.corrections.bases.base_entries import base_from_dict
from debias.corrections.correction import Correction
from debias.corrections.serialization import correction_from_dict
from debias.errors import CorrectionFileError, DebiasError
from debias.rows.bounded_json import RepeatedNameError, object_of

Document = dict[str, Any]

FORMAT = "debias correction"
SCHEMA_VERSION = 5
READABLE_VERSIONS = (1, 2, 3, 4, 5)
"""Version 2 may hold an objective with bounds; version 3 has a checksum of all other fields; version 4
has a base, and what other methods were worth where the method was chosen; version 5 may have a reference,
and a guarantee its confusion matrix."""

LARGEST_FILE = 64 << 20
"""Bytes that are written and read at most; boosted trees of 150 classes take about a third of these."""


def checksum_of(document: Document) -> str:
    """Return the digest of all fields but the checksum itself, whatever their order and white space.

    Examples
    --------
    >>> checksum_of({"a": 1, "b": 2}) == checksum_of({"b": 2, "a": 1, "checksum": "of both"})
    True
    """
    content = {name: value for name, value in document.items() if name != "checksum"}
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_document(path: str | PathLike[str]) -> Document:
    """Read the JSON and check what kind of file it is, and that it did not change since it was written.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    dict

    Raises
    ------
    CorrectionFileError
        It is missing, too large, no JSON, no correction, of another version, or damaged.
    """
    written_by = "a correction is written by .save() or `debias fit`"
    try:
        size = Path(path).stat().st_size
        if size > LARGEST_FILE:
            raise CorrectionFileError(f"{size:,} bytes is too large for a correction")
        document = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=object_of)
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror or error}"
        raise CorrectionFileError(problem, fix=f"check the path; {written_by}") from error
    except RepeatedNameError as error:
        raise CorrectionFileError(str(error), fix="keep one of them") from error
    except (ValueError, RecursionError) as error:
        raise CorrectionFileError(f"this is not JSON ({error})", fix=written_by) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CorrectionFileError(
            f'this is not a correction file, whose "format" must be {FORMAT!r}',
            parameter="format",
            fix=written_by,
        )
    if document.get("schema_version") not in READABLE_VERSIONS:
        raise CorrectionFileError(
            parameter="schema_version",
            received=document.get("schema_version"),
            allowed=" or ".join(map(str, READABLE_VERSIONS)),
            fix="refit the correction, or install the release that wrote it",
        )
    later = document["schema_version"] >= 3  # and a checksum counts, whatever became of the version
    written = document["checksum"] if later else document.get("checksum")
    try:
        found = checksum_of(document)
    except ValueError as error:  # also of an edited file: it could neither be exported nor written again
        name, number = next(_not_finite(document))
        allowed, fix = "a finite number", "restore the file, or correct the number"
        raise CorrectionFileError(parameter=name, received=number, allowed=allowed, fix=fix) from error
    if written is not None and written != found:
        raise CorrectionFileError(
            "the file has changed since it was written",
            parameter="checksum",
            fix="restore the file; if you edited it on purpose, set its checksum to null",
        )
    return document


def _not_finite(value: object, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield what JSON has no number for, with the name of the nearest field."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _not_finite(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from _not_finite(part, name)
    elif isinstance(value, float) and not math.isfinite(value):
        yield name, value


def was_edited(document: Document) -> bool:
    """Tell whether somebody took the checksum out, as those must who edit a correction on purpose.

    A file that was written again after that, such as with a guarantee, has a checksum and says so itself.

    Examples
    --------
    >>> was_edited({"schema_version": 5, "checksum": None}), was_edited({"schema_version": 2})
    (True, False)
    >>> was_edited({"schema_version": 5, "checksum": "of all fields", "edited": True})
    True
    """
    is_open = document["schema_version"] >= 3 and document["checksum"] is None
    return bool(is_open or document.get("edited", False))


def labels_of(document: Document) -> list[str] | list[int]:
    """Return the class labels, in the order of the columns.

    Parameters
    ----------
    document : dict
        Of :func:`read_document`.

    Returns
    -------
    list of str or of int

    Raises
    ------
    CorrectionFileError
        They are not all texts or all integers, not all different, or NumPy would make others of them.
    """
    entries = document["classes"]
    if not isinstance(entries, list) or len(entries) < 2:
        raise CorrectionFileError(parameter="classes", allowed="a list of two or more", received=entries)
    labels = [entry["label"] for entry in entries]
    of_one_kind = all(isinstance(x, str) for x in labels) or all(isinstance(x, int) for x in labels)
    if not of_one_kind or len(set(labels)) < len(labels):
        raise CorrectionFileError(
            parameter="label", allowed="different texts or different integers", received=labels
        )
    for label in labels:
        if label.endswith("\0") if isinstance(label, str) else not -(2**63) <= label < 2**63:
            allowed = "a text without a zero byte at its end, which NumPy drops, or an integer of 64 bits"
            raise CorrectionFileError(parameter="label", allowed=allowed, received=label)
    return labels


def corrections_of(
    document: Document, read_own: Callable[[dict[str, object]], Correction]
) -> tuple[Correction, ...]:
    """Return the correction of every column.

    Parameters
    ----------
    document : dict
        Of :func:`read_document`.
    read_own : callable
        Takes the description of a correction of another kind than the project's own, and returns the
        correction, or raises.

    Returns
    -------
    tuple of Correction
    """
    return tuple(correction_from_dict(entry["correction"], read_own) for entry in document["classes"])


def base_of(document: Document) -> Base:
    """Return what maps class probabilities to the posteriors that are corrected."""
    return base_from_dict(document["base"], len(document["classes"])) if "base" in document else Identity()


@contextmanager
def damage_named(path: str | PathLike[str]) -> Iterator[None]:
    """Have whatever is wrong with a document end in an error of ours that names file and field.

    Parameters
    ----------
    path : str or path-like
        The file it was read from.

    Raises
    ------
    CorrectionFileError
        In place of any error that a missing or unfit field raises.
    """
    try:
        yield
    except CorrectionFileError as error:
        raise error.at(file=path) from error.__cause__
    except KeyError as error:
        problem = f"the field {error.args[0]!r} is missing"
        raise CorrectionFileError(problem, parameter=str(error.args[0]), file=path) from error
    except DebiasError as error:  # a correction or an objective that is not allowed
        raise CorrectionFileError(
            error.problem,
            parameter=error.parameter,
            received=error.received,
            allowed=error.allowed,
            fix=error.fix,
            file=path,
        ) from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CorrectionFileError(str(error), file=path) from error
