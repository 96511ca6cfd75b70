"""The engine for servers on a real vLLM server, against TransformersEngine on the same weights in float32.

`make test-vllm` runs this in an environment of its own. The server is started once, on 127.0.0.1.
"""

import importlib.util

import numpy as np
import pytest

from debias.errors import ContextLengthError, EngineError, LabelError, SpendLimitError
from debias.inference.models.export import export_model
from debias.inference.openai.openai_engine import OpenAIEngine
from tests.support.refusals import refused
from tests.support.vllm_server import vllm_server

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="vllm is not installed: make test-vllm"
    ),
]

KEY = "sk-local-0123456789"
# Both compute in float32, in another order.
TOLERANCE = 2e-3
OPENING = (
    "Please classify the questions by their answer type.\n\n"
    "Question: How far is the moon ?\nAnswer Type: Number\n\n====\n\n"
)
PROMPTS = [
    f"{OPENING}Question: {text} ?\nAnswer Type:"
    for text in (
        "What is an atom",
        "Who was the first man that walked on the moon and when",
        "Where is Ulm",
        "How many planets are there",
        "What does “naïve” mean",
    )
]
SINGLE = (" Number", " Person", " Location", " Description")
SEVERAL = (" Ab", " Number of things", " Number of people", " an abbreviation", " Transylvania", " naïveté")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export_model("demo", tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    """Address of a server of the demo model in float32."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with vllm_server(
        folder, log, "--served-model-name", "demo", "--max-model-len", "512", VLLM_API_KEY=KEY
    ) as address:
        yield address


@pytest.fixture(autouse=True)
def key_and_no_proxy(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


WAYS = {
    "found out without a tokenizer": ({}, "echo", "echoed prompts"),
    "found out with a tokenizer": ({"tokenizer": "demo"}, "completions", "named tokens"),
    "echo by ids": ({"tokenizer": "demo", "style": "echo"}, "echo", "echoed prompts"),
}


@pytest.mark.parametrize("how", WAYS)
def test_labels_of_any_length_as_the_model_itself_has_them(how, server, demo_engine):
    options, style, lookup = WAYS[how]
    engine = OpenAIEngine(server, "demo", **options)
    for labels in (SINGLE, SEVERAL):
        scores = engine.label_scores(PROMPTS, labels)
        exact = demo_engine.label_logprobs(PROMPTS, labels)
        np.testing.assert_allclose(scores.logprobs, exact, atol=TOLERANCE, rtol=0)
        assert not scores.is_bound.any()
    assert (engine.fingerprint["style"], engine.fingerprint["lookup"]) == (style, lookup)
    assert engine.context_length == 512
    assert engine.usage()["asked_again"] == {}


def test_a_label_that_begins_another_is_refused_where_nothing_else_knows_its_tokens(server):
    engine = OpenAIEngine(server, "demo", style="echo")
    with refused(LabelError, received=" Number of things"):
        engine.label_scores(PROMPTS[:1], (" Number", " Number of things"))


def test_the_most_probable_tokens_and_bounds(server, demo_engine):
    labels = (" Number", " Person", " Ab", " The", " A", " Transylvania"[:6])
    exact = demo_engine.label_logprobs(PROMPTS, labels)
    engine = OpenAIEngine(server, "demo", style="completions")
    single = [len(demo_engine.encode([PROMPTS[0] + label])[0]) for label in labels]
    shortest = [label for label, count in zip(labels, single, strict=True) if count == min(single)]
    scores = engine.label_scores(PROMPTS, shortest)
    exact = exact[:, [labels.index(label) for label in shortest]]
    known = ~scores.is_bound
    np.testing.assert_allclose(scores.logprobs[known], exact[known], atol=TOLERANCE, rtol=0)
    assert np.all(scores.logprobs[~known] >= exact[~known] - TOLERANCE)
    assert known.any() and not known.all()
    assert engine.fingerprint["lookup"] == "the 20 most probable tokens"


@pytest.mark.parametrize("tokenizer", [None, "demo"])
def test_a_chat_is_the_first_token_after_the_template(tokenizer, server, demo_engine):
    engine = OpenAIEngine(server, "demo", style="chat", tokenizer=tokenizer)
    labels = ["The", "Answer", "I", "Number", "Person", "You"]
    scores = engine.label_scores(PROMPTS, labels)
    templated = [
        demo_engine.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
        for prompt in PROMPTS
    ]
    exact = demo_engine.label_logprobs(templated, labels)
    known = ~scores.is_bound
    np.testing.assert_allclose(scores.logprobs[known], exact[known], atol=TOLERANCE, rtol=0)
    assert np.all(scores.logprobs[~known] >= exact[~known] - TOLERANCE)
    assert known.any() and not known.all()


@pytest.mark.parametrize("options", [{}, {"tokenizer": "demo"}])
def test_continuations(options, server, demo_engine):
    texts = [" a small part of matter.", "", " Ulm – a town\non the Danube ☃", " 8", " without guile"]
    received = OpenAIEngine(server, "demo", **options).continuation_logprobs(PROMPTS, texts)
    expected = demo_engine.continuation_logprobs(PROMPTS, texts)
    for own, theirs in zip(received, expected, strict=True):
        np.testing.assert_allclose(own, theirs, atol=TOLERANCE, rtol=0)


def test_first_tokens_alone(server, demo_engine):
    labels = (" Number of things", " Person", " Transylvania")
    firsts = [demo_engine.tokenizer.decode(demo_engine.encode([label])[0][:1]) for label in labels]
    expected = demo_engine.label_logprobs(PROMPTS, firsts)
    for options in ({"style": "echo"}, {"tokenizer": "demo"}):
        engine = OpenAIEngine(server, "demo", scoring="first-token", **options)
        np.testing.assert_allclose(engine.label_logprobs(PROMPTS, labels), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("options", [{}, {"tokenizer": "demo"}])
def test_a_prompt_that_is_too_long(options, server):
    engine = OpenAIEngine(server, "demo", **options)
    seen = []
    with refused(ContextLengthError, mentions="prompts[5]"):
        engine.label_scores([*PROMPTS, PROMPTS[0] * 30], SINGLE, lambda row, scores: seen.append(row))
    assert set(seen) <= {0, 1, 2, 3, 4}


def test_what_the_server_refuses(server, monkeypatch):
    with refused(EngineError, mentions="another"):
        OpenAIEngine(server, "another").label_logprobs(PROMPTS, SINGLE)
    with pytest.raises(SpendLimitError):
        OpenAIEngine(server, "demo", max_tokens=1500).label_logprobs(PROMPTS, SINGLE)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    with refused(EngineError, status=401, mentions="OPENAI_API_KEY"):
        OpenAIEngine(server, "demo").label_logprobs(PROMPTS, SINGLE)
