"""Tells the columns of a file or frame that are classes from those that are not.

A column is refused where the numbers show that it is no class, or that it could be either.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from debias.errors import TableError, param, shortened
from debias.tables.class_columns import FloatArray
from debias.tables.labels.label_reading import label_text

ROLES = ("id", "label", "text", "label_mass")
"""What a column may hold that is no class."""

TOLERANCE = 0.02
"""How far from 1 a row of probabilities may sum, rounded as they are in a file."""

_SCREENED = 2000
_MOST_EXTRA = 3
_NOT_ODD = 0.25
"""In how many of the rows a column must be above 1 to be no class; fewer are odd cells, refused by row."""


def role_of_column(name: str, roles: Sequence[str]) -> str | None:
    """Return the role that a column is called like, but for capitals, outer spaces and hyphens.

    Examples
    --------
    >>> role_of_column("Label", ("id", "label")), role_of_column("World", ("id", "label"))
    ('label', None)
    """
    plain = name.strip().casefold().replace(" ", "_").replace("-", "_")
    return plain if plain in roles else None


def find_role(path: Path, frame: pd.DataFrame, role: str, classes: Sequence[str] | None) -> str | None:
    """Return the column of a role: the one called like it, capitals aside; None where there is none.

    Raises
    ------
    TableError
        Two columns are called so, or the one that is, in other letters, could as well be a class.
    """
    named = [name for name in frame.columns if role_of_column(name, (role,)) and name not in (classes or ())]
    if len(named) > 1 and classes is None:
        raise TableError(
            f"columns {named} are all called like {role!r}",
            file=path,
            parameter=f"{role}_column",
            fix=f"name the class columns in {param('classes')}, or drop all but one",
        )
    if role in named or not named:
        return role if role in named else None
    cells = pd.to_numeric(frame[named[0]], errors="coerce")
    if classes is None and cells.between(0, 1).all():
        raise TableError(
            f"column {named[0]!r} could be a class or hold each row's {role}",
            file=path,
            parameter=f"{role}_column",
            column=named[0],
            fix=f"call it {role!r} if it is not a class, or name the class columns in {param('classes')}",
        )
    return str(named[0])


def refuse_extra_columns(
    path: Path | None,
    names: Sequence[str],
    values: FloatArray,
    labels: Sequence[object] | None,
    fix: str | None = None,
) -> None:
    """Refuse numbers that are no class, where no list of classes says what is one.

    Parameters
    ----------
    path : Path or None
        The file, if it is one.
    names : sequence of str, length n_columns
        Columns that would be classes.
    values : ndarray of float64 of shape (n_samples, n_columns)
        Their numbers.
    labels : sequence, optional
        Label of every row.
    fix : str, optional
        What to do, where it is not to name the classes.

    Raises
    ------
    TableError
        A column is called like ids, labels or texts and rows need it for no sum of 1; rows sum to 1
        without some columns and not with them; a column repeats another, or is the
        largest of the others, or has values above 1 beside probabilities.

    Examples
    --------
    >>> refuse_extra_columns(Path("t.csv"), ["no", "yes", "entropy"], np.array([[0.2, 0.8, 0.5]]), None)
    Traceback (most recent call last):
    debias.errors.TableError: t.csv: columns ['entropy'] do not seem to be classes: each row sums to 1 without
    them; name the class columns in classes, or remove the others from the file; if one of these holds the
    labels, name it in label_column.
    """
    found = next(_extra_columns(names, values[:_SCREENED], labels), None)
    if found is not None:
        extra, why = found
        holds = f"; if one of these holds the labels, name it in {param('label_column')}"
        of_file = f"name the class columns in {param('classes')}, or remove the others from the file"
        raise TableError(
            f"columns {shortened(extra)} do not seem to be classes: {why}",
            parameter="classes",
            received=list(names),
            file=path,
            fix=fix or of_file + (holds if labels is None else ""),
        )


def _extra_columns(
    names: Sequence[str], values: FloatArray, labels: Sequence[object] | None
) -> Iterator[tuple[list[str], str]]:
    """Yield columns that are no classes, and why."""
    if not np.isfinite(values).all() or (values < 0).any():
        return  # refused by row and column
    sums = values.sum(axis=1)
    for column, name in enumerate(names):
        if role_of_column(str(name), ROLES) and not _is_needed(sums, values[:, column]):
            yield [name], f"it is called like each row's {role_of_column(str(name), ROLES)}"
    others = [column for column, name in enumerate(names) if not str(name).startswith("p_")]
    if 0 < len(others) <= len(names) - 2:
        rest = sums - values[:, others].sum(axis=1)
        if (np.abs(rest - 1) <= TOLERANCE).all():
            yield [names[column] for column in others], "the columns called p_... sum to 1 in each row"
    largest = min(_MOST_EXTRA, len(names) - 2)
    off = np.abs(sums - 1) > TOLERANCE
    if off.any():
        doubled = [f"p_{name}" for name in names if f"p_{name}" in names]
        if doubled and off.mean() > 0.5:
            yield doubled, "there is a column without 'p_' beside each"
        for size in range(1, largest + 1 if len(names) <= 30 else 2):
            for chosen in combinations(range(len(names)), size):
                if (np.abs(sums - values[:, chosen].sum(axis=1) - 1) <= TOLERANCE).all():
                    yield [names[column] for column in chosen], "each row sums to 1 without them"
    share = (values > 1 + TOLERANCE).mean(axis=0)
    above = np.flatnonzero(share > (_NOT_ODD if len(values) > 4 else 1 / len(values))).tolist()
    if 0 < len(above) <= largest and (sums - values[:, above].sum(axis=1) <= 1 + TOLERANCE).all():
        yield (
            [names[column] for column in above],
            "they have values above 1, and the others are probabilities",
        )
    if labels is not None and (sums > 1 + TOLERANCE).mean() > 0.5:
        texts = {label_text(label) for label in labels}
        strange = [column for column, name in enumerate(names) if label_text(name) not in texts]
        some = 0 < len(strange) <= largest
        if some and (sums - values[:, strange].sum(axis=1) <= 1 + TOLERANCE).all():
            yield [names[column] for column in strange], "no label names them, and rows sum to more than 1"
    if len(names) > 2 and off.any():  # rows of three classes may have ties
        best = [
            column
            for column in range(len(names))
            if (values[:, column] == np.delete(values, column, axis=1).max(axis=1)).all()
        ]
        if len(best) == 1 and len(values) > 1:
            yield [names[best[0]]], "it is the largest of the others in each row"


def _is_needed(sums: FloatArray, column: FloatArray) -> bool:
    """Tell whether more rows sum to 1 with a column than without it."""
    return int((np.abs(sums - 1) <= TOLERANCE).sum()) > int((np.abs(sums - column - 1) <= TOLERANCE).sum())
