"""Tables in batches: the same rows as of the whole table, damage refused, whatever the cuts."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from debias.errors import TableError
from debias.tables.batches.table_batches import read_batches
from debias.tables.formats.parquet_table import SCHEMA_KEY
from debias.tables.table import ProbabilityTable
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


def assert_cut(batches, whole):
    """Batches hold the rows of a table that was read whole."""
    assert len(batches) > 1
    assert np.array_equal(np.concatenate([batch.to_numpy() for batch in batches]), whole.to_numpy())
    assert all(batch.classes == whole.classes for batch in batches)
    for name in ("labels", "ids", "texts", "label_mass"):
        values = [getattr(batch, name) for batch in batches]
        if getattr(whole, name) is None:
            assert values == [None] * len(values)
        else:
            assert [one for value in values for one in value] == getattr(whole, name).tolist()


def save(frame, path):
    """Write a table as other programs do."""
    if path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, force_ascii=False, double_precision=15)
    elif path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")


SUFFIXES = ["parquet", "csv", "tsv", "jsonl"]
OTHERS = {
    "classes alone": {},
    "labels": {"label": np.array(["yes", "no"] * 11 + ["é"])},
    "ids that are numbers": {"id": np.arange(100, 123)},
    "ids and texts": {"id": [f"r{n}" for n in range(23)], "text": ["a", "b"] * 11 + ["é\n"]},
    "label mass": {"label_mass": np.linspace(0.5, 1, 23)},
}


@pytest.mark.parametrize("columns", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_of_others_come_in_batches(table, tmp_path, columns, kind, suffix):
    path = tmp_path / f"t.{suffix}"
    save(table.probabilities.astype(kind).assign(**columns), path)
    assert_cut(list(read_batches(path, sum_to_one=True, n_rows=5)), ProbabilityTable.read(path))
    (whole,) = read_batches(path, n_rows=23)
    assert whole.equals(ProbabilityTable.read(path))


UNCLEAR = {
    "positions": {"label": [0, 1, 2] * 7 + [0, 1]},
    "names in other capitals": {"label": ["No", "yes"] * 11 + ["no"]},
    "blank labels": {"label": [""] * 23},
    "two labels of a text": {"label": ["yes", "no"] * 11 + ["no"], "text": ["a"] * 23},
    "another column": {"source": ["a"] * 23},
}


@pytest.mark.parametrize("columns", UNCLEAR.values(), ids=UNCLEAR)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_files_come_whole(table, tmp_path, columns, suffix):
    """What all rows decide: what labels are, and which columns are classes."""
    path = tmp_path / f"t.{suffix}"
    save(table.probabilities.assign(**columns), path)
    try:
        expected = ProbabilityTable.read(path)
    except TableError as error:
        with refused(TableError) as caught:
            list(read_batches(path, n_rows=5))
        assert str(caught.value) == str(error)
    else:
        (batch,) = read_batches(path, n_rows=5)
        assert batch.equals(expected)


def test_a_list_of_json_comes_whole(table, tmp_path):
    table.probabilities.to_json(tmp_path / "t.json", orient="records")
    (batch,) = read_batches(tmp_path / "t.json", n_rows=5)
    assert len(batch) == 23


def changed(table, row, name, value):
    frame = table.probabilities.assign(id=[f"r{n}" for n in range(23)], text="t")
    frame[name] = frame[name].astype(object)
    frame.loc[row, name] = value
    return frame if name in ("id", "text") else frame.astype({name: float})


@pytest.mark.parametrize(
    ("row", "name", "value"),
    [
        (17, "yes", -0.5),
        (17, "yes", np.nan),
        (22, "é", 0.99999),
        (17, "id", "r3"),
        (17, "id", None),
        (17, "text", None),
    ],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_others_are_refused_as_in_a_whole_table(table, tmp_path, row, name, value, suffix):
    path = tmp_path / f"t.{suffix}"
    save(changed(table, row, name, value), path)
    if suffix in ("csv", "tsv") and value is None:
        pytest.skip("an empty cell is an id or a text there")
    with refused(TableError, row=row, file=str(path)) as of_whole:
        ProbabilityTable.read(path, sum_to_one=True)
    with refused(TableError, row=row, file=str(path)) as of_batches:
        list(read_batches(path, sum_to_one=True, n_rows=5))
    assert str(of_batches.value) == str(of_whole.value)


TEXTS = {
    "a byte order mark": lambda text: "\ufeff" + text,
    "line ends of Windows": lambda text: text.replace("\n", "\r\n"),
    "blank lines": lambda text: text.replace("\n", "\n\n"),
    "semicolons": lambda text: text.replace(",", ";"),
    "semicolons and decimal commas": lambda text: text.replace(",", ";").replace(".", ","),
    "a first line with the delimiter": lambda text: "sep=,\n" + text,
    "a last line that is cut short": lambda text: text[:-4],
    "a row that is too short": lambda text: text.replace("r20,", "", 1),
    "a row that is too long": lambda text: text.replace("r20,", "r20,x,", 1),
    "a quotation that never ends": lambda text: text.replace("r20,", '"r20,', 1),
    "quoted line ends": lambda text: text.replace("r20,", '"r\n20",', 1),
    "a cell that is no number": lambda text: text.replace(",0.", ",x0.", 50).replace(",x0.", ",0.", 49),
    "a zero byte": lambda text: text.replace("r20", "r\0", 1),
    "a header of other names": lambda text: text.replace("id,", "Id,", 1),
    "no rows": lambda text: text.split("\n")[0] + "\n",
}


@pytest.mark.parametrize("change", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.filterwarnings("ignore")
def test_texts_of_every_kind_say_the_same_in_batches(table, tmp_path, change, encoding):
    frame = table.probabilities.assign(id=[f"r{n}" for n in range(23)])[["id", *table.classes]]
    path = tmp_path / "t.csv"
    path.write_bytes(change(frame.to_csv(index=False, lineterminator="\n")).encode(encoding))
    try:
        whole = ProbabilityTable.read(path, sum_to_one=True)
    except TableError as error:
        with refused(TableError) as caught:
            list(read_batches(path, sum_to_one=True, n_rows=5))
        assert str(caught.value) == str(error)
        return
    batches = list(read_batches(path, sum_to_one=True, n_rows=5))
    assert np.array_equal(np.concatenate([batch.to_numpy() for batch in batches]), whole.to_numpy())
    assert [one for batch in batches for one in batch.ids] == whole.ids.tolist()


LINES = {
    "fields in another order": lambda row: dict(reversed(row.items())),
    "a field too many": lambda row: row | {"more": 1},
    "a field too few": lambda row: {name: row[name] for name in list(row)[1:]},
    "numbers as texts": lambda row: row | {"no": str(row["no"])},
    "true for a number": lambda row: row | {"no": True},
    "null for a number": lambda row: row | {"no": None},
    "a list": lambda row: [*row.values()],
    "an id that is a fraction": lambda row: row | {"id": 0.5},
    "an id that is a list": lambda row: row | {"id": [1]},
}


@pytest.mark.parametrize("change", LINES.values(), ids=LINES)
@pytest.mark.filterwarnings("ignore")
def test_objects_of_every_kind_say_the_same_in_batches(table, tmp_path, change):
    rows = table.probabilities.assign(id=[f"r{n}" for n in range(23)]).to_dict("records")
    rows[17] = change(rows[17])
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        whole = ProbabilityTable.read(path)
    except TableError as error:
        with refused(TableError) as caught:
            list(read_batches(path, n_rows=5))
        assert str(caught.value) == str(error)
        return
    batches = list(read_batches(path, n_rows=5))
    assert np.array_equal(np.concatenate([batch.to_numpy() for batch in batches]), whole.to_numpy())
    assert [one for batch in batches for one in batch.ids] == whole.ids.tolist()


@pytest.mark.parametrize("own", [True, False])
def test_a_small_file_of_long_texts_fills_no_memory(table, tmp_path, own):
    path = tmp_path / "t.parquet"
    texts = ["x" * 2_000_000] * 23
    if own:
        ProbabilityTable(table.to_numpy(), classes=table.classes, texts=texts).write(path)
    else:
        table.probabilities.assign(text=texts).to_parquet(path, index=False, compression="zstd")
    for read in (lambda: ProbabilityTable.read(path), lambda: list(read_batches(path, n_rows=20))):
        with refused(TableError, column="text"):
            read()


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
