"""Instruction-following difficulty (IFD): how much a question helps a model with its answer.

IFD = exp(L_conditional - L_direct): the mean negative log-likelihood of the answer's tokens after
the question, against that of the same tokens after the opening of a turn alone. Li et al., "From
Quantity to Quality", NAACL 2024; Jia et al., "IterIT", arXiv 2412.17365.
"""

import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from debias.console.progress import counted_progress
from debias.errors import ParameterError, param
from debias.inference.collection.shards.ray_chunks import RayEngine
from debias.inference.engine import MOST_OPERATIONS, Engine
from debias.settings import check_positive_integer
from iterit.records.instruction_records import Records
from iterit.row_numbers import RowArray, row_numbers
from iterit.scoring.answer_likelihoods import Item, score_items
from iterit.scoring.ray_scores import score_ahead
from iterit.scoring.score_cache import Score, ScoreCache
from iterit.templates.encoding import EncodedRecords
from iterit.templates.named_templates import template_for
from iterit.templates.template import Template, check_some_taken

STATUSES = ("ok", "empty", "truncated", "ifd_ge_1", "refused")

_BATCHES_AT_ONCE = 16
_BATCH_TOKENS = 4096


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
        loses at most what a slow processor scores in half a minute, or one record that takes longer.
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
    digests = [records.digests[row] for row in numbers.tolist()]
    with ScoreCache(cache, facts) as kept:
        scores = kept.find(digests)
        missing = {one: row for one, row in zip(digests, numbers.tolist(), strict=True) if one not in scores}
        refused: dict[str, str] = {}
        if missing:
            encoded = encoded if encoded is not None else template.encode_all(records, [*missing.values()])
            refused = {one: encoded.refused[row] for one, row in missing.items() if row in encoded.refused}
            taken = sorted(row for one, row in missing.items() if one not in refused)
            chunks = [*scored_together(encoded_items(records, template, taken, limit, encoded), engine)]
            scores |= score_chunks(records, engine, template, chunks, kept, limit, show_progress)
    table = scores_of_rows(numbers, digests, scores, refused)
    check_some_taken(table.attrs.get("refused", {}), len(table))
    return table


def score_facts(
    engine: Engine, template: Template, max_tokens: int, step: int | None = None
) -> dict[str, object]:
    """Return what decides a score beside the text, JSON-able."""
    return {
        "engine": engine.fingerprint,
        "step": step,
        "template": template.fingerprint,
        "max_tokens": max_tokens,
    }


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


def template_of(engine: Engine) -> Template:
    """Template of the engine's own tokenizer."""
    tokenizer = getattr(engine, "tokenizer", None)
    if tokenizer is None:
        raise ParameterError(
            f"{type(engine).__name__} has no tokenizer to take the template from",
            parameter="template",
            fix=f"pass {param('template', 'template_for(tokenizer)')} with the model's tokenizer",
        )
    return template_for(tokenizer)


def token_limit(engine: Engine, max_tokens: int | None) -> int:
    """Longest sequence that is scored."""
    check_positive_integer("max_tokens", max_tokens, or_none=True)
    return min(engine.context_length, max_tokens or engine.context_length)


def encoded_items(
    records: Records, template: Template, rows: Sequence[int], limit: int, given: EncodedRecords | None
) -> list[Item]:
    """Tokens of the records that are to be scored, longest first."""
    if given is None:
        given = template.encode_all(records, rows)
    elif given.fingerprint != template.fingerprint:
        raise ParameterError(
            "the tokens were made by another template",
            parameter="encoded",
            fix="make them with encode_all of this template",
        )
    items = [Item(row, given.of(row).cut(limit)) for row in rows]
    return sorted(items, key=lambda item: -len(item.encoded))


def score_chunks(
    records: Records,
    engine: Engine,
    template: Template,
    chunks: Sequence[Sequence[Item]],
    kept: ScoreCache,
    limit: int,
    show_progress: bool,
) -> dict[str, Score]:
    """Ask the engine about one chunk after another; each is kept at once.

    Returns
    -------
    dict of str to Score
        By the digests of the records.
    """
    scores: dict[str, Score] = {}
    lengths = {records.digests[item.row]: len(item.encoded) for chunk in chunks for item in chunk}
    with counted_progress("scoring, tokens", sum(lengths.values()), show_progress) as advance:
        for found in _scored_chunks(records, engine, template, chunks, limit):
            kept.add(found)
            scores |= dict(found)
            advance(sum(lengths[one] for one, _ in found))
    return scores


def _scored_chunks(
    records: Records, engine: Engine, template: Template, chunks: Sequence[Sequence[Item]], limit: int
) -> Iterator[list[tuple[str, Score]]]:
    """Yield the scores of chunks, one by one, or in any order from the workers of a cluster."""
    if isinstance(engine, RayEngine):
        yield from score_ahead(records, engine, template, chunks, limit)
        return
    for chunk in chunks:
        digests = [records.digests[item.row] for item in chunk]
        yield list(zip(digests, score_items(records, engine, template, chunk), strict=True))


def tokens_at_once(engine: Engine) -> float:
    """Return how many tokens to ask about before scores are kept: fewer where each takes long."""
    most = getattr(engine, "max_batch_tokens", _BATCH_TOKENS) * _BATCHES_AT_ONCE
    return min(most, MOST_OPERATIONS / max(engine.operations_per_token(), 1e-9))


def _n_asked(item: Item) -> int:
    """Return the tokens that an engine reads for a record: its conversation, and its answers alone."""
    return len(item.encoded) + item.encoded.n_answer_tokens


def scored_together(items: Sequence[Item], engine: Engine) -> Iterator[list[Item]]:
    """Cut items into chunks of at most so many tokens as an engine is asked at once, or of one item."""
    n_tokens = tokens_at_once(engine)
    chunk: list[Item] = []
    filled = 0
    for item in items:
        if chunk and filled + _n_asked(item) > n_tokens:
            yield chunk
            chunk, filled = [], 0
        chunk.append(item)
        filled += _n_asked(item)
    if chunk:
        yield chunk


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
