"""Labels that a server cannot tell apart are refused, naming the pair, rather than scored alike."""

import math

import pytest

from debias.errors import LabelError
from debias.inference.openai.connection.server_answers import Token, TopTokens
from debias.inference.openai.label_words import found_words
from debias.inference.openai.openai_engine import OpenAIEngine
from tests.support.refusals import refused
from tests.support.tiny_models import byte_tokenizer
from tests.support.toy_server import NAME, ToyServer, serving


def top(**shares):
    """Return the most probable tokens of an answer."""
    tokens = [Token(math.log(share), text, text.encode()) for text, share in shares.items()]
    return TopTokens(tuple(sorted(tokens, key=lambda token: -token.logprob)), asked=20)


@pytest.mark.parametrize("labels", [[" good day", " good night"], [" good", " bad", " good night"]])
def test_labels_with_one_first_word_are_refused_before_any_request(labels):
    with (
        serving(ToyServer(completions=False)) as toy,
        refused(LabelError, received=(labels[0].strip(), labels[-1].strip())),
    ):
        try:
            OpenAIEngine(toy.url, NAME, style="chat").label_scores(["fine"], labels)
        finally:
            assert toy.requests == 0


def test_labels_with_one_first_token_are_refused_where_tokens_are_known():
    with (
        serving(ToyServer(completions=False)) as toy,
        refused(LabelError, parameter="scoring", received=("not good", "not bad")),
    ):
        engine = OpenAIEngine(toy.url, NAME, tokenizer=byte_tokenizer(), scoring="first-token")
        engine.label_scores(["fine"], [" not good", " yes", " not bad"])


@pytest.mark.parametrize(
    ("answer", "words", "pair"),
    [
        (
            {"\u6b63": 0.8, "\u8d1f": 0.1},
            ["\u6b63\u9762", "\u6b63\u5e38", "\u8d1f"],
            ("\u6b63\u9762", "\u6b63\u5e38"),
        ),
        ({"1": 0.7, "2": 0.2}, ["1", "10", "2"], ("1", "10")),
        ({"un": 0.6, "x": 0.3}, ["unsafe", "unclear"], ("unsafe", "unclear")),
    ],
)
def test_a_token_that_begins_two_labels_is_noticed_in_the_answer(answer, words, pair):
    with refused(LabelError, received=pair):
        found_words(top(**answer), words)


@pytest.mark.parametrize(
    ("answer", "words", "bounds"),
    [
        ({"1": 0.5, "10": 0.2, "2": 0.1}, ["1", "10", "2"], [False, False, False]),
        ({"good": 0.6, "g": 0.3}, ["good", "great"], [False, True]),
        ({"good": 0.9, "The": 0.05}, ["good", "bad"], [False, True]),
    ],
)
def test_labels_that_are_told_apart_are_scored(answer, words, bounds):
    assert [is_bound for _, is_bound in found_words(top(**answer), words)] == bounds
