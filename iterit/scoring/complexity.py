"""Instruction-following difficulty (IFD): how much a question helps a model with its answer.

IFD = exp(L_conditional - L_direct): the mean negative log-likelihood of the answer's tokens after
the question, against that of the same tokens after the opening of a turn alone. Li et al., "From
Quantity to Quality", NAACL 2024; Jia et al., "IterIT", arXiv 2412.17365.
"""

import os
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from debias.errors import ParameterError
from debias.inference.engine import Engine
from iterit.records.instruction_records import Records
from iterit.scoring.answer_likelihoods import Item, score_items
from iterit.scoring.score_cache import Score, ScoreCache
from iterit.templates.encoding import EncodedRecords
from iterit.templates.named_templates import template_for
from iterit.templates.template import Template

STATUSES = ("ok", "empty", "truncated", "ifd_ge_1")

_BATCHES_AT_ONCE = 16
_BATCH_TOKENS = 4096
_SECONDS_UNSAVED = 20.0


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
        The one that the model is trained with; that of the engine's tokenizer when left out.
    rows : sequence of int, optional
        Which records; all when left out.
    cache : str or path-like, optional
        Folder in which scores are kept: what is there is not computed again, and an interruption
        loses at most the last seconds.
    step : int, optional
        Training step of the model, as part of what scores are kept under. The engine's fingerprint
        notices changed weights by samples of them; a step leaves no doubt.
    max_tokens : int, optional
        Longest sequence in training; the engine's context when left out. A longer one is cut at its
        end, as in training: scored is what is left of its answers.
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
          leaves nothing of it, "ifd_ge_1" where the question does not help, else "ok". Where no token
          is left the scores are nan.

    Raises
    ------
    EngineError
        The engine failed, or gave something that is no log-probability.
    ParameterError
        A parameter is not allowed, or the engine has no tokenizer and no template was given.
    RecordsError
        The template cannot take a record.
    StorageError
        Scores cannot be kept.

    Examples
    --------
    >>> from debias.inference.transformers.transformers_engine import TransformersEngine  # doctest: +SKIP
    >>> records = Records.from_rows([{"question": "The capital of France?", "answer": "Paris"}])
    >>> score_complexity(records, TransformersEngine("demo"))  # doctest: +SKIP
          ifd  conditional  direct  n_tokens status
    row
    0    0.22         1.31    2.83         2     ok
    """
    template = template or _template_of(engine)
    limit = _limit(engine, max_tokens)
    numbers = _checked_rows(records, rows)
    facts = {
        "engine": engine.fingerprint,
        "step": step,
        "template": template.fingerprint,
        "max_tokens": limit,
    }
    scores = ScoreCache(cache, facts)
    digests = records.digests
    missing = {digests[row]: row for row in numbers[::-1].tolist() if scores.get(digests[row]) is None}
    if missing:
        wanted = sorted(missing.values())
        tokens = _encoded(records, template, wanted, limit, encoded)
        _score_missing(records, engine, template, tokens, scores, show_progress)
    return _table(numbers, [scores.get(digests[row]) for row in numbers.tolist()])


def _template_of(engine: Engine) -> Template:
    """Template of the engine's own tokenizer."""
    tokenizer = getattr(engine, "tokenizer", None)
    if tokenizer is None:
        raise ParameterError(
            f"template is None, and {type(engine).__name__} has no tokenizer to take it from; give"
            " template=template_for(tokenizer) with the model's tokenizer"
        )
    return template_for(tokenizer)


def _limit(engine: Engine, max_tokens: int | None) -> int:
    """Longest sequence that is scored."""
    if max_tokens is not None and (not isinstance(max_tokens, int) or max_tokens < 1):
        raise ParameterError(f"max_tokens is {max_tokens!r}; give a number from 1 on, or None")
    return min(engine.context_length, max_tokens or engine.context_length)


def _checked_rows(records: Records, rows: ArrayLike | None) -> NDArray[np.int64]:
    """Rows as an array."""
    if rows is None:
        return np.arange(len(records))
    numbers = np.asarray(rows)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise ParameterError(f"rows is {rows!r}; give a list of row numbers")
    if numbers.size and (numbers.min() < 0 or numbers.max() >= len(records)):
        raise ParameterError(
            f"rows go from {numbers.min()} to {numbers.max()}; allowed are 0 to {len(records) - 1}"
        )
    return numbers.astype(np.int64)


def _encoded(
    records: Records, template: Template, rows: Sequence[int], limit: int, given: EncodedRecords | None
) -> list[Item]:
    """Tokens of the records that are to be scored, longest first."""
    if given is None:
        given = template.encode_all(records, rows)
    elif given.fingerprint != template.fingerprint:
        raise ParameterError("encoded was made by another template; make it with this one's encode_all")
    items = [Item(row, given.of(row).cut(limit)) for row in rows]
    return sorted(items, key=lambda item: -len(item.encoded))


def _score_missing(
    records: Records,
    engine: Engine,
    template: Template,
    items: Sequence[Item],
    scores: ScoreCache,
    show_progress: bool,
) -> None:
    """Ask the engine about one chunk after another, and keep what it says also when it is stopped."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    saved = time.monotonic()
    try:
        with Progress(*columns, console=Console(stderr=True), disable=not show_progress) as bar:
            task = bar.add_task("tokens", total=sum(len(item.encoded) for item in items))
            for chunk in _chunks(
                items, getattr(engine, "max_batch_tokens", _BATCH_TOKENS) * _BATCHES_AT_ONCE
            ):
                found = score_items(records, engine, template, chunk)
                for item, score in zip(chunk, found, strict=True):
                    scores.add(records.digests[item.row], score)
                if time.monotonic() - saved > _SECONDS_UNSAVED:
                    scores.flush()
                    saved = time.monotonic()
                bar.advance(task, sum(len(item.encoded) for item in chunk))
    finally:
        scores.flush()


def _chunks(items: Sequence[Item], n_tokens: int) -> Iterator[list[Item]]:
    """Cut items into chunks of about so many tokens."""
    chunk: list[Item] = []
    filled = 0
    for item in items:
        chunk.append(item)
        filled += len(item.encoded) + item.encoded.n_answer_tokens
        if filled >= n_tokens:
            yield chunk
            chunk, filled = [], 0
    if chunk:
        yield chunk


def _table(rows: NDArray[np.int64], scores: Sequence[Score | None]) -> pd.DataFrame:
    """Scores of rows as a table, with IFD and status."""
    frame = pd.DataFrame([score for score in scores if score is not None], columns=list(Score._fields))
    frame.index = pd.Index(rows, name="row")
    ifd = np.exp((frame["conditional"] - frame["direct"]).astype(np.float32)).astype(np.float32)
    frame.insert(0, "ifd", ifd)
    conditions = [frame["is_truncated"], frame["n_tokens"] == 0, frame["ifd"] >= 1]
    status = np.select([np.asarray(c, bool) for c in conditions], ["truncated", "empty", "ifd_ge_1"], "ok")
    types = {"conditional": np.float64, "direct": np.float64, "n_tokens": np.int64}
    return frame.drop(columns="is_truncated").astype(types).assign(status=status.astype(object))
