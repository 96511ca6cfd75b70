"""Records of tables keep the types of their columns when they are written as a table again."""

import datetime
import decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from debias.errors import RecordsError
from iterit.records.instruction_records import read_records
from tests.support.refusals import refused

DAY = datetime.datetime(2024, 1, 1, 12, 30, 15, 250)
COLUMNS = {
    "instruction": pa.array(["a", "b", " ", "d"]),
    "output": pa.array(["1", "2", "3", "4"], pa.large_string()),
    "photo": pa.array([b"\x89PNG\xff", b"", None, b"x"]),
    "small": pa.array([1, None, 3, 127], pa.int8()),
    "huge": pa.array([2**63, 1, 2, 2**64 - 1], pa.uint64()),
    "half": pa.array([0.5, 1, 2, 3], pa.float32()),
    "when": pa.array([DAY] * 4, pa.timestamp("us", "Europe/Oslo")),
    "fine": pa.array([1, 2, 3, 1_700_000_000_123_456_789], pa.timestamp("ns")),
    "day": pa.array([DAY.date(), None, DAY.date(), DAY.date()]),
    "price": pa.array([decimal.Decimal("1.10"), decimal.Decimal("-2.00"), None, decimal.Decimal("3.33")]),
    "kind": pa.array(["x", "y", "x", "y"]).dictionary_encode(),
    "tags": pa.array([[1, 2], [], None, [3]], pa.list_(pa.int16())),
    "meta": pa.array(
        [{"raw": b"\xff", "n": n} for n in range(4)], pa.struct([("raw", pa.binary()), ("n", pa.int32())])
    ),
    "took": pa.array([1, 2, 3, 4], pa.duration("ms")),
}  # fmt: skip
TABLE = pa.table(COLUMNS)


def written(records, path, rows=None) -> pa.Table:
    records.write(path, rows)
    return pq.read_table(path)


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "x.feather"])
def test_types_survive(tmp_path, name):
    if name == "x.parquet":
        pq.write_table(TABLE, tmp_path / name, row_group_size=2)
    else:
        with pa.OSFile(str(tmp_path / name), "wb") as sink, pa.ipc.new_file(sink, TABLE.schema) as out:
            out.write_table(TABLE, max_chunksize=3)
    records = read_records(tmp_path / name)
    assert records.refused_counts == {"no question": 1}
    read = pq.read_table(tmp_path / name) if name == "x.parquet" else TABLE
    for rows, places in ((None, [0, 1, 3]), ([2, 0, 2], [3, 0, 3])):
        again = written(records, tmp_path / "y.parquet", rows)
        assert again.schema.equals(read.schema)
        assert again.to_pylist() == read.take(places).to_pylist()


def test_types_survive_from_several_files_in_the_order_picked(tmp_path):
    for name, part in (("b.parquet", TABLE.slice(0, 2)), ("a.parquet", TABLE.slice(3))):
        pq.write_table(part, tmp_path / name)
    records = read_records([tmp_path / "b.parquet", tmp_path / "a.parquet"])
    again = written(records, tmp_path / "y.parquet", [2, 0])
    assert again.schema.equals(pq.read_table(tmp_path / "b.parquet").schema)
    assert again.to_pylist() == TABLE.take([3, 0]).to_pylist()


def test_a_file_that_is_another_now_is_named(tmp_path):
    source = tmp_path / "x.parquet"
    pq.write_table(TABLE, source)
    records = read_records(source)
    pq.write_table(TABLE.slice(1), source)
    with refused(RecordsError, file=str(source), fix=str):
        records.write(tmp_path / "y.parquet")
    source.unlink()
    with refused(RecordsError, file=str(source), fix=str):
        records.write(tmp_path / "y.parquet")
    records.write(tmp_path / "y.jsonl")
    assert len(read_records(tmp_path / "y.jsonl")) == 3


def test_columns_of_different_kinds_are_no_table(tmp_path):
    pq.write_table(pa.table({"question": ["a"], "answer": ["b"], "x": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"question": ["a"], "answer": ["b"], "x": ["1"]}), tmp_path / "b.parquet")
    records = read_records([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    with refused(RecordsError, file=str(tmp_path / "y.parquet"), fix=str):
        records.write(tmp_path / "y.parquet")
