"""Tables from servers: collected through failures, taken up again, nothing asked twice."""

import json

import numpy as np
import pytest

from debias.errors import EngineError, SpendLimitError
from debias.inference.collection.collection import collect
from debias.inference.openai.openai_engine import OpenAIEngine
from debias.inference.texts.tasks import Task
from tests.support.refusals import refused
from tests.support.tiny_models import byte_tokenizer
from tests.support.toy_server import KEY, NAME, ToyServer, exact_label_logprobs, serving

TASK = Task("kind", labels=["Person", "Number of things", "Number of places"], answer_prefix="Answer Type: ")
TEXTS = [f"Question: Who wrote the book {number} ?" for number in range(30)]


@pytest.fixture(autouse=True)
def key_and_no_proxy(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def engine(toy, **options):
    options = {"style": "echo", "tokenizer": byte_tokenizer(), "retries": 1, "longest_wait": 0.02, **options}
    return OpenAIEngine(toy.url, NAME, **options)


def check(table):
    logprobs = exact_label_logprobs([TASK.prompt(text) for text in TEXTS], list(TASK.continuations))
    mass = np.logaddexp.reduce(logprobs, axis=1)
    np.testing.assert_allclose(table.probabilities, np.exp(logprobs - mass[:, None]), atol=1e-9)
    np.testing.assert_allclose(table.label_mass, np.exp(mass), atol=1e-9)


def asked_for(toy):
    """The prompts that were answered, those of the looks at the server aside."""
    bodies = [body for body in map(json.loads, toy.answered) if len(body.get("prompt", [])) == 3]
    return [tuple(body["prompt"][0]) for body in bodies]


def test_a_run_that_broke_off_is_resumed_and_asks_nothing_twice(tmp_path):
    out = tmp_path / "table.parquet"
    with serving(ToyServer(wants_key=True)) as toy:
        for more in (9, 9):
            first = engine(toy)
            start = toy.requests + 5
            toy.plan = lambda number, body, last=start + more: "500" if number > last else None
            with refused(EngineError, failure="500"):
                collect(first, TASK, TEXTS, out=out, chunk_size=7, progress=False)
        toy.plan = lambda number, body: None
        table = collect(engine(toy), TASK, TEXTS, out=out, chunk_size=7, progress=False)
        check(table)
        assert len(asked_for(toy)) == len(set(asked_for(toy))) == len(TEXTS)
        seen = toy.requests
        check(collect(engine(toy), TASK, TEXTS, out=out, chunk_size=7, progress=False))
        assert toy.requests - seen <= 5  # the look at the server
    assert table.metadata["engine"]["lookup"] == "echoed prompts"
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


def test_a_run_that_reached_its_cap_is_resumed_with_another(tmp_path):
    out = tmp_path / "table.parquet"
    with serving(ToyServer()) as toy:
        with refused(SpendLimitError, parameter="max_requests", received=20):
            collect(engine(toy, max_requests=20), TASK, TEXTS, out=out, progress=False)
        assert toy.requests == 20
        check(collect(engine(toy, max_requests=40), TASK, TEXTS, out=out, progress=False))
        assert len(asked_for(toy)) == len(set(asked_for(toy))) == len(TEXTS)


def test_bounds_are_counted_in_the_table():
    with serving(ToyServer(echo=False, asks_ids=False)) as toy:
        table = collect(engine(toy, style="completions"), TASK, TEXTS, progress=False)
    assert table.metadata["engine"]["exact"] is False
    assert "bound" in json.dumps(table.metadata)
