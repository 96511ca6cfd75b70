"""One reader of rows: the same rows come out of every kind of file, and hostile ones cost little."""

import codecs
import gzip
import io
import json
import math
import tracemalloc
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from debias.errors import RecordsError, TaskError
from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import Task
from debias.rows.column_rows import read_delimited
from debias.rows.row_files import find_files, read_rows
from iterit.records.instruction_records import read_records
from tests.support.paths import SHARED
from tests.support.refusals import refused

CASES = SHARED.parent / "cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not beside this checkout")
TASK = Task("mood", labels=["bad", "good"])

ODD = 'line\u2028paragraph\u2029next\u0085 end 😀\t"quoted", comma; \\ é'
ROWS = [{"text": ODD, "label": "good"}, {"text": "two\nlines", "label": "bad"}, {"text": "", "label": "n"}]


def values(path) -> list[object]:
    rows = list(read_rows(path))
    assert not [row for row in rows if row.refused]
    assert [json.loads(row.text) for row in rows] == [row.value for row in rows]
    return [row.value for row in rows]


def lines(rows=ROWS, end="\n", **options) -> str:
    return end.join(json.dumps(row, **options) for row in rows)


COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}
TEXTS = {
    "lines.jsonl": lines(),
    "unescaped.jsonl": lines(ensure_ascii=False),
    "crlf.ndjson": lines(end="\r\n") + "\r\n\r\n",
    "pretty.jsonl": lines(indent=1),
    "lines.json": lines(),
    "list.json": json.dumps(ROWS),
    "pretty_list.json": json.dumps(ROWS, indent=2, ensure_ascii=False),
    "list.jsonl": json.dumps(ROWS),
    "pretty_list.jsonl": "\n" + json.dumps(ROWS, indent=1) + "\n",
    "lists.json": json.dumps(COLUMNS),
    "columns.json": pd.DataFrame(ROWS).to_json(),
    "columns.jsonl": pd.DataFrame(ROWS).to_json(force_ascii=False),
    "split.json": pd.DataFrame(ROWS).to_json(orient="split"),
    "table.json": pd.DataFrame(ROWS).to_json(orient="table", index=False),
    "wrapped.json": json.dumps({"version": "1.0", "data": ROWS}),
    "wrapped.jsonl": json.dumps({"rows": ROWS}, indent=3),
    "table.csv": pd.DataFrame(ROWS).to_csv(index=False),
    "crlf.csv": pd.DataFrame(ROWS).to_csv(index=False, lineterminator="\r\n"),
    "semicolons.csv": pd.DataFrame(ROWS).to_csv(index=False, sep=";"),
    "told.csv": "sep=;\r\n" + pd.DataFrame(ROWS).to_csv(index=False, sep=";"),
    "table.tsv": pd.DataFrame(ROWS).to_csv(index=False, sep="\t"),
}
ENCODINGS = {
    "plain": "utf-8",
    "mark": "utf-8-sig",
    "utf-16": "utf-16",
    "utf-16 big": "utf-16-be",
    "utf-32": "utf-32",
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_same_rows_come_from_every_text(tmp_path, name):
    for encoding in ENCODINGS.values():
        mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
        (tmp_path / name).write_bytes(mark + TEXTS[name].encode(encoding))
        assert values(tmp_path / name) == ROWS
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(TEXTS[name].encode("utf-16")))
    with pa.CompressedOutputStream(str(tmp_path / f"{name}.zst"), "zstd") as stream:
        stream.write(TEXTS[name].encode())
    assert values(tmp_path / f"{name}.gz") == values(tmp_path / f"{name}.zst") == ROWS


def test_the_same_rows_come_from_every_table_and_folder(tmp_path):
    table = pa.Table.from_pylist(ROWS)
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    pa.feather.write_feather(table, str(tmp_path / "a.feather"))
    for name, writer in {"file.arrow": pa.ipc.new_file, "stream.arrow": pa.ipc.new_stream}.items():
        with pa.OSFile(str(tmp_path / name), "wb") as sink, writer(sink, table.schema) as out:
            out.write_table(table)
        assert values(tmp_path / name) == ROWS
    assert values(tmp_path / "a.parquet") == values(tmp_path / "a.feather") == ROWS
    assert [one.source for one in find_files(tmp_path)] == [
        "a.feather",
        "a.parquet",
        "file.arrow",
        "stream.arrow",
    ]
    assert [one.source for one in find_files(tmp_path / "*.arrow")] == ["file.arrow", "stream.arrow"]


def test_folders_that_datasets_saved(tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    data = datasets.Dataset.from_list(ROWS)
    data.save_to_disk(str(tmp_path / "mine"), num_shards=2)
    datasets.DatasetDict({"train": data}).save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": data, "test": data}).save_to_disk(str(tmp_path / "two"))
    for folder, source in (("mine", "mine"), ("one", "train"), ("two/test", "test")):
        files = find_files(tmp_path / folder)
        assert {one.source for one in files} == {source}
        assert [row for one in files for row in values(one.path)] == ROWS
    with refused(RecordsError, file=str(tmp_path / "two"), fix=str, mentions=("'train'", "'test'")):
        find_files(tmp_path / "two")


def test_texts_with_labels_come_from_the_same_files(tmp_path):
    (tmp_path / "mark.jsonl").write_bytes(lines([*ROWS[:2], {"text": ""}]).encode("utf-8-sig"))
    with refused(TaskError, row=2, file=str(tmp_path / "mark.jsonl")):  # an empty text
        load_split(TASK, "opt", data=tmp_path / "mark.jsonl", require_labels=False)
    (tmp_path / "half.jsonl").write_text('{"text": "a", "label": "bad"}\n{"text": "\\ud800", "label": "bad"}')
    with refused(TaskError, parameter="data", file=str(tmp_path / "half.jsonl"), line=2):
        load_split(TASK, "opt", data=tmp_path / "half.jsonl")
    frame = pd.DataFrame(ROWS[:2])
    (tmp_path / "columns.json").write_text(frame.to_json())
    (tmp_path / "wrapped.json").write_text(json.dumps({"data": ROWS[:2]}))
    frame.to_csv(tmp_path / "table.tsv", index=False, sep="\t")
    frame.to_feather(tmp_path / "table.feather")
    for name in ("columns.json", "wrapped.json", "table.tsv", "table.feather"):
        split = load_split(TASK, "opt", data=tmp_path / name)
        assert (split.texts, split.labels) == ([ODD, "two\nlines"], ["good", "bad"])
    assert load_split(TASK, "opt", data=tmp_path / "*.json").n_duplicates == 2


@pytest.mark.parametrize("number", [2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**70), 10**400])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "columns.json"])
def test_integers_are_exact(tmp_path, number, name):
    row = {"text": "a", "n": number}
    shapes = {"a.jsonl": row, "a.json": [row], "columns.json": {"text": ["a"], "n": [number]}}
    (tmp_path / name).write_text(json.dumps(shapes[name]))
    assert values(tmp_path / name) == [row]
    pa.parquet.write_table(pa.table({"n": pa.array([2**63], pa.uint64())}), tmp_path / "a.parquet")
    assert values(tmp_path / "a.parquet") == [{"n": 2**63}]


def test_nan_is_nan_and_half_a_surrogate_pair_or_too_many_digits_refuse_the_row_alone(tmp_path):
    texts = [r'{"a": NaN}', r'{"a": "\ud83d"}', '{"a": ' + "9" * 5000 + "}", r'{"\udc00": 1}',
             '{"a": ' + "[" * 500 + "]" * 500 + "}", r'{"a": "\ud83d\ude00"}']  # fmt: skip
    for name, text in {"a.jsonl": "\n".join(texts), "a.json": f"[{','.join(texts)}]"}.items():
        (tmp_path / name).write_text(text)
        first, *bad, last = read_rows(tmp_path / name)
        assert math.isnan(first.value["a"]) and last.value == {"a": "😀"}
        assert [row.refused for row in bad] == ["not Unicode", "not JSON", "not Unicode", "not JSON"]
        assert [row.line for row in bad] == [2, 3, 4, 5]


def test_bytes_that_are_no_text_refuse_the_row_even_where_json_forgets_them(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": "\xff", "a": 1}\n{"a": "\xff"}\n{"a": "\xff"\n{"a": 2}')
    assert [row.refused for row in read_rows(tmp_path / "a.jsonl")] == ["not Unicode"] * 3 + [""]


def test_a_table_with_values_that_python_has_not_loses_only_their_rows(tmp_path):
    words = pa.array([b"fine", b"\xff", b"good"]).view(pa.string())
    days = pa.array([0, 1, 10**8], pa.int32()).view(pa.date32())
    pa.parquet.write_table(pa.table({"word": words, "day": days}), tmp_path / "a.parquet")
    rows = list(read_rows(tmp_path / "a.parquet"))
    assert [row.refused for row in rows] == ["", "not Unicode", "not a value of Python"]
    assert rows[0].value == {"word": "fine", "day": "1970-01-01"}


def test_bytes_that_are_a_text_are_one(tmp_path):
    pa.parquet.write_table(
        pa.table({"text": ["é".encode()], "image": [b"\x89PNG\xff"]}), tmp_path / "a.parquet"
    )
    assert values(tmp_path / "a.parquet") == [{"text": "é", "image": {"base64": "iVBOR/8="}}]


@pytest.mark.parametrize("before", ["\n", "\r\n \r\n", "\nsep=;\n"])
def test_empty_lines_before_the_header_are_counted(tmp_path, before):
    text = f"{before}a;b\n1;2\n"
    (tmp_path / "a.csv").write_bytes(text.encode())
    (row,) = read_rows(tmp_path / "a.csv")
    assert (row.line, row.value) == (text.count("\n"), {"a": "1", "b": "2"})


def test_rows_of_a_csv_have_the_line_where_they_begin():
    text = 'a,b\n1,"x\ny"\n\n2\n3,4,5\n6,"\xe9"\n'
    rows = list(read_delimited(lambda: io.BytesIO(text.encode("latin-1")), None, "a.csv"))
    assert [(row.line, row.refused) for row in rows] == [
        (2, ""), (5, ""), (6, "more cells than columns"), (7, "not Unicode"),
    ]  # fmt: skip
    assert [row.value for row in rows[:2]] == [{"a": "1", "b": "x\ny"}, {"a": "2"}]
    long = "x" * 200_000
    (row,) = read_delimited(lambda: io.BytesIO(f"a\n{long}\n".encode()), None, "a.csv")
    assert row.value == {"a": long}
    with refused(RecordsError, file="a.csv", received=["a", "a"]):
        list(read_delimited(lambda: io.BytesIO(b"a,a\n"), None, "a.csv"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.json", "[" + '{"a":' * 10**5),
        ("deep_list.json", '[{"a": 1}, ' + "[" * 10**5 + "]" * 10**5 + "]"),
        ("deep.jsonl", "[" * 10**5),
        ("cut.json", '[{"a": 1}, {"a"'),
        ("comma.json", '[{"a": 1},]'),
        ("more.json", '[{"a": 1}] {"a": 2}'),
        ("apart.json", '[{"a": 1} {"a": 2}]'),
        ("many.json", "[" + ",".join(["{}"] * 100) + ", " + "[" * 200),
    ],
)
def test_what_is_hostile_or_damaged_is_one_error_or_a_refused_row_at_little_cost(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    tracemalloc.start()
    try:
        rows = list(read_rows(tmp_path / name))
        assert [row for row in rows if row.refused]
    except RecordsError as error:
        assert error.file == str(tmp_path / name) and error.fix
    assert tracemalloc.get_traced_memory()[1] < 30 * len(text) + 2**22
    tracemalloc.stop()


def test_a_row_without_end_is_skipped_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr("debias.rows.json_rows.LONGEST_ROW", 1000)
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": "' + "x" * 5000 + '"}\n{"a": 2}\n' + "y" * 1000)
    rows = list(read_rows(tmp_path / "a.jsonl"))
    assert [(row.line, row.refused) for row in rows] == [(1, ""), (2, "too large"), (3, ""), (4, "too large")]
    assert len(rows[1].text) == 1000


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('q,a\na?,one\nb?,"two\nc?,three\nd?,four\n', 3),
        ('q,a\r\n"x\r\ny","z\r\nc?,three\r\n', 3),  # the row begins a line earlier
        ('sep=,\nq,a\nb?,"two\n', 3),
        ('"q,a\na?,one\n', 1),
        ('q,a\nb?,"two\nc?,"three"\nd?,four\n', 2),  # it closes where another one is to open
        ('q,a\nb?,"tw"o"\nc?,"three"\n', 2),  # an odd number of marks: the next line may be its end
        ('q,a\n1,2\n"', 3),
    ],
)
def test_a_quotation_mark_that_is_not_closed_swallows_no_rows(text, line):
    for content in (text, text.replace(",", ";")):
        with refused(RecordsError, file="a.csv", line=line, fix=str):
            list(read_delimited(lambda content=content: io.BytesIO(content.encode()), None, "a.csv"))


def test_text_after_a_closing_quotation_mark_refuses_its_row_alone():
    text = 'q,a\n5" pipe,6" tube\n"He said "hi" to me",b\n"a ""b"" c","d,e"\n"x" ,y\n'
    rows = list(read_delimited(lambda: io.BytesIO(text.encode()), None, "a.csv"))
    assert [row.value and list(row.value.values()) for row in rows] == [
        ['5" pipe', '6" tube'], None, ['a "b" c', "d,e"], None,
    ]  # fmt: skip
    assert [(row.line, row.text) for row in rows if row.refused] == [
        (3, '"He said "hi" to me",b'), (5, '"x" ,y'),
    ]  # fmt: skip


def damaged(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 1000, mtime=0)[:40]),
        ("a.jsonl.zst", b"no zstd"),
        ("a.arrow", b"ARROW1\0\0 cut"),
        ("a.feather", b""),
        ("a.parquet", b"PAR1 cut PAR1"),
        ("a.csv", b""),
        ("a.csv", b'a,b\n"open'  + b"x" * 10),
        ("a.jsonl", "é".encode("utf-16")[:-1]),
    ],
)  # fmt: skip
def test_files_that_are_cut_or_something_else(tmp_path, name, content):
    with refused(RecordsError, file=str(tmp_path / name)):
        list(read_rows(damaged(tmp_path / name, content)))


def test_a_small_file_that_becomes_a_huge_one_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"0" * 2**22))
    assert [row.refused or row.value for row in read_rows(tmp_path / "a.jsonl.gz")] == ["not JSON"]
    monkeypatch.setattr("debias.rows.row_files._ALWAYS_UNPACKED", 2**16)
    tracemalloc.start()
    with refused(RecordsError, file=str(tmp_path / "a.jsonl.gz"), fix=str):
        list(read_rows(tmp_path / "a.jsonl.gz"))
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def test_what_systems_and_editors_leave_in_a_folder_is_not_read(tmp_path):
    for name in (
        ".hidden.jsonl",
        "._a.jsonl",
        ".#a.jsonl",
        "~$a.csv",
        "a.jsonl~",
        "#a.jsonl#",
        "a.jsonl.bak",
    ):
        (tmp_path / name).write_text("")
    with refused(RecordsError, file=str(tmp_path)):
        find_files(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"a": 1}')
    assert [one.source for one in find_files(tmp_path)] == ["a.jsonl"]
    assert [one.source for one in find_files(tmp_path / "*[lv]")] == ["a.jsonl"]
    assert [one.source for one in find_files(tmp_path / ".hidden.jsonl")] == [".hidden.jsonl"]


def test_what_is_wrong_is_told_in_whole_words(tmp_path):
    (tmp_path / "a.json").write_text('[{"a": 1}, {"a')
    with refused(RecordsError, row=1, mentions="after 1 row:") as caught:
        list(read_rows(tmp_path / "a.json"))
    assert not str(caught.value.problem).endswith(" at")
    (tmp_path / "a.txt").write_text("a text")
    with refused(TaskError, parameter="data", received=".txt", mentions=("ending", ".jsonl")):
        load_split(TASK, "opt", data=tmp_path / "a.txt")


def test_paths_that_mean_nothing(tmp_path):
    with refused(RecordsError, file=str(tmp_path)):
        find_files(tmp_path)
    with refused(RecordsError, file=str(tmp_path / "*.json")):
        find_files(tmp_path / "*.json")
    (tmp_path / "a.txt").write_text("a text")
    with refused(RecordsError, received=".txt"):
        list(read_rows(tmp_path / "a.txt"))
    (tmp_path / "a[1].jsonl").write_text('{"a": 1}')
    assert [one.source for one in find_files(tmp_path / "a[1].jsonl")] == ["a[1].jsonl"]
    (tmp_path / "state.json").write_text("[" * 10**5)
    with refused(RecordsError, file=str(tmp_path)):
        find_files(tmp_path)


@needs_cases
def test_the_shared_cases_are_the_same_rows():
    folder = CASES / "iterit"
    same = [read_records(folder / f"k7_{name}").digests for name in
            ("list_in.jsonl", "wrapped.json", "columns.json", "nan.json", "nan.jsonl")]  # fmt: skip
    assert all(one == same[0] for one in same)
    assert read_records(folder / "k7_table.csv").responses == ["3", "Trout"]
    (text,) = values(CASES / "debias" / "texts_bom.jsonl")[:1]
    assert set(text) == {"text", "label"}


@needs_cases
@pytest.mark.parametrize(
    "name", ["deep_20000.json", "recjson_MEM_2405_MiB.json", "records_badutf8.parquet",
             "records_date.parquet", "surrogate_key.jsonl", "samples_deep.jsonl", "samples_hugeint.jsonl"],
)  # fmt: skip
def test_the_shared_hostile_cases_are_errors_of_ours_or_refused_rows(name):
    tracemalloc.start()
    try:
        assert len(read_records(CASES / "faults" / name))
    except RecordsError as error:
        assert len(str(error)) < 1000
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()
