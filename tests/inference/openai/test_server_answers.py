"""What a server answered, case by case: what is read, what cannot be right, and what bounds say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias.errors import EngineError, LabelError, ModelError, ParameterError
from debias.inference.openai.connection.server_answers import (
    Token,
    TopTokens,
    WrongAnswerError,
    opens_with_space,
    read_answer,
    read_echo,
    read_prompt_tokens,
    read_top,
    read_usage,
)
from debias.inference.openai.label_words import find_text, found_words, scored_text
from debias.inference.openai.openai_requests import same_model
from debias.inference.openai.server_capabilities import read_listed
from debias.inference.tokenization import Tokenization
from tests.support.refusals import refused
from tests.support.tiny_models import PROMPTS, byte_tokenizer, merging_tokenizer


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 12), st.booleans())
def test_no_token_that_was_left_out_exceeds_the_bound(seed, size, asked, is_drawn_listed):
    draw = np.random.default_rng(seed)
    logprobs = np.log(draw.dirichlet(np.full(size, 0.3)) + 1e-12)
    logprobs -= np.logaddexp.reduce(logprobs)
    order = np.argsort(-logprobs)
    listed, drawn = list(order[:asked]), int(draw.integers(size))
    if is_drawn_listed and drawn not in listed:
        listed.append(drawn)
    tokens = tuple(Token(float(logprobs[token]), id=int(token)) for token in listed)
    bound = TopTokens(tokens, asked, drawn if is_drawn_listed else None).bound()
    left = [logprobs[token] for token in range(size) if token not in listed]
    assert all(value <= bound + 1e-9 for value in left)
    assert bound <= 0


OLDER = {
    "tokens": [" a"],
    "token_logprobs": [-0.5],
    "top_logprobs": [{" a": -0.5, "▁b": -1.5, "Ġc": -9999.0}],
}
NEWER = {
    "content": [
        {
            "token": " a",
            "logprob": -0.5,
            "top_logprobs": [
                {"token": " a", "logprob": -0.5, "bytes": [32, 97]},
                {"token": "\ufffd", "logprob": -1.5, "bytes": [32, 195]},
            ],
        }
    ]
}


def test_both_forms_of_the_most_probable_tokens():
    older, newer = read_top({"logprobs": OLDER}, 5), read_top({"logprobs": NEWER}, 5)
    assert [(one.piece, one.logprob) for one in older.tokens] == [(b" a", -0.5), (b" b", -1.5)]
    assert [(one.piece, one.logprob) for one in newer.tokens] == [(b" a", -0.5), (b" \xc3", -1.5)]
    assert older.generated == newer.generated == " a"
    assert opens_with_space({"logprobs": OLDER}) and opens_with_space({"logprobs": NEWER})
    assert not opens_with_space({"logprobs": {"tokens": ["a"], "top_logprobs": [{"b": -1.0}]}})
    ids = read_top({"logprobs": {"top_logprobs": [{"token_id:12": -0.5}]}}, 5)
    assert ids.tokens[0].id == 12


def top(**changes):
    return {"logprobs": OLDER | changes}


WRONG_TOPS = {
    "none": {"logprobs": None},
    "no list": top(top_logprobs=None),
    "no token": top(top_logprobs=[]),
    "an empty token": top(top_logprobs=[{}]),
    "only unknown ones": top(top_logprobs=[{"a": -9999.0}]),
    "a text for a number": top(top_logprobs=[{"a": "-0.5"}]),
    "true": top(top_logprobs=[{"a": True}]),
    "not a number": top(top_logprobs=[{"a": math.nan}]),
    "more than one": top(top_logprobs=[{"a": 0.1}]),
    "more than one together": top(top_logprobs=[{"a": -0.1, "b": -0.1}]),
    "no content": {"logprobs": {"content": []}},
    "no top in the content": {"logprobs": {"content": [{"token": "a", "top_logprobs": []}]}},
    "no name in the content": {"logprobs": {"content": [{"token": "a", "top_logprobs": [{"logprob": -1}]}]}},
}


@pytest.mark.parametrize("how", WRONG_TOPS)
def test_most_probable_tokens_that_cannot_be_right(how):
    with pytest.raises(WrongAnswerError):
        read_top(WRONG_TOPS[how], 5)


ECHO = {"tokens": ["Q", ":", " a"], "token_logprobs": [None, -1.0, -0.5]}
WRONG_ECHOES = {
    "none": {"logprobs": None},
    "no tokens": {"logprobs": {"token_logprobs": [-1.0]}},
    "different lengths": {"logprobs": ECHO | {"tokens": ["Q"]}},
    "no number": {"logprobs": ECHO | {"token_logprobs": [None, None, -0.5]}},
    "unknown": {"logprobs": ECHO | {"token_logprobs": [None, -9999.0, -0.5]}},
    "a token that is no text": {"logprobs": ECHO | {"tokens": ["Q", 3, " a"]}},
}


@pytest.mark.parametrize("how", WRONG_ECHOES)
def test_echoes_that_cannot_be_right(how):
    with pytest.raises(WrongAnswerError):
        read_echo(WRONG_ECHOES[how], 0)


def test_an_echo_without_what_was_generated():
    assert [token.logprob for token in read_echo({"logprobs": ECHO}, 1)] == [None, -1.0]
    with pytest.raises(WrongAnswerError):
        read_echo({"logprobs": {"tokens": ["a"], "token_logprobs": [-1.0]}}, 1)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"error": {"message": "no"}},
        {"choices": None},
        {"choices": "ab"},
        {"choices": [{}]},
        {"choices": [{"index": 0}, {"index": 0}]},
        {"choices": [{"index": 1}, {"index": 2}]},
        {"choices": [1, 2]},
        {"choices": [{"index": 0}, {"index": 1}], "model": "other"},
    ],
)
def test_choices_that_are_not_those_asked_for(content):
    with pytest.raises(WrongAnswerError):
        read_answer(content, 2, "toy")


def test_choices_in_the_order_of_the_prompts():
    content = {"model": "toy", "choices": [{"index": 1, "text": "b"}, {"index": 0, "text": "a"}]}
    assert [one["text"] for one in read_answer(content, 2, "toy").choices] == ["a", "b"]


def test_usage_where_the_server_tells():
    full = {"usage": {"prompt_tokens": 3, "total_tokens": 4}}
    assert (read_usage(full), read_prompt_tokens(full)) == (4, 3)
    assert read_usage({"usage": {"prompt_tokens": 3}}) == 3
    for nothing in ({}, {"usage": None}, [], {"usage": {"prompt_tokens": "many"}}):
        assert read_usage(nothing) is None and read_prompt_tokens(nothing) is None


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("m", "m"),
        ("org/m", "m"),
        ("m", "/models/m"),
        ("m", "m-2024-08-06"),
        ("m", "m:latest"),
        ("m", "m@v2"),
    ],
)
def test_names_under_which_a_model_may_answer(asked, answered):
    assert same_model(asked, answered) == answered
    assert same_model(asked, None) is None


@pytest.mark.parametrize("answered", ["m-mini", "other", "mm"])
def test_another_model_is_refused_with_its_name(answered):
    with refused(EngineError, parameter="model", received="m", mentions=f"model='{answered}'"):
        same_model("m", answered)


def test_the_list_of_models():
    rows = [
        {"id": "other", "max_model_len": 1},
        {"id": "m", "root": "/m", "created": 900, "max_model_len": 64},
    ]
    listed = read_listed({"data": rows}, "m", now=1000.0)
    assert listed.facts == {"root": "/m", "created": 900} and listed.context_length == 64
    # The time of asking, by the server's clock, is no date of making.
    assert read_listed({"data": rows}, "m", now=930.0).facts == {"root": "/m"}
    for nothing in ({}, [], {"data": None}, {"data": [1]}, {"data": rows[:1]}):
        assert read_listed(nothing, "m", now=1000.0).facts == {}


@pytest.mark.parametrize("tokenizer", [byte_tokenizer, merging_tokenizer])
def test_the_tokenizer_at_hand(tokenizer):
    served = Tokenization(tokenizer())
    assert served.encode(PROMPTS) == [list(ids) for ids in tokenizer()(PROMPTS)["input_ids"]]
    ((context, (tokens, _)),) = served.split_labels([PROMPTS[0]], [" Person", " Number"])
    assert [*context, *tokens] == served.encode([PROMPTS[0] + " Person"])[0]
    assert served.split_pairs([PROMPTS[0]], [" Person"]) == [(context, tokens)]
    with refused(LabelError, received=""):
        served.label_tokens("")


def test_what_tokens_read_as():
    served = Tokenization(byte_tokenizer())
    ((context, (tokens, _)),) = served.split_labels([PROMPTS[0]], [" Person", " Number"])
    assert served.decode_after(context, tokens) == " Person"
    letter = served.label_tokens("é")
    assert len(letter) == 2 and "\ufffd" in served.decode_after(context, letter[:1])
    assert served.decode_after([*context, letter[0]], letter[1:]) == "\ufffd"


def test_an_empty_prompt_is_opened():
    assert Tokenization(byte_tokenizer()).split_labels([""], ["a", "b"])[0][0] == [
        byte_tokenizer().eos_token_id
    ]


def test_the_demo_tokenizer_by_name(demo_engine, tmp_path):
    served = Tokenization.of("demo")
    assert served.encode(PROMPTS) == demo_engine.encode(PROMPTS)
    assert served.digest == demo_engine.fingerprint["tokenizer"]
    with refused(ModelError, parameter="tokenizer", received=str(tmp_path / "none")):
        Tokenization.of(tmp_path / "none")
    with pytest.raises(ParameterError):
        Tokenization(_Changing())


class _Changing:
    """A tokenizer that writes another text when it adds special tokens."""

    def __call__(self, text, add_special_tokens=True, verbose=True):
        return {"input_ids": [9] if add_special_tokens else [[1] for _ in text]}


def test_tokens_that_cannot_be_told_apart():
    twice = TopTokens((Token(-0.5, "World", b"World"), Token(-1.5, "World", b"World")), 2)
    with refused(LabelError, received="World", mentions="2 tokens"):
        find_text(twice, "World")
    with refused(LabelError, received="\ufffd"):
        find_text(twice, "\ufffd")


def listed(*tokens):
    """Return the answer of a chat that lists tokens as (text, bytes, probability)."""
    rows = [{"token": text, "bytes": piece, "logprob": math.log(share)} for text, piece, share in tokens]
    return {"logprobs": {"content": [rows[0] | {"top_logprobs": rows}]}}


PARTS = {
    "U+FFFD among the bytes": ("\ufffd", [239, 191, 189]),
    "U+FFFD without bytes": ("\ufffd", None),
    "half a surrogate pair": ("\ud83d", None),
}


@pytest.mark.parametrize("how", PARTS)
def test_a_part_of_a_letter_may_begin_any_label_that_begins_with_such_a_letter(how):
    """The first token of an emoji is most often a part of it, which servers cannot name."""
    top = read_top(listed((*PARTS[how], 0.9), ("good", None, 0.05), ("x", None, 0.01)), 3)
    (emoji, is_bound), good = found_words(top, ["\U0001f60a", "good"])
    assert good == (pytest.approx(math.log(0.05)), False)
    assert is_bound and emoji >= math.log(0.9)


def test_parts_of_letters_that_became_one_entry_leave_room_for_all_of_them():
    """A mapping has one entry for all tokens that read alike: here those of 0.5 and 0.3."""
    top = read_top({"logprobs": {"top_logprobs": [{"\ufffd": math.log(0.3), "good": math.log(0.15)}]}}, 3)
    ((emoji, is_bound),) = found_words(top, ["\U0001f60a"])
    assert is_bound and math.log(0.5) <= emoji <= math.log(0.86)
    ((word, _),) = found_words(top, ["bad"])  # no part of a letter begins it
    assert word == top.bound()


def test_bytes_that_are_known_tell_which_letter_they_begin():
    top = read_top(listed(("\\xf0\\x9f\\x98", [240, 159, 152], 0.2), ("good", None, 0.7)), 3)
    found = found_words(top, ["\U0001f60a", "\u8d1f"])
    assert [is_bound for _, is_bound in found] == [True, True]
    assert found[0][0] == pytest.approx(math.log(0.2)) and found[1][0] == top.bound()


def test_where_spaces_are_omitted_two_tokens_may_have_become_one():
    """Of " yes" with 0.8 and "yes" with 0.01, a mapping without spaces keeps one."""
    shown = {"yes": math.log(0.01), "no": math.log(0.1)}
    top = read_top({"logprobs": {"top_logprobs": [shown]}}, 3)
    value, is_bound = scored_text(top, " yes", keeps_spaces=False)
    assert is_bound and math.log(0.8) <= value <= math.log(0.91)
    assert scored_text(top, "yes", keeps_spaces=True) == (math.log(0.01), False)
    whole = read_top({"logprobs": {"top_logprobs": [shown | {"maybe": math.log(0.005)}]}}, 3)
    assert scored_text(whole, " yes", keeps_spaces=False) == (math.log(0.01), False)
