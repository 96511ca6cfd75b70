"""Losses of answers: equal to a plain loop and to IFD's first half, with half the work, and resumable."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from debias.errors import EngineError, ParameterError, RecordsError
from debias.inference.engine import Engine
from iterit.records.instruction_records import Records
from iterit.scoring.answer_losses import answer_losses
from iterit.scoring.complexity import score_complexity
from iterit.templates.named_templates import template_for
from tests.support.plain_engine import PlainEngine, uniform
from tests.support.refusals import refused
from tests.support.small_templates import BRACKETS, CHATML, HEADERS, STRICT, chat_tokenizer
from tests.support.tiny_models import tiny_engine

ROWS: list[dict[str, Any]] = [
    {"instruction": "Who wrote the book?", "input": "", "output": "Person"},
    {"question": "Where is the Nile?", "answer": "not good at all, very bad" * 4},
    {
        "messages": [
            {"role": "user", "content": "Who?"},
            {"role": "assistant", "content": "good"},
            {"role": "user", "content": "And the sky above the river?"},
            {"role": "assistant", "content": "Number of places, many of them"},
        ]
    },
    {"instruction": "Who wrote it?", "output": "Person"},
    {"question": "q", "answer": "\u200b"},
]
RECORDS = Records.from_rows(ROWS)
KINDS = {"chatml": CHATML, "headers": HEADERS, "brackets": BRACKETS, "alpaca": None}


def quiet_losses(*args: Any, **options: Any) -> pd.DataFrame:
    return answer_losses(*args, show_progress=False, **options)


def naive_losses(engine, template, records, max_tokens=None):
    """Full logits of one record at a time, read where training has labels."""
    rows = []
    for record in records:
        one = template.encode(record, max_tokens)
        with torch.no_grad():
            table = -engine.model(input_ids=torch.tensor([one.input_ids])).logits[0].double().log_softmax(-1)
        own = [float(table[n - 1, token]) for n, token in enumerate(one.labels) if token != -100]
        rows.append((np.mean(own) if own else np.nan, len(own)))
    return pd.DataFrame(rows, columns=["loss", "n_tokens"])


def assert_close(found, expected, atol=1e-4):
    assert found["n_tokens"].tolist() == expected["n_tokens"].tolist()
    np.testing.assert_allclose(found["loss"], expected["loss"], atol=atol)


class InTexts(Engine):
    """Another engine as one that takes texts only."""

    max_batch_tokens = 1  # one record at a time

    def __init__(self, engine, stop_after=np.inf):
        self.engine, self.n_asked, self.stop_after = engine, 0, stop_after

    @property
    def context_length(self):
        return self.engine.context_length

    @property
    def fingerprint(self):
        return {"texts": self.engine.fingerprint}

    def continuation_logprobs(self, prompts, continuations):
        if self.n_asked >= self.stop_after:
            raise KeyboardInterrupt
        self.n_asked += len(prompts)
        return self.engine.continuation_logprobs(prompts, continuations)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_tokens", [None, 75])
def test_losses_are_those_of_a_plain_loop_for_every_engine(kind, max_tokens):
    tokenizer = chat_tokenizer(KINDS[kind], opens=kind == "brackets")
    engine, template = tiny_engine("qwen2", tokenizer), template_for(tokenizer)
    found = quiet_losses(RECORDS, engine, max_tokens=max_tokens)
    assert_close(found, naive_losses(engine, template, RECORDS, max_tokens))
    assert found["loss"].dtype == np.float64 and found.index.tolist() == [0, 1, 2, 3, 4]
    cut = [template.encode(record, max_tokens).is_truncated for record in RECORDS]
    assert any(cut) == (max_tokens is not None)
    empty = ["empty" if row == 4 else "ok" for row in range(5)]
    assert found["status"].tolist() == ["truncated" if c else e for c, e in zip(cut, empty, strict=True)]
    texts = quiet_losses(RECORDS, InTexts(engine), template=template, max_tokens=max_tokens or 500)
    assert_close(texts, found)
    assert texts["status"].tolist() == found["status"].tolist()


def test_they_are_the_first_half_of_complexity_for_half_the_work():
    tokenizer = chat_tokenizer(CHATML)
    engine = tiny_engine("qwen2", tokenizer)
    scores = score_complexity(RECORDS, engine, show_progress=False)
    both = engine.token_counts
    found = quiet_losses(RECORDS, engine)
    own = engine.token_counts - both
    np.testing.assert_allclose(found["loss"], scores["conditional"], atol=1e-5)
    assert own.tokens < both.tokens and own.reads < both.reads
    texts = InTexts(engine)
    quiet_losses(RECORDS, texts, template=template_for(tokenizer))
    assert texts.n_asked == 5


def test_an_engine_of_texts_by_hand():
    template = template_for(chat_tokenizer(CHATML))
    found = quiet_losses(RECORDS, PlainEngine(), template=template, rows=[3, 0])
    for row in (3, 0):
        (turn,) = template.turns(RECORDS[row])
        assert found["loss"][row] == pytest.approx(-np.log(uniform(turn.prompt + turn.answer) / 10))
    assert found.index.tolist() == [3, 0] and found["n_tokens"].tolist() == [1, 1]


def test_an_interruption_keeps_what_was_scored_apart_from_complexity(tmp_path):
    tokenizer = chat_tokenizer(CHATML)
    engine, template = tiny_engine("qwen2", tokenizer), template_for(tokenizer)
    stopped = InTexts(engine, stop_after=3)
    with pytest.raises(KeyboardInterrupt):
        quiet_losses(RECORDS, stopped, template=template, cache=tmp_path)
    resumed = InTexts(engine)
    found = quiet_losses(RECORDS, resumed, template=template, cache=tmp_path)
    assert resumed.n_asked == 5 - stopped.n_asked
    assert_close(found, quiet_losses(RECORDS, engine))
    scored = InTexts(engine)
    score_complexity(RECORDS, scored, template=template, cache=tmp_path, show_progress=False)
    assert scored.n_asked == 2 * 5  # what losses kept is not taken for both halves
    again = InTexts(engine)
    pd.testing.assert_frame_equal(quiet_losses(RECORDS, again, template=template, cache=tmp_path), found)
    assert again.n_asked == 0
    quiet_losses(RECORDS, again, template=template, cache=tmp_path, step=1)
    assert again.n_asked == 5


def test_a_record_that_the_template_cannot_take_has_no_loss():
    records = Records.from_rows([ROWS[0], ROWS[0] | {"system": "Be kind."}])
    engine = tiny_engine("qwen2", chat_tokenizer(STRICT))
    found = quiet_losses(records, engine)
    assert found["status"].tolist() == ["ok", "refused"] and np.isnan(found["loss"][1])
    assert list(found.attrs["refused"]) == [1]
    with refused(RecordsError, row=1):
        quiet_losses(records, engine, rows=[1])


def test_what_is_refused():
    with refused(ParameterError, parameter="template"):
        quiet_losses(RECORDS, PlainEngine())

    class Broken(PlainEngine):
        def continuation_logprobs(self, prompts, continuations):
            return [np.array([np.nan]) for _ in prompts]

    with refused(EngineError, row=int, received=tuple):
        quiet_losses(RECORDS, Broken(), template=template_for(chat_tokenizer(CHATML)))
