"""Writes scores beside the digests of their records, and finds the score of every record by its digest.

Values of records, of any tool, are found by digest or by row.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debias.console.frame_files import FRAME_FORMATS, write_frame
from debias.errors import ParameterError, TableError, param
from iterit.scoring.complexity import STATUSES

if TYPE_CHECKING:
    from iterit.records.instruction_records import Records

_NEEDED = ["digest", "ifd", "status"]
_TOKENS = "n_tokens"
_TEXTS = {"digest": str, "status": str}  # a digest may look like a number


def write_scores(path: Path, scores: pd.DataFrame, records: "Records") -> None:
    """Write scores, one row each, with digest and source of the record.

    Parameters
    ----------
    path : Path
        Ends in .parquet, .csv or .jsonl.
    scores : DataFrame
        Of all records, from :func:`iterit.scoring.complexity.score_complexity`.
    records : Records

    Raises
    ------
    OSError
        The file cannot be written.
    """
    write_frame(described(scores, records), path)


def described(scores: pd.DataFrame, records: "Records") -> pd.DataFrame:
    """Return scores, one row each, with digest and source of the record.

    Parameters
    ----------
    scores : DataFrame
    records : Records

    Returns
    -------
    DataFrame
    """
    digests = [records.digests[row] for row in scores.index]
    sources = [records.sources[row] for row in scores.index]
    return scores.reset_index().assign(source=sources, digest=digests)


def read_scores(path: Path, records: "Records") -> pd.DataFrame:
    """Read scores that :func:`write_scores` wrote, and match them with records by their digests.

    Parameters
    ----------
    path : Path
        Ends in .parquet, .csv or .jsonl. Its rows may be in any order, and of more records than these.
    records : Records

    Returns
    -------
    DataFrame, indexed by the row of each record: ifd and status, and n_tokens where the file has it

    Raises
    ------
    ParameterError
        The file name has another ending.
    TableError
        The file is no table of scores, holds a value that is no score, or lacks a record.
    FileNotFoundError
        There is no such file.
    """
    if path.suffix.lower() not in FRAME_FORMATS:
        raise ParameterError(
            parameter="scores",
            received=str(path),
            allowed=f"a file name that ends in {' or '.join(FRAME_FORMATS)}",
        )
    table = _checked(_read(path), path)
    newest = table.drop_duplicates()
    twice = newest.index[newest["digest"].duplicated()]
    if len(twice):
        row = int(twice[0])
        problem = "the record has a different score in an earlier row: these are scores of two models"
        raise TableError(problem, file=path, row=row, received=table["ifd"][row], fix="use one of them")
    found = newest.set_index("digest").reindex(records.digests)
    missing = found["status"].isna().to_numpy().nonzero()[0]
    if len(missing):
        raise TableError(
            f"it has no score for {len(missing):,} of {len(records):,} records, the first of them in row "
            f"{missing[0]}: these are scores of other records",
            received=len(missing),
            file=path,
            fix=f"score these files with iterit score, or omit {param('scores')}",
        )
    return found.set_index(pd.RangeIndex(len(records), name="row"))


def read_values(path: Path, records: "Records") -> NDArray[np.float64]:
    """Read what each record is worth, a table of any tool.

    Parameters
    ----------
    path : Path
        Ends in .parquet, .csv or .jsonl. Columns: value, and digest or row (numbered from 0; only where no
        row of the files was excluded).
    records : Records

    Returns
    -------
    ndarray of float64, shape (n_records,)
        NaN where the table has no value.

    Raises
    ------
    ParameterError
        The file name has another ending.
    TableError
        The file is no such table, holds a value that is no finite number, two of one record, or none.
    FileNotFoundError
        There is no such file.
    """
    if path.suffix.lower() not in FRAME_FORMATS:
        allowed = f"a file name that ends in {' or '.join(FRAME_FORMATS)}"
        raise ParameterError(parameter="values", received=str(path), allowed=allowed)
    table = _read(path)
    key = next((one for one in ("digest", "row") if one in table), None)
    if key is None or "value" not in table or table.columns.duplicated().any():
        problem = "the columns must include value, and digest or row, each once"
        raise TableError(problem, received=[*table], file=path)
    table = table.reset_index(drop=True)
    value = pd.to_numeric(table["value"], errors="coerce").astype("float64")
    wrong = np.flatnonzero((value.isna() & ~_blank(table["value"])) | np.isinf(value))
    if len(wrong):
        row, allowed = int(wrong[0]), "a finite number, or empty"
        received = table["value"][row]
        raise TableError(file=path, row=row, column="value", received=received, allowed=allowed)
    names = table[key] if key == "digest" else _row_numbers(table[key], path, records)
    own = pd.DataFrame({"name": names, "value": value}).drop_duplicates()
    twice = own.index[own["name"].duplicated()]
    if len(twice):
        row, problem = int(twice[0]), "the record has a different value in an earlier row"
        raise TableError(problem, file=path, row=row, column=key, received=value[row])
    wanted = records.digests if key == "digest" else range(len(records))
    found = own.set_index("name")["value"].reindex(wanted).to_numpy(dtype=np.float64)
    if not np.isfinite(found).any():
        raise TableError(f"it has no value for any of the {len(records):,} records", file=path, column=key)
    return found


def _row_numbers(column: "pd.Series[Any]", path: Path, records: "Records") -> "pd.Series[Any]":
    """Return the rows that a table names; refuse them where some rows of the files are no records."""
    if problem := records.ambiguity():
        raise TableError(
            problem,
            file=path,
            column="row",
            received="rows",
            fix="name the records by digest, as iterit score does, or remove the other rows from the files",
        )
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = np.flatnonzero(~((numbers >= 0) & (numbers < len(records))) | (numbers % 1 != 0))
    if len(wrong):
        row, allowed = int(wrong[0]), f"a row number, from 0 to {len(records) - 1:,}"
        raise TableError(file=path, row=row, column="row", received=column[row], allowed=allowed)
    return numbers


def _read(path: Path) -> pd.DataFrame:
    """Read a table in the format that its ending names."""
    readers: dict[str, Callable[[], pd.DataFrame]] = {
        ".parquet": lambda: pd.read_parquet(path),
        ".csv": lambda: pd.read_csv(
            path, dtype=_TEXTS, keep_default_na=False, na_values={"ifd": ["", "nan"]}
        ),
        ".jsonl": lambda: pd.read_json(
            path, lines=True, dtype=dict.fromkeys(_TEXTS, object), convert_dates=False
        ),
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a damaged file makes pandas wonder about
            return readers[path.suffix.lower()]()
    except OSError as error:
        if error.filename is not None:
            raise
        raise _unreadable(path, error) from error
    except (
        ValueError,
        ArithmeticError,
        LookupError,
        TypeError,
        RecursionError,
        NotImplementedError,
    ) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> TableError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return TableError(f"the file cannot be read as {path.suffix.lower()}: {reason}", file=path)


def _blank(column: "pd.Series[Any]") -> "pd.Series[bool]":
    """Tell which cells are empty."""
    return column.isna() | column.astype(str).str.strip().str.lower().isin(["", "nan"])


def _checked(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return digest, ifd and status, or refuse what cannot be a score."""
    if not set(_NEEDED) <= set(table.columns):
        raise TableError(
            "the columns must include digest, ifd and status",
            received=[*table],
            file=path,
            fix="write them with iterit score of this version",
        )
    table = table[[*_NEEDED, *([_TOKENS] if _TOKENS in table else [])]]
    if table.columns.duplicated().any():
        raise TableError("a column occurs twice", received=[*table], file=path)
    ifd = pd.to_numeric(table["ifd"], errors="coerce").astype("float64")
    unknown = ~table["status"].isin(STATUSES)
    wrong = (ifd.isna() & table["ifd"].notna()) | (ifd < 0) | (ifd == float("inf"))
    no_text = ~table["digest"].map(lambda one: isinstance(one, str) and len(one) > 0).astype(bool)
    tokens = pd.to_numeric(table[_TOKENS], errors="coerce") if _TOKENS in table else pd.Series(dtype=float)
    tokens = tokens.astype("float64").reindex(table.index)
    no_number = (tokens.isna() & ~_blank(table[_TOKENS])) if _TOKENS in table else tokens.notna()
    for column, bad, allowed in (
        (
            _TOKENS,
            no_number | (tokens < 0) | (tokens % 1 > 0) | np.isinf(tokens),
            "a number of tokens, or empty",
        ),
        ("status", unknown, "one of " + ", ".join(map(repr, STATUSES))),
        ("ifd", wrong, "a finite number that is not negative, or empty"),
        ("digest", no_text, "the digest of a record"),
    ):
        if bad.any():
            row = int(bad.to_numpy().nonzero()[0][0])
            received = table[column].iloc[row]
            raise TableError(file=path, row=row, column=column, received=received, allowed=allowed)
    if _TOKENS in table:
        table = table.assign(**{_TOKENS: tokens.fillna(0.0)})
    return table.assign(ifd=ifd).reset_index(drop=True)
