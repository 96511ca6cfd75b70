"""Labels among the most probable tokens: the same numbers and bounds as from a server of OpenAIEngine."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from debias.errors import EngineError, LabelError, ParameterError
from debias.inference.openai.connection.server_answers import read_top
from debias.inference.openai.label_words import found_words
from debias.serving.harnesses.answer_tokens import AnswerToken, label_logprobs
from tests.support.refusals import refused

PIECES = ["Bug", " Bug", "B", "Bill", "Billing", "Quest", "Question", "▁Bug", "the", "\n", "é", "Que"]
WORDS = ["Bug", "Billing", "Question"]


def as_a_chat(tokens, drawn):
    """Return the tokens as a server's answer has them."""
    listed = [
        {"token": one.text, "logprob": one.logprob, "bytes": one.encoded and list(one.encoded)}
        for one in tokens
    ]
    return {"logprobs": {"content": [{"token": drawn, "logprob": -1.0, "top_logprobs": listed}]}}


def outcome(function):
    try:
        return function()
    except (EngineError, LabelError) as error:
        return LabelError if isinstance(error, LabelError) else EngineError


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 8),
    top=st.integers(1, 9),
    sharpness=st.sampled_from([0.05, 0.3, 3.0]),
    words=st.sampled_from([WORDS, [" Bug", " Billing", " Question"], ["Bug", "Bugs"]]),
)
@example(seed=52902, size=4, top=4, sharpness=3.0, words=WORDS)  # two tokens read " Bug", one is drawn
def test_the_engine_of_openai_servers_reads_the_same(seed, size, top, sharpness, words):
    rng = np.random.default_rng(seed)
    texts = rng.choice(PIECES, size=size, replace=False).tolist()
    shares = rng.dirichlet(np.full(size + 1, sharpness))[:size]
    logprobs = [math.log(share) if share > 0 else -9999.0 for share in shares]
    tokens = [AnswerToken(text, value) for text, value in zip(texts, logprobs, strict=True)]
    drawn = str(rng.choice(texts))
    ours = outcome(lambda: list(zip(*label_logprobs(tokens, words, top, drawn), strict=True)))
    theirs = outcome(lambda: found_words(read_top(as_a_chat(tokens, drawn), top), words))
    assert ours == theirs


def test_bounds_hand_solved():
    """The last token bounds what is missing, or all that is left; the drawn one is no bound."""
    tokens = [AnswerToken("Bug", math.log(0.6)), AnswerToken("the", math.log(0.3))]
    values, bounds = label_logprobs(tokens, ["Bug", "Question"], top=2)
    assert values == pytest.approx([math.log(0.6), math.log(0.1 + 1e-5)])
    assert bounds == [False, True]
    sure = [AnswerToken("Bug", math.log(0.5)), AnswerToken("the", math.log(0.01))]
    assert label_logprobs(sure, ["Question"], top=2).values == pytest.approx([math.log(0.01)])
    assert label_logprobs(sure, ["Question"], top=2, drawn="the").values == pytest.approx(
        [math.log(0.49)], 1e-3
    )


def test_bytes_decide_before_the_text():
    tokens = [AnswerToken("�", -0.1, "é".encode())]
    assert label_logprobs(tokens, ["é"], top=1) == ([-0.1], [False])


def test_refusals():
    for bad in (math.nan, 0.5):
        with refused(EngineError):
            label_logprobs([AnswerToken("Bug", bad)], WORDS, top=1)
    with refused(EngineError):
        label_logprobs([AnswerToken("Bug", -9999.0)], WORDS, top=1)
    with refused(EngineError):
        label_logprobs([], WORDS, top=1)
    with refused(EngineError):
        label_logprobs([AnswerToken("Bug", -0.1), AnswerToken("Billing", -0.1)], WORDS, top=2)
    with refused(LabelError, received="Bug"):
        label_logprobs([AnswerToken("Bug", -1.1), AnswerToken("Bug", -2.0)], WORDS, top=2)
    with refused(LabelError, received=("Bug", "Bugs")):
        label_logprobs([AnswerToken("B", -0.1)], ["Bug", "Bugs"], top=1)


@pytest.mark.parametrize("top", [0, -1, True, None, 2.0])
def test_a_number_of_tokens_that_gives_no_bound_is_refused(top):
    with refused(ParameterError, parameter="top", received=top):
        label_logprobs([AnswerToken("Bug", -0.1)], WORDS, top)
