"""Servers that misbehave on purpose: the answers stay right, caps hold, and nothing answered is lost."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from email.utils import formatdate
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias.errors import EngineError, ParameterError, SpendLimitError
from debias.inference.openai.connection import rate_limit
from debias.inference.openai.connection.budget import Budget
from debias.inference.openai.connection.rate_limit import RateLimit
from debias.inference.openai.connection.server_connection import ServerConnection, retry_after
from debias.inference.openai.openai_engine import OpenAIEngine
from tests.support.paths import ROOT
from tests.support.refusals import refused
from tests.support.tiny_models import PROMPTS, byte_tokenizer
from tests.support.toy_server import KEY, NAME, ToyServer, exact_label_logprobs, serving

LABELS = [" Person", " Number of things", " Number of places"]
MANY = [f"{prompt} {number}\nAnswer Type:" for number in range(4) for prompt in PROMPTS]
BAD = [
    "slow",
    "429",
    "429 after",
    "500",
    "503",
    "malformed",
    "cut",
    "no logprobs",
    "wrong token",
    "nan",
    "positive",
    "other model",
    "fewer choices",
]
FAILURES = {
    "slow": "timeout",
    "429": "429",
    "429 after": "429",
    "500": "500",
    "503": "503",
    "malformed": "malformed JSON",
    "cut": "cut connection",
}
STYLES = {
    "echo": {"style": "echo"},
    "echo by ids": {"style": "echo", "tokenizer": byte_tokenizer()},
    "named tokens": {"tokenizer": byte_tokenizer()},
}


@pytest.fixture(autouse=True)
def no_proxy_and_no_key(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def engine(toy, **options):
    return OpenAIEngine(
        toy.url, NAME, **{"retries": 8, "longest_wait": 0.03, "timeout": 5, "concurrency": 4, **options}
    )


# Waiting is slow, and the same for all.
ALONE = [(bad, style) for bad in BAD for style in STYLES if bad != "slow" or style == "echo"]


@pytest.mark.parametrize(("bad", "style"), ALONE)
def test_each_misbehaviour_alone_changes_no_answer(bad, style):
    toy = ToyServer(plan=lambda number, body: bad if number % 3 == 0 else None, slow=0.8)
    # The look at the server is its own test: here it is over when the misbehaviour begins.
    with serving(toy):
        asked = engine(toy, timeout=0.4 if bad == "slow" else 5, **STYLES[style])
        plan, toy.plan = toy.plan, lambda number, body: None
        asked.fingerprint  # noqa: B018
        toy.plan = plan
        prompts = MANY[:5] if bad == "slow" or style == "named tokens" else MANY
        scores = asked.label_scores(prompts, LABELS)
    np.testing.assert_allclose(scores.logprobs, exact_label_logprobs(prompts, LABELS), atol=1e-9)
    assert not scores.is_bound.any()
    assert sum(asked.usage()["asked_again"].values()) > 0
    assert asked.usage()["requests"] == toy.requests


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", range(3))
def test_random_mixtures_change_no_answer(seed, style):
    draw = random.Random(seed)
    kinds = [kind for kind in BAD if kind != "slow"]
    toy = ToyServer(plan=lambda number, body: draw.choice(kinds) if draw.random() < 0.4 else None)
    with serving(toy):
        asked = engine(toy, retries=30, longest_wait=0.02, concurrency=6, **STYLES[style] | {"style": "echo"})
        scores = asked.label_scores(MANY, LABELS)
    np.testing.assert_allclose(scores.logprobs, exact_label_logprobs(MANY, LABELS), atol=1e-9)
    assert asked.usage()["requests"] == toy.requests
    assert toy.most_at_once <= 6


@pytest.mark.parametrize("seed", range(3))
def test_random_mixtures_in_chats_change_no_answer(seed):
    draw = random.Random(seed)
    words = ["Answer", "Question", "Type", "goo", "pla"]
    with serving(ToyServer(completions=False)) as toy:
        expected = engine(toy).label_scores(MANY, words)
    kinds = [kind for kind in BAD if kind != "slow"]
    toy = ToyServer(completions=False, plan=lambda number, body: draw.choice(kinds) if number % 2 else None)
    with serving(toy):
        scores = engine(toy, style="chat", retries=30, longest_wait=0.02).label_scores(MANY, words)
    np.testing.assert_array_equal(scores.logprobs, expected.logprobs)
    np.testing.assert_array_equal(scores.is_bound, expected.is_bound)


@pytest.mark.parametrize("bad", BAD)
def test_a_server_that_never_recovers(bad):
    # It answers twelve prompts, and then nothing any more.
    with serving(ToyServer(slow=1.0)) as toy:
        asked = engine(
            toy, style="echo", tokenizer=byte_tokenizer(), retries=2, timeout=0.5 if bad == "slow" else 5
        )
        asked.fingerprint  # noqa: B018
        toy.answered.clear()
        start = toy.requests
        toy.plan = lambda number, body: bad if number > start + 12 else None
        handed = {}
        with refused(EngineError, failure=FAILURES.get(bad, "wrong answer"), mentions="prompts["):
            asked.label_scores(MANY, LABELS, lambda row, scores: handed.setdefault(row, scores))
        assert len(handed) == len(toy.answered) == 12
        exact = exact_label_logprobs(MANY, LABELS)
        for row, scores in handed.items():
            np.testing.assert_allclose(scores.logprobs[0], exact[row], atol=1e-9)
        # Nothing new was begun after the first prompt was given up.
        assert toy.requests <= start + 12 + 4 * 3


def test_no_server_at_all_is_said_at_once():
    with serving(ToyServer()) as toy:
        pass
    asked = engine(toy, retries=6, longest_wait=60)
    started = time.monotonic()
    with refused(EngineError, failure="no connection", mentions=("the list of models", toy.url), fix=str):
        asked.label_scores(MANY, LABELS)
    assert time.monotonic() - started < 5
    assert asked.usage()["requests"] == 1


def test_a_server_that_goes_away_is_waited_for_and_that_is_said():
    with serving(ToyServer()) as toy:
        asked = engine(toy, style="echo", tokenizer=byte_tokenizer(), retries=1, concurrency=1)
        asked.fingerprint  # noqa: B018
    with (
        pytest.warns(UserWarning, match="can no longer be reached; attempt 2 of 2"),
        refused(EngineError, failure="no connection"),
    ):
        asked.label_scores(MANY[:1], LABELS)


def test_the_waits_for_a_server_that_is_gone_outlast_a_minute(monkeypatch):
    waits = []
    monkeypatch.setattr(ServerConnection, "_sleep", lambda connection, seconds: waits.append(seconds))
    with serving(ToyServer()) as toy:
        asked = engine(
            toy, style="echo", tokenizer=byte_tokenizer(), concurrency=1, longest_wait=120, retries=6
        )
        asked.fingerprint  # noqa: B018
    waits.clear()
    with pytest.warns(UserWarning, match="can no longer"), refused(EngineError, failure="no connection"):
        asked.label_scores(MANY[:1], LABELS)
    assert 60 < sum(waits) < 180


@pytest.mark.parametrize("how", ["endless", "bomb", "odd packing"])
def test_an_answer_takes_no_more_memory_than_its_question_warrants(how):
    with serving(ToyServer()) as toy:
        asked = engine(toy, style="echo", tokenizer=byte_tokenizer(), concurrency=1)
        asked.fingerprint  # noqa: B018
        toy.plan = lambda number, body: how
        start = toy.requests
        tracemalloc.start()
        try:
            with refused(EngineError, parameter="base_url"):
                asked.label_scores(MANY[:1], LABELS)
            assert tracemalloc.get_traced_memory()[1] < 40 << 20
        finally:
            tracemalloc.stop()
        assert toy.requests == start + 1


@pytest.mark.parametrize("seed", range(3))
def test_the_cap_on_requests_holds_with_repetitions_and_concurrency(seed):
    draw = random.Random(seed)
    toy = ToyServer(
        plan=lambda number, body: draw.choice(["500", "cut", "nan", None, None]) if number > 6 else None
    )
    with serving(toy):
        asked = engine(
            toy, style="echo", tokenizer=byte_tokenizer(), retries=20, concurrency=6, max_requests=17
        )
        handed = {}
        with refused(SpendLimitError, parameter="max_requests", received=17):
            asked.label_scores(MANY, LABELS, lambda row, scores: handed.setdefault(row, scores))
        assert toy.requests == asked.usage()["requests"] == 17
        answered = [json.loads(body) for body in toy.answered[-len(handed) :]]
        assert len(handed) > 0 and all(body["echo"] for body in answered)
        with pytest.raises(SpendLimitError):
            asked.label_scores(MANY, LABELS)
        assert toy.requests == 17


@pytest.mark.parametrize("cap", [700, 1500, 2500])
@pytest.mark.parametrize("tokenizer", [None, byte_tokenizer()], ids=["texts", "ids"])
def test_the_cap_on_tokens_holds(cap, tokenizer):
    draw = random.Random(cap)
    toy = ToyServer(
        plan=lambda number, body: draw.choice(["500", "malformed", None, None]) if number > 6 else None
    )
    with serving(toy):
        asked = engine(toy, style="echo", tokenizer=tokenizer, retries=20, concurrency=6, max_tokens=cap)
        handed = {}
        with refused(SpendLimitError, parameter="max_tokens", received=cap):
            asked.label_scores(MANY * 3, LABELS, lambda row, scores: handed.setdefault(row, scores))
        # The server counts what it answered; the engine counts what may have been.
        assert toy.tokens <= asked.usage()["tokens"] <= cap
    exact = exact_label_logprobs(MANY * 3, LABELS)
    assert all(np.allclose(scores.logprobs[0], exact[row], atol=1e-9) for row, scores in handed.items())


@given(
    st.lists(st.tuples(st.integers(1, 40), st.none() | st.integers(0, 40)), max_size=40), st.integers(1, 200)
)
def test_what_is_spent_never_exceeds_the_cap(requests, cap):
    budget = Budget(max_tokens=cap)
    under_way = []
    for most, used in requests:
        try:
            is_reserved = budget.reserve(most)
        except SpendLimitError:
            continue
        if is_reserved:
            under_way.append((most, used))
        elif under_way:
            most, used = under_way.pop(0)
            budget.settle(most, None if used is None else min(used, most))
        assert budget.tokens + sum(most for most, _ in under_way) <= cap


def test_concurrency_stays_below_its_limit_and_is_used():
    with serving(ToyServer(delay=0.03)) as toy:
        engine(toy, style="echo", concurrency=5).label_scores(MANY, LABELS)
    assert toy.most_at_once == 5


@pytest.fixture
def waits(monkeypatch):
    """The waits that a rate limit hands out while its clock stands still."""
    handed: list[float] = []
    next_wait = RateLimit.next_wait

    def noted(limit):
        handed.append(next_wait(limit))
        return handed[-1]

    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=lambda: 100.0))
    monkeypatch.setattr(RateLimit, "next_wait", noted)
    return handed


def test_the_rate_holds_across_calls(waits):
    with serving(ToyServer()) as toy:
        asked = engine(toy, style="echo", tokenizer=byte_tokenizer(), requests_per_minute=6000)
        asked.label_scores(MANY[:8], LABELS)
        asked.label_scores(MANY[8:16], LABELS)
    assert len(waits) == toy.requests >= 18
    np.testing.assert_allclose(sorted(waits), 0.01 * np.arange(len(waits)), atol=1e-9)


def test_what_the_server_asks_to_wait_is_waited(waits):
    with serving(ToyServer()) as toy:
        asked = engine(toy, style="echo", longest_wait=1.0)
        asked.fingerprint  # noqa: B018
        start = toy.requests
        toy.plan = lambda number, body: "429 after" if number == start + 1 else None
        asked.label_scores(MANY[:1], LABELS)
        assert waits[-1] == pytest.approx(0.015)  # as the server asked
    assert retry_after("2.5") == 2.5
    assert retry_after("soon") == retry_after("") == retry_after("nan") == retry_after("-3") == 0
    assert 0 < retry_after(formatdate(time.time() + 3600, usegmt=True)) <= 3600
    limit = RateLimit()
    limit.hold(5)
    assert limit.next_wait() == 5


def test_a_server_that_asks_to_wait_too_long_is_given_up():
    with serving(ToyServer(plan=lambda number, body: "429 after")) as toy:
        with refused(EngineError, parameter="longest_wait", received=0.01):
            engine(toy, longest_wait=0.01).label_scores(MANY, LABELS)
        assert toy.requests == 1


def test_what_on_answer_raises_ends_the_call():
    caller = threading.current_thread()

    def full(row, scores):
        assert threading.current_thread() is caller
        raise OSError("no space left")

    with serving(ToyServer()) as toy, pytest.raises(OSError, match="no space left"):
        engine(toy).label_scores(MANY, LABELS, full)


def test_no_key_in_anything_that_is_written(monkeypatch, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    written = []
    with serving(ToyServer(wants_key=True)) as toy:
        asked = engine(toy, retries=1, style="echo")
        asked.label_scores(MANY[:2], LABELS)
        written += [
            repr(asked),
            str(vars(asked)),
            json.dumps(asked.facts()),
            json.dumps(asked.usage()),
            json.dumps(asked.fingerprint),
        ]
        written.append(json.dumps(asked.versions()))
        # This server repeats the header that it got in every failure.
        for plan in ("500", "other model"):
            toy.plan = lambda number, body, plan=plan: plan
            with pytest.raises(EngineError) as error:
                asked.label_scores(MANY[:2], LABELS)
            written += [str(error.value), repr(error.value), repr(error.value.__cause__)]
        monkeypatch.setenv("OPENAI_API_KEY", KEY + "9")
        with refused(EngineError, status=401, mentions="OPENAI_API_KEY") as error:
            engine(toy).label_scores(MANY[:2], LABELS)
        written.append(str(error.value))
        # The variable may have changed since the request was sent.
        toy.plan = lambda number, body: os.environ.pop("OPENAI_API_KEY", None) and "500"
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        with refused(EngineError, mentions="Bearer [key]") as error:
            engine(toy, retries=0).label_scores(MANY[:2], LABELS)
        written.append(str(error.value))
        monkeypatch.setenv("OPENAI_API_KEY", KEY + "\ninjected: header")
        with refused(ParameterError, parameter="api_key_variable", received="OPENAI_API_KEY") as error:
            engine(toy).label_scores(MANY[:2], LABELS)
        written.append(str(error.value))
    written += [caplog.text, *capfd.readouterr()]
    assert KEY not in "".join(written)


def test_the_key_is_sent_only_when_it_is_named(monkeypatch):
    monkeypatch.setenv("OTHER_KEY", KEY)
    with serving(ToyServer(wants_key=True)) as toy:
        assert engine(toy, api_key_variable="OTHER_KEY").label_logprobs(MANY[:1], LABELS).shape == (1, 3)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        with refused(EngineError, status=401):
            engine(toy, api_key_variable=None).label_logprobs(MANY[:1], LABELS)


INTERRUPTED = """
import asyncio, sys
from debias.inference.openai.openai_engine import OpenAIEngine
handed = []
def ask():
    engine = OpenAIEngine(sys.argv[1], "toy", style="echo")
    engine.label_scores([str(i) for i in range(100)], ["a", "b"], lambda row, scores: handed.append(row))
async def notebook():
    ask()
try:
    if sys.argv[2] == "script":
        ask()
    elif sys.argv[2] == "asyncio.run":
        asyncio.run(notebook())
    else:  # a loop runs and does not handle Ctrl-C
        asyncio.new_event_loop().run_until_complete(notebook())
except KeyboardInterrupt:
    print("interrupted after", len(handed), flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("well", [0, 20], ids=["first look", "prompts"])
@pytest.mark.parametrize("where", ["script", "asyncio.run", "notebook"])
def test_ctrl_c_stops_at_once_and_keeps_what_was_answered(where, well):
    with serving(ToyServer(slow=300, plan=lambda number, body: "slow" if number > well else None)) as toy:
        child = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, toy.url, where],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        )
        killer = threading.Timer(60, child.kill)
        killer.start()
        try:
            while toy.requests < well + (8 if well else 1) and child.poll() is None:
                time.sleep(0.05)
            child.send_signal(signal.SIGINT)
            if where == "asyncio.run":  # it keeps the first Ctrl-C until its task yields
                time.sleep(0.5)
                child.send_signal(signal.SIGINT)
            out, _ = child.communicate(timeout=60)
        finally:
            killer.cancel()
            child.kill()
    answered = [body for body in map(json.loads, toy.answered) if len(body.get("prompt", [])) == 3]
    assert out == f"interrupted after {len(answered)}\n"
    assert bool(answered) == bool(well)
