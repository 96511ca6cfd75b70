"""Answers of servers that return no log-probabilities: drawn as the toy model draws, kept, asked once."""

import json

import numpy as np
import pytest

from debias.errors import EngineError, SpendLimitError
from debias.inference.collection.collection import collect
from debias.inference.openai.openai_engine import OpenAIEngine
from debias.inference.texts.tasks import Task
from debias.inference.votes.answer_matching import AnswerMatcher
from debias.inference.votes.sampling import Asked, Sampling
from debias.inference.votes.vote_settings import VoteSettings
from tests.support.refusals import refused
from tests.support.tiny_models import byte_tokenizer
from tests.support.toy_server import KEY, NAME, ToyServer, chat_text, encode, serving, written

TASK = Task("letter", labels=["a", "b", "c", "d"], answer_prefix="Answer:")
TEXTS = [f"Question: Who wrote the book {number} ?" for number in range(12)]
SAMPLING = Sampling(1.0, max_tokens=3, seed=5)
PROMPTS = [TASK.prompt(text) for text in TEXTS[:4]]


@pytest.fixture(autouse=True)
def key_and_no_proxy(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def silent(**options):
    """A server without any log-probability."""
    return ToyServer(**{"logprobs": False, "echo": False, "asks_ids": False, **options})


def engine(toy, **options):
    return OpenAIEngine(toy.url, NAME, **{"retries": 1, "longest_wait": 0.02, **options})


def expected(prompt, number, sampling=SAMPLING, is_chat=False):
    text = chat_text(prompt) if is_chat else prompt
    seed = sampling.seed_of(prompt, number)
    return written(encode([text])[0], sampling.max_tokens, sampling.temperature, seed)


@pytest.mark.parametrize("takes_n", [True, False])
@pytest.mark.parametrize("is_chat", [True, False])
@pytest.mark.parametrize("length_name", ["max_tokens", "max_completion_tokens"])
def test_answers_are_those_of_their_seeds_however_they_are_asked(takes_n, is_chat, length_name):
    if not is_chat and length_name != "max_tokens":
        pytest.skip("completions have one name for it")
    options = {"completions": not is_chat, "takes_n": takes_n, "length_name": length_name}
    numbers = (0, 1, 2, 5)
    with serving(silent(**options)) as toy:
        one = engine(toy)
        seen = {}
        answers = one.sampled_answers(
            [Asked(prompt, numbers) for prompt in PROMPTS],
            SAMPLING,
            lambda place, own: seen.setdefault(place, {}).update(own),
        )
        counts = [body.get("n", 1) for body in toy.bodies[-8:]]
        facts = one.sampling_facts()
    assert answers == [[expected(prompt, n, is_chat=is_chat) for n in numbers] for prompt in PROMPTS]
    assert [[own[n] for n in numbers] for _, own in sorted(seen.items())] == answers
    assert sorted(counts) == ([1] * 4 + [3] * 4 if takes_n else [1] * 8)
    assert facts["style"] == ("chat" if is_chat else "completions")
    assert (facts["several_at_once"], facts["seeded"]) == (takes_n, True)


def test_a_server_without_seeds_is_asked_without_and_says_so():
    with serving(silent(takes_seed=False)) as toy:
        one = engine(toy)
        answers = one.sampled_answers([Asked(PROMPTS[0], (0, 1))], SAMPLING)
        assert one.sampling_fingerprint["seeded"] is False
        assert "seed" not in toy.bodies[-1]
    assert len(answers[0]) == 2


def test_probabilities_are_refused_where_votes_are_not():
    with serving(silent()) as toy:
        with refused(EngineError, parameter="style"):
            engine(toy).label_logprobs(PROMPTS, [" a", " b"])
        with refused(EngineError, parameter="style", received="chat"):
            toy.chat = False
            engine(toy, style="chat").sampled_answers([Asked(PROMPTS[0], (0,))], SAMPLING)


def test_an_answer_without_a_text_is_asked_again_and_a_refusal_is_an_empty_answer():
    with serving(silent(completions=False)) as toy:
        one = engine(toy)
        assert one.sampling_fingerprint["style"] == "chat"
        last = toy.requests
        toy.plan = lambda number, body: {last + 1: "no text", last + 2: "refusal"}.get(number)
        assert one.sampled_answers([Asked(PROMPTS[0], (0,))], SAMPLING) == [[""]]
        toy.plan = lambda number, body: "fewer choices"
        with refused(EngineError, failure="wrong answer"):
            one.sampled_answers([Asked(PROMPTS[0], (0, 1))], SAMPLING)


def test_a_table_of_votes_is_resumed_through_failures_and_nothing_is_asked_twice(tmp_path):
    out = tmp_path / "table.parquet"
    votes = VoteSettings(votes=4, vote_seed=5, answer_tokens=3)
    with serving(silent(takes_n=False)) as toy:
        for more in (9, 17):
            first = engine(toy, concurrency=3)
            _ = first.sampling_fingerprint
            toy.plan = lambda number, body, last=toy.requests + more: "500" if number > last else None
            with refused(EngineError, failure="500"):
                collect(first, TASK, TEXTS, out=out, chunk_size=5, progress=False, votes=votes)
            toy.plan = lambda number, body: None
        table = collect(engine(toy), TASK, TEXTS, out=out, chunk_size=5, progress=False, votes=votes)
        answered = [body for body in map(json.loads, toy.answered) if body.get("prompt", "") != ""]
        asked = [(body["prompt"], body["seed"]) for body in answered if body["max_tokens"] == 3]
        assert len(asked) == len(set(asked)) == 4 * len(TEXTS)
    matcher = AnswerMatcher([[label] for label in TASK.labels])
    counts = np.zeros((len(TEXTS), 4))
    for row, text in enumerate(TEXTS):
        for number in range(4):
            place = matcher.match(expected(TASK.prompt(text), number)).place
            counts[row, place] += place is not None
    smooth = (counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(table.to_numpy(), smooth)
    assert table.metadata["engine"]["seeded"] is True
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


def test_a_cap_on_tokens_counts_every_answer():
    with serving(silent()) as toy:
        one = engine(toy, max_tokens=400, tokenizer=byte_tokenizer())
        with refused(SpendLimitError, parameter="max_tokens"):
            one.sampled_answers([Asked(prompt, tuple(range(64))) for prompt in PROMPTS], SAMPLING)
        assert one.usage()["tokens"] <= 400


@pytest.mark.parametrize(
    "takes", [("top_p", "top_k", "min_p", "repetition_penalty"), ("top_p",), ()], ids=["all", "top_p", "none"]
)
@pytest.mark.parametrize("is_chat", [True, False])
def test_the_whole_distribution_is_asked_for_where_the_server_draws_from_less(takes, is_chat):
    """vLLM draws as the model's own settings say, llama.cpp by its own, unless a request says otherwise."""
    with serving(silent(completions=not is_chat, takes_whole=takes, default_top_p=0.3)) as toy:
        one = engine(toy)
        answers = one.sampled_answers([Asked(prompt, (0, 1, 2)) for prompt in PROMPTS], SAMPLING)
        said = one.sampling_fingerprint["whole"]
    own = [[expected(prompt, n, is_chat=is_chat) for n in range(3)] for prompt in PROMPTS]
    assert (answers == own) == bool(takes)
    assert tuple(said) == takes and one.sampling_facts()["whole"] == said


def test_a_path_that_is_not_there_is_tried_once():
    with serving(silent(completions=False)) as toy:
        assert engine(toy).sampling_fingerprint["style"] == "chat"
        assert sum("prompt" in body for body in toy.bodies) == 1
