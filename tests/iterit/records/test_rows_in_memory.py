"""Rows in memory of every kind say the same; what a kind cannot say in one way is refused."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from debias.errors import ParameterError, RecordsError
from iterit.records.instruction_records import Records, read_records
from tests.support.refusals import refused

ROWS = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(5)]


@pytest.mark.parametrize("form", ["pandas", "arrow", "numpy", "torch", None])
def test_a_data_set_in_any_format(form):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    data = datasets.Dataset.from_list(ROWS)
    assert Records.from_rows(data.with_format(form)).responses == [row["answer"] for row in ROWS]
    if form in ("arrow", None):
        assert len(Records.from_rows(data.to_iterable_dataset().with_format(form))) == 5


def test_splits_are_named_and_refused():
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    data = datasets.Dataset.from_list(ROWS)
    splits = datasets.DatasetDict(train=data, test=data)
    with refused(ParameterError, parameter="rows", received=["train", "test"], fix=str, mentions="'train'"):
        Records.from_rows(splits)
    frames = {"train": pd.DataFrame(ROWS)}
    with refused(ParameterError, parameter="rows", received=["train"]):
        Records.from_rows(frames)


def test_tables_that_come_one_after_another():
    frame, batch = pd.DataFrame(ROWS[:2]), pa.RecordBatch.from_pylist(ROWS[2:])
    assert len(Records.from_rows([frame, batch])) == 5
    assert len(Records.from_rows(pa.RecordBatchReader.from_batches(batch.schema, [batch, batch]))) == 6


@pytest.mark.parametrize("kind", ["frame", "table", "batch", "parquet", "feather", "stream"])
def test_two_columns_of_one_name_are_refused(tmp_path, kind):
    table = pa.table([["q"], ["a"], ["b"]], names=["question", "answer", "answer"])
    if kind in ("frame", "table", "batch"):
        frame = pd.DataFrame([["q", "a", "b"]], columns=table.column_names)
        made = {"frame": frame, "table": table, "batch": table.to_batches()[0]}
        with refused(ParameterError, parameter="rows", received="answer", fix=str):
            Records.from_rows(made[kind])
        return
    file = tmp_path / ("a.parquet" if kind == "parquet" else "a.arrow")
    if kind == "parquet":
        pa.parquet.write_table(table, file)
    else:
        new = pa.ipc.new_file if kind == "feather" else pa.ipc.new_stream
        with pa.OSFile(str(file), "wb") as sink, new(sink, table.schema) as out:
            out.write_table(table)
    with refused(RecordsError, file=str(file), column="answer", fix=str):
        read_records(file)


def test_bytes_of_another_encoding_are_no_text(tmp_path):
    rows = [
        {"question": "q", "answer": "größer".encode("latin-1")},
        {"question": b"q", "answer": "ü".encode()},
    ]
    records = Records.from_rows(rows)
    assert records.refused_counts == {"not Unicode": 1} and records.responses == ["ü"]
    pa.parquet.write_table(pa.table({"question": ["q"], "answer": [b"\xff"]}), tmp_path / "a.parquet")
    with refused(RecordsError, received={"not Unicode": 1}):
        read_records(tmp_path / "a.parquet")
    picture = Records.from_rows([ROWS[0] | {"image": b"\x89PNG"}])
    assert picture.refused_counts == {"has images or other media": 1}
