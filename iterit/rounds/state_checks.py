"""Refuses a state of rounds that no run can have: what was read from a checkpoint is asked here."""

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_float_dtype, is_integer_dtype

from iterit.rounds.examples import EXAMPLE_COLUMNS, LONGEST_EXCERPT
from iterit.rounds.round_state import PICK_COLUMNS, SCORE_COLUMNS, RoundState
from iterit.selection.eligibility import SCORED

_KINDS = {"int64": is_integer_dtype, "bool": is_bool_dtype}


def impossible(state: RoundState) -> str:
    """Return why no run can have this state, or an empty text.

    Parameters
    ----------
    state : RoundState
        Its tables may be of any columns and types.

    Examples
    --------
    >>> from iterit.rounds.round_state import first_state
    >>> impossible(first_state(3))
    ''
    >>> impossible(first_state(3, np.array([1, 7])))
    'a row is not one of 3'
    """
    for name, number, least in (("n_rows", state.n_rows, 1), ("round", state.round, 0)):
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            return f"{name} is {number!r}"
    if len(np.unique(state.rows)) != len(state.rows):
        return "a row takes part twice"
    if len(state.rows) and not (state.rows.min() >= 0 and state.rows.max() < state.n_rows):
        return f"a row is not one of {state.n_rows}"
    for name, table, columns in (
        ("scores", state.scores, {"row": "int64", "round": "int64"} | SCORE_COLUMNS),
        ("picks", state.picks, PICK_COLUMNS),
    ):
        if problem := _wrong_table(table, columns, state):
            return f"{name}: {problem}"
    scores, picks = state.scores, state.picks
    ifd = scores["ifd"].to_numpy(dtype=np.float64)
    if (ifd < 0).any() or np.isinf(ifd).any():
        return "scores: an IFD is negative or infinite"
    if not scores["status"].isin([*SCORED, "empty"]).all():
        return "scores: a status is unknown"
    if (scores["n_tokens"] < 0).any() or (picks["rank"] < 1).any():
        return "a number of tokens or a rank is negative"
    if picks.duplicated(["round", "row"]).any():
        return "picks: a round has a row twice"
    return ""


def impossible_examples(examples: pd.DataFrame, state: RoundState) -> str:
    """Return why a run cannot have these examples, or an empty text.

    Parameters
    ----------
    examples : DataFrame
        May be of any columns and types.
    state : RoundState
    """
    if not len(examples):
        return ""
    if list(examples.columns) != [*EXAMPLE_COLUMNS, "question", "answer"]:
        return "its examples have other columns"
    numbers = examples[list(EXAMPLE_COLUMNS)]
    if any(str(kind) != EXAMPLE_COLUMNS[str(name)] for name, kind in numbers.dtypes.items()):
        return "its examples have columns of other types"
    if not (examples["row"].isin(state.rows).all() and examples["round"].between(0, state.round - 1).all()):
        return "its examples have an invalid row or round"
    texts = [*examples["question"], *examples["answer"]]
    is_short = all(isinstance(text, str) and len(text) <= LONGEST_EXCERPT for text in texts)
    return "" if is_short else "its examples have texts that are too long, or none"


def _wrong_table(table: pd.DataFrame, columns: dict[str, str], state: RoundState) -> str:
    """Return what is wrong with columns, types, rows or rounds of a table."""
    if sorted(map(str, table.columns)) != sorted(columns):
        return f"its columns are {', '.join(map(str, table.columns))}"[:200]
    for name, kind in columns.items():
        if kind != "str" and not _KINDS.get(kind, is_float_dtype)(table[name].dtype):
            return f"column {name!r} is {table[name].dtype}"
    if not table["row"].isin(state.rows).all():
        return "a row does not take part"
    if not table["round"].between(0, state.round - 1).all():
        return f"a round is not one of {state.round}"
    return ""
