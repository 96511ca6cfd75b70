"""Records as vectors: equal to the formula on one record at a time, whatever stands beside it."""

from typing import Any

import numpy as np
import pytest
import torch

from debias.errors import ContextLengthError, EngineError, ParameterError, RecordsError
from iterit.records.instruction_records import Records
from iterit.scoring.representations import query_similarities, record_vectors
from iterit.templates.named_templates import template_for
from tests.support.plain_engine import PlainEngine
from tests.support.refusals import refused
from tests.support.small_templates import BRACKETS, CHATML, STRICT, chat_tokenizer
from tests.support.tiny_models import ARCHITECTURES, byte_tokenizer, tiny_engine

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
    {"instruction": "Who wrote the book?", "output": "Number"},
    {"question": "q", "answer": "\u200b"},  # without a token in its answer
    *(
        {"question": f"How many planets are there in the sky {'q' * n}", "answer": "good " * n}
        for n in range(1, 25)
    ),
]
RECORDS = Records.from_rows(ROWS)


def quiet_vectors(*args: Any, **options: Any) -> np.ndarray:
    return record_vectors(*args, show_progress=False, **options)


def naive_vectors(engine, template, records, max_tokens=None):
    """The formula: sum of t h_t over sum of t, one record at a time."""
    found = []
    for record in records:
        tokens = template.encode(record, max_tokens).input_ids
        with torch.no_grad():
            states = engine.model.base_model(input_ids=torch.tensor([tokens])).last_hidden_state[0]
        weighted = [place * states[place - 1].double().numpy() for place in range(1, len(tokens) + 1)]
        found.append(np.sum(weighted, axis=0) / sum(range(1, len(tokens) + 1)))
    return np.array(found)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_vectors_are_those_of_the_formula(architecture):
    tokenizer = chat_tokenizer(CHATML)
    engine = tiny_engine(architecture, tokenizer)
    expected = naive_vectors(engine, template_for(tokenizer), RECORDS)
    found = quiet_vectors(RECORDS, engine)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["chatml", "brackets", "alpaca"])
@pytest.mark.parametrize("max_tokens", [None, 60])
def test_records_of_every_template_cut_as_in_training(kind, max_tokens):
    tokenizer = chat_tokenizer({"chatml": CHATML, "brackets": BRACKETS}.get(kind), opens=kind == "brackets")
    engine, template = tiny_engine("llama", tokenizer), template_for(tokenizer)
    expected = naive_vectors(engine, template, RECORDS, max_tokens)
    np.testing.assert_allclose(quiet_vectors(RECORDS, engine, max_tokens=max_tokens), expected, atol=1e-4)
    encoded = template.encode_all(RECORDS)
    found = quiet_vectors(RECORDS, engine, max_tokens=max_tokens, encoded=encoded, rows=[4, 0, 4])
    np.testing.assert_allclose(found, expected[[4, 0, 4]], atol=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2", "mamba"])
def test_what_stands_beside_a_record_does_not_change_it(architecture):
    tokenizer = chat_tokenizer(CHATML)
    whole = quiet_vectors(RECORDS, tiny_engine(architecture, tokenizer))
    small = tiny_engine(architecture, tokenizer, max_batch_tokens=64)
    alone = np.concatenate([quiet_vectors(RECORDS, small, rows=[row]) for row in range(len(RECORDS))])
    np.testing.assert_allclose(alone, whole, atol=1e-4)
    np.testing.assert_allclose(quiet_vectors(RECORDS, small), whole, atol=1e-4)


def test_the_demo_model_shares_what_records_begin_with(demo_engine):
    template, before = template_for(demo_engine.tokenizer), demo_engine.token_counts
    records = Records.from_rows([{"question": f"{n} + {n}?", "answer": str(2 * n)} for n in range(40)])
    expected = naive_vectors(demo_engine, template, records.take(range(3)))
    found = quiet_vectors(records, demo_engine)
    spent = demo_engine.token_counts - before
    np.testing.assert_allclose(found[:3], expected, atol=1e-4)
    assert spent.tokens < template.encode_all(records).lengths.sum() / 2 and spent.reads == 0


def test_weights_are_divided_by_their_sum_and_modes_are_left_alone():
    engine = tiny_engine("llama")
    engine.model.train()
    sequences: list[list[int]] = [[1, 2, 3], [], [4]]
    plain = engine.weighted_states(sequences)
    assert not plain[1].any()
    doubled = engine.weighted_states(sequences, [np.full(3, 2.0), np.empty(0), np.array([5.0])])
    np.testing.assert_allclose(doubled, plain, atol=1e-6)
    only_last = engine.weighted_states([[1, 2, 3]], [np.array([0, 0, 1.0])])
    np.testing.assert_allclose(
        only_last, engine.weighted_states([[1, 2, 3]] * 9, [[0, 0, 1.0]] * 9)[:1], atol=1e-5
    )
    assert engine.model.training and engine.weighted_states([]).shape == (0, 32)


def test_what_is_refused():
    tokenizer = chat_tokenizer(CHATML)
    engine = tiny_engine("llama", tokenizer)
    with refused(EngineError, parameter="engine", received="PlainEngine"):
        quiet_vectors(RECORDS, PlainEngine(), template=template_for(tokenizer))
    with refused(ParameterError, parameter="template"):
        quiet_vectors(RECORDS, engine, template=template_for(byte_tokenizer()))
    with refused(ContextLengthError, received=600):
        engine.weighted_states([[1] * 600])
    for weights in ([1.0], [1.0, np.nan], [0.0, 0.0]):
        with refused(ParameterError, parameter="weights[0]"):
            engine.weighted_states([[1, 2]], [np.array(weights)])
    records = Records.from_rows([ROWS[0], ROWS[0] | {"system": "Be kind."}])
    strict = tiny_engine("llama", chat_tokenizer(STRICT))
    assert np.isnan(quiet_vectors(records, strict)).all(axis=1).tolist() == [False, True]
    with refused(RecordsError, row=1):
        quiet_vectors(records, strict, rows=[1])


def test_similarities_by_a_loop():
    random = np.random.default_rng(0)
    pool, query = random.normal(size=(7, 5)), random.normal(size=(3, 5))
    pool[2], pool[4, 0] = 0, np.nan
    found = query_similarities(pool, query)
    for n, one in enumerate(pool):
        for m, other in enumerate(query):
            cosine = one @ other / np.sqrt((one @ one) * (other @ other)) if n not in (2, 4) else np.nan
            np.testing.assert_allclose(found[n, m], cosine, atol=1e-6)
    assert found.dtype == np.float32 and query_similarities(np.zeros((0, 5)), query).shape == (0, 3)
    with refused(ParameterError, parameter="query_vectors", received=(3, 4)):
        query_similarities(pool, query[:, :4])
    with refused(ParameterError, parameter="vectors", received=(5,)):
        query_similarities(pool[0], query)
