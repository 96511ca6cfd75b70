"""Asks an engine how likely answers are: after their questions, and after the opening of a turn alone.

An engine that takes tokens gets each conversation once, whole, whatever the number of its answers,
together with its answers alone, so that one call serves both. Others get texts.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from debias.errors import EngineError, param
from debias.inference.engine import Engine, FloatArray
from iterit.records.instruction_records import Records
from iterit.scoring.score_cache import Score
from iterit.templates.encoding import Encoded
from iterit.templates.template import Template


class Item(NamedTuple):
    """A record to be scored, as tokens that fit.

    Attributes
    ----------
    row : int
    encoded : Encoded
    """

    row: int
    encoded: Encoded


def score_items(
    records: Records, engine: Engine, template: Template, items: Sequence[Item], alone: bool = True
) -> list[Score]:
    """Score some records in one call of the engine.

    Parameters
    ----------
    records : Records
    engine : Engine
    template : Template
    items : sequence of Item, length n
    alone : bool, default=True
        Whether answers are asked about after the opening of a turn alone, too.

    Returns
    -------
    list of n Score

    Raises
    ------
    EngineError
        The engine gave something that is no log-probability.
    """
    filled = [item for item in items if item.encoded.spans]
    ask = _ask_in_tokens if takes_tokens(engine, template) else _ask_in_texts
    found = iter(ask(records, engine, template, filled, alone)) if filled else iter(())
    return [_score(item, *(next(found) if item.encoded.spans else ([], [])), alone) for item in items]


def takes_tokens(engine: Engine, template: Template) -> bool:
    """Whether an engine takes the very tokens of a template."""
    same = engine.fingerprint.get("tokenizer") == template.tokenization.digest
    return same and hasattr(engine, "span_logprobs")


_Both = tuple[Sequence[FloatArray], Sequence[FloatArray]]
"""Log-probabilities of a record's answers after their questions, and alone; none where not asked."""


def _ask_in_tokens(
    records: Records, engine: Any, template: Template, items: Sequence[Item], alone: bool
) -> list[_Both]:
    """Ask about whole sequences, and about every answer after its opening."""
    wholes = [item.encoded for item in items]
    sequences = [one.tokens.tolist() for one in wholes]
    spans = [[(span.start, span.stop) for span in one.spans] for one in wholes]
    for one, tokens in zip(wholes if alone else [], sequences[: len(wholes)], strict=False):
        for span in one.spans:
            before = one.direct(span) or _first_token(template)
            sequences.append(before + tokens[span.start : span.stop])
            spans.append([(len(before), len(sequences[-1]))])
    answers = engine.span_logprobs(sequences, spans)
    directs = iter(answers[len(wholes) :])
    return [
        ([own], [next(directs) for _ in one.spans] if alone else [])
        for one, own in zip(wholes, answers[: len(wholes)], strict=True)
    ]


def _ask_in_texts(
    records: Records, engine: Engine, template: Template, items: Sequence[Item], alone: bool
) -> list[_Both]:
    """Ask about answers as texts, cut where their tokens were cut."""
    # Where a turn opens with nothing, an engine begins with a token of its own, if the tokenizer has one.
    stand_in = "" if template.tokenization.leading else template.tokenization.decode(_first_token(template))
    turns = [
        template.turns(records[item.row], len(item.encoded) if item.encoded.is_truncated else None)
        for item in items
    ]
    every = [turn for own in turns for turn in own]
    prompts, answers = [turn.prompt for turn in every], [turn.answer for turn in every]
    if not alone:
        after = iter(engine.continuation_logprobs(prompts, answers))
        return [([next(after) for _ in own], []) for own in turns]
    prompts += [turn.opening or stand_in for turn in every]
    found = engine.continuation_logprobs(prompts, 2 * answers)
    scored = iter(zip(found, found[len(every) :], strict=False))
    both = [[next(scored) for _ in own] for own in turns]
    return [([one for one, _ in pairs], [one for _, one in pairs]) for pairs in both]


def _first_token(template: Template) -> list[int]:
    """Return the token to begin with where nothing stands before an answer."""
    return template.tokenization.context([])


def _score(item: Item, conditional: Sequence[FloatArray], direct: Sequence[FloatArray], alone: bool) -> Score:
    """Score of one record from the log-probabilities of its answers' tokens."""
    truncated = item.encoded.is_truncated
    n_tokens = sum(map(len, conditional))
    if not n_tokens:
        return Score(np.nan, np.nan, 0, truncated)
    asked = (conditional, direct) if alone else (conditional,)
    losses = [-float(np.concatenate(list(answers)).mean()) for answers in asked]
    if not np.isfinite(losses).all():
        told = " and ".join(f"{-loss:g}" for loss in losses)
        raise EngineError(
            f"the mean log-probability of the answer is {told}; it must be finite",
            row=item.row,
            received=tuple(-loss for loss in losses),
            fix=f"try {param('dtype', repr('float32'))} or another engine",
        )
    return Score(losses[0], losses[1] if alone else np.nan, n_tokens, truncated)
