"""Describes picks beside their pool and a random draw: lengths, turns, sources, scripts, coverage, copies."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from iterit.ngrams.ngram_counts import NgramCounts
from iterit.records.instruction_records import Records
from iterit.row_numbers import RowArray
from iterit.selection.near_duplicates import near_duplicates

SCRIPTS = (
    "Latin", "Cyrillic", "Greek", "Han", "Hiragana", "Katakana", "Hangul", "Arabic", "Hebrew",
    "Devanagari", "Bengali", "Tamil", "Thai", "Georgian", "Armenian",
)  # fmt: skip
"""Scripts that are told apart; others are "other"."""

_LEAST_ROWS = 2


def script_of(text: str) -> str:
    """Return the script of most letters of a text, "none" where it has no letters.

    Examples
    --------
    >>> script_of("Привет, world"), script_of("你好"), script_of("1 + 1 = 2")
    ('Cyrillic', 'Han', 'none')
    """
    import regex

    found = {name: len(regex.findall(rf"\p{{Script={name}}}", text)) for name in SCRIPTS}
    found["other"] = len(regex.findall(r"\p{L}", text)) - sum(found.values())
    best = max(found, key=lambda name: found[name])
    return best if found[best] > 0 else "none"


def turns_of(records: Records) -> npt.NDArray[np.int64]:
    """Return the number of answers of each record."""
    return np.array([sum(m.is_answer for m in record.messages) for record in records], dtype=np.int64)


def coverage(counts: NgramCounts, rows: RowArray) -> float:
    """Return the share of a pool's common n-grams that some rows have.

    Parameters
    ----------
    counts : NgramCounts
        Of the answers of the pool.
    rows : int64 array

    Returns
    -------
    float
        Of the n-grams that occur in at least two answers of the pool; nan where there are none.

    Examples
    --------
    >>> from iterit.ngrams.ngram_counts import count_ngrams
    >>> counts = count_ngrams(["red fox", "red hen", "old hen", "new cow"], ngram_range=(1, 1))
    >>> coverage(counts, np.array([0])), coverage(counts, np.array([1]))
    (0.5, 1.0)
    """
    common = np.bincount(counts.indices, minlength=counts.n_columns) >= _LEAST_ROWS
    if not common.any():
        return float("nan")
    pieces = [counts.indices[counts.indptr[row] : counts.indptr[row + 1]] for row in rows.tolist()]
    seen = np.zeros(counts.n_columns, dtype=bool)
    if pieces:
        seen[np.concatenate(pieces)] = True
    return float(seen[common].mean())


def described(
    records: Records,
    counts: NgramCounts,
    answer_tokens: npt.NDArray[np.int64],
    groups: Mapping[str, RowArray],
) -> pd.DataFrame:
    """Describe groups of records, such as picks and their pool.

    Parameters
    ----------
    records : Records
    counts : NgramCounts
        Of their answers.
    answer_tokens : int64 array
        Of each record.
    groups : mapping of str to int64 array
        Rows of each group by its name.

    Returns
    -------
    DataFrame
        Indexed by group: n_records, answer_tokens, mean_tokens, median_tokens, mean_turns, coverage (of
        the n-grams that occur in several answers of all records), n_copies (exact and near duplicates of
        another record of the group).
    """
    turns = turns_of(records)
    rows = []
    for own in groups.values():
        lengths = answer_tokens[own]
        copies = near_duplicates([records.responses[row] for row in own.tolist()]).table
        rows.append(
            {
                "n_records": len(own),
                "answer_tokens": int(lengths.sum()),
                "mean_tokens": float(lengths.mean()) if len(own) else np.nan,
                "median_tokens": float(np.median(lengths)) if len(own) else np.nan,
                "mean_turns": float(turns[own].mean()) if len(own) else np.nan,
                "coverage": coverage(counts, own),
                "n_copies": len(copies),
            }
        )
    return pd.DataFrame(rows, index=pd.Index(list(groups), name="group"))


def shares(values: Sequence[str], groups: Mapping[str, RowArray], most: int = 12) -> pd.DataFrame:
    """Return the share of each value within groups of rows, the most frequent values first.

    Parameters
    ----------
    values : sequence of str
        One for each record, such as its source.
    groups : mapping of str to int64 array
    most : int, default=12
        Values beyond these are added up as "(others)".

    Returns
    -------
    DataFrame
        Indexed by value, a column for each group.

    Examples
    --------
    >>> shares(["a", "b", "a", "a"], {"all": np.arange(4), "picked": np.array([1])})
            all  picked
    value
    a      0.75     0.0
    b      0.25     1.0
    """
    names = [name for name, _ in Counter(values).most_common()]
    every = np.array(values, dtype=object)
    table = pd.DataFrame(
        {group: [float((every[rows] == name).mean()) for name in names] for group, rows in groups.items()},
        index=pd.Index(names, name="value"),
    )
    if len(table) > most:
        table = pd.concat([table.iloc[: most - 1], table.iloc[most - 1 :].sum().to_frame("(others)").T])
        table.index.name = "value"
    return table
