"""Losses of answers after their questions: half the work of complexity, for what compares two models."""

import os

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from debias.inference.engine import Engine
from iterit.records.instruction_records import Records
from iterit.row_numbers import row_numbers
from iterit.scoring.score_cache import Score
from iterit.scoring.score_run import find_scores, score_facts, template_of, token_limit
from iterit.templates.encoding import EncodedRecords
from iterit.templates.template import Template, check_some_taken


def answer_losses(
    records: Records,
    engine: Engine,
    *,
    template: Template | None = None,
    rows: ArrayLike | None = None,
    cache: str | os.PathLike[str] | None = None,
    max_tokens: int | None = None,
    encoded: EncodedRecords | None = None,
    show_progress: bool = True,
    step: int | None = None,
) -> pd.DataFrame:
    """Return the mean loss of each record's answers, after their questions.

    Parameters
    ----------
    records : Records
    engine : Engine
        Any engine; a TransformersEngine is asked in tokens, others in texts. Where two small losses are
        to be compared, it is best in float32: bfloat16 rounds more away than a small step changes.
    template, rows, cache, max_tokens, encoded, show_progress, step
        As for :func:`~iterit.scoring.complexity.score_complexity`. Losses are kept in the same file as its
        scores, under a key of their own.

    Returns
    -------
    DataFrame, indexed by ``row`` in the order of ``rows``
        - ``loss`` (float64): mean negative log-likelihood in nats over the tokens of all answers, nan
          where there is none;
        - ``n_tokens`` (int64): tokens of the answers, those that end turns included;
        - ``status``: "truncated", "empty", "refused" (``attrs["refused"]`` says why, by row), or "ok".

    Raises
    ------
    EngineError, ParameterError, RecordsError, StorageError, ResumeError
        As for ``score_complexity``.

    Examples
    --------
    >>> from debias.inference.transformers.transformers_engine import TransformersEngine  # doctest: +SKIP
    >>> records = Records.from_rows([{"question": "The capital of France?", "answer": "Paris"}])
    >>> answer_losses(records, TransformersEngine("demo"))  # doctest: +SKIP
         loss  n_tokens status
    row
    0    1.31         2     ok
    """
    template = template or template_of(engine)
    limit = token_limit(engine, max_tokens)
    numbers = np.arange(len(records)) if rows is None else row_numbers(rows, len(records))
    facts = score_facts(engine, template, limit, step) | {"asked": "answers after their questions"}
    digests, scores, refused = find_scores(
        records, engine, template, numbers, limit=limit, facts=facts, cache=cache, encoded=encoded,
        alone=False, show_progress=show_progress,
    )  # fmt: skip
    nothing = Score(np.nan, np.nan, 0, False)
    found = [scores.get(one, nothing) for one in digests]
    table = pd.DataFrame(
        {
            "loss": np.array([one.conditional for one in found], dtype=np.float64),
            "n_tokens": np.array([one.n_tokens for one in found], dtype=np.int64),
            "status": pd.Series([_status(one) for one in found], dtype=object).to_numpy(),
        },
        index=pd.Index(numbers, name="row"),
    )
    reasons = {int(row): refused[one] for row, one in zip(numbers, digests, strict=True) if one in refused}
    if reasons:
        table.loc[list(reasons), "status"] = "refused"
        table.attrs["refused"] = reasons
    check_some_taken(reasons, len(table))
    return table


def _status(score: Score) -> str:
    """Return what there is to say of a score."""
    if score.is_truncated:
        return "truncated"
    return "ok" if score.n_tokens else "empty"
