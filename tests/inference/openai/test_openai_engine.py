"""The engine for servers against a toy model that anyone can compute again: every way of asking it."""

import asyncio
import math

import numpy as np
import pytest

from debias.errors import ContextLengthError, DebiasError, EngineError, LabelError, ParameterError
from debias.inference.openai.openai_engine import OpenAIEngine
from debias.inference.votes.sampling import Asked, Sampling
from tests.support.refusals import refused
from tests.support.tiny_models import LABELS, PROMPTS, byte_tokenizer, merging_tokenizer
from tests.support.toy_server import (
    NAME,
    ToyServer,
    chat_text,
    encode,
    exact_continuation_logprobs,
    exact_label_logprobs,
    next_logprobs,
    serving,
)

# One token each, and prompts enough for some of them to be among the most probable.
WORDS = [" t", " th", " a", " the", " N", " b", " goo", " of", " pla", " Number", " good"]
MANY = [f"{prompt} {number}\nAnswer Type:" for number in range(12) for prompt in PROMPTS[:4]]


@pytest.fixture(autouse=True)
def no_proxy_and_no_key(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def engine(toy, **options):
    return OpenAIEngine(toy.url, NAME, **{"retries": 3, "longest_wait": 0.02, **options})


def check_bounds(scores, exact):
    """What is no bound is exact, and a bound is one."""
    assert scores.logprobs.shape == exact.shape
    np.testing.assert_allclose(scores.logprobs[~scores.is_bound], exact[~scores.is_bound], atol=1e-9)
    assert np.all(scores.logprobs[scores.is_bound] >= exact[scores.is_bound])
    assert np.all(scores.logprobs <= 0)


EXACT = {
    "echo by texts": ({}, {"style": "echo"}),
    "echo by ids": ({}, {"style": "echo", "tokenizer": byte_tokenizer()}),
    "echo, tokens by their texts": ({"names_ids": False}, {}),
    "echo with one token, one prompt at a time": (
        {"names_ids": False, "echo_needs_a_token": True, "many": False},
        {"style": "echo"},
    ),
    "echo where no ids are taken": ({"takes_ids": False}, {"tokenizer": byte_tokenizer()}),
    "named tokens": ({}, {"tokenizer": byte_tokenizer()}),
    "named tokens, one prompt at a time": ({"many": False, "echo": False}, {"tokenizer": byte_tokenizer()}),
    "named tokens, no usage": ({"usage": False, "echo": False}, {"tokenizer": byte_tokenizer()}),
}


@pytest.mark.parametrize("how", EXACT)
def test_labels_of_any_length_are_exact(how):
    able, options = EXACT[how]
    with serving(ToyServer(**able)) as toy:
        asked = engine(toy, **options)
        scores = asked.label_scores(PROMPTS, LABELS)
        np.testing.assert_allclose(scores.logprobs, exact_label_logprobs(PROMPTS, LABELS), atol=1e-9)
        assert not scores.is_bound.any()
        assert asked.facts()["exact"] and asked.usage()["requests"] == toy.requests
        np.testing.assert_array_equal(asked.label_logprobs(PROMPTS[:2], LABELS), scores.logprobs[:2])


def test_more_labels_than_one_request_may_name():
    labels = [chr(letter) * 2 for letter in range(33, 127)] + [chr(letter) for letter in range(35, 91)]
    exact = exact_label_logprobs(PROMPTS[:2], labels)
    with serving(ToyServer()) as toy:
        asked = engine(toy, tokenizer=byte_tokenizer())
        np.testing.assert_allclose(asked.label_logprobs(PROMPTS[:2], labels), exact, atol=1e-9)
        assert asked.fingerprint["lookup"] == "named tokens" and len(labels) == 150


@pytest.mark.parametrize("how", ["echo by texts", "named tokens"])
def test_a_label_that_merges_with_the_end_of_its_prompt(how):
    able, options = EXACT[how]
    prompts, labels = ["Question: Wh", "Answer Ty"], ["o wrote", "ere is", "pe: Person"]
    exact = exact_label_logprobs(prompts, labels)
    assert any(
        encode([p + label])[0][: len(encode([p])[0])] != encode([p])[0] for p in prompts for label in labels
    )
    with serving(ToyServer(**able)) as toy:
        np.testing.assert_allclose(engine(toy, **options).label_logprobs(prompts, labels), exact, atol=1e-9)


TOP = {
    "ids taken and named": ({"asks_ids": False}, {"tokenizer": byte_tokenizer()}),
    "ids taken, tokens by texts": ({"names_ids": False}, {"tokenizer": byte_tokenizer()}),
    "texts only": ({"names_ids": False, "takes_ids": False}, {"tokenizer": byte_tokenizer()}),
    "no tokenizer": ({"names_ids": False}, {}),
    "no tokenizer, though ids could be named": ({"asks_ids": False}, {}),
    "no tokenizer, no usage": ({"names_ids": False, "usage": False}, {}),
    "five at most": ({"asks_ids": False, "most_top": 5}, {"tokenizer": byte_tokenizer()}),
}


@pytest.mark.parametrize("how", TOP)
def test_labels_among_the_most_probable_tokens_are_exact_and_others_bounded(how):
    able, options = TOP[how]
    with serving(ToyServer(echo=False, **able)) as toy:
        asked = engine(toy, **options)
        scores = asked.label_scores(MANY, WORDS)
        check_bounds(scores, exact_label_logprobs(MANY, WORDS))
        assert 0 < (~scores.is_bound).sum() < scores.is_bound.size
        assert not asked.facts()["exact"]
        assert asked.fingerprint["lookup"] == f"the {able.get('most_top', 20)} most probable tokens"


@pytest.mark.parametrize("how", ["ids taken and named", "texts only"])
def test_the_tree_of_labels_is_followed_as_far_as_tokens_are_known(how):
    # Both tokens of these labels are among the most probable, after the one prompt at least.
    prompt = PROMPTS[0]
    (context,) = encode([prompt])
    labels = []
    for first in np.argsort(-next_logprobs(context)):
        for second in np.argsort(-next_logprobs([*context, int(first)]))[:20]:
            text = byte_tokenizer().decode([int(first), int(second)])
            if encode([prompt + text])[0] == [*context, int(first), int(second)] and text.isascii():
                labels.append(text)
    known, far = labels[0], labels[-1]
    able, options = TOP[how]
    with serving(ToyServer(echo=False, **able)) as toy:
        scores = engine(toy, **options).label_scores([prompt], [known, far])
    assert scores.is_bound.tolist() == [[False, True]]
    check_bounds(scores, exact_label_logprobs([prompt], [known, far]))


def test_without_a_tokenizer_labels_of_several_tokens_are_refused():
    with (
        serving(ToyServer(echo=False, names_ids=False)) as toy,
        refused(LabelError, received=" Number of things", mentions=("5 tokens", "tokenizer")),
    ):
        engine(toy).label_scores(PROMPTS, LABELS)


@pytest.mark.parametrize("tokenizer", [None, byte_tokenizer()], ids=["texts", "tokenizer"])
@pytest.mark.parametrize("names_ids", [True, False])
def test_a_chat_scores_the_first_token_of_its_answer(tokenizer, names_ids):
    words = ["er", "on", "es", "ion", "Answer", "Question", "Type", "Wh", "goo", "pla", "Number"[1:], "ver"]
    exact = np.array(
        [next_logprobs(encode([chat_text(p)])[0])[[encode([w])[0][0] for w in words]] for p in MANY]
    )
    with serving(ToyServer(completions=False, names_ids=names_ids)) as toy:
        asked = engine(toy, tokenizer=tokenizer)
        # A leading space belongs to a prompt that goes on, not to the beginning of an answer.
        scores = asked.label_scores(MANY, [" " + word for word in words])
        check_bounds(scores, exact)
        assert 0 < (~scores.is_bound).sum() < scores.is_bound.size
        assert asked.fingerprint["style"] == "chat"


def test_a_chat_refuses_labels_that_its_first_token_does_not_decide():
    with serving(ToyServer(completions=False)) as toy:
        with refused(LabelError, received=["Person", "Number"]):
            engine(toy, tokenizer=byte_tokenizer()).label_scores(PROMPTS, [" Person", " Number"])
        first = engine(toy, tokenizer=byte_tokenizer(), scoring="first-token")
        assert first.label_scores(PROMPTS, [" Person", " Number"]).logprobs.shape == (5, 2)
        with refused(LabelError, parameter="scoring"):
            first.label_scores(PROMPTS, [" not good", " not bad"])
        with refused(LabelError, parameter="tokenizer"):
            engine(toy, scoring="first-token").label_scores(PROMPTS, [" Person", " Number"])
        with refused(LabelError, received=["Person", "Person"]):
            engine(toy).label_scores(PROMPTS, [" Person", "Person"])


@pytest.mark.parametrize(
    "options",
    [{"style": "echo"}, {"tokenizer": byte_tokenizer()}, {"tokenizer": byte_tokenizer(), "style": "echo"}],
)
def test_first_tokens_alone(options):
    labels = [" Person", " Number of things", " good"]
    ((context),) = encode([PROMPTS[0]])
    exact = [next_logprobs(context)[encode([PROMPTS[0] + label])[0][len(context)]] for label in labels]
    with serving(ToyServer()) as toy:
        asked = engine(toy, scoring="first-token", **options)
        np.testing.assert_allclose(asked.label_logprobs(PROMPTS[:1], labels), [exact], atol=1e-9)
        with refused(LabelError, parameter="scoring"):
            asked.label_logprobs(PROMPTS[:1], [" Number of things", " Number of places"])


@pytest.mark.parametrize("options", [{}, {"tokenizer": byte_tokenizer()}])
def test_continuations_by_echo(options):
    texts = [" Person who wrote", "", "\nAnswer", " ünd ☃", " x"]
    with serving(ToyServer()) as toy:
        received = engine(toy, **options).continuation_logprobs(PROMPTS, texts)
    assert received[1].shape == (0,)
    for scores, prompt, text in zip(received, PROMPTS, texts, strict=True):
        np.testing.assert_allclose(scores, exact_continuation_logprobs(prompt, text), atol=1e-9)


def test_continuations_where_prompts_are_not_echoed():
    with serving(ToyServer(echo=False)) as toy:
        asked = engine(toy, tokenizer=byte_tokenizer())
        with refused(EngineError, parameter="style", mentions="no echo"):
            asked.continuation_logprobs(PROMPTS, [" x"] * 5)
        assert asked.label_logprobs(PROMPTS, LABELS).shape == (5, 6)


def test_a_named_style_is_used_or_refused():
    with serving(ToyServer(echo=False)) as toy:
        assert engine(toy, style="chat").fingerprint["style"] == "chat"
        assert engine(toy, style="completions").fingerprint["style"] == "completions"
        with refused(EngineError, parameter="style", received="echo", mentions="no echo"):
            engine(toy, style="echo").label_logprobs(PROMPTS, LABELS)
    with (
        serving(ToyServer(completions=False, chat=False)) as toy,
        refused(
            EngineError, received="auto", mentions=("no /v1/completions here", "base_url usually ends in /v1")
        ),
    ):
        engine(toy).label_logprobs(PROMPTS, LABELS)


def test_equal_prompts_are_asked_once_and_answers_come_one_by_one():
    seen = {}
    with serving(ToyServer(delay=0.01)) as toy:
        asked = engine(toy, style="echo", tokenizer=byte_tokenizer(), concurrency=3)
        asked.fingerprint  # noqa: B018
        before = asked.usage()["requests"]
        prompts = [PROMPTS[0], PROMPTS[1], PROMPTS[0], PROMPTS[2]]
        scores = asked.label_scores(prompts, LABELS, lambda row, answer: seen.setdefault(row, answer))
        assert asked.usage()["requests"] - before == 3
    assert sorted(seen) == [0, 1, 2, 3]
    for row, answer in seen.items():
        assert answer.logprobs.shape == (1, 6) and answer.is_bound.shape == (1, 6)
        np.testing.assert_array_equal(answer.logprobs[0], scores.logprobs[row])
    np.testing.assert_allclose(scores.logprobs, exact_label_logprobs(prompts, LABELS), atol=1e-9)


def test_inside_of_a_running_loop():
    async def notebook(asked):
        return asked.label_logprobs(PROMPTS, LABELS)

    with serving(ToyServer()) as toy:
        received = asyncio.run(notebook(engine(toy)))
        with pytest.raises(LabelError):
            asyncio.run(notebook(engine(toy, scoring="first-token")))
    np.testing.assert_allclose(received, exact_label_logprobs(PROMPTS, LABELS), atol=1e-9)


def test_context_length_is_what_the_server_says_or_is_told():
    long = PROMPTS[0] * 30
    with serving(ToyServer()) as toy:
        assert engine(toy).context_length == 512
        assert engine(toy, context_length=40).context_length == 40
        with refused(ContextLengthError, received=int, mentions=("prompts[1]", 512)):
            engine(toy, tokenizer=byte_tokenizer()).label_logprobs([PROMPTS[0], long], LABELS)
        with refused(ContextLengthError, mentions=("prompts[1]", "maximum context length")):
            engine(toy).label_logprobs([PROMPTS[0], long], LABELS)
    with serving(ToyServer(context_length=None)) as toy:
        assert engine(toy).context_length > 10**9


def test_the_fingerprint_is_what_decides_answers():
    with serving(ToyServer()) as toy:
        first, again = engine(toy).fingerprint, engine(toy, concurrency=2, timeout=5).fingerprint
        assert first == again
        # The server gives the time of asking as that of making: that decides nothing.
        assert first["served"] == {"answered_as": NAME, "root": "/models/toy"}
        assert first["base_url"] == toy.url and "top" not in first["lookup"]
        assert engine(toy, scoring="first-token").fingerprint != first
        assert engine(toy, tokenizer=byte_tokenizer()).fingerprint != first
        assert set(engine(toy).versions()) == {"httpx2", "tenacity"}
        assert engine(toy).encode(["a"]) is None
        assert engine(toy, tokenizer=byte_tokenizer()).encode(PROMPTS) == encode(PROMPTS)


def test_another_tokenizer_than_the_served_model_has():
    with (
        serving(ToyServer()) as toy,
        refused(EngineError, parameter="tokenizer"),
    ):
        engine(toy, tokenizer=merging_tokenizer()).label_logprobs(PROMPTS, LABELS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base_url", "http://user:hidden@127.0.0.1/v1"),
        ("base_url", "http://127.0.0.1/v1?key=hidden"),
        ("base_url", "ftp://127.0.0.1/v1"),
        ("base_url", 7),
        ("model", " "),
        ("style", "best"),
        ("scoring", "last"),
        ("top", 0),
        ("concurrency", 0),
        ("retries", -1),
        ("timeout", 0),
        ("longest_wait", math.inf),
        ("requests_per_minute", -1),
        ("max_requests", 0),
        ("max_tokens", True),
        ("context_length", "long"),
        ("api_key_variable", "NO_SUCH_KEY_VARIABLE"),
        ("concurency", 3),
    ],
)
def test_parameters_that_are_not_allowed(name, value):
    with refused(ParameterError, parameter=name) as error:
        OpenAIEngine(**{"base_url": "http://127.0.0.1:1/v1", "model": NAME, name: value})
    assert "hidden" not in str(error.value)


def test_prompts_and_labels_that_cannot_be_sent():
    with serving(ToyServer()) as toy:
        asked = engine(toy)
        with refused(ParameterError, parameter="labels", received=[]):
            asked.label_scores(PROMPTS, [])
        with refused(ParameterError, parameter="prompts[1]", received=""):
            asked.label_scores(["a", ""], LABELS)
        with refused(ParameterError, parameter="continuations", received=0):
            asked.continuation_logprobs(["a"], [])
        assert asked.label_scores([], LABELS).logprobs.shape == (0, 6)
        assert asked.continuation_logprobs([], []) == []


@pytest.mark.parametrize("tokenizer", [None, byte_tokenizer()], ids=["texts", "tokenizer"])
def test_servers_that_leave_out_the_space_of_a_token(tokenizer):
    labels = [" Number", " good"]
    with serving(ToyServer(echo=False, names_ids=False, keeps_spaces=False)) as toy:
        scores = engine(toy, tokenizer=tokenizer).label_scores(MANY, labels)
    check_bounds(scores, exact_label_logprobs(MANY, labels))
    assert not scores.is_bound.all()


CUTTING = {
    "texts": {"echo": False, "names_ids": False, "takes_ids": False},
    "ids": {"echo": False, "asks_ids": False},
    "chat": {"completions": False},
}


@pytest.mark.parametrize("how", CUTTING)
def test_a_server_that_cuts_a_prompt_without_a_word_is_noticed(how):
    """It has lost the instruction and says so by its count of tokens alone."""
    long, words = PROMPTS[0] * 4, ["er", "on", "es"]
    with serving(ToyServer(context_length=None, cuts=60, **CUTTING[how])) as toy:
        asked = engine(toy, tokenizer=byte_tokenizer(), retries=0)
        assert asked.label_scores([PROMPTS[3][-40:]], words).logprobs.shape == (1, 3)
        with refused(DebiasError, mentions="counts 60"):
            asked.label_scores([long], words)
        silent = engine(toy, tokenizer=byte_tokenizer(), retries=0)
        toy.usage = False
        assert silent.label_scores([long], words).logprobs.shape == (1, 3)  # nothing to tell it by


@pytest.mark.parametrize("is_chat", [True, False])
def test_answers_to_a_prompt_that_was_cut_are_refused(is_chat):
    options = {"completions": not is_chat, "logprobs": False, "context_length": None, "cuts": 60}
    with serving(ToyServer(**options)) as toy:
        asked = engine(toy, tokenizer=byte_tokenizer(), retries=0)
        sampling = Sampling(1.0, max_tokens=3, seed=5)
        assert len(asked.sampled_answers([Asked("Who ?", (0,))], sampling)[0]) == 1
        long = PROMPTS[0] * 4
        with refused(ContextLengthError, received=len(encode([long])[0]), mentions=(60, "prompts[0]")):
            asked.sampled_answers([Asked(long, (0,))], sampling)


@pytest.mark.parametrize("names_ids", [True, False])
def test_an_echo_shows_that_one_label_begins_with_another(names_ids):
    """No tokenizer is needed to tell that the longer one can never be the more probable."""
    with (
        serving(ToyServer(names_ids=names_ids)) as toy,
        refused(LabelError, received=" Number of things"),
    ):
        engine(toy, style="echo").label_scores(PROMPTS, [" Number of things", " Person", " Number"])
