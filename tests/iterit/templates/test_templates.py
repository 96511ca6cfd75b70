"""Templates: answers lie where the offsets say, the same in scoring and training, for every kind of chat."""

import copy
from typing import Any

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.errors import DebiasWarning, ParameterError, RecordsError
from iterit.records.chat_messages import Message
from iterit.records.instruction_records import Record, Records
from iterit.templates.encoding import Encoded, EncodedRecords, Span
from iterit.templates.named_templates import template_for
from tests.support.refusals import refused
from tests.support.small_templates import (
    BRACKETS,
    CHATML,
    END_OF_ANSWER,
    END_OF_TEXT,
    FORCED_THOUGHT,
    HEADERS,
    MOVING,
    PARTS,
    ROLES_KNOWN,
    STRICT,
    THOUGHTS,
    TOOLS,
    chat_tokenizer,
    pair_tokenizer,
)
from tests.support.tiny_models import byte_tokenizer, merging_tokenizer

KINDS = {
    "chatml": chat_tokenizer(CHATML),
    "headers, template opens": chat_tokenizer(HEADERS),
    "headers, both open": chat_tokenizer(HEADERS, opens=True),
    "brackets": chat_tokenizer(BRACKETS, opens=True),
    "thoughts": chat_tokenizer(THOUGHTS),
    "forced thought": chat_tokenizer(FORCED_THOUGHT),
    "end of text": chat_tokenizer(END_OF_TEXT),
    "parts": chat_tokenizer(PARTS),
    "alpaca": byte_tokenizer(),
    "alpaca, no byte level": merging_tokenizer(),
}


def record(*contents: str, system: str = "") -> Record:
    """A conversation that begins with a question."""
    turns = [Message(("user", "assistant")[n % 2], content) for n, content in enumerate(contents)]
    return Record(0, (*([Message("system", system)] if system else []), *turns))


def trained(encoded: Encoded) -> list[tuple[int, ...]]:
    """Tokens of each answer as the labels have them: stretches without -100."""
    found: list[tuple[int, ...]] = []
    inside = False
    for token, label in zip(encoded.input_ids, encoded.labels, strict=True):
        assert label in (-100, token)
        if label != -100:
            found = [*found[:-1], (*found[-1], label)] if inside else [*found, (label,)]
        inside = label != -100
    return found


def brute_force(tokenizer: Any, prompt: str, answer: str) -> tuple[list[int], list[int]]:
    """Tokens before and of an answer: one tokenisation, one look at every token's offsets."""
    batch = tokenizer(prompt + answer, add_special_tokens=False, return_offsets_mapping=True)
    before, own = [], []
    for token, (_, end) in zip(batch["input_ids"], batch["offset_mapping"], strict=True):
        (own if end > len(prompt) else before).append(token)
    return before, own


texts = st.text("ab e.\n:?é😀", min_size=1, max_size=12).filter(str.strip)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=40)
@given(contents=st.lists(texts, min_size=2, max_size=6).filter(lambda c: len(c) % 2 == 0))
def test_scoring_and_training_have_the_same_tokens(kind, contents):
    template = template_for(KINDS[kind])
    one = record(*contents)
    encoded, turns = template.encode(one), template.turns(one)
    assert len(turns) == len(encoded.spans) == len(contents) // 2
    answers = [tuple(encoded.tokens[span.start : span.stop].tolist()) for span in encoded.spans]
    assert trained(encoded) == answers
    for span, turn in zip(encoded.spans, turns, strict=True):
        before, own = brute_force(template.tokenizer, turn.prompt, turn.answer)
        begin = len(encoded.tokens[: span.start]) - len(before)
        assert encoded.input_ids[begin : span.stop] == before + own
        assert encoded.input_ids[:begin] == (
            [1] if kind in ("headers, both open", "brackets", "alpaca, no byte level") else []
        )
        alone, same = brute_force(template.tokenizer, turn.opening, turn.answer)
        if kind != "alpaca, no byte level":  # which puts a space before the opening, where there was none
            assert (encoded.direct(span)[begin:], encoded.input_ids[span.start : span.stop]) == (alone, same)
    assert encoded.spans[-1].stop == len(encoded)


@pytest.mark.parametrize(
    ("kind", "prompt", "opening", "answer"),
    [
        (
            "chatml",
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n",
            "<|im_start|>assistant\n",
            " a <|im_end|>",
        ),
        (
            "headers, template opens",
            "<s><|start|>user<|end|>\n\nq<|eot|><|start|>assistant<|end|>\n\n",
            "<s><|start|>assistant<|end|>\n\n",
            "a<|eot|>",
        ),
        (
            "headers, both open",
            "<|start|>user<|end|>\n\nq<|eot|><|start|>assistant<|end|>\n\n",
            "<|start|>assistant<|end|>\n\n",
            "a<|eot|>",
        ),
        ("brackets", "[INST] q [/INST]", "", "  a <end>"),
        (
            "thoughts",
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n",
            "<|im_start|>assistant\n",
            "<think>\n\n</think>\n\n a <|im_end|>",
        ),
        (
            "forced thought",
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n",
            "<|im_start|>assistant\n",
            " a <|im_end|>",
        ),
        (
            "end of text",
            "<|start|>user\nq<|end|>\n<|start|>assistant\n",
            "<|start|>assistant\n",
            " a <|end|>",
        ),
        (
            "parts",
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n",
            "<|im_start|>assistant\n",
            " a <|im_end|>",
        ),
        (
            "alpaca",
            "Below is an instruction that describes a task. Write a response that appropriately completes the"
            " request.\n\n### Instruction:\nq\n\n### Response:\n",
            "### Response:\n",
            " a <end>",
        ),
    ],
)
def test_turns_by_hand(kind, prompt, opening, answer):
    (turn,) = template_for(KINDS[kind]).turns(record("q", " a "))
    assert (turn.prompt, turn.opening, turn.answer) == (prompt, opening, answer)


def test_a_token_that_straddles_the_border_belongs_to_the_answer():
    template = template_for(pair_tokenizer())
    encoded = template.encode(record("xya", "bz"))
    assert template.tokenizer.convert_ids_to_tokens(encoded.input_ids) == ["x", "y", "ab", "z", "<end>"]
    assert encoded.spans == (Span(2, 2, 5),) and encoded.labels[:2] == [-100, -100]
    assert template.encode(record("xy", "bz")).spans == (Span(2, 2, 5),)


def test_an_earlier_answer_is_as_it_is_in_the_whole():
    turns = template_for(KINDS["thoughts"]).turns(record("q", "a", "r", "b"))
    assert [turn.answer for turn in turns] == ["a<|im_end|>", "<think>\n\n</think>\n\nb<|im_end|>"]
    assert turns[1].prompt.startswith(turns[0].prompt + "a<|im_end|>\n")


def test_white_space_is_no_answer_and_what_follows_the_last_one_is_left_out():
    template = template_for(KINDS["chatml"])
    turns = template.turns(record("q", " ", "r", "b", "s", "\n", "t"))
    assert len(turns) == 1 and turns[0].answer == "b<|im_end|>"
    encoded = template.encode(record("q", " ", "r", "b", "s"))
    assert template.tokenizer.decode(encoded.input_ids).endswith("b<|im_end|>")


def test_an_answer_that_the_tokenizer_leaves_out_has_no_span():
    template = template_for(KINDS["chatml"])
    encoded = template.encode(record("q", "\u200b\u200b", "r", "b"))
    assert [template.tokenizer.decode(list(own)) for own in trained(encoded)] == ["b<|im_end|>"]
    assert template.encode(record("q", "\u200b")).spans == ()


def test_alpaca_keeps_its_input_and_gives_the_heading_to_a_system_message():
    template = template_for(KINDS["alpaca"], "alpaca")
    records = Records.from_rows(
        [
            {"instruction": "Add.", "input": "1, 2", "output": "3"},
            {"instruction": "Add.", "output": "3", "system": "You count."},
        ]
    )
    (first,), (second,) = map(template.turns, records)
    assert first.prompt.startswith("Below is an instruction that describes a task, paired with an input")
    assert first.prompt.endswith("\n\n### Instruction:\nAdd.\n\n### Input:\n1, 2\n\n### Response:\n")
    assert second.prompt == "You count.\n\n### Instruction:\nAdd.\n\n### Response:\n"


def test_a_sequence_is_cut_at_its_end_and_says_what_it_lost():
    template = template_for(pair_tokenizer())
    whole = template.encode(record("xy", "abz", "x", "cd"))
    assert whole.spans == (Span(2, 2, 5), Span(6, 6, 8))
    for length, spans, lost in [
        (9, whole.spans, False),
        (8, whole.spans, False),
        (7, (Span(2, 2, 5), Span(6, 6, 7)), True),
        (6, (Span(2, 2, 5),), True),
        (2, (), True),
    ]:
        cut = template.encode(record("xy", "abz", "x", "cd"), max_tokens=length)
        assert (len(cut), cut.spans, cut.is_truncated) == (min(length, 8), spans, lost)
        assert cut.input_ids == whole.input_ids[:length] and cut.n_answer_tokens == sum(
            map(len, trained(cut))
        )
    with refused(ParameterError, parameter="max_tokens", received=0):
        template.encode(record("x", "y"), max_tokens=0)


@given(length=st.integers(1, 60))
def test_a_text_is_cut_between_its_signs_into_no_more_tokens(length):
    template = template_for(KINDS["headers, both open"])
    one = record("q😀", "é😀é a", "r", "b😀😀")
    whole, cut = template.turns(one), template.turns(one, length)
    room = template.encode(one, max_tokens=length)
    assert len(cut) <= len(room.spans)
    for turn, full in zip(cut, whole, strict=False):
        assert (turn.prompt, turn.opening) == (full.prompt, full.opening) and full.answer.startswith(
            turn.answer
        )
        assert 0 < len(template.tokenizer(turn.prompt + turn.answer)["input_ids"]) <= length


def test_many_records_are_held_compactly_and_found_by_row():
    template = template_for(KINDS["chatml"])
    records = Records.from_rows([{"question": "q" * n, "answer": "a" * (7 - n)} for n in range(1, 7)])
    held = template.encode_all(records, [4, 0, 2], max_tokens=40)
    assert isinstance(held, EncodedRecords) and held.fingerprint == template.fingerprint
    for place, row in enumerate((4, 0, 2)):
        one = template.encode(records[row], max_tokens=40)
        for other in (held[place], held.of(row), list(held)[place]):
            assert (other.input_ids, other.spans, other.labels) == (one.input_ids, one.spans, one.labels)
    assert held.lengths.tolist() == [len(one) for one in held] and held.rows.tolist() == [4, 0, 2]
    with refused(ParameterError, parameter="row", received=1):
        held.of(1)
    assert len(template.encode_all(records)) == 6 and len(template.encode_all(records, [])) == 0


def test_the_fingerprint_changes_with_what_decides_the_tokens():
    chats = [chat_tokenizer(text) for text in (CHATML, CHATML, HEADERS)]
    chats.append(chat_tokenizer(CHATML, opens=True))
    prints = [template_for(one).fingerprint for one in chats] + [template_for(chats[0], "alpaca").fingerprint]
    assert prints[0] == prints[1] and len(set(prints)) == 4


def test_auto_takes_the_chat_template_where_there_is_one():
    assert template_for(KINDS["chatml"]).name == "chat" and template_for(KINDS["alpaca"]).name == "alpaca"
    assert template_for(KINDS["chatml"], "alpaca").name == "alpaca"
    with refused(ParameterError, parameter="tokenizer", mentions="chat template"):
        template_for(KINDS["alpaca"], "chat")


TWO_TURNS = record("q", "a", "r", "b")


def test_answers_are_found_where_only_the_last_question_has_a_mark():
    turns = template_for(chat_tokenizer(MOVING)).turns(TWO_TURNS)
    assert [turn.answer for turn in turns] == ["a</s>", "b</s>"]
    assert turns[1].prompt == "[user]q</s>[assistant]a</s>[user](last)r</s>[assistant]"


@pytest.mark.parametrize(
    ("template", "messages"),
    [
        (BRACKETS, (Message("user", "q"), Message("user", "r"), Message("assistant", "a"))),
        (MOVING.replace("{{ m.content }}", "{{ m.content if loop.revindex0 < 2 }}"), TWO_TURNS.messages),
        (MOVING.replace("</s>", "</s>" + "{{ messages | length }}"), TWO_TURNS.messages),
    ],
)
def test_a_record_that_a_template_cannot_render_is_named(template, messages):
    tokenizer, one = chat_tokenizer(template), Record(17, messages)
    with refused(RecordsError, row=17, fix=str):
        template_for(tokenizer).encode(one)
    assert template_for(tokenizer, "alpaca").turns(one)


def test_an_end_token_that_ends_the_last_answer_only_is_trained():
    turns = template_for(chat_tokenizer(END_OF_ANSWER)).turns(record("q", "a", "r", "b"))
    assert [turn.answer for turn in turns] == ["a", "b<end>"]
    assert turns[1].prompt == "user: q\nassistant: a\nuser: r\nassistant: "


TOOL_CHAT = {
    "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "function_call", "content": '{"name": "weather", "arguments": {"city": "Oslo"}}'},
        {"role": "observation", "content": "3"},
        {"role": "assistant", "content": "Cold.", "reasoning_content": "3 is little."},
    ],
    "tools": [{"name": "weather"}],
}


def test_tools_and_thoughts_are_rendered_where_the_template_can():
    (one,) = Records.from_rows([TOOL_CHAT])
    first, second = template_for(chat_tokenizer(TOOLS)).turns(one)
    call = '{"name": "weather", "arguments": {"city": "Oslo"}}'
    tool = '{"type": "function", "function": {"name": "weather"}}'
    assert first.answer == f"<call>{call}</call><|im_end|>" and tool in first.prompt
    assert (
        second.answer == "<think>3 is little.</think>Cold.<|im_end|>" and "tool\n3<|im_end|>" in second.prompt
    )


def without(*names: str) -> dict[str, Any]:
    """The chat with tools, without some of what it says."""
    chat = {**TOOL_CHAT, "messages": [dict(message) for message in TOOL_CHAT["messages"]]}
    if "tools" in names:
        del chat["tools"]
    if "calls" in names:
        chat["messages"] = [chat["messages"][0], chat["messages"][3]]
    if "thoughts" in names:
        del chat["messages"][-1]["reasoning_content"]
    return chat


@pytest.mark.parametrize(
    ("template", "row"),
    [
        (CHATML, without("calls", "thoughts")),
        (CHATML, without("tools", "thoughts")),
        (CHATML, without("tools", "calls")),
        (TOOLS, {"messages": [*TOOL_CHAT["messages"], *without("calls", "thoughts")["messages"]]}),
        (None, without("calls", "thoughts")),
        (None, without("tools", "thoughts")),
        (None, without("tools", "calls")),
        (ROLES_KNOWN, {"question": "a", "answer": "b", "system": "Be kind."}),
        (STRICT, {"question": "a", "answer": "b", "system": "Be kind."}),
        (STRICT, {"messages": [{"role": r, "content": r} for r in ("user", "user", "assistant")]}),
    ],
)
def test_what_a_template_leaves_out_refuses_the_record_and_only_that(template, row):
    plain = {"question": "a", "answer": "b"}
    records = Records.from_rows([plain, row, plain, row])
    assert len(records) == 4
    encoded = template_for(chat_tokenizer(template)).encode_all(records)
    assert list(encoded.refused) == [1, 3] and all(encoded.refused.values())
    assert [len(one.spans) for one in encoded] == [1, 0, 1, 0] and encoded[0].spans == encoded[2].spans
    assert set(encoded[1].labels) <= {-100}
    with refused(RecordsError, row=1, fix=str):
        template_for(chat_tokenizer(template)).encode(records[1])


def test_an_answer_that_is_kept_out_is_no_span():
    turns = [{"role": r, "content": c} for r, c in zip(["user", "assistant"] * 2, "qarb", strict=True)]
    turns[1]["weight"] = 0
    (one,) = Records.from_rows([{"messages": turns}])
    for tokenizer in (KINDS["chatml"], KINDS["alpaca"]):
        template = template_for(tokenizer)
        encoded = template.encode(one)
        assert len(encoded.spans) == 1
        assert template.tokenizer.decode(list(trained(encoded)[0])).startswith("b<")
        assert "a<" in template.tokenizer.decode(encoded.input_ids)


def test_the_input_of_an_alpaca_row_is_asked_once_after_its_history():
    (one,) = Records.from_rows(
        [{"instruction": "Add.", "input": "1, 2", "output": "3", "history": [["Hi", "Hello"]]}]
    )
    first, second = template_for(KINDS["alpaca"], "alpaca").turns(one)
    assert "### Instruction:\nHi\n\n### Response:\nHello<end>" in second.prompt
    assert second.prompt.endswith("### Instruction:\nAdd.\n\n### Input:\n1, 2\n\n### Response:\n")


def test_tokenizers_that_cannot_be_used_are_refused():
    class Slow:
        is_fast = False

    with refused(ParameterError, parameter="tokenizer", received=Slow):
        template_for(Slow())
    endless = transformers.PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer()._tokenizer)
    with refused(ParameterError, parameter="tokenizer", mentions="eos_token"):
        template_for(endless)
    odd = chat_tokenizer("{{ messages | length }}{{ messages[0].content }}{{ messages[-1].content }}")
    with refused(ParameterError, parameter="tokenizer", mentions="question"):
        template_for(odd)


def test_labels_of_nothing_are_all_ignored():
    assert Encoded(np.array([3, 4], np.int32), ()).labels == [-100, -100]


def test_a_template_that_ends_no_answer_is_said():
    plain = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
    opened = plain + "{% if add_generation_prompt %}assistant: {% endif %}"
    tokenizer = copy.deepcopy(byte_tokenizer())
    tokenizer.chat_template = opened
    with pytest.warns(DebiasWarning, match="no token after an answer"):
        template_for(tokenizer)
    tokenizer.chat_template = opened.replace("+ '\n'", "+ '<end>\n'")
    template_for(tokenizer)
