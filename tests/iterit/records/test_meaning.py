"""What a row means: turns before the question, answers kept out, tools, media, preferences, odd spellings."""

import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias.errors import ParameterError
from iterit.records.chat_messages import Message
from iterit.records.instruction_records import Records, read_records
from iterit.records.record_formats import parse_row
from iterit.records.row_fields import RefusedRow
from tests.support.paths import SHARED
from tests.support.refusals import refused

CASES = SHARED.parent / "cases" / "iterit"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not beside this checkout")

ASKED = {"role": "user", "content": "Name a colour."}
SAID = {"role": "assistant", "content": "Red."}
CALL = {"name": "weather", "arguments": {"city": "Oslo"}}


def only(row: object) -> Records:
    records = Records.from_rows([row])
    assert records.refused_counts == {}
    return records


def turns(record) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in record.messages]


def spoken(roles: list[str]) -> list[tuple[str, str]]:
    return list(zip(roles * 2, "abcd", strict=True))


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "c", "output": "d", "history": [["a", "b"]]},
        {"prompt": "c", "response": "d", "history": '[["a", "b"]]'},
        {"conversation": [["a", "b"], ["c", "d"]]},
        {"conversations": ["a", "b", "c", "d"]},
        {"conversation": [{"human": "a", "assistant": "b"}, {"human": "c", "assistant": "d"}]},
        {"conversation": [{"system": "", "input": "a", "output": "b"}, {"input": "c", "output": "d"}]},
        {"dialogue": [{"Role": r, "Content": c} for r, c in spoken(["User", "AI"])]},
        {"messages": json.dumps([{"from": r, "value": c} for r, c in spoken(["human", "bing"])])},
        {"messages": str([{"from": r, "value": c} for r, c in spoken(["human", "gpt"])])},
        {"messages": np.array([{"role": r, "content": c} for r, c in spoken(["user", "model"])])},
        {"messages": tuple({"role": r, "content": c} for r, c in spoken(["user", "assistant"]))},
    ],
    ids=lambda row: next(iter(row)),
)
def test_earlier_turns_in_every_spelling(row):
    records = only(row)
    assert turns(records[0]) == [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    assert records.responses == ["b\nd"] and records.unread_counts == {}


def test_messages_in_a_data_frame_are_arrays(tmp_path):
    pd.DataFrame({"messages": [[ASKED, SAID]]}).to_parquet(tmp_path / "chats.parquet")
    frame = pd.read_parquet(tmp_path / "chats.parquet")
    assert isinstance(frame["messages"][0], np.ndarray)
    assert Records.from_rows(frame).responses == ["Red."]


@pytest.mark.parametrize(
    "mark",
    [
        {"weight": 0},
        {"train": False},
        {"loss": False},
        {"weight": 0.0},
        {"loss_mask": 0},
        {"trainable": False},
    ],
)
def test_an_answer_that_is_kept_out_is_not_trained(mark):
    again = [{"role": "user", "content": "Another?"}, {"role": "assistant", "content": "Blue."}]
    records = only({"messages": [ASKED, SAID | mark, *again]})
    assert [m.is_trained for m in records[0].messages] == [True, False, True, True]
    assert records.responses == ["Blue."]
    assert records.digests != only({"messages": [ASKED, SAID, *again]}).digests
    alone = Records.from_rows([{"messages": [ASKED, SAID | mark]}])
    assert alone.refused_counts == {"no answer to train": 1}


def test_a_weight_that_is_neither_0_nor_1_is_refused():
    assert Records.from_rows([{"messages": [ASKED, SAID | {"weight": 0.5}]}]).refused_counts == {
        "wrong type": 1
    }
    assert only({"messages": [ASKED, SAID | {"weight": 1, "train": True}]}).unread_counts == {}


def test_a_greeting_is_context():
    greeting = {"role": "assistant", "content": "Hello!"}
    (record,) = records = only({"messages": [greeting, ASKED, SAID]})
    assert [m.is_trained for m in record.messages] == [False, True, True] and records.responses == ["Red."]


def test_tools_and_their_calls_are_kept_in_one_form():
    tool = {"name": "weather", "parameters": {}}
    mapped = {"type": "function", "function": tool}
    openai = [ASKED, {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function",
              "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}]},
              {"role": "tool", "content": "3", "tool_call_id": "1"}, SAID]  # fmt: skip
    sharegpt = [{"from": "human", "value": "Name a colour."},
                {"from": "function_call", "value": json.dumps(CALL)},
                {"from": "observation", "value": "3"}, {"from": "gpt", "value": "Red."}]  # fmt: skip
    legacy = [ASKED, {"role": "assistant", "content": "", "function_call": CALL},
              {"role": "function", "name": "weather", "content": "3"}, SAID]  # fmt: skip
    for messages, tools in ((openai, [mapped]), (sharegpt, json.dumps([tool])), (legacy, tool)):
        (record,) = records = only({"messages": messages, "tools": tools})
        assert record.tools == (mapped,)
        assert [m.role for m in record.messages] == ["user", "assistant", "tool", "assistant"]
        assert record.messages[1].tool_calls[0]["function"] == CALL
        assert "Oslo" in records.responses[0] and records.responses[0].endswith("Red.")
        assert records.unread_counts == {}
    assert record.digest != only({"messages": legacy})[0].digest
    broken = {"messages": [ASKED, {"role": "function_call", "content": "weather!"}, SAID]}
    assert Records.from_rows([broken]).refused_counts == {"wrong type": 1}


def test_thoughts_are_kept():
    (record,) = only({"messages": [ASKED, SAID | {"reasoning_content": "Sky?"}]})
    assert record.messages[1].thoughts == ["Sky?"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"images": ["a.png"]}, "has images or other media"),
        ({"image": "photos/a.JPG"}, "has images or other media"),
        ({"image": {"bytes": "AAAA", "path": None}}, "has images or other media"),
        ({"videos": ["a.mp4"]}, "has images or other media"),
        ({"label": False}, "preference label"),
        ({"label": True}, "preference label"),
        ({"kto_tag": "false"}, "preference label"),
        ({"kto_tag": 0}, "preference label"),
        ({"label": 0}, "preference label"),
        ({"label": 1}, "preference label"),
        ({"label": 0.0}, "preference label"),
        ({"label": "1"}, "preference label"),
        ({"image": "https://x.y/a.png?size=1"}, "has images or other media"),
        ({"image": "https://x.y/pictures/17"}, "has images or other media"),
        ({"image": "s3://bucket/a#1"}, "has images or other media"),
        ({"image": "data:image/png;base64,iVBORw0KGgo="}, "has images or other media"),
        ({"Image": "iVBORw0KGgo" * 10 + "=="}, "has images or other media"),
        ({"image_url": "photos/a"}, "has images or other media"),
        ({"audio": "a b.OGG"}, "has images or other media"),
        ({"weight": 0}, "no answer to train"),
        ({"train": False}, "no answer to train"),
    ],
)
def test_media_and_preferences_are_refused(more, reason):
    assert Records.from_rows([{"messages": [ASKED, SAID]} | more]).refused_counts == {reason: 1}
    empty = {
        name: type(value)() if isinstance(value, str | list | dict) else None for name, value in more.items()
    }
    assert len(only({"messages": [ASKED, SAID]} | empty)) == 1


@pytest.mark.parametrize(
    "shape",
    [{"prompt": "q", "completion": "a"}, {"question": "q", "answer": "a"}, {"messages": [ASKED, SAID]}],
)
@pytest.mark.parametrize("label", [True, False, 0, 1, 0.0, 1.0, "0", "true"])
def test_a_label_that_may_say_whether_an_answer_is_wanted_is_refused_and_told(shape, label, tmp_path):
    records = Records.from_rows([shape | {"label": label}, shape | {"label": 2}])
    assert records.refused_counts == {"preference label": 1} and records.unread_counts == {"label": 1}
    assert "rename the field" in records.notes()[0]
    records.write_refused(tmp_path / "refused.jsonl")
    assert "rename the field" in json.loads((tmp_path / "refused.jsonl").read_text())["detail"]
    classes = [{"instruction": "q", "output": "a", "label": number} for number in (0, 1, 2, "1")]
    assert Records.from_rows(classes).unread_counts == {"label": 4}
    wanted = [
        {"instruction": "q", "output": "a", "label": True},
        {"instruction": "q", "output": "a", "kto_tag": 1},
    ]
    assert Records.from_rows(wanted).refused_counts == {"preference label": 2}


def test_a_description_of_an_image_is_a_text():
    rows = [
        {"question": "a", "answer": "b", "image": "a red house."},
        {"question": "a", "answer": "b", "img": 7},
    ]
    assert Records.from_rows(rows).unread_counts == {"image": 1, "img": 1}


@pytest.mark.parametrize("image", [{"images": ["a.png"]}, {"image": "data:image/png;base64,AA=="}])
def test_media_of_a_message_refuse_the_row(image):
    for turns_of in ([ASKED | image, SAID], [{"human": "a", "assistant": "b"} | image]):
        assert Records.from_rows([{"messages": turns_of}]).refused_counts == {"has images or other media": 1}


def test_a_turn_that_is_named_by_roles_has_all_that_a_message_has():
    mark = {"weight": 0, "reasoning_content": "Sky?", "tool_calls": [CALL]}
    first, last = {"human": "a", "assistant": "b"} | mark, {"human": "c", "assistant": "d", "weight": 1}
    records = only({"messages": [first, last]})
    assert records.responses == ["d"] and records.unread_counts == {}
    answer = records[0].messages[1]
    assert (answer.is_trained, answer.thoughts, answer.tool_calls[0]["function"]) == (False, ["Sky?"], CALL)
    assert Records.from_rows([{"messages": [first]}]).refused_counts == {"no answer to train": 1}
    heard = {"user": "a", "tool": "3", "assistant": "b"}
    assert Records.from_rows([{"messages": [heard]}]).refused_counts == {"unknown role": 1}


@pytest.mark.parametrize("name", ["prompt", "instruction", "other", "messages"])
def test_a_pair_of_answers_is_no_answer(name):
    row = {name: [ASKED] if name == "messages" else "a", "chosen": "b", "rejected": "c"}
    assert Records.from_rows([row]).refused_counts == {"preference pair": 1}


def test_rows_in_memory_may_be_columns_or_a_table():
    columns = {"question": ["a", "b"], "answer": ["c", "d"]}
    for rows in (columns, pd.DataFrame(columns), pa.table(columns), pa.table(columns).to_pylist()):
        assert Records.from_rows(rows).responses == ["c", "d"]
    assert Records.from_rows({"question": "a", "answer": "b"}).responses == ["b"]


def test_a_label_of_a_class_and_other_fields_are_named_not_read():
    rows = [
        {"instruction": "a", "output": "b", "label": 1, "id": 7, "note": ""},
        {"messages": [ASKED, SAID | {"mood": "glad"}], "id": 8},
        {"question": "a", "answer": "b", "id": None, "set": "x"},
    ]
    records = Records.from_rows(rows)
    assert records.unread_counts == {"id": 2, "label": 1, "messages.mood": 1, "set": 1}
    assert records.notes() == ["3 rows have fields that are not read: id, label, messages.mood, set."]
    assert records.take([0]).notes() == []


def test_a_field_that_names_the_source_is_read(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"question": "a", "answer": "b", "set": "x"}')
    assert read_records(tmp_path / "a.jsonl", source_field="set").unread_counts == {}
    assert read_records(tmp_path / "a.jsonl").unread_counts == {"set": 1}


def test_a_field_of_sources_that_no_record_has_is_refused(tmp_path):
    row = {"question": "a", "answer": "b", " Set ": "x", "gap": None}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({"question": "a", "answer": "c"}))
    for name in ("set", " Set ", "SET"):
        assert read_records(tmp_path / "a.jsonl", source_field=name).sources == ["x", "a.jsonl"]
    for name in ("nope", "gap", ""):
        with refused(ParameterError, parameter="source_field", received=name, fix=str, mentions=" Set "):
            read_records(tmp_path / "a.jsonl", source_field=name)


@pytest.mark.parametrize(
    ("value", "text"), [(2, "2"), (0.5, "0.5"), (True, "True"), (10**30, str(10**30)), (np.int64(3), "3")]
)
def test_numbers_and_booleans_are_answers(value, text):
    assert only({"question": "?", "answer": value}).responses == [text]
    assert only({"Instruction": "?", "Input": value, "Answer": value}).responses == [text]
    assert only({"messages": [ASKED, {"role": "assistant", "content": value}]}).responses == [text]


@pytest.mark.parametrize("gap", [None, math.nan, float("nan"), pd.NA, pd.NaT])
def test_a_missing_value_is_no_text(gap):
    assert turns(only({"instruction": "a", "input": gap, "output": "b"})[0]) == [
        ("user", "a"),
        ("assistant", "b"),
    ]
    assert Records.from_rows([{"question": "a", "answer": gap}]).refused_counts == {"no answer": 1}


def test_names_with_half_a_surrogate_pair_and_rows_that_are_no_json_are_counted(tmp_path):
    circle: dict[str, object] = {}
    circle["a"] = circle
    rows = [{"instruction": "x", "\ud800": 1}, {"messages": [{"role": "\ud800" * 500}]}, circle,
            {(1, 2): 3}, {"question": "a", "answer": 10**5000},
            {"question": "a", "answer": "b", "\udc00": "c"}]  # fmt: skip
    records = Records.from_rows(rows)
    assert len(records) == 0 and records.refused_counts["not Unicode"] == 3
    records.write_refused(tmp_path / "refused.jsonl")
    written = [json.loads(line) for line in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert [row["line"] for row in written] == [1, 2, 3, 4, 5, 6]
    assert max(len(row["detail"]) for row in written) <= 200


@needs_cases
@pytest.mark.parametrize(
    ("name", "n_rows"),
    [("k1_alpaca_history", 2), ("k1_tools_field", 1), ("k2_messages_as_text", 1), ("k2_openai_tools", 1),
     ("k2_sharegpt_tools", 1), ("k2_starts_with_assistant", 1), ("k3_numbers", 4)],
)  # fmt: skip
def test_the_shared_cases_are_read(name, n_rows):
    records = read_records(CASES / f"{name}.jsonl")
    assert len(records) == n_rows and records.notes() == []
    assert all(isinstance(message, Message) for record in records for message in record.messages)


@needs_cases
@pytest.mark.parametrize("name", ["k1_image_placeholder", "k1_kto_label"])
def test_the_shared_cases_that_mean_more_are_refused(name):
    rows = [json.loads(line) for line in (CASES / f"{name}.jsonl").read_text().splitlines()]
    assert len(Records.from_rows(rows)) == 0


@given(st.tuples(*[st.one_of(st.text(max_size=6), st.sampled_from([" ", "\n", "a\ud800", 2, None]))] * 3))
def test_a_row_of_three_texts_says_what_it_says_with_other_capitals(values):
    def outcome(*names):
        try:
            return parse_row(dict(zip(names, values, strict=True)))
        except RefusedRow as refused:
            return refused.reason

    assert outcome("instruction", "input", "output") == outcome("Instruction", "input", "output")
