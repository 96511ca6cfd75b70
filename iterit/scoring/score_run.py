"""Asks an engine about records, chunk by chunk, and keeps each chunk's scores at once.

Complexity asks about each answer twice, after its question and alone; losses ask only the first.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from debias.console.progress import counted_progress
from debias.errors import ParameterError, param
from debias.inference.collection.shards.ray_chunks import RayEngine
from debias.inference.engine import MOST_OPERATIONS, Engine
from debias.settings import check_positive_integer
from iterit.records.instruction_records import Records
from iterit.row_numbers import RowArray
from iterit.scoring.answer_likelihoods import Item, score_items
from iterit.scoring.ray_scores import score_ahead
from iterit.scoring.score_cache import Score, ScoreCache
from iterit.templates.encoding import EncodedRecords
from iterit.templates.named_templates import template_for
from iterit.templates.template import Template

_BATCHES_AT_ONCE = 16
_BATCH_TOKENS = 4096


class FoundScores(NamedTuple):
    """Scores of some rows.

    Attributes
    ----------
    digests : list of str
        Of the records, row by row.
    scores : dict of str to Score
        By digest.
    refused : dict of str to str
        Digests of records that the template cannot take, with the reason.
    """

    digests: list[str]
    scores: dict[str, Score]
    refused: dict[str, str]


def find_scores(
    records: Records,
    engine: Engine,
    template: Template,
    rows: RowArray,
    *,
    limit: int,
    facts: Mapping[str, object],
    cache: str | os.PathLike[str] | None,
    encoded: EncodedRecords | None,
    alone: bool,
    show_progress: bool,
) -> FoundScores:
    """Return the scores of rows, those that are kept and those that the engine is asked for now.

    Parameters
    ----------
    records : Records
    engine : Engine
    template : Template
    rows : int array, shape (n,)
    limit : int
        Most tokens of a record.
    facts : mapping
        What decides a score beside the text, JSON-able.
    cache : path-like or None
        Folder in which scores are kept.
    encoded : EncodedRecords or None
        The records as tokens, where they are at hand.
    alone : bool
        Whether answers are asked about without their questions, too.
    show_progress : bool

    Returns
    -------
    FoundScores
    """
    digests = [records.digests[row] for row in rows.tolist()]
    refused: dict[str, str] = {}
    with ScoreCache(cache, facts, alone=alone) as kept:
        scores = kept.find(digests)
        missing = {one: row for one, row in zip(digests, rows.tolist(), strict=True) if one not in scores}
        if missing:
            encoded = encoded if encoded is not None else template.encode_all(records, [*missing.values()])
            refused = {one: encoded.refused[row] for one, row in missing.items() if row in encoded.refused}
            taken = sorted(row for one, row in missing.items() if one not in refused)
            items = encoded_items(records, template, taken, limit, encoded)
            chunks = [*scored_together(items, engine, alone)]
            scores |= score_chunks(records, engine, template, chunks, kept, limit, show_progress, alone)
    return FoundScores(digests, scores, refused)


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
            "the tokens were made by a different template",
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
    alone: bool = True,
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
        for found in _scored_chunks(records, engine, template, chunks, limit, alone):
            kept.add(found)
            scores |= dict(found)
            advance(sum(lengths[one] for one, _ in found))
    return scores


def _scored_chunks(
    records: Records,
    engine: Engine,
    template: Template,
    chunks: Sequence[Sequence[Item]],
    limit: int,
    alone: bool,
) -> Iterator[list[tuple[str, Score]]]:
    """Yield the scores of chunks, one by one, or in any order from the workers of a cluster."""
    if isinstance(engine, RayEngine):
        yield from score_ahead(records, engine, template, chunks, limit, alone)
        return
    for chunk in chunks:
        digests = [records.digests[item.row] for item in chunk]
        yield list(zip(digests, score_items(records, engine, template, chunk, alone), strict=True))


def tokens_at_once(engine: Engine) -> float:
    """Return how many tokens to ask about before scores are kept: fewer where each takes long."""
    most = getattr(engine, "max_batch_tokens", _BATCH_TOKENS) * _BATCHES_AT_ONCE
    return min(most, MOST_OPERATIONS / max(engine.operations_per_token(), 1e-9))


def _n_asked(item: Item, alone: bool) -> int:
    """Return the tokens that an engine reads for a record: its conversation, and its answers alone."""
    return len(item.encoded) + (item.encoded.n_answer_tokens if alone else 0)


def scored_together(items: Sequence[Item], engine: Engine, alone: bool = True) -> Iterator[list[Item]]:
    """Cut items into chunks of at most so many tokens as an engine is asked at once, or of one item."""
    n_tokens = tokens_at_once(engine)
    chunk: list[Item] = []
    filled = 0
    for item in items:
        if chunk and filled + _n_asked(item, alone) > n_tokens:
            yield chunk
            chunk, filled = [], 0
        chunk.append(item)
        filled += _n_asked(item, alone)
    if chunk:
        yield chunk
