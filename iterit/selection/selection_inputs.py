"""What a selection is made from, checked: one value per row becomes one value per candidate."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError
from iterit.ngrams.ngram_counts import NgramCounts
from iterit.ngrams.ngram_weights import checked_rows
from iterit.selection.modes import MODES, Mode

Floats = npt.NDArray[np.float64]


class Inputs(NamedTuple):
    """The candidates, and what is known of each.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
    ifd : ndarray of float64, shape (n,), or None
        NaN where there is no score.
    status, sources : ndarray of object, shape (n,), or None
    lengths : ndarray of float64, shape (n,), or None
        Only for the mode that needs them.
    embeddings : ndarray of float32, shape (n, n_dimensions), or None
        Only for the mode that needs them.
    """

    rows: npt.NDArray[np.int64]
    ifd: Floats | None
    status: npt.NDArray[np.object_] | None
    sources: npt.NDArray[np.object_] | None
    lengths: Floats | None
    embeddings: npt.NDArray[np.float32] | None


def checked_inputs(
    mode: Mode,
    complexity: Any,
    counts: NgramCounts | None,
    *,
    k: Any,
    decay: Any,
    candidates: Any,
    status: Any,
    sources: Any,
    quotas: Any,
    lengths: Any,
    embeddings: Any,
) -> Inputs:
    """Check the parameters of :func:`iterit.selection.selection.select`, which says what each one is.

    Raises
    ------
    ParameterError
        The first that is missing or not allowed.

    Examples
    --------
    >>> from iterit.selection.modes import mode_called
    >>> nothing = dict.fromkeys(["candidates", "status", "sources", "quotas", "lengths", "embeddings"])
    >>> checked_inputs(mode_called("complexity"), [0.5, 0.7], None, k=1, decay=0.1, **nothing).ifd
    array([0.5, 0.7])
    """
    _check_given(mode, {"complexity": complexity, "counts": counts, "embeddings": embeddings})
    _check_numbers(k, decay)
    n_rows = _n_rows(counts, complexity, lengths, embeddings, sources, status)
    if isinstance(complexity, pd.DataFrame):
        complexity, status = _of_all_rows(complexity, status, n_rows)
    rows = np.arange(n_rows) if candidates is None else checked_rows(candidates, n_rows, "candidates")
    if len(np.unique(rows)) < len(rows):
        raise ParameterError("candidates names a row twice; each row may stand there once")
    by_row = None if sources is None else _column(sources, n_rows, "sources", object)
    _check_quotas(quotas, by_row)
    return Inputs(
        rows,
        None if complexity is None else _ifd(complexity, n_rows)[rows],
        None if status is None else _column(status, n_rows, "status", object)[rows],
        None if by_row is None else by_row[rows],
        _lengths(lengths, counts, n_rows)[rows] if mode is MODES["longest"] else None,
        _vectors(embeddings, n_rows)[rows] if "embeddings" in mode.needs else None,
    )


def _check_given(mode: Mode, given: dict[str, Any]) -> None:
    name = next(name for name in MODES if MODES[name] is mode)
    for needed in mode.needs:
        if given[needed] is None:
            raise ParameterError(f"the mode {name!r} needs {needed}, which was not given")


def _check_numbers(k: Any, decay: Any) -> None:
    if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 0:
        raise ParameterError(f"k is {k!r}; it must be a whole number of rows, 0 or more")
    if isinstance(decay, bool) or not isinstance(decay, int | float | np.number) or not 0.0 <= decay <= 1.0:
        raise ParameterError(f"decay is {decay!r}; it must be a number from 0 to 1")


def _check_quotas(quotas: Any, sources: npt.NDArray[np.object_] | None) -> None:
    """Check that each quota is of a source that a row has, be it a candidate or not."""
    if not quotas:
        return
    if sources is None:
        raise ParameterError("quotas are given without sources; give the source of every row too")
    known = pd.unique(sources)
    for source in quotas:
        if source not in known:
            names = ", ".join(repr(name) for name in known)
            raise ParameterError(
                f"quotas names the source {source!r}, which no row has; it must be one of {names}"
            )


def _n_rows(counts: NgramCounts | None, *columns: Any) -> int:
    """Return how many rows there are; a table of scores, which may hold only some, is asked last."""
    if counts is not None:
        return counts.n_rows
    for column in columns:
        if column is not None and not isinstance(column, pd.DataFrame):
            return len(column)
    if isinstance(columns[0], pd.DataFrame):
        return int(columns[0].index.max()) + 1 if len(columns[0]) else 0
    raise ParameterError("nothing says how many rows there are; give complexity, counts, lengths or sources")


def _column(values: Any, n_rows: int, parameter: str, dtype: Any = np.float64) -> npt.NDArray[Any]:
    """Return one value per row as an array."""
    try:
        array = np.asarray(values, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{parameter} must be a number for every row: {error}") from None
    if array.shape != (n_rows,):
        raise ParameterError(
            f"{parameter} has the shape {array.shape}; it must be ({n_rows},): a value per row"
        )
    return array


def _ifd(complexity: Any, n_rows: int) -> Floats:
    ifd = _column(complexity, n_rows, "complexity")
    wrong = np.flatnonzero((ifd < 0) | np.isinf(ifd))
    if len(wrong):
        allowed = "0 or more and finite, or NaN for no score"
        raise ParameterError(f"complexity of row {wrong[0]} is {ifd[wrong[0]]}; it must be {allowed}")
    return ifd


def _of_all_rows(table: pd.DataFrame, status: Any, n_rows: int) -> tuple[Floats, Any]:
    """Return IFD and status of all rows from a table of scores that may hold only some."""
    if "ifd" not in table:
        raise ParameterError(f'complexity is a table of {list(table.columns)}; it must have the column "ifd"')
    every = pd.RangeIndex(n_rows)
    if not table.index.is_unique or len(table.index.difference(every)):
        raise ParameterError(f"complexity has rows that are named twice or not from 0 to {n_rows - 1}")
    found: Floats = np.asarray(table["ifd"].astype(np.float64).reindex(every), dtype=np.float64)
    if status is None and "status" in table:
        status = table["status"].astype(object).reindex(every, fill_value="not scored").to_numpy()
    return found, status


def _lengths(lengths: Any, counts: NgramCounts | None, n_rows: int) -> Floats:
    if lengths is None:
        if counts is None:
            raise ParameterError("the mode 'longest' needs lengths or counts, and neither was given")
        lengths = counts.n_words
    return _column(lengths, n_rows, "lengths")


def _vectors(embeddings: Any, n_rows: int) -> npt.NDArray[np.float32]:
    array = np.asarray(embeddings, dtype=np.float32)
    if array.ndim != 2 or len(array) != n_rows:
        allowed = f"a vector per row: ({n_rows}, n_dimensions)"
        raise ParameterError(f"embeddings has the shape {array.shape}; it must be {allowed}")
    return array
