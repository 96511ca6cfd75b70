"""Reads labels as names of classes or as positions of columns: one reading for all labels of a file or array.

Where two readings fit and differ, or none fits, the labels are refused, and the error names both.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError, TableError, param, shortened
from debias.tables.labels.class_names import ONLY_FORM, appearance
from debias.tables.labels.column_affixes import affix_of, cut

READINGS = ("name", "position")
"""What a user can say that labels are."""

_TRUTHS = ("false", "true")
_ANSWERS = (("no", "yes"), ("negative", "positive"), ("neg", "pos"))
"""What 0 and 1 can stand for in a file, whatever the order of the columns, if there are no other classes."""
_WHOLE = re.compile(r"([+-]?)(0|[1-9][0-9]{0,17})(?:\.0*)?")


def plain_labels(y: Any) -> npt.NDArray[Any]:
    """Return labels as text, integers or truth values; none may be missing.

    Whole numbers may come as floats or objects, and truth values as objects, as they do from
    pandas columns that can hold missing values.

    Parameters
    ----------
    y : array-like
        Labels.

    Returns
    -------
    ndarray
        The same labels, in a plain dtype where they have one.

    Raises
    ------
    TableError
        A label is missing, text or a truth value among numbers, bytes, or beyond 64 bits: the error has its
        row.

    Examples
    --------
    >>> plain_labels([2.0, 1.0]), plain_labels(np.array([True, False], dtype=object))
    (array([2, 1]), array([ True, False]))
    >>> plain_labels(["no", None])
    Traceback (most recent call last):
    debias.errors.TableError: row 1: the label is missing; omit the row, or label it.
    """
    labels = np.asarray(y)
    if labels.dtype.kind == "T":  # text of any length, which may hold missing values
        labels = labels.astype(object)
    elif labels.dtype.kind == "f":
        labels = labels.astype(np.result_type(labels, np.float64), copy=False)  # 2**63 is no half
    as_given = np.array(y, dtype=object) if isinstance(y, (list, tuple)) and labels.size else labels
    if labels.ndim in (1, 2) and labels.size:
        masked = np.ma.getmaskarray(y) if isinstance(y, np.ma.MaskedArray) else False
        _refuse_missing(pd.isna(as_given) | masked)
    if labels.ndim == 1 and as_given.dtype.kind in "OS" and len(labels):
        _refuse_kinds(as_given)
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == np.round(labels)).all():
        return _as_integers(labels)
    if labels.dtype.kind == "u":
        return _as_integers(labels)
    if labels.dtype == object and labels.ndim == 1 and len(labels):
        if _kind(type(labels[0])) == "truth value":
            return labels.astype(bool)
        if all(_is_whole(label) for label in labels):
            return _as_integers(labels)
    return labels


def _refuse_missing(missing: npt.NDArray[np.bool_]) -> None:
    """Refuse labels of which one is missing, with its row."""
    if missing.any():
        row = int(np.argwhere(missing)[0, 0])
        raise TableError("the label is missing", parameter="y", row=row, fix="omit the row, or label it")


def _refuse_kinds(labels: npt.NDArray[Any]) -> None:
    """Refuse labels of two kinds, and bytes."""
    types = [*map(type, labels)]
    kinds = {one: _kind(one) for one in set(types)}
    first = kinds[types[0]]
    if len(set(kinds.values())) > 1:
        row = next(row for row, one in enumerate(types) if kinds[one] != first)
        raise TableError(
            f"{shortened(labels[row])} and {shortened(labels[0])} are labels of two kinds",
            parameter="y",
            received=labels[row],
            row=row,
            fix="write all labels in the same way",
        )
    if first == "bytes":
        raise TableError(
            f"{shortened(labels[0])} is bytes, not text",
            parameter="y",
            received=labels[0],
            row=0,
            fix="decode the labels, such as numpy.char.decode(labels)",
        )


def _kind(label_type: type) -> str:
    """Return what labels of a type are, as far as labels of two kinds never stand side by side."""
    kinds = {str: "text", bool: "truth value", np.bool_: "truth value", bytes: "bytes"}
    return next((name for kind, name in kinds.items() if issubclass(label_type, kind)), "other")


def _as_integers(labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return whole numbers of any kind as integers of 64 bits."""
    beyond = np.asarray((labels >= 2**63) | (labels < -(2**63)), dtype=bool)
    if beyond.any():
        row = int(np.argmax(beyond))
        raise TableError(
            f"{shortened(labels[row])} does not fit into an integer of 64 bits",
            parameter="y",
            received=labels[row],
            row=row,
            fix="write the labels as text",
        )
    return labels.astype(np.int64)


def _is_whole(label: object) -> bool:
    """Tell a whole number, a float included, from all else."""
    if isinstance(label, (bool, np.bool_)):
        return False
    return isinstance(label, (int, np.integer)) or (isinstance(label, float) and label.is_integer())


def label_text(label: object) -> str:
    """Return what labels are compared by: 1, 1.0 and "1.0" are the same, and "01" is another.

    Examples
    --------
    >>> [label_text(label) for label in (1, 1.0, np.float32(1), "1.0", "01", True, " a")]
    ['1', '1', '1', '1', '01', 'True', ' a']
    """
    whole = _WHOLE.fullmatch(str(label))
    if whole is None:
        return str(label)
    return f"-{whole[2]}" if whole[1] == "-" and whole[2] != "0" else whole[2]


def read_labels(
    labels: Sequence[object] | npt.NDArray[Any],
    classes: Sequence[str],
    reading: str | None = None,
    *,
    other_names: Sequence[str] | None = None,
    of_file: bool = False,
    column: object = "label",
    as_found: Sequence[str] | None = None,
) -> npt.NDArray[np.int64]:
    """Return the column of every label, by the one reading that fits all of them.

    Where two classes are called false and true, 0 and 1 can be these, too; in a file of two classes, no and
    yes, or negative and positive, as well.

    Parameters
    ----------
    labels : sequence of length n_samples
        Class names, or integers 0 .. n_classes - 1 that stand for columns.
    classes : sequence of str, length n_classes
        Class names in the order wanted.
    reading : {"name", "position"}, optional
        What the labels are; by default whatever fits. Truth values count as names.
    other_names : sequence of str, length n_classes, optional
        Second names of the same classes.
    of_file : bool, default=False
        Whether the labels come from a file, where "1" can be a name and a position. In Python a
        string is a name.
    column : str, default="label"
        Name of the column, for the error.
    as_found : sequence of str, length n_classes, optional
        The same class names in the order in which the columns stand, which positions could count as well.

    Returns
    -------
    ndarray of int64 of shape (n_samples,)
        Positions in `classes`.

    Raises
    ------
    TableError
        Two readings fit and differ, or none fits all labels.

    Examples
    --------
    >>> read_labels(["yes", "no"], ["no", "yes"]), read_labels([1.0, 0.0], ["no", "yes"])
    (array([1, 0]), array([1, 0]))
    >>> read_labels([0, 4], ["1", "2", "3", "4", "5"])
    array([0, 4])
    >>> read_labels(["1", "4"], ["1", "2", "3", "4", "5"], of_file=True)
    Traceback (most recent call last):
    debias.errors.TableError: column 'label': the labels fit two readings: as a name '1' is class '1', as a
    position from 0 it is class '2'; pass labels='name' or labels='position'.
    """
    if reading is not None and reading not in READINGS:
        raise ParameterError(parameter="labels", allowed=f"one of {READINGS}", received=reading)
    keys = [label_text(label) for label in labels]
    rows: dict[str, int] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, row)
    named = [_by_text(names) for names in (classes, other_names) if names is not None]
    positions = {str(place): place for place in range(len(classes))}
    strings = not of_file and any(isinstance(label, str) for label in labels)
    known = [] if reading == "position" else [("as a name", one) for one in _joined(named)]
    truths = _by_truth_value(classes, of_file)
    if truths and reading != "position" and not strings:
        known.append(("as a truth value", truths))
    if reading == "position" or (reading is None and not strings):
        known.append(("as a position from 0", positions))
        if as_found is not None and list(as_found) != list(classes):
            places = {name: place for place, name in enumerate(classes)}
            in_order = {str(place): places[name] for place, name in enumerate(as_found)}
            known[-1] = ("as a position in the order of the classes", positions)
            known.append(("as a position in the order of the columns", in_order))
        counted = reading is None and "0" not in rows and len(keys) > 1  # one row may be of any class
        if counted and not all(key in one for one in named for key in rows):
            known.append(("as a position from 1", {str(place + 1): place for place in positions.values()}))
    fitting = [(how, known_as) for how, known_as in known if all(key in known_as for key in rows)]
    if [how for how, _ in fitting] == ["as a position from 1"]:
        fitting = []  # it merely casts doubt on positions from 0
    if not fitting:
        raise _no_reading(labels, rows, classes, dict(known), reading).at(column=column)
    first, chosen = fitting[0]
    for other, known_as in fitting[1:]:
        for key, row in rows.items():
            if known_as[key] != chosen[key]:
                one, another = classes[chosen[key]], classes[known_as[key]]
                raise TableError(
                    f"the labels fit two readings: {first} {shortened(labels[row])} is class "
                    f"{shortened(one)}, {'as another' if other == first else other} it is class "
                    f"{shortened(another)}",
                    parameter="labels",
                    received=labels[row],
                    column=column,
                    fix=_how_to_decide(first, other, of_file),
                )
    return np.array([chosen[key] for key in keys], dtype=np.int64)


def _by_text(names: Sequence[str]) -> dict[str, int]:
    """Return the column of every name as it is compared, or as it stands where two would be equal."""
    texts = [label_text(name) for name in names]
    unique = len(set(texts)) == len(texts)
    return {text if unique else str(name): n for n, (text, name) in enumerate(zip(texts, names, strict=True))}


def _by_truth_value(names: Sequence[str], of_file: bool) -> dict[str, int]:
    """Return the columns of 0 and 1 where classes are called false and true; nothing where they are not."""
    folded = [str(name).strip().casefold() for name in names]
    plain = cut(folded, *affix_of(folded)) or folded
    for truths in (_TRUTHS, *(_ANSWERS if of_file and len(plain) == 2 else ())):
        if all(plain.count(truth) == 1 for truth in truths):
            return {str(value): plain.index(truth) for value, truth in enumerate(truths)}
    return {}


def _joined(named: list[dict[str, int]]) -> list[dict[str, int]]:
    """Return lists of names as one, unless a name stands for two classes."""
    joined: dict[str, int] = {}
    for names in named:
        if any(joined.get(name, column) != column for name, column in names.items()):
            return named
        joined |= names
    return [joined]


def _how_to_decide(first: str, other: str, of_file: bool) -> str:
    """Return the fix for labels that fit two readings."""
    if first == other:
        return f"map each of them to a class in {param('label_map')}"
    if "order of" in first:
        return f"write class names instead of numbers, or pass {param('classes')} in the order of the columns"
    if not of_file:
        return "pass the class names themselves, as strings"
    position = f"{param('labels', repr('position'))}"
    if "position" not in first:
        return f"pass {param('labels', repr('name'))} or {position}"
    return f"pass {position} if they count from 0; otherwise write class names instead of numbers"


def _no_reading(
    labels: Sequence[object] | npt.NDArray[Any],
    rows: Mapping[str, int],
    classes: Sequence[str],
    known: Mapping[str, Mapping[str, int]],
    reading: str | None,
) -> TableError:
    """Return the error for labels that no reading fits: it names one that none knows, or two that differ."""
    names = list(classes)
    known = {how: one for how, one in known.items() if how != "as a position from 1"}
    from_0 = next((one for how, one in known.items() if "position" in how), {})
    strange = [key for key in rows if not any(key in one for one in known.values())]
    key = strange[0] if strange else next(k for k in rows if k not in known["as a name"])
    label = labels[rows[key]]
    problem, fix = f"{shortened(label)} is not one of the classes {shortened(names)}", None
    if not strange:
        name = next(labels[rows[k]] for k in rows if k not in from_0)
        problem = f"{shortened(label)} is a position, but {shortened(name)} is a name"
        fix = "write all labels in the same way"
    elif reading == "position":
        problem = (
            f"{shortened(label)} is not a position: these are 0 .. {len(names) - 1} ({shortened(names)})"
        )
        fix = (
            f"omit {param('labels')}, or pass {param('labels', repr('name'))}, if the labels are class names"
        )
    elif len(rows) == len(labels) > 2 * len(names):
        fix = f"all {len(rows):,} labels are different: are they ids?"
    elif key.lstrip("-").isdecimal() and from_0:
        problem = f"{shortened(label)} is not a column: numbers are columns 0 .. {len(names) - 1}"
        problem += f" ({shortened(names)})"
        fix = "write class names, or numbers that count from 0"
    else:
        fix = did_you_mean(key, names) or "name each class column after its label"
    return TableError(problem, received=label, row=rows[key], fix=fix)


def did_you_mean(name: object, names: Iterable[object]) -> str | None:
    """Return the fix for a name that is nearly one of those that there are, or None.

    Examples
    --------
    >>> did_you_mean("billing", ["Billing", "Bug"]), did_you_mean("x", ["Billing", "Bug"])
    ("did you mean 'Billing'?", None)
    """
    texts = list(map(str, names))
    alike = [one for one in texts if appearance(one) == appearance(str(name)) and one != str(name)]
    if alike:
        return f"did you mean {shortened(alike[0])}? {ONLY_FORM}"
    plain = {one.strip().casefold(): one for one in texts}
    near = difflib.get_close_matches(str(name).strip().casefold(), plain, n=1)
    return f"did you mean {shortened(plain[near[0]])}?" if near else None
