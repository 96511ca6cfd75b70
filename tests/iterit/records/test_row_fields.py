"""Fields of a row: without a name, in two spellings, empty beside one with a text."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iterit.records.instruction_records import Records, read_records
from iterit.records.row_fields import NAMELESS, Fields

ROW = {"instruction": "Say hi", "input": "", "output": "hi"}


def said(row: dict[str, object]) -> tuple[str, str, dict[str, int]]:
    """Question, answer and unread fields of a row that is read."""
    records = Records.from_rows([row])
    assert records.refused_counts == {}
    return records[0].messages[0].content, records.responses[0], records.unread_counts


def test_the_index_that_pandas_writes_costs_no_row(tmp_path):
    pd.DataFrame([ROW, ROW]).to_csv(tmp_path / "i.csv")
    records = read_records(tmp_path / "i.csv")
    assert records.responses == ["hi", "hi"] and records.refused_counts == {}
    assert records.unread_counts == {NAMELESS: 2} and NAMELESS in records.notes()[0]
    pd.DataFrame({"q": [1]}).join(pd.DataFrame([ROW])).to_parquet(tmp_path / "i.parquet")
    assert read_records(tmp_path / "i.parquet").responses == ["hi"]


@pytest.mark.parametrize("name", ["", " ", "\t"])
@pytest.mark.parametrize("value", [0, "x", None, [1], {"a": 1}])
def test_a_field_without_a_name_is_no_field_that_is_looked_for(name, value):
    unread = {} if value is None else {NAMELESS: 1}
    assert said({name: value, **ROW}) == ("Say hi", "hi", unread)
    assert said({"question": "q", name: value, "answer": "a"}) == ("q", "a", unread)
    turns = [{"role": "user", "content": "q", name: value}, {"role": "assistant", "content": "a"}]
    assert said({"messages": turns})[:2] == ("q", "a")
    frame = pd.DataFrame([{"question": "q", name: value, "answer": "a"}])
    assert Records.from_rows(frame).responses == ["a"]


@pytest.mark.parametrize(
    ("row", "question", "unread"),
    [
        ({"Question": "big", "question": "small", "answer": "a"}, "small", ["Question"]),
        ({"question": "small", "Question": "big", "answer": "a"}, "small", ["Question"]),
        ({"QUESTION": "first", "Question": "second", "answer": "a"}, "first", ["Question"]),
        ({"Question": "same", "question": "same", "answer": "a"}, "same", []),
        ({"Question": "big", "question": None, "answer": "a"}, "big", []),
        ({"Question": "big", "question": " ", "answer": "a"}, "big", []),
        ({"question": "small", " question ": "padded", "answer": "a"}, "small", [" question "]),
        ({"question": "q", "answer": "a", "Id": 1, "ID": 2}, "q", ["Id", "ID"]),
    ],
)
def test_of_two_spellings_the_one_that_is_not_read_is_named(row, question, unread):
    assert said(row) == (question, "a", dict.fromkeys(unread, 1))


@pytest.mark.parametrize("empty", ["", " \n", None, float("nan"), [], {}])
@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "q", "output": None, "response": "a"},
        {"instruction": "q", "answer": "a", "output": None},
        {"prompt": None, "question": "q", "completion": None, "response": "a"},
        {"instruction": None, "prompt": "q", "completion": "a"},
        {"messages": None, "instruction": "q", "output": "a"},
        {"messages": None, "conversations": [["q", "a"]]},
        {"messages": [{"role": "user", "content": "q"}, {"from": "gpt", "content": None, "value": "a"}]},
        {"messages": [{"role": None, "from": "human", "value": "q"}, {"role": "assistant", "content": "a"}]},
    ],
)
def test_an_empty_field_hides_no_other(row, empty):
    def filled(value: object) -> object:
        if isinstance(value, dict):
            return {name: filled(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [filled(inner) for inner in value]
        return empty if value is None else value

    assert said(filled(row))[:2] == ("q", "a")


def test_rows_that_are_empty_say_so():
    rows = [{"instruction": "q", "output": "", "response": " "}, {"messages": [], "question": "q"}]
    assert Records.from_rows(rows).refused_counts == {"empty answer": 1, "no answer": 1}


@given(st.dictionaries(st.sampled_from(["a", "A", " a", "b", "B", "c"]), st.booleans()))
def test_every_value_is_read_or_named(filled):
    fields = Fields({name: f"said by {name!r}" if has else " " for name, has in filled.items()})
    read = fields.first("a", "b")
    assert {f"said by {name!r}" for name in fields.unread} | {read} >= {
        f"said by {name!r}" for name, has in filled.items() if has
    }
