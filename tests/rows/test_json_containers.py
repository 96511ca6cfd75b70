"""Rows in one object: what is a row and what holds rows, and the same rows from every container."""

import json

import pandas as pd
import pytest

from debias.errors import RecordsError, TableError, TaskError
from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import Task
from debias.rows.json_containers import rows_of_object
from debias.rows.row_files import read_rows
from debias.tables.table import ProbabilityTable
from iterit.records.instruction_records import Records
from tests.support.refusals import refused

TASK = Task("mood", labels=["bad", "good"])


def values_of(path) -> list[object]:
    rows = list(read_rows(path))
    assert not [row for row in rows if row.refused]
    return [row.value for row in rows]


def test_a_bad_row_is_refused_alone_in_every_container(tmp_path):
    texts = ['{"a": "x"}', r'{"a": "\ud83d"}', '{"a": ' + "9" * 5000 + "}", r'{"a": "\ud83d\ude00"}',
             '{"a": ' + "[" * 500 + "]" * 500 + "}", '{"a": -' + "9" * 4300 + "}"]  # fmt: skip
    cells = [text[6:-1] for text in texts]
    indexed = ",".join(f'"{n}": {cell}' for n, cell in enumerate(cells))
    shapes = {
        "a.jsonl": "\n".join(texts), "list.json": f"[{','.join(texts)}]",
        "data.json": f'{{"data": [{",".join(texts)}]}}', "data.jsonl": f'{{"data": [{",".join(texts)}]}}',
        "lists.json": f'{{"a": [{",".join(cells)}]}}', "columns.jsonl": f'{{"a": {{{indexed}}}}}',
        "split.json": f'{{"columns": ["a"], "data": [{",".join(f"[{cell}]" for cell in cells)}]}}',
    }  # fmt: skip
    for name, text in shapes.items():
        (tmp_path / name).write_text(text)
        found = [(row.line, row.value, row.refused) for row in read_rows(tmp_path / name)]
        assert found == [
            (1, {"a": "x"}, ""), (2, None, "not Unicode"), (3, None, "not JSON"), (4, {"a": "😀"}, ""),
            (5, None, "not JSON"), (6, {"a": -int("9" * 4300)}, ""),
        ], name  # fmt: skip
    rows = json.loads(f"[{','.join(texts[:2])}]")
    by_row, listed = {"a": dict(enumerate(row["a"] for row in rows))}, {"a": [row["a"] for row in rows]}
    for held in (rows, {"data": rows}, by_row, listed):
        assert Records.from_rows(held).refused_counts == {"unknown fields": 1, "not Unicode": 1}
    (tmp_path / "bytes.json").write_bytes(b'{"data": [{"a": "\xff"}, {"a": 1}]}')
    assert [row.refused for row in read_rows(tmp_path / "bytes.json")] == ["not Unicode", ""]


@pytest.mark.parametrize(
    "row",
    [
        {"question": "q", "answer": "a", "data": [{"question": "x", "answer": "y"}]},
        {"question": "q", "answer": "a", "examples": [{"k": 1}]},
        {"tokens": ["w1", "w2"]},
        {"tokens": ["w1", "w2"], "tags": [1, 2]},
        {"translation": {"en": "a", "fr": "b"}},
        {"messages": [["q", "a"]]},
        {"name": "file", "data": [{"a": 1}]},
        {"columns": ["a"], "data": [[1]], "text": "t"},
        {"data": [{"a": 1}], "rows": [{"b": 1}]},
        {"data": ["a", "b"]},
        {},
    ],
    ids=str,
)
def test_the_only_line_of_a_file_is_the_row_that_it_is_beside_others(tmp_path, row):
    for name, end in {"a.jsonl": "", "b.ndjson": "\n", "c.jsonl": "\n\n"}.items():
        (tmp_path / name).write_text(json.dumps(row) + end)
        assert values_of(tmp_path / name) == [row]
    (tmp_path / "two.jsonl").write_text(f"{json.dumps(row)}\n" * 2)
    assert values_of(tmp_path / "two.jsonl") == [row, row]


@pytest.mark.parametrize(
    ("held", "beside"),
    [
        ({"question": "q", "answer": "a", "data": [{"a": 1}]}, ["question", "answer"]),
        ({"text": "t", "examples": [{"a": 1}, {"a": 2}]}, ["text"]),
        ({"labels": ["a"], "data": [{"a": 1}, {"a": 2}]}, ["labels"]),
    ],
)
def test_a_file_that_may_be_one_row_or_several_is_refused_and_both_are_named(tmp_path, held, beside):
    (tmp_path / "a.json").write_text(json.dumps(held, indent=1))
    with refused(RecordsError, file=str(tmp_path / "a.json"), received=beside, fix=str):
        list(read_rows(tmp_path / "a.json"))
    with refused(TaskError, file=str(tmp_path / "a.json"), received=beside, fix=str):
        load_split(TASK, "opt", data=tmp_path / "a.json")
    with refused(TableError, file=str(tmp_path / "a.json"), received=beside, fix=str):
        ProbabilityTable.read(tmp_path / "a.json")


def test_columns_and_cells_of_a_table_are_kept_whole(tmp_path):
    shapes = {
        "columns.json": {"text": ["a", "b"], "items": [{"n": 1}, {"n": 2}]},
        "split.json": {"columns": ["text"], "index": [0, 1], "data": [["a"], ["b", "more"]]},
    }
    for name, held in shapes.items():
        (tmp_path / name).write_text(json.dumps(held))
    assert values_of(tmp_path / "columns.json") == [
        {"text": "a", "items": {"n": 1}},
        {"text": "b", "items": {"n": 2}},
    ]
    assert values_of(tmp_path / "split.json") == [{"text": "a"}, ["b", "more"]]


def test_a_frame_as_a_mapping_is_its_rows():
    frame = pd.DataFrame({"question": ["a", "b"], "answer": ["c", "d"]})
    for shape in ("dict", "list", "split", "tight", "records", "index"):
        assert Records.from_rows(frame.to_dict(shape)).responses == ["c", "d"], shape


def test_one_conversation_of_pairs_may_be_many_rows():
    pairs = {"conversation": [["a", "b"], ["c", "d"]]}
    with refused(RecordsError, received="conversation", fix=str):
        rows_of_object(pairs)
    assert rows_of_object(pairs, is_line=True) is None
    assert rows_of_object(pairs | {"id": "x"}) is None
    assert list(rows_of_object({"conversation": [["a", "b"], ["c", "d", "e", "f"]]})) == [
        {"conversation": ["a", "b"]},
        {"conversation": ["c", "d", "e", "f"]},
    ]
