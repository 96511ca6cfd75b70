"""Vectors of texts by engines: a loop over single texts, and a server whose vectors anyone can compute."""

import numpy as np
import pytest
import torch

from debias.errors import EngineError, ParameterError
from debias.inference.engine import Engine
from debias.inference.openai.connection.server_answers import WrongAnswerError
from debias.inference.openai.openai_engine import OpenAIEngine
from debias.inference.openai.served_embeddings import read_vectors
from debias.inference.transformers.transformers_engine import TransformersEngine
from tests.support.refusals import refused
from tests.support.tiny_models import byte_tokenizer, tiny_model
from tests.support.toy_server import NAME, ToyServer, serving, vector

TEXTS = ["a good day", "what a night this was, and what a day", "x", "good day to you all"]


@pytest.fixture(autouse=True)
def no_proxy_and_no_key(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def engine(toy, **options):
    return OpenAIEngine(toy.url, NAME, longest_wait=0.02, **options)


def test_the_mean_of_the_last_states():
    model = tiny_model("qwen2")
    found = TransformersEngine(model, byte_tokenizer(), max_batch_tokens=30).embed([*TEXTS, ""])
    for text, own in zip(TEXTS, found, strict=False):
        ids = torch.tensor([byte_tokenizer()(text)["input_ids"]])
        with torch.inference_mode():
            states = model(input_ids=ids, output_hidden_states=True).hidden_states[-1]
        np.testing.assert_allclose(own, states[0].mean(0).numpy(), atol=1e-5)
    assert not found[-1].any()


def test_vectors_from_a_server_in_the_order_of_the_texts():
    texts = [f"{text} {n}" for n in range(50) for text in TEXTS]
    texts[3], texts[7] = "", " "
    with serving(ToyServer()) as toy:
        found = engine(toy).embed(texts)
        assert {body["model"] for body in toy.bodies} == {NAME}
        assert toy.requests == 4  # 198 texts, 64 at once
    expected = [vector(text) if text.strip() else [0.0] * 8 for text in texts]
    np.testing.assert_array_equal(found, np.array(expected, dtype=np.float32))


@pytest.mark.parametrize("bad", ["nan", "fewer choices", "wrong token", "malformed", "cut", "429", "500"])
def test_a_server_that_answers_badly_at_first_changes_nothing(bad):
    with serving(ToyServer(plan=lambda number, body: bad if number == 1 else None)) as toy:
        found = engine(toy).embed(TEXTS)
        assert toy.requests == 2
    np.testing.assert_array_equal(found, np.array([vector(text) for text in TEXTS], dtype=np.float32))


def test_servers_and_engines_without_vectors():
    with (
        serving(ToyServer(embeddings=False)) as toy,
        refused(EngineError, status=404, mentions="/v1/embeddings"),
    ):
        engine(toy).embed(TEXTS)
    with serving(ToyServer(plan=lambda number, body: "nan")) as toy:
        with refused(EngineError, failure="wrong answer"):
            engine(toy, retries=1).embed(TEXTS)
        assert engine(toy).embed(["", " "]).shape == (2, 0)
    other = ToyServer(plan=lambda number, body: "other model")
    with serving(other) as toy, refused(EngineError, parameter="model", mentions="'another'"):
        engine(toy).embed(TEXTS)

    class Mute(Engine):
        context_length = 10
        fingerprint = {"model": "mute"}

        def continuation_logprobs(self, prompts, continuations):
            raise AssertionError

    with refused(EngineError, parameter="engine", received="Mute"):
        Mute().embed(TEXTS)
    with refused(ParameterError, parameter="texts", received="one text"):
        TransformersEngine(tiny_model("qwen2"), byte_tokenizer()).embed("one text")


@pytest.mark.parametrize(
    "content",
    [
        None,
        {"data": "none"},
        {"data": [{"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]},
        {"data": [{"index": 0, "embedding": ["a"]}, {"index": 1, "embedding": ["b"]}]},
        {"data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1}]},
        {"data": [{"index": [0], "embedding": [1.0]}, {"index": {}, "embedding": [1.0]}]},
    ],
)
def test_answers_that_cannot_be_right(content):
    with pytest.raises(WrongAnswerError):
        read_vectors(content, 2, NAME)
