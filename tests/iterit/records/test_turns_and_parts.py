"""Turns and parts of messages whose shape decides what is trained: context, role pairs, empty objects."""

import json

import pytest

from iterit.records.instruction_records import Records

ASKED = {"role": "user", "content": "q"}
SAID = {"role": "assistant", "content": "a"}
NEXT = {"role": "user", "content": "c"}


def said(row: object) -> list[str]:
    """Turns of a row, with a star at the answers that are trained."""
    records = Records.from_rows([row])
    assert records.refused_counts == {}
    return [
        f"{m.role}: {m.content}{'*' if m.is_answer and m.is_trained else ''}" for m in records[0].messages
    ]


def reasons(row: object) -> dict[str, int]:
    return Records.from_rows([row]).refused_counts


def test_answers_within_a_prompt_are_context():
    row = {"prompt": [ASKED, SAID, NEXT], "completion": [{"role": "assistant", "content": "d"}]}
    assert said(row) == ["user: q", "assistant: a", "user: c", "assistant: d*"]
    assert Records.from_rows([row]).responses == ["d"]
    pairs = {"prompt": "c", "completion": "d", "history": [["q", "a"]]}
    assert said(pairs) == ["user: q", "assistant: a*", "user: c", "assistant: d*"]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [ASKED], "chosen": [SAID], "rejected": [SAID]},
        {"prompt": [ASKED, SAID, NEXT], "chosen": [SAID], "rejected": [SAID]},
        {"messages": [ASKED, SAID, NEXT], "chosen": SAID, "rejected": SAID},
        {"conversations": [["q", "a"], {"from": "human", "value": "c"}], "chosen": "b", "rejected": "d"},
        {"chosen": [ASKED, SAID], "rejected": [ASKED, SAID]},
    ],
)
def test_a_pair_of_answers_to_the_last_question_is_a_preference(row):
    assert reasons(row) == {"preference pair": 1}


def test_a_whole_conversation_beside_a_preference_is_read():
    row = {"messages": [ASKED, SAID], "chosen": [ASKED, SAID], "rejected": [ASKED, SAID]}
    assert said(row) == ["user: q", "assistant: a*"]
    assert Records.from_rows([row]).unread_counts == {"chosen": 1, "rejected": 1}


@pytest.mark.parametrize(
    "pairs",
    [
        [["user", "q"], ["assistant", "a"]],
        [["Human", "q"], ["GPT", "a"]],
        [("question", "q"), ("answer", "a")],
        ["user", "q", "assistant", "a"],
        json.dumps([["human", "q"], ["bot", "a"]]),
    ],
)
def test_pairs_of_a_role_and_a_text(pairs):
    assert said({"conversations": pairs}) == ["user: q", "assistant: a*"]
    if not (isinstance(pairs, list) and isinstance(pairs[0], str)):
        row = {"instruction": "c", "output": "d", "history": pairs}
        assert said(row) == ["user: q", "assistant: a*", "user: c", "assistant: d*"]


@pytest.mark.parametrize(
    "pairs", [[["user", "q"], ["Who?", "a"]], [["user", "q"]], [["user", "q"], ["human", "a"]]]
)
def test_pairs_that_do_not_all_begin_with_roles_are_questions_with_answers(pairs):
    expected = [line for question, answer in pairs for line in (f"user: {question}", f"assistant: {answer}*")]
    assert said({"conversations": pairs}) == expected


def parts(*more: dict[str, object]) -> list[dict[str, object]]:
    return [{"type": "text", "text": text} | one for text, one in zip("ab", more, strict=False)]


@pytest.mark.parametrize("mark", [{"train": False}, {"weight": 0}, {"loss": "false"}])
def test_a_part_of_an_answer_that_is_not_trained_refuses_the_row(mark):
    assert reasons({"messages": [ASKED, SAID | {"content": parts({}, mark)}]}) == {"wrong type": 1}
    assert said({"messages": [ASKED | {"content": parts(mark)}, SAID]}) == ["user: a", "assistant: a*"]


def test_fields_of_parts_are_named():
    cached = ASKED | {"content": parts({"cache_control": {"type": "ephemeral"}, "image_url": None})}
    assert Records.from_rows([{"messages": [cached, SAID]}]).unread_counts == {
        "messages.content.cache_control": 1
    }
    kept = SAID | {"content": parts({"train": True, "weight": 1})}
    assert said({"messages": [ASKED, kept]}) == ["user: q", "assistant: a*"]


@pytest.mark.parametrize("name", ["reasoning_content", "thinking", "reasoning"])
@pytest.mark.parametrize("empty", [None, "", " \n", [], {}, float("nan"), {"text": None}])
def test_an_empty_thought_is_none(name, empty):
    (record,) = Records.from_rows([{"messages": [ASKED, SAID | {name: empty}]}])
    assert record.messages[1].others == {} and record.messages[1].thoughts == []


def test_a_thought_is_a_text():
    assert reasons({"messages": [ASKED, SAID | {"thinking": {"text": "Sky?"}}]}) == {"wrong type": 1}
    assert reasons({"messages": [ASKED, SAID | {"thinking": ["Sky?"]}]}) == {"wrong type": 1}
    switch = Records.from_rows([{"messages": [ASKED, SAID | {"thinking": False}]}])
    assert switch[0].messages[1].thoughts == [] and switch.unread_counts == {"messages.thinking": 1}


NOTHING = {"name": None, "arguments": None}


@pytest.mark.parametrize(
    "more",
    [
        {"function_call": NOTHING},
        {"tool_calls": NOTHING},
        {"tool_calls": [None]},
        {"tool_calls": [{"id": None, "type": None, "function": NOTHING}]},
        {"tool_calls": [{}], "name": " "},
    ],
)
def test_an_object_of_missing_values_calls_no_tool(more):
    (record,) = Records.from_rows([{"messages": [ASKED, SAID | more]}])
    assert record.messages[1].tool_calls == () and record.messages[1].others == {}


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [None]},
        {"tools": [{"name": None, "parameters": None}]},
        {"image": {"bytes": None, "path": None}},
        {"images": [None]},
        {"images": [{"bytes": None, "path": ""}]},
        {"audio": {"array": [], "path": None}},
    ],
)
def test_an_object_of_missing_values_is_a_gap(more):
    records = Records.from_rows([{"messages": [ASKED, SAID]} | more])
    assert records.refused_counts == {} and records.unread_counts == {} and records[0].tools == ()
    assert Records.from_rows([{"messages": [ASKED | more, SAID]}]).refused_counts == {}


@pytest.mark.parametrize("given", ["", None, "{}", {}])
def test_a_call_without_arguments_has_none(given):
    call = {"function": {"name": "now", "arguments": given}}
    (record,) = Records.from_rows([{"messages": [ASKED, SAID | {"tool_calls": [call]}]}])
    assert record.messages[1].tool_calls[0]["function"] == {"name": "now", "arguments": {}}


@pytest.mark.parametrize(("off", "on"), [("0", "1"), ("false", "True"), ("0.0", 1.0), (False, "true")])
@pytest.mark.parametrize("name", ["weight", "train"])
def test_marks_of_turns_may_be_texts_as_those_of_rows(name, off, on):
    turns = [ASKED, SAID | {name: off}, NEXT, {"role": "assistant", "content": "d", name: on}]
    assert said({"messages": turns}) == ["user: q", "assistant: a", "user: c", "assistant: d*"]
    assert reasons({"question": "q", "answer": "a", name: off}) == {"no answer to train": 1}


def test_a_turn_with_an_empty_input_asks_its_instruction():
    assert said({"conversation": [{"instruction": "q", "input": "", "output": "a"}]}) == [
        "user: q",
        "assistant: a*",
    ]
    both = {"conversation": [{"instruction": "q", "input": "x", "output": "a"}]}
    assert reasons(both) == {"unknown role": 1}


def test_who_speaks_is_named_as_not_read_but_of_a_tool():
    turns = [ASKED | {"name": "Ann"}, SAID, {"role": "tool", "content": "3", "name": "weather"}, SAID]
    records = Records.from_rows([{"messages": turns}])
    assert records.unread_counts == {"messages.name": 1}
    assert records[0].messages[2].others == {"name": "weather"}


@pytest.mark.parametrize("mark", [{"chosen": False}, {"chosen": True}, {"rejected": True}])
def test_a_mark_of_preference_refuses_the_row(mark):
    assert reasons({"prompt": "q", "response": "a"} | mark) == {"preference label": 1}
