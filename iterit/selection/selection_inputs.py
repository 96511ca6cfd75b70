"""Checks what a selection is made from: one value per row becomes one value per candidate."""

from collections.abc import Mapping, Sized
from typing import NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError, param
from iterit.ngrams.ngram_counts import NgramCounts
from iterit.row_numbers import RowArray, row_numbers
from iterit.selection.eligibility import source_room, within_quotas
from iterit.selection.lazy_greedy import Floats
from iterit.selection.modes import needs_of
from iterit.selection.selection_settings import SelectionSettings

Objects = npt.NDArray[np.object_]
Column = TypeVar("Column", Floats, Objects)


class Inputs(NamedTuple):
    """The candidates, and what is known of each.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
    ifd : ndarray of float64, shape (n,), or None
        NaN where there is no score.
    status, sources : ndarray of object, shape (n,), or None
    lengths, values : ndarray of float64, shape (n,), or None
        Only for the modes that need them.
    embeddings, similarities : ndarray of float32, shape (n, n_dimensions) or (n, n_query), or None
        Only for the modes that need them.
    tokens : ndarray of float64, shape (n_rows,), or None
        Length of the answer of every row, candidate or not, only where lengths are matched.
    """

    rows: RowArray
    ifd: Floats | None
    status: Objects | None
    sources: Objects | None
    lengths: Floats | None
    embeddings: npt.NDArray[np.float32] | None
    values: Floats | None
    similarities: npt.NDArray[np.float32] | None
    tokens: Floats | None


def checked_inputs(
    settings: SelectionSettings,
    complexity: npt.ArrayLike | pd.DataFrame | None,
    counts: NgramCounts | None,
    *,
    candidates: npt.ArrayLike | None = None,
    status: npt.ArrayLike | None = None,
    sources: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    embeddings: npt.ArrayLike | None = None,
    values: npt.ArrayLike | None = None,
    similarities: npt.ArrayLike | None = None,
) -> Inputs:
    """Check the arguments of :func:`iterit.selection.selection.select`, which describes them.

    Raises
    ------
    ParameterError
        An argument is missing or not allowed.

    Examples
    --------
    >>> checked_inputs(SelectionSettings(mode="complexity"), [0.5, 0.7], None).ifd
    array([0.5, 0.7])
    """
    needs = needs_of(settings.how)
    given = {
        "complexity": complexity, "counts": counts, "embeddings": embeddings, "values": values,
        "similarities": similarities,
    }  # fmt: skip
    missing = [name for name in needs if given[name] is None]
    if missing:
        raise ParameterError(
            f"the mode {settings.mode!r} needs {missing[0]}, which is missing", parameter=missing[0]
        )
    n_rows = _n_rows(counts, complexity, lengths, embeddings, sources, status, values, similarities)
    tokens = _tokens(lengths, complexity, counts, n_rows) if settings.match_length else None
    if isinstance(complexity, pd.DataFrame):
        complexity, status = _of_all_rows(complexity, status, n_rows)
    rows = np.arange(n_rows) if candidates is None else row_numbers(candidates, n_rows, "candidates")
    if len(np.unique(rows)) < len(rows):
        raise ParameterError(parameter="candidates", allowed="different rows: one is named twice")
    by_row = None if sources is None else _objects(sources, n_rows, "sources")
    _check_limits("quotas", settings.quotas, by_row)
    _check_limits("floors", settings.floors, by_row)
    return Inputs(
        rows,
        None if complexity is None else _ifd(complexity, n_rows)[rows],
        None if status is None else _objects(status, n_rows, "status")[rows],
        None if by_row is None else by_row[rows],
        _lengths(lengths, counts, n_rows)[rows] if settings.mode == "longest" else None,
        _vectors(embeddings, n_rows, "embeddings")[rows] if "embeddings" in needs else None,
        _values(values, n_rows)[rows] if "values" in needs else None,
        _vectors(similarities, n_rows, "similarities")[rows] if "similarities" in needs else None,
        tokens,
    )


def check_sources(settings: SelectionSettings, sources: npt.ArrayLike, k: int) -> None:
    """Check quotas and floors before anything is scored.

    Parameters
    ----------
    settings : SelectionSettings
    sources : array-like of shape (n_rows,)
    k : int
        Rows to pick.

    Raises
    ------
    ParameterError
        A limit is of a source that no row has, is no number of rows or share, or cannot be kept.

    Examples
    --------
    >>> check_sources(SelectionSettings(floors={"a": 3}), ["a"] * 5, k=2)
    Traceback (most recent call last):
    debias.errors.ParameterError: floors must be at most 2 rows together, as many as are picked, got 3.
    """
    by_row = np.asarray(sources, dtype=object)
    _check_limits("quotas", settings.quotas, by_row)
    _check_limits("floors", settings.floors, by_row)
    source_room(by_row, settings.quotas, k, len(by_row), settings.floors)


def check_room(settings: SelectionSettings, sources: npt.ArrayLike, k: int) -> None:
    """Check, before anything is scored, that quotas leave room for all picks of a round.

    Parameters
    ----------
    settings : SelectionSettings
    sources : array-like of shape (n,)
        Sources of the rows that take part.
    k : int
        Rows to pick.

    Raises
    ------
    ParameterError

    Examples
    --------
    >>> check_room(SelectionSettings(quotas={"a": 0.5}), ["a", "a", "a", "b"], k=2)
    >>> check_room(SelectionSettings(quotas={"a": 0.5}), ["a", "a", "a", "b"], k=4)
    Traceback (most recent call last):
    debias.errors.ParameterError: quotas leave room for 3 of the 4 records that a round picks; use larger ...
    """
    room = int(within_quotas(np.asarray(sources, dtype=object), settings.quotas, k).sum())
    if settings.quotas and room < k:
        raise ParameterError(
            f"{param('quotas')} leave room for {room:,} of the {k:,} records that a round picks",
            parameter="quotas",
            received=settings.quotas,
            fix="use larger quotas, or a smaller ratio",
        )


def _check_limits(parameter: str, limits: Mapping[str, float] | None, sources: Objects | None) -> None:
    """Check that each limit is of a source that a row has, candidate or not, and a floor of enough rows."""
    if not limits:
        return
    if sources is None:
        raise ParameterError(
            f"{param(parameter)} need the source of every row, and {param('sources')} is missing",
            parameter="sources",
        )
    numbers = pd.Series(sources).value_counts(dropna=False)
    for source, limit in limits.items():
        if source not in numbers.index:
            allowed = "limits of sources that a row has: " + ", ".join(map(repr, pd.unique(sources)))
            raise ParameterError(parameter=parameter, received=source, allowed=allowed)
        if parameter == "floors" and isinstance(limit, int | np.integer) and limit > numbers[source]:
            allowed = f"at most the {numbers[source]} rows of the source {source!r}"
            raise ParameterError(parameter=parameter, received=limit, allowed=allowed)


def _n_rows(counts: NgramCounts | None, *columns: npt.ArrayLike | pd.DataFrame | None) -> int:
    """Return the number of rows; a table of scores, which may hold only some of them, is asked last."""
    if counts is not None:
        return counts.n_rows
    for column in columns:
        if column is not None and not isinstance(column, pd.DataFrame):
            return len(cast(Sized, column))
    table = columns[0]
    if isinstance(table, pd.DataFrame):
        return int(table.index.max()) + 1 if len(table) else 0
    raise ParameterError(
        "the number of rows is unknown", fix="pass complexity, counts, lengths or sources", parameter="counts"
    )


def _per_row(array: Column, n_rows: int, parameter: str) -> Column:
    """Return an array that has one value per row."""
    if array.shape != (n_rows,):
        allowed = f"one value per row, of shape ({n_rows},)"
        raise ParameterError(parameter=parameter, received=array.shape, allowed=allowed)
    return array


def _objects(values: npt.ArrayLike, n_rows: int, parameter: str) -> Objects:
    return _per_row(np.asarray(values, dtype=object), n_rows, parameter)


def _numbers(values: npt.ArrayLike, n_rows: int, parameter: str) -> Floats:
    try:
        array: Floats = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        allowed = "a number for every row"
        raise ParameterError(parameter=parameter, received=values, allowed=allowed) from error
    return _per_row(array, n_rows, parameter)


def _ifd(complexity: npt.ArrayLike, n_rows: int) -> Floats:
    ifd = _numbers(complexity, n_rows, "complexity")
    wrong = np.flatnonzero((ifd < 0) | np.isinf(ifd))
    if len(wrong):
        row = int(wrong[0])
        allowed = "finite and not negative, or NaN for no score"
        raise ParameterError(parameter="complexity", received=float(ifd[row]), allowed=allowed, row=row)
    return ifd


def _of_all_rows(
    table: pd.DataFrame, status: npt.ArrayLike | None, n_rows: int
) -> tuple[Floats, npt.ArrayLike | None]:
    """Return IFD and status of all rows from a table of scores that may hold only some of them."""
    every = pd.RangeIndex(n_rows)
    if "ifd" not in table:
        allowed, received = "a table with the column 'ifd'", list(table.columns)
    elif not table.index.is_unique or len(table.index.difference(every)):
        allowed, received = f"indexed by different rows from 0 to {n_rows - 1}", list(table.index)
    else:
        found: Floats = np.asarray(table["ifd"].astype(np.float64).reindex(every), dtype=np.float64)
        if status is None and "status" in table:
            status = table["status"].astype(object).reindex(every, fill_value="not scored").to_numpy()
        return found, status
    raise ParameterError(parameter="complexity", received=received, allowed=allowed)


def _lengths(lengths: npt.ArrayLike | None, counts: NgramCounts | None, n_rows: int) -> Floats:
    if lengths is None:
        if counts is None:
            raise ParameterError(
                "the mode 'longest' needs lengths or counts, and both are missing", parameter="lengths"
            )
        lengths = counts.n_words
    return _numbers(lengths, n_rows, "lengths")


def _tokens(
    lengths: npt.ArrayLike | None,
    complexity: npt.ArrayLike | pd.DataFrame | None,
    counts: NgramCounts | None,
    n_rows: int,
) -> Floats:
    """Return the length of every answer: as given, else in tokens of a table of scores, else in words."""
    if lengths is not None:
        tokens = _numbers(lengths, n_rows, "lengths")
    elif isinstance(complexity, pd.DataFrame) and "n_tokens" in complexity:
        known = complexity["n_tokens"].astype(np.float64).reindex(pd.RangeIndex(n_rows))
        tokens = np.asarray(known.where(known > 0), dtype=np.float64)
    elif counts is not None:
        tokens = _numbers(counts.n_words, n_rows, "lengths")
    else:
        raise ParameterError(
            f"{param('match_length')} needs lengths or counts, and both are missing", parameter="lengths"
        )
    wrong = np.flatnonzero((tokens < 0) | np.isinf(tokens))
    if len(wrong):
        row = int(wrong[0])
        allowed = "finite and not negative, or NaN for a row of no stratum"
        raise ParameterError(parameter="lengths", received=float(tokens[row]), allowed=allowed, row=row)
    return tokens


def _values(values: npt.ArrayLike | None, n_rows: int) -> Floats:
    assert values is not None
    array = _numbers(values, n_rows, "values")
    wrong = np.flatnonzero(np.isinf(array))
    if len(wrong):
        row = int(wrong[0])
        raise ParameterError(
            parameter="values", received=float(array[row]), allowed="finite, or NaN for no value", row=row
        )
    return array


def _vectors(vectors: npt.ArrayLike | None, n_rows: int, parameter: str) -> npt.NDArray[np.float32]:
    array = np.asarray(vectors, dtype=np.float32)
    if array.ndim != 2 or len(array) != n_rows:
        of_each = "n_dimensions" if parameter == "embeddings" else "n_query"
        allowed = f"one vector per row, of shape ({n_rows}, {of_each})"
        raise ParameterError(parameter=parameter, received=array.shape, allowed=allowed)
    if parameter == "similarities":
        wrong = np.flatnonzero(np.isinf(array).any(axis=1))
        if len(wrong):
            allowed = "finite, or NaN for a row without any"
            raise ParameterError(parameter=parameter, allowed=allowed, row=int(wrong[0]))
    return array
