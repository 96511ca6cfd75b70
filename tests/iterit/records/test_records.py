"""Records: every format is read alike, every refused row counted with its reason, and nothing is lost."""

import gzip
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias.errors import ParameterError, RecordsError
from debias.rows.row_files import read_rows
from iterit.records.chat_messages import Message
from iterit.records.instruction_records import Records, read_records
from iterit.records.record_files import write_rows
from tests.support.paths import SHARED
from tests.support.refusals import refused

INSTRUCTIONS = SHARED / "instructions"
needs_shared = pytest.mark.skipif(
    not INSTRUCTIONS.is_dir(), reason="the shared data is not beside this checkout"
)

ENDINGS = (".jsonl", ".jsonl.gz", ".ndjson", ".json", ".json.gz", ".parquet")
ASKED = (Message("user", "Say hi."), Message("assistant", "Hi."))
SAME = {
    "alpaca": {"instruction": "Say hi.", "input": "", "output": "Hi."},
    "alpaca without input": {"instruction": "Say hi.", "output": "Hi."},
    "alpaca, null input": {"instruction": "Say hi.", "input": None, "output": "Hi."},
    "dolly": {"instruction": "Say hi.", "context": "", "response": "Hi.", "category": "open_qa"},
    "question": {"question": "Say hi.", "answer": "Hi."},
    "prompt": {"prompt": "Say hi.", "completion": "Hi."},
    "prompt of messages": {
        "prompt": [{"role": "user", "content": "Say hi."}],
        "completion": [{"role": "assistant", "content": "Hi."}],
    },
    "sharegpt": {"conversations": [{"from": "human", "value": "Say hi."}, {"from": "gpt", "value": "Hi."}]},
    "messages": {
        "messages": [{"role": "user", "content": "Say hi."}, {"role": "assistant", "content": "Hi."}]
    },
    "messages of parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Say "}, {"type": "text", "text": "hi."}]},
            {"role": "assistant", "content": "Hi."},
        ]
    },
}


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def answer(text: object) -> dict:
    return {"role": "assistant", "content": text}


@pytest.mark.parametrize("name", SAME)
def test_every_format_says_the_same(name):
    (record,) = Records.from_rows([SAME[name]])
    assert record.messages == ASKED


def test_records_that_say_the_same_have_one_digest_but_alpaca_keeps_its_parts():
    records = Records.from_rows(SAME.values())
    alpaca, others = records.digests[:4], records.digests[4:]
    assert len(set(alpaca)) == len(set(others)) == 1 and alpaca[0] != others[0]
    one, other = Records.from_rows(
        [{"instruction": "a", "input": "b", "output": "c"}, {"instruction": "a\n\nb", "output": "c"}]
    )
    assert one.messages == other.messages and (one.instruction, one.input) == ("a", "b")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"instruction": "a", "output": ""}, "empty answer"),
        ({"instruction": "a", "output": " \n\t"}, "empty answer"),
        ({"messages": [user("a"), answer(""), user("b"), answer(" ")]}, "empty answer"),
        ({"instruction": "a"}, "no answer"),
        ({"instruction": "a", "output": None}, "no answer"),
        ({"messages": [user("a")]}, "no answer"),
        ({"messages": []}, "no answer"),
        ({"conversations": None}, "no answer"),
        ({"instruction": " ", "input": "", "output": "b"}, "no question"),
        ({"messages": [answer("b"), user("a")]}, "no question"),
        ({"instruction": {"a": 3}, "output": "b"}, "wrong type"),
        ({"instruction": "a", "output": ["b"]}, "wrong type"),
        ({"messages": "a chat"}, "wrong type"),
        ({"messages": ["a chat"]}, "wrong type"),
        ({"messages": [user("a"), answer({"b": 4})]}, "wrong type"),
        ({"messages": [user("a"), answer([{"type": "image_url"}])]}, "has images or other media"),
        ({"messages": [user("a"), {"role": "tool", "content": "b"}]}, "no answer"),
        ({"messages": [{"content": "b"}]}, "unknown role"),
        ({"text": "a"}, "unknown fields"),
        (["a", "b"], "not an object"),
        ({"instruction": "a", "output": "half of a pair: \ud83d"}, "not Unicode"),
    ],
)
def test_a_row_that_is_not_usable_is_refused_with_its_reason(row, reason):
    records = Records.from_rows([SAME["alpaca"], row])
    assert len(records) == 1 and records.refused_counts == {reason: 1}
    (found,) = records.refused.to_dict("records")
    assert (found["file"], found["line"], found["reason"]) == ("rows", 2, reason)
    assert found["excerpt"] == json.dumps(row)[:80]


def test_empty_turns_within_a_conversation_do_not_refuse_it():
    turns = [answer(""), user("a"), answer(" "), user("b"), answer("c"), user("d"), answer("e"), user("left")]
    records = Records.from_rows([{"messages": turns, "system": "Be kind."}])
    assert records.responses == ["c\ne"]
    assert records[0].messages[0] == Message("system", "Be kind.") and len(records[0].messages) == 9


def test_a_system_message_of_its_own_goes_before_one_in_a_field():
    turns = [{"role": "system", "content": "Own."}, user("a"), answer("b")]
    assert [m.content for m in Records.from_rows([{"messages": turns, "system": "Field."}])[0].messages] == [
        "Own.",
        "a",
        "b",
    ]


@needs_shared
def test_alpaca_has_28_empty_answers_and_loses_nothing_else():
    path = INSTRUCTIONS / "alpaca_52k.jsonl.gz"
    records = read_records(path)
    assert len(records) == 51_974 and records.refused_counts == {"empty answer": 28}
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    lines = set(records.refused["line"])
    assert all(not rows[line - 1]["output"].strip() for line in lines)
    kept = [row for line, row in enumerate(rows, 1) if line not in lines]
    assert records.responses == [row["output"] for row in kept]
    assert [records.original(row) for row in range(0, len(records), 997)] == kept[::997]
    assert len(set(records.digests)) == len({tuple(row.values()) for row in kept})


@needs_shared
@pytest.mark.parametrize(
    ("name", "n_rows"),
    [
        ("cherry_alpaca_5_percent.json", 3111),
        ("dolly_3k.json", 2996),
        ("gsm8k_train.jsonl", 7473),
        ("rasbt_1100.json", 1100),
    ],
)
def test_the_format_of_other_data_sets_is_inferred(name, n_rows):
    records = read_records(INSTRUCTIONS / name)
    assert len(records) == n_rows and records.refused.empty and set(records.sources) == {name}


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
rows = st.fixed_dictionaries(
    {"instruction": texts, "output": texts},
    optional={
        "input": st.text(st.characters(exclude_categories=["Cs"])),
        "score": st.floats(-9, 9) | st.integers(-9, 9),
    },
)


@given(st.lists(rows, min_size=1, max_size=8), st.sampled_from(ENDINGS), st.data())
def test_what_is_written_is_read_again(tmp_path_factory, rows, ending, data):
    folder = tmp_path_factory.mktemp("rows")
    records = Records.from_rows(rows)
    assert [records.original(n) for n in range(len(rows))] == rows
    chosen = data.draw(st.permutations(range(len(rows))))[: data.draw(st.integers(1, len(rows)))]
    records.write(folder / f"some{ending}", chosen)
    again = read_records(folder / f"some{ending}")
    assert [r.messages for r in again] == [records[n].messages for n in chosen]
    assert again.digests == [records.digests[n] for n in chosen]
    if ending != ".parquet":  # a table has every column in every row, and one type in each
        assert [again.original(n) for n in range(len(again))] == [rows[n] for n in chosen]


def test_conversations_go_through_parquet(tmp_path):
    records = Records.from_rows([SAME["messages"], SAME["messages"] | {"id": 7}])
    records.write(tmp_path / "chats.parquet")
    again = read_records(tmp_path / "chats.parquet")
    assert [r.messages for r in again] == [ASKED] * 2 and again.original(1)["id"] == 7


def test_equal_rows_make_equal_files(tmp_path):
    records = Records.from_rows([SAME["alpaca"]])
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        records.write(tmp_path / name)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


def test_bad_lines_of_a_file_are_counted_and_written_completely(tmp_path):
    path, long = tmp_path / "mixed.jsonl", {"instruction": "a", "output": "b" * 300}
    good = json.dumps(SAME["alpaca"]).encode()
    lines = [
        b"\xef\xbb\xbf" + good,
        b"{",
        b"",
        b'{"output": "\xff"}',
        json.dumps(long).encode(),
        good,
        b"NaN",
        b"[" * 10**5,
    ]
    path.write_bytes(b"\r\n".join(lines))
    records = read_records(path, max_characters=200)
    assert len(records) == 2 and repr(records) == "<Records: 2 rows, 5 refused>"
    assert dict(zip(records.refused["line"], records.refused["reason"], strict=True)) == {
        2: "not JSON",
        4: "not Unicode",
        5: "too long",
        7: "not an object",
        8: "not JSON",
    }
    assert records.refused_counts == {"not JSON": 2, "not Unicode": 1, "too long": 1, "not an object": 1}
    assert records.refused["excerpt"].str.len().max() == 80
    records.write_refused(tmp_path / "refused.jsonl")
    written = [raw.value for raw in read_rows(tmp_path / "refused.jsonl")]
    assert json.loads(written[2]["text"]) == long and written[2]["detail"] == "301 characters"
    assert [row["file"] for row in written] == [str(path)] * 5


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_come_one_after_another(tmp_path, ending):
    path = tmp_path / f"many{ending}"
    write_rows(path, [SAME["alpaca"] | {"n": n} for n in range(3000)])
    assert [raw.value["n"] for raw in itertools.islice(read_rows(path), 3)] == [0, 1, 2]
    assert len(read_records(path, limit=10)) == 10


def test_several_files_keep_their_names_or_what_a_field_says(tmp_path):
    for name in ("a.json", "b.jsonl"):
        write_rows(tmp_path / name, [SAME["alpaca"] | {"set": "x"}, SAME["question"]])
    paths = [tmp_path / "a.json", tmp_path / "b.jsonl"]
    assert read_records(paths).sources == ["a.json", "a.json", "b.jsonl", "b.jsonl"]
    records = read_records(paths, source_field="set", limit=3)
    assert records.sources == ["x", "a.json", "x"] and records[2].source == "x"


def test_one_object_per_line_may_be_called_json(tmp_path):
    (tmp_path / "lines.json").write_text(f"\n{json.dumps(SAME['alpaca'])}\n{json.dumps(SAME['question'])}\n")
    assert len(read_records(tmp_path / "lines.json")) == 2


def test_a_file_counts_once_however_it_is_named(tmp_path):
    (tmp_path / "more").mkdir()
    for place in (tmp_path / "a.jsonl", tmp_path / "more" / "b.jsonl"):
        write_rows(place, [SAME["question"]])
    assert read_records(str(tmp_path / "**")).sources == ["a.jsonl", "b.jsonl"]
    for again in (
        tmp_path / "a.jsonl",
        str(tmp_path / "*.jsonl"),
        tmp_path,
        tmp_path / "more" / ".." / "a.jsonl",
    ):
        with refused(RecordsError, file=str(tmp_path / "a.jsonl"), fix=str):
            read_records([tmp_path / "a.jsonl", again])


def test_files_that_were_joined_keep_their_rows(tmp_path):
    line = b"\xef\xbb\xbf" + json.dumps(SAME["question"]).encode() + b"\n"
    (tmp_path / "a.jsonl").write_bytes(line * 2)
    records = read_records(tmp_path / "a.jsonl")
    records.write(tmp_path / "b.jsonl")
    assert [records.original(row) for row in (0, 1)] == [SAME["question"]] * 2
    assert read_records(tmp_path / "b.jsonl").digests == records.digests


def test_a_data_frame_with_gaps(tmp_path):
    frame = pd.DataFrame([SAME["alpaca"], {"instruction": "b", "output": "c", "score": 0.5}])
    records = Records.from_rows(frame, source="frame")
    assert [r.input for r in records] == ["", ""] and records.sources == ["frame"] * 2
    assert records.original(1) == {"instruction": "b", "input": None, "output": "c", "score": 0.5}


def test_rows_are_taken_in_the_order_given_and_count_anew():
    records = Records.from_rows([SAME["question"] | {"answer": str(n)} for n in range(5)])
    assert records.take([3, 0]).responses == ["3", "0"] == records[3::-3].responses
    assert [r.row for r in records.take([3, 0])] == [0, 1] and records[-1].row == 4
    assert len(records.take([])) == 0
    for rows in ([5], [-1], [0.5], [[0]]):
        with refused(ParameterError, parameter="rows"):
            records.take(rows)
    with pytest.raises(IndexError):
        records[5]


def test_a_format_that_is_named_is_the_only_one_read():
    both = SAME["alpaca"] | SAME["question"] | {"answer": "4"}
    assert Records.from_rows([both]).responses == ["Hi."]
    assert Records.from_rows([both], format="qa").responses == ["4"]
    assert Records.from_rows([SAME["alpaca"]], format="messages").refused_counts == {"no answer": 1}


def broken_gzip(path: Path) -> Path:
    whole = gzip.compress(json.dumps(SAME["alpaca"]).encode() * 1000)
    (path / "half.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    return path / "half.jsonl.gz"


def broken_list(path: Path) -> Path:
    (path / "half.json").write_text("[" + json.dumps(SAME["alpaca"]) + ', {"instruction": ')
    return path / "half.json"


def no_table(path: Path) -> Path:
    (path / "no.parquet").write_text("no table")
    return path / "no.parquet"


def of_another_ending(name: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        (path / name).write_text("a text")
        return path / name

    return make


def nothing_usable(path: Path) -> Path:
    (path / "texts.jsonl").write_text('{"text": "a"}\n')
    return path / "texts.jsonl"


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (broken_gzip, {"file": "half.jsonl.gz", "fix": str}),
        (broken_list, {"file": "half.json", "row": 1}),
        (no_table, {"file": "no.parquet", "fix": str}),
        (nothing_usable, {"file": "texts.jsonl", "received": {"unknown fields": 1}}),
        (lambda path: path / "none.jsonl", {"file": "none.jsonl"}),
        (lambda path: path / "none", {"file": "none", "fix": str}),
        (of_another_ending("rows.txt"), {"file": "rows.txt", "received": ".txt"}),
        (of_another_ending("rows.parquet.gz"), {"file": "rows.parquet.gz", "received": ".gz"}),
    ],
)
def test_files_that_cannot_be_read(tmp_path, make, fields):
    file = str(tmp_path / fields["file"])
    with refused(RecordsError, **{**fields, "file": file}):
        read_records(make(tmp_path))


def test_parameters_are_checked(tmp_path):
    with refused(ParameterError, parameter="paths", received=[]):
        read_records([])
    for parameter, value in {"format": "csv", "limit": 0, "max_characters": "9"}.items():
        with refused(ParameterError, parameter=parameter, received=value):
            read_records(tmp_path / "none.jsonl", **{parameter: value})
    with refused(RecordsError, file=str(tmp_path / "mixed.parquet"), fix=str):
        write_rows(tmp_path / "mixed.parquet", [{"a": 1}, {"a": "b"}])
    assert not list(tmp_path.iterdir())
