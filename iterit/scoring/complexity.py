"""Instruction-following difficulty (IFD): how much a question helps a model with its answer.

IFD = exp(L_conditional - L_direct): the mean negative log-likelihood of the answer's tokens after
the question, against that of the same tokens after the opening of a turn alone. Li et al., "From
Quantity to Quality", NAACL 2024; Jia et al., "IterIT", arXiv 2412.17365.
"""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from debias.inference.engine import Engine
from iterit.records.instruction_records import Records
from iterit.row_numbers import RowArray, row_numbers
from iterit.scoring.score_cache import Score
from iterit.scoring.score_run import find_scores, score_facts, template_of, token_limit
from iterit.templates.encoding import EncodedRecords
from iterit.templates.template import Template, check_some_taken

STATUSES = ("ok", "empty", "truncated", "ifd_ge_1", "refused")


def score_complexity(
    records: Records,
    engine: Engine,
    *,
    template: Template | None = None,
    rows: ArrayLike | None = None,
    cache: str | os.PathLike[str] | None = None,
    step: int | None = None,
    max_tokens: int | None = None,
    encoded: EncodedRecords | None = None,
    show_progress: bool = True,
) -> pd.DataFrame:
    """Score how hard records are for a model.

    Parameters
    ----------
    records : Records
    engine : Engine
        Any engine; a TransformersEngine is asked in tokens, others in texts.
    template : Template, optional
        The one that the model is trained with; that of the engine's tokenizer if omitted.
    rows : sequence of int, optional
        Which records; all if omitted.
    cache : str or path-like, optional
        Folder in which scores are kept: what is there is not computed again, and an interruption
        loses at most what a slow processor scores in two minutes, or one record that takes longer.
    step : int, optional
        Training step of the model, which scores are kept under, too. The engine's fingerprint
        notices changed weights by samples of them; a step leaves no doubt.
    max_tokens : int, optional
        Longest sequence in training; the engine's context if omitted. A longer one is cut at its
        end, as in training, and what is left of its answers is scored.
    encoded : EncodedRecords, optional
        The records as tokens, from the template's :meth:`~iterit.templates.template.Template.encode_all`,
        where they are at hand.
    show_progress : bool, default=True
        Whether to show a bar on the error stream.

    Returns
    -------
    DataFrame, indexed by ``row`` in the order of ``rows``
        - ``ifd`` (float32): exp(conditional - direct);
        - ``conditional``, ``direct`` (float64): mean negative log-likelihoods in nats. In a record with
          several answers they are means over the tokens of all of them;
        - ``n_tokens`` (int64): tokens of the answers, those that end turns included;
        - ``status``: "truncated" where tokens of an answer were cut away, "empty" where the tokenizer
          leaves nothing of it, "refused" where the template cannot take the record (``attrs["refused"]``
          says why, by row), "ifd_ge_1" where the question does not help, else "ok". Where no token is
          left the scores are nan.

    Raises
    ------
    EngineError
        The engine failed, or gave something that is no log-probability.
    ParameterError
        A parameter is not allowed, or the engine has no tokenizer and no template was given.
    RecordsError
        The template cannot take any of the records.
    StorageError
        Scores cannot be kept.
    ResumeError
        The file of scores is damaged.

    Examples
    --------
    >>> from debias.inference.transformers.transformers_engine import TransformersEngine  # doctest: +SKIP
    >>> records = Records.from_rows([{"question": "The capital of France?", "answer": "Paris"}])
    >>> score_complexity(records, TransformersEngine("demo"))  # doctest: +SKIP
          ifd  conditional  direct  n_tokens status
    row
    0    0.22         1.31    2.83         2     ok
    """
    template = template or template_of(engine)
    limit = token_limit(engine, max_tokens)
    numbers = np.arange(len(records)) if rows is None else row_numbers(rows, len(records))
    facts = score_facts(engine, template, limit, step)
    found = find_scores(
        records, engine, template, numbers, limit=limit, facts=facts, cache=cache, encoded=encoded,
        alone=True, show_progress=show_progress,
    )  # fmt: skip
    table = scores_of_rows(numbers, *found)
    check_some_taken(table.attrs.get("refused", {}), len(table))
    return table


def scores_of_rows(
    rows: RowArray, digests: Sequence[str], scores: Mapping[str, Score], refused: Mapping[str, str]
) -> pd.DataFrame:
    """Return the scores of some rows as a table, as :func:`score_complexity` does.

    Parameters
    ----------
    rows : int array, shape (n,)
    digests : sequence of str, length n
    scores : mapping of str to Score
        By digest.
    refused : mapping of str to str
        Digests of records that the template cannot take, with the reason.

    Returns
    -------
    DataFrame
    """
    nothing = Score(np.nan, np.nan, 0, False)
    table = _table(rows, [nothing if one in refused else scores[one] for one in digests])
    reasons = {int(row): refused[one] for row, one in zip(rows, digests, strict=True) if one in refused}
    if reasons:
        table.loc[list(reasons), "status"] = "refused"
        table.attrs["refused"] = reasons
    return table


def _table(rows: RowArray, scores: Sequence[Score]) -> pd.DataFrame:
    """Scores of rows as a table, with IFD and status."""
    frame = pd.DataFrame(list(scores), columns=list(Score._fields))
    frame.index = pd.Index(rows, name="row")
    ifd = np.exp((frame["conditional"] - frame["direct"]).astype(np.float32)).astype(np.float32)
    frame.insert(0, "ifd", ifd)
    conditions = [frame["is_truncated"], frame["n_tokens"] == 0, frame["ifd"] >= 1]
    status = np.select([np.asarray(c, bool) for c in conditions], ["truncated", "empty", "ifd_ge_1"], "ok")
    types = {"conditional": np.float64, "direct": np.float64, "n_tokens": np.int64}
    return frame.drop(columns="is_truncated").astype(types).assign(status=status.astype(object))
