"""Tables in batches: the same rows as of the whole table, damage refused, whatever the cuts."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from debias.errors import TableError
from debias.tables.formats.parquet_table import SCHEMA_KEY
from debias.tables.table import ProbabilityTable
from debias.tables.table_batches import read_batches
from tests.support.refusals import refused


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(3), 23)
    texts = [f"text {n}, \x1f" for n in range(23)]
    return ProbabilityTable(P, rng.integers(3, size=23), classes=["no", "yes", "é"], texts=texts)


@pytest.mark.parametrize("n_rows", [1, 5, 23, 100])
def test_batches_are_the_table_cut(table, tmp_path, n_rows):
    table.write(tmp_path / "t.parquet")
    batches = list(read_batches(tmp_path / "t.parquet", n_rows=n_rows))
    assert [len(batch) for batch in batches] == [min(n_rows, 23 - k) for k in range(0, 23, n_rows)]
    pd.testing.assert_frame_equal(
        pd.concat([batch.probabilities for batch in batches], ignore_index=True), table.probabilities
    )
    for name in ("labels", "ids", "texts"):
        whole = [value for batch in batches for value in getattr(batch, name)]
        assert whole == getattr(table, name).tolist()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_other_files_come_whole(table, tmp_path, suffix):
    frame = table.probabilities.assign(label=table.labels)
    path = tmp_path / f"t.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    (batch,) = read_batches(path, n_rows=5)
    assert len(batch) == 23


def test_damage_is_refused_as_in_a_whole_table(table, tmp_path):
    path = tmp_path / "t.parquet"
    table.write(path)
    rows = pq.read_table(path)
    flipped = rows.set_column(1, "label", [["no"] * 23])
    pq.write_table(flipped.replace_schema_metadata({SCHEMA_KEY: rows.schema.metadata[SCHEMA_KEY]}), path)
    with refused(TableError, file=str(path)) as of_batches:
        list(read_batches(path, n_rows=5))
    with refused(TableError, file=str(path)) as of_whole:
        ProbabilityTable.read(path)
    assert str(of_batches.value) == str(of_whole.value)


def test_a_bad_value_is_named_by_its_row_in_the_file(table, tmp_path):
    path = tmp_path / "t.parquet"
    table.write(path)
    rows = pq.read_table(path)
    values = rows["p_yes"].to_pylist()
    values[17] = -0.5
    place = rows.column_names.index("p_yes")
    wrong = rows.set_column(place, "p_yes", [values])
    pq.write_table(wrong.replace_schema_metadata({SCHEMA_KEY: rows.schema.metadata[SCHEMA_KEY]}), path)
    with refused(TableError, row=17, column="yes", file=str(path)):
        list(read_batches(path, n_rows=5))


@pytest.mark.parametrize("content", [b"", b"PAR1 cut"])
def test_files_that_are_no_tables_are_refused(tmp_path, content):
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with refused(TableError, file=str(path)):
        list(read_batches(path))
    with refused(TableError, file=str(tmp_path / "absent.parquet")):
        list(read_batches(tmp_path / "absent.parquet"))
