"""Probability tables in files: exact round trips, real files of others, and damaged ones.

``tests/data/samples_toy_*.jsonl`` were written by lm-evaluation-harness 0.4.13 itself: SmolLM2-135M-Instruct
on five sentences made up for this test, four ways to state the same four choices.
"""

import json
import os
import tracemalloc
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.errors import (
    DebiasError,
    ExcludedRowsWarning,
    OverlapError,
    OverlapWarning,
    ParameterError,
    TableError,
)
from debias.metrics.scores import cobias
from debias.tables.formats.file_formats import READERS, infer_format
from debias.tables.formats.parquet_table import SCHEMA_KEY
from debias.tables.overlap import check_disjoint
from debias.tables.table import ProbabilityTable
from tests.support.paths import HARNESS, SHARED
from tests.support.refusals import refused

PUBLISHED = SHARED / "probabilities"
HARD_NAMES = ["id", "label", "p_id", "text, or\nnot", "label_mass", "Größe ≥ 1"]
TEXT = "0 1 1 0.250000 0.750000\n1 0 0 0.600001 0.400000\n2 1 0 0.500000 0.500000\n"
CSV = "id,label,no,yes\na,yes,0.25,0.75\nb,no,0.6,0.4\n"


def hard_table():
    """Return a table with awkward names, texts and floats."""
    rng = np.random.default_rng(0)
    values = rng.dirichlet(np.full(6, 0.1), 50)
    values[0, 0] = 5e-324  # the smallest float there is
    texts = ['"quoted", \r\n two lines', "", " spaces ", "NA", "naïve 漢字 \u2028 line", "\t"]
    texts += [f"x {row}" for row in range(44)]
    return ProbabilityTable(
        values,
        rng.integers(0, 6, 50),
        classes=HARD_NAMES,
        ids=[f"id {row}" for row in range(50)],
        label_mass=rng.random(50),
        texts=texts,
        metadata={"model": "demo", "nested": {"seeds": [0, 1], "none": None}, "π": 3.14},
    )


def write_text(tmp_path, content, name="table.txt"):
    """Write a file and return its path."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# Parquet ---------------------------------------------------------------------------------------


def test_parquet_keeps_everything_bit_by_bit(tmp_path):
    table = hard_table()
    table.write(tmp_path / "table.parquet")
    again = ProbabilityTable.read(tmp_path / "table.parquet")
    assert again.equals(table)
    assert again.fingerprint == table.fingerprint
    least = ProbabilityTable([[0.5, 0.5]])
    least.write(tmp_path / "least.pq")
    assert ProbabilityTable.read(tmp_path / "least.pq").equals(least)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(any), min_size=1, max_size=5))
def test_any_probabilities_survive_parquet_and_csv(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("files")
    table = ProbabilityTable(rows, classes=["a", "b", "c"])
    # a CSV names its classes, since a column without which all rows sum to 1 seems to be none
    for name, options in {"table.parquet": {}, "table.csv": {"classes": table.classes}}.items():
        table.write(folder / name)
        assert ProbabilityTable.read(folder / name, **options).equals(table)


def test_rows_taken_before_writing_are_recognised_after_reading(tmp_path):
    table = ProbabilityTable(np.random.default_rng(0).dirichlet(np.ones(3), 40))
    opt, test = table.split()
    opt.write(tmp_path / "opt.parquet")
    test.write(tmp_path / "test.parquet")
    opt, test = (ProbabilityTable.read(tmp_path / f"{name}.parquet") for name in ("opt", "test"))
    check_disjoint(opt, test)
    with refused(OverlapError, mentions=(20, 40)):
        check_disjoint(table, test)


def test_parquet_is_readable_by_others(tmp_path):
    hard_table().write(tmp_path / "table.parquet")
    frame = pd.read_parquet(tmp_path / "table.parquet")
    assert list(frame.columns) == ["id", "label", "text", "label_mass", *[f"p_{name}" for name in HARD_NAMES]]


def test_parquet_cut_anywhere_is_refused(tmp_path):
    hard_table().write(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    for size in (1, 4, len(content) // 2, len(content) - 1):
        path = write_text(tmp_path, content[:size], "cut.parquet")
        with refused(TableError, file=str, fix=str, mentions="cut.parquet"):
            ProbabilityTable.read(path)


def rewrite_header(path, change):
    """Change the description that stands in the schema of a Parquet file."""
    table = pq.read_table(path)
    raw = change(table.schema.metadata[SCHEMA_KEY])
    pq.write_table(table.replace_schema_metadata({} if raw is None else {SCHEMA_KEY: raw}), path)


def with_key(key, value):
    """Return a change that sets one key of the description."""
    return lambda raw: json.dumps(json.loads(raw) | {key: value}).encode()


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (lambda raw: None, {"file": str, "fix": str}),
        (lambda raw: raw[:-3], {"file": str}),
        (lambda raw: b"[]", {"file": str}),
        (lambda raw: b"{}", {"file": str}),
        (with_key("schema_version", 99), {"file": str, "fix": str, "mentions": "99"}),
        (with_key("classes", "ab"), {"file": str, "mentions": "'classes'"}),
        (with_key("classes", ["id", "nothing"]), {"file": str, "mentions": "'p_nothing'"}),
        (with_key("classes", ["id"]), {"file": str, "parameter": "classes"}),
        (with_key("metadata", None), {"file": str, "mentions": "'metadata'"}),
        (with_key("ids_given", "yes"), {"file": str, "mentions": "'ids_given'"}),
    ],
)
def test_parquet_with_a_wrong_description_is_refused(tmp_path, change, fields):
    path = tmp_path / "table.parquet"
    hard_table().write(path)
    rewrite_header(path, change)
    with refused(TableError, **fields):
        ProbabilityTable.read(path)


@pytest.mark.parametrize(
    ("column", "values", "fields"),
    [
        ("p_0", pa.array([None, 0.5], pa.float64()), {"row": 0, "column": "0"}),
        ("p_1", pa.array(["x", "y"]), {"mentions": "'p_1'"}),
        ("id", pa.array(["a", "a"]), {"column": "id", "received": "a"}),
        ("label", pa.array(["0", "2"]), {"row": 1, "column": "label"}),
    ],
)
def test_parquet_with_wrong_values_is_refused(tmp_path, column, values, fields):
    path = tmp_path / "table.parquet"
    ProbabilityTable([[0.5, 0.5], [0.4, 0.6]], [0, 1]).write(path)
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(column), column, values), path)
    with refused(TableError, file=str(path), **fields):
        ProbabilityTable.read(path)


def flipped(content, bit):
    """Return bytes with one bit turned."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_parquet_with_a_flipped_bit_is_refused_or_holds_the_same(tmp_path):
    """Of 150 flips, spread over the file, none changes a table in silence."""
    table = ProbabilityTable(
        np.random.default_rng(0).dirichlet(np.ones(3), 40),
        np.arange(40) % 3,
        classes=["no", "yes", "maybe"],
        ids=[f"id {row}" for row in range(40)],
        label_mass=np.linspace(0.1, 0.9, 40),
        texts=[f"text {row}" for row in range(40)],
        metadata={"model": "demo"},
    )
    table.write(tmp_path / "table.parquet")
    content = (tmp_path / "table.parquet").read_bytes()
    refusals = 0
    for bit in np.random.default_rng(1).integers(0, 8 * len(content), 150):
        path = write_text(tmp_path, flipped(content, int(bit)), "flipped.parquet")
        try:
            assert ProbabilityTable.read(path).equals(table)
        except TableError as error:
            assert error.file == str(path)
            refusals += 1
    assert refusals > 75


@pytest.mark.parametrize("part", ["probabilities", "labels", "ids", "texts", "label_mass", "about"])
def test_parquet_says_which_part_was_changed(tmp_path, part):
    path = tmp_path / "table.parquet"
    ProbabilityTable([[0.5, 0.5], [0.4, 0.6]], [0, 1], texts=["a", "b"], label_mass=[0.5, 0.5]).write(path)
    table = pq.read_table(path)
    new = {
        "probabilities": ("p_0", pa.array([0.5, 0.4 + 2**-54])),
        "labels": ("label", pa.array(["0", "0"])),
        "ids": ("id", pa.array(["0", "2"])),
        "texts": ("text", pa.array(["a", "c"], pa.large_string())),
        "label_mass": ("label_mass", pa.array([0.5, 0.25])),
    }
    if part in new:
        column, values = new[part]
        pq.write_table(table.set_column(table.column_names.index(column), column, values), path)
    else:
        rewrite_header(path, with_key("metadata", {"normalised": True}))
    with refused(TableError, file=str(path), fix=str):
        ProbabilityTable.read(path)


def test_parquet_of_earlier_releases_has_no_checksums(tmp_path):
    path = tmp_path / "table.parquet"
    hard_table().write(path)

    def without(raw):
        return json.dumps(
            {key: value for key, value in json.loads(raw).items() if key != "checksums"}
        ).encode()

    rewrite_header(path, without)
    assert ProbabilityTable.read(path).equals(hard_table())
    ProbabilityTable([[0.2, 0.6], [1.0, 1.0]], normalise=True).write(path)
    off = pq.read_table(path)
    pq.write_table(off.set_column(2, "p_1", pa.array([0.75, 0.5000001])), path)
    with refused(TableError, file=str(path), mentions="checksum"):
        ProbabilityTable.read(path)
    rewrite_header(path, without)
    with refused(TableError, file=str(path), row=1, mentions="sums to 1.0000000"):
        ProbabilityTable.read(path)
    hard_table().write(path)
    rewrite_header(path, with_key("checksumt", {}))
    with refused(TableError, file=str(path), mentions="checksumt"):
        ProbabilityTable.read(path)


@pytest.mark.parametrize(
    "kind",
    [
        pa.duration("s"),
        pa.timestamp("us"),
        pa.decimal128(5, 2),
        pa.list_(pa.float64()),
        pa.struct([("a", pa.int64())]),
        pa.bool_(),
        pa.binary(),
        pa.null(),
    ],
)
@pytest.mark.parametrize("column", ["id", "label", "text", "label_mass", "p_0"])
def test_parquet_of_odd_types_is_refused_by_column(tmp_path, kind, column):
    path = tmp_path / "table.parquet"
    ProbabilityTable([[0.5, 0.5]], [0], texts=["a"], label_mass=[0.5]).write(path)
    table = pq.read_table(path)
    odd = table.set_column(table.column_names.index(column), column, pa.nulls(1, kind))
    pq.write_table(odd, path)
    with refused(TableError, file=str(path), column=column, received=str):
        ProbabilityTable.read(path)


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ([], {"parameter": "classes"}),
        ([[0], [1]], {"parameter": "classes"}),
        (["0", "0"], {}),
    ],
)
def test_parquet_without_usable_classes_is_refused(tmp_path, value, fields):
    path = tmp_path / "table.parquet"
    ProbabilityTable([[0.5, 0.5]], [0]).write(path)
    rewrite_header(path, with_key("classes", value))
    with refused(TableError, file=str(path), **fields):
        ProbabilityTable.read(path)


def test_parquet_whose_description_is_nested_too_deep_is_refused(tmp_path):
    path = tmp_path / "table.parquet"
    ProbabilityTable([[0.5, 0.5]], [0]).write(path)
    rewrite_header(path, lambda raw: b'{"a":' * 50_000)
    with refused(TableError, file=str(path)):
        ProbabilityTable.read(path)


RECORDS = [
    {"id": "a", "label": "yes", "no": 0.25, "yes": 0.75},
    {"id": "b", "label": "no", "no": 0.6, "yes": 0.4},
]


def test_plain_parquet_is_read_by_the_names_of_its_columns(tmp_path):
    expected = ProbabilityTable.read(write_text(tmp_path, CSV, "t.csv"))
    frame = pd.DataFrame(RECORDS)
    for name, one in {
        "plain": frame,
        "indexed": frame.set_index(pd.Index([5, 9])),
        "categories": frame.astype({"label": "category"}),
        "narrow": frame.astype({"no": "float32", "yes": "float32"}),
    }.items():
        one.to_parquet(tmp_path / f"{name}.parquet")
        table = ProbabilityTable.read(tmp_path / f"{name}.parquet")
        assert table.labels.tolist() == expected.labels.tolist()
        assert table.ids.tolist() == expected.ids.tolist()
        np.testing.assert_allclose(table.to_numpy(), expected.to_numpy(), rtol=1e-6)
    odd = tmp_path / "odd.parquet"
    frame.rename(columns={"label": "gold"}).to_parquet(odd)
    with refused(TableError, file=str(odd), column="gold", row=0):
        ProbabilityTable.read(odd)
    assert ProbabilityTable.read(odd, label_column="gold").equals(
        ProbabilityTable.read(tmp_path / "plain.parquet")
    )
    for kind in (pa.duration("s"), pa.list_(pa.float64()), pa.timestamp("us"), pa.bool_()):
        strange = pa.table(frame).append_column("when", pa.nulls(2, kind))
        pq.write_table(strange, odd)
        with refused(TableError, file=str(odd), column="when", row=0):
            ProbabilityTable.read(odd)


@pytest.mark.parametrize("column", ["id", "label", "text"])
def test_parquet_whose_strings_are_no_utf_8_is_refused(tmp_path, column):
    path = tmp_path / "t.parquet"
    text = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], "<i4").tobytes()), pa.py_buffer(b"\xff\xfe")]
    )
    pq.write_table(pa.table({column: text, "no": [0.5], "yes": [0.5]}), path)
    with refused(TableError, file=str(path), fix=str):
        ProbabilityTable.read(path)


def test_parquet_of_the_project_says_itself_what_its_columns_are(tmp_path):
    path = tmp_path / "table.parquet"
    ProbabilityTable([[0.5, 0.5]], [0]).write(path)
    for option, value in {"classes": ["0", "1"], "label_column": "label"}.items():
        with refused(ParameterError, file=str(path), parameter=option, fix=str):
            ProbabilityTable.read(path, **{option: value})


@pytest.mark.parametrize(
    "columns",
    [
        {"no": np.zeros(2_000_000), "yes": np.zeros(2_000_000)},
        {"text": ["x" * 100_000] * 2000, "no": np.full(2000, 0.5), "yes": np.full(2000, 0.5)},
        {"text": ["x" * 50_000_000], "no": [0.5], "yes": [0.5]},
    ],
    ids=["rows", "dictionary", "page"],
)
def test_parquet_of_more_than_a_table_can_hold_is_refused(tmp_path, columns):
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table(columns), path, compression="zstd")
    with refused(TableError, file=str(path), mentions="states"):
        ProbabilityTable.read(path)


# CSV -------------------------------------------------------------------------------------------


def test_csv_keeps_all_but_metadata(tmp_path):
    table = hard_table()
    names = {"id_column": "ID", "label_column": "gold", "text_column": "input", "label_mass_column": "mass"}
    table.write(tmp_path / "table.csv", **names)
    again = ProbabilityTable.read(tmp_path / "table.csv", **names)
    assert again.metadata == {"normalised": False}
    pd.testing.assert_frame_equal(again.probabilities, table.probabilities, check_exact=True)
    for part in ("labels", "ids", "texts", "label_mass"):
        pd.testing.assert_series_equal(getattr(again, part), getattr(table, part), check_exact=True)


@pytest.mark.parametrize("odd", ["plain", "\r", '"', "\r\n", ","])
def test_csv_quotes_what_needs_it_in_every_column(tmp_path, odd):
    names = [f"a{odd}", f"b{odd}"]
    table = ProbabilityTable(
        [[0.5, 0.5], [0.25, 0.75]], names, classes=names, ids=[f"1{odd}", f"2{odd}"], label_mass=[0.5, 0.25]
    )
    table.write(tmp_path / "table.csv")
    assert ProbabilityTable.read(tmp_path / "table.csv").equals(table)


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_text_that_is_no_unicode_cannot_be_written(tmp_path, name):
    with refused(TableError, file=str(tmp_path / name), mentions="surrogates"):
        ProbabilityTable([[0.5, 0.5]], texts=["half \ud800"]).write(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_csv_refuses_two_columns_of_one_name(tmp_path):
    with refused(TableError, fix=str, mentions="'id'"):
        hard_table().write(tmp_path / "table.csv")
    assert os.listdir(tmp_path) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=4
    )
)
def test_any_text_survives_csv(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("files") / "table.csv"
    table = ProbabilityTable([[0.5, 0.5]] * len(texts), texts=texts, classes=["a", "b"])
    table.write(path)
    assert ProbabilityTable.read(path).texts.tolist() == texts


def test_csv_recognises_columns_and_delimiter(tmp_path):
    table = ProbabilityTable.read(write_text(tmp_path, CSV, "t.csv"))
    assert table.classes == ("no", "yes")
    assert table.ids.tolist() == ["a", "b"]
    assert table.labels.tolist() == ["yes", "no"]
    tabs = write_text(tmp_path, CSV.replace(",", "\t"), "t.tsv")
    assert ProbabilityTable.read(tabs).equals(table)
    semicolons = write_text(tmp_path, CSV.replace(",", ";"), "s.csv")
    assert ProbabilityTable.read(semicolons, delimiter=";").equals(table)
    assert ProbabilityTable.read(semicolons).equals(table)
    with refused(TableError, fix=str, file=str):
        ProbabilityTable.read(semicolons, delimiter=",")
    marked = write_text(tmp_path, b"\xef\xbb\xbf" + CSV.encode(), "bom.csv")
    assert ProbabilityTable.read(marked).equals(table)
    table.write(tmp_path / "w.tsv")
    assert (tmp_path / "w.tsv").read_text().startswith("id\tlabel\tno")


def test_csv_takes_the_classes_named_and_leaves_other_columns(tmp_path):
    path = write_text(tmp_path, "id,note,text,label,no\n1,x,0.75,text,0.25\n", "t.csv")
    with pytest.warns(ExcludedRowsWarning, match="'note'"):
        table = ProbabilityTable.read(path, classes=["no", "text"])
    assert table.to_numpy().tolist() == [[0.25, 0.75]]
    assert table.texts is None
    assert table.labels.tolist() == ["text"]


def test_csv_labels_may_be_positions_or_absent(tmp_path):
    positions = write_text(tmp_path, "label,no,yes\n1,0.2,0.8\n0,0.5,0.5\n", "t.csv")
    assert ProbabilityTable.read(positions).labels.tolist() == ["yes", "no"]
    absent = write_text(tmp_path, "label,no,yes\n,0.2,0.8\n,0.5,0.5\n", "u.csv")
    assert ProbabilityTable.read(absent).labels is None
    numbers = write_text(tmp_path, "label,1,2\n1,0.2,0.8\n2,0.5,0.5\n", "v.csv")
    assert ProbabilityTable.read(numbers).label_indices.tolist() == [0, 1]  # names, as in the header


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("", {}),
        (" \n\n", {}),
        ("id,label,no,yes\n", {}),
        (CSV[:-5] + "\n", {"row": 1, "column": "yes"}),
        (CSV[:-1].replace("0.4", "0."), {"mentions": "line 3"}),
        (CSV + "c,no,0.5,0.5,0.1\n", {"mentions": "line 4"}),
        (CSV + 'c,"no,0.5,0.5\n', {}),
        (CSV.replace("0.25", "a quarter"), {"row": 0, "column": "no"}),
        (CSV.replace("0.25", ""), {"row": 0, "column": "no"}),
        (CSV.replace("0.25", "nan"), {"row": 0, "column": "no"}),
        (CSV.replace("0.25", "-0.25"), {"row": 0, "column": "no"}),
        (CSV.replace("0.25", "25"), {"row": 0, "column": "no", "fix": str}),
        (CSV.replace("b,no", "b,never"), {"row": 1, "column": "label"}),
        (CSV.replace("b,no", "b,"), {"row": 1, "column": "label"}),
        (CSV.replace("b,no", "a,no"), {"row": 1, "column": "id", "received": "a"}),
        (CSV.replace("no,yes\n", "no,no\n"), {"mentions": "'no'"}),
        (CSV.replace("id,", ","), {"mentions": "column 0"}),
        ("id,label,no\na,no,1.0\n", {}),
        (CSV.encode("utf-16-le"), {"fix": str}),
        ((b"\xff\xfe" + CSV.encode("utf-16-le"))[:-1], {"mentions": "utf-16", "fix": str}),
        (CSV.replace("b", "f\xfcr").encode("latin-1"), {"mentions": "utf-8", "fix": str}),
        (CSV.replace("b", "\0"), {"fix": str}),
    ],
)
def test_damaged_csv_is_refused_by_row_and_column(tmp_path, content, fields):
    path = write_text(tmp_path, content, "t.csv")
    with refused(TableError, file=str(path), **fields):
        ProbabilityTable.read(path)


def test_csv_options_name_existing_columns_and_encodings(tmp_path):
    path = write_text(tmp_path, CSV.replace("b,no", "f\xfcr,no").encode("latin-1"), "t.csv")
    assert ProbabilityTable.read(path, encoding="latin-1").ids.tolist() == ["a", "f\xfcr"]
    with refused(TableError, mentions="'latin-x'"):
        ProbabilityTable.read(path, encoding="latin-x")
    with refused(TableError, mentions="'gold'"):
        ProbabilityTable.read(path, encoding="latin-1", label_column="gold")
    with refused(TableError, mentions="'perhaps'"):
        ProbabilityTable.read(path, encoding="latin-1", classes=["no", "perhaps"])


SEMICOLONS = "id;label;no;yes\na;yes;0,25;0,75\nb;no;0,6;0,4\n"


@pytest.mark.parametrize(
    "content",
    [
        SEMICOLONS,
        "\ufeff" + SEMICOLONS.replace("\n", "\r\n"),
        "sep=;\n" + SEMICOLONS,
        "\ufeffsep=;\r\n" + SEMICOLONS.replace(",", "."),
        SEMICOLONS.replace(",", "."),
        SEMICOLONS.replace(";", "\t"),
        SEMICOLONS.replace(";", "\t").encode("utf-16"),
        "sep=|\n" + SEMICOLONS.replace(";", "|"),
        CSV.replace("0.25,0.75", '"0,25","0,75"').replace("0.6,0.4", '"0,6","0,4"'),
    ],
)
def test_csv_of_spreadsheets_is_read_as_it_is(tmp_path, content):
    expected = ProbabilityTable.read(write_text(tmp_path, CSV, "t.csv"))
    assert ProbabilityTable.read(write_text(tmp_path, content, "s.csv")).equals(expected)


@pytest.mark.parametrize(
    ("cells", "decimal"),
    [
        ("1,234.5;2,000", None),
        ("1.234,5;2.000,0", None),
        ("1 234,5;2 000", None),
        ("1'234.5;2'000", None),
        ("1\u202f234,5;2\u00a0000", None),
        ("1234,5;2,0E3", None),
        ("1.234,5;2.000", ","),
        ("1,234.5;2,000", "."),
    ],
)
def test_csv_digits_may_stand_in_groups_of_three(tmp_path, cells, decimal):
    path = write_text(tmp_path, f"no;yes\n{cells}\n", "t.csv")
    table = ProbabilityTable.read(path, normalise=True, decimal=decimal)
    np.testing.assert_allclose(table.to_numpy(), [[1234.5 / 3234.5, 2000 / 3234.5]])


def test_csv_numbers_with_two_readings_are_refused_until_one_is_named(tmp_path):
    path = write_text(tmp_path, "no;yes\n1,000;1,250\n", "t.csv")
    with refused(TableError, file=str(path), row=0, column="no", received="1,000", fix=str) as caught:
        ProbabilityTable.read(path, normalise=True)
    assert "--decimal ," in caught.value.render({"decimal": "--decimal"})
    points = ProbabilityTable.read(path, normalise=True, decimal=".")
    commas = ProbabilityTable.read(path, normalise=True, decimal=",")
    np.testing.assert_allclose(points.to_numpy(), commas.to_numpy())


@pytest.mark.parametrize(
    "cell", ["0,25.5", "1,23.4", "0,123.4", "1,2345", ",", "1.2.3", "e5", "0,5,5", "1_0,5"]
)
def test_csv_cells_that_are_no_number_in_any_reading_are_refused(tmp_path, cell):
    path = write_text(tmp_path, f"no;yes\n0.5;{cell}\n", "t.csv")
    with refused(TableError, file=str(path), row=0, column="yes", received=cell):
        ProbabilityTable.read(path, normalise=True)
    long = write_text(tmp_path, f"no;yes\n0.5;{'x' * 5000}\n", "t.csv")
    with refused(TableError, row=0, column="yes") as caught:
        ProbabilityTable.read(long)
    assert len(str(caught.value)) < 400 + len(str(long))


def test_csv_options_are_checked(tmp_path):
    path = write_text(tmp_path, CSV, "t.csv")
    with refused(ParameterError, file=str(path), parameter="decimal", received="'"):
        ProbabilityTable.read(path, decimal="'")
    for delimiter in ("", ";;", "\n", '"'):
        with refused(ParameterError, file=str(path), parameter="delimiter", received=delimiter):
            ProbabilityTable.read(path, delimiter=delimiter)
    tabs = write_text(tmp_path, CSV.replace(",", "\t"), "t.csv")
    assert ProbabilityTable.read(tabs, delimiter="tab").equals(ProbabilityTable.read(tabs, delimiter="\\t"))


# JSON ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.jsonl", "".join(json.dumps(row) + "\n" for row in RECORDS)),
        ("t.json", "".join(json.dumps(row) + "\r\n" for row in RECORDS)),
        ("t.jsonl", json.dumps(RECORDS)),
        ("t.json", "\ufeff" + json.dumps(RECORDS, indent=1)),
        ("t", json.dumps(RECORDS)),
        ("t.json", json.dumps({"data": RECORDS})),
        ("t.json", pd.DataFrame(RECORDS).to_json()),
        ("t.json", json.dumps(pd.DataFrame(RECORDS).to_dict("list"))),
        ("t.json", pd.DataFrame(RECORDS).to_json(orient="records")),
        ("t.json", json.dumps([row | {"label": float(row["label"] == "yes")} for row in RECORDS])),
        ("t.json", json.dumps([row | {"label": int(row["label"] == "yes")} for row in RECORDS])),
        ("t.json", json.dumps([row | {"no": str(row["no"])} for row in RECORDS])),
    ],
)
def test_json_records_are_read_like_csv(tmp_path, name, content):
    expected = ProbabilityTable.read(write_text(tmp_path, CSV, "e.csv"))
    assert ProbabilityTable.read(write_text(tmp_path, content, name)).equals(expected)


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("[" * 20_000, {}),
        ('[{"a":' * 20_000, {}),
        ("[]", {}),
        ("[1]", {"row": 0, "received": 1}),
        ("3", {"row": 0}),
        (json.dumps([RECORDS[0], [1]]), {"row": 1}),
        (json.dumps([RECORDS[0], {"id": "b", "label": "no", "no": 0.5}]), {"row": 1, "column": "yes"}),
        (json.dumps([RECORDS[0] | {"yes": True}]), {"row": 0, "column": "yes", "received": True}),
        (json.dumps([RECORDS[0] | {"yes": [0.5]}]), {"row": 0, "column": "yes"}),
        (json.dumps([RECORDS[0] | {"yes": "x" * 9000}]), {"row": 0, "column": "yes"}),
        (json.dumps([RECORDS[0] | {"yes": 10**400}]), {"row": 0, "column": "yes"}),
        ('[{"id": "a", "no": ' + "9" * 5000 + ', "yes": 0.5}]', {}),
        (json.dumps([RECORDS[0] | {"id": "\ud800"}]), {}),
        (json.dumps(RECORDS[0]) + "\n" + json.dumps(RECORDS[1])[:-4], {"row": 1}),
        (json.dumps(RECORDS[0])[:-4], {"row": 0}),
    ],
)
def test_damaged_or_hostile_json_is_refused_in_one_line(tmp_path, content, fields):
    path = write_text(tmp_path, content, "t.json")
    with refused(TableError, file=str(path), **fields) as caught:
        ProbabilityTable.read(path)
    assert len(str(caught.value)) < 500 + len(str(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.json", json.dumps([{f"c{n}": 0} for n in range(4000)])),
        ("t.json", json.dumps({f"c{n}": {str(n): 0} for n in range(4000)})),
        ("t.csv", "," * 20_000 + "\n" + "1\n" * 20_000),
    ],
)
def test_long_headers_above_short_rows_take_no_memory(tmp_path, name, content):
    path = write_text(tmp_path, content, name)
    tracemalloc.start()
    with refused(TableError, file=str(path)):
        ProbabilityTable.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * len(content)


# Answers of servers ----------------------------------------------------------------------------


def chat(tokens):
    """Return the body of a chat completion whose first token had these probabilities."""
    top = [{"token": token, "logprob": float(np.log(p)), "bytes": None} for token, p in tokens.items()]
    content = [top[0] | {"top_logprobs": top}]
    return {"choices": [{"message": {"content": top[0]["token"]}, "logprobs": {"content": content}}]}


def completion(tokens):
    """Return the body of a completion whose first token had these probabilities."""
    top = {token: float(np.log(p)) for token, p in tokens.items()}
    return {"choices": [{"text": "", "logprobs": {"tokens": list(top)[:1], "top_logprobs": [top]}}]}


def batch(bodies, **more):
    """Return lines of the output of a batch."""
    return [
        {
            "id": f"r{row}",
            "custom_id": f"a{row}",
            "response": {"status_code": 200, "body": body},
            "error": None,
        }
        | more
        for row, body in enumerate(bodies)
    ]


ANSWERED = [{"Sports": 0.6, "World": 0.3, "The": 0.05}, {" World": 0.5, "Wor": 0.3, "x": 0.1}]


@pytest.mark.parametrize("body", [chat, completion])
def test_answers_of_a_batch_give_each_class_the_tokens_that_begin_it(tmp_path, body):
    path = write_records(tmp_path, batch(map(body, ANSWERED)))
    table = ProbabilityTable.read(path, classes=["World", "Sports"])
    assert table.ids.tolist() == ["a0", "a1"]
    np.testing.assert_allclose(table.label_mass, [0.9, 0.9], rtol=1e-3)
    np.testing.assert_allclose(table.to_numpy(), [[1 / 3, 2 / 3], [8 / 9, 1 / 9]], rtol=1e-3)
    bare = write_records(tmp_path, [body(tokens) | {"label": "World"} for tokens in ANSWERED])
    assert ProbabilityTable.read(bare, classes=["World", "Sports"]).labels.tolist() == ["World"] * 2


def test_answers_that_failed_are_counted_and_left_out(tmp_path):
    records = batch(map(chat, ANSWERED))
    records[0] |= {"response": {"status_code": 500, "body": {}}, "error": {"message": "x"}}
    path = write_records(tmp_path, records)
    with pytest.warns(UserWarning, match="1 of 2 .*a0"):
        table = ProbabilityTable.read(path, classes=["World", "Sports"])
    assert table.ids.tolist() == ["a1"]
    with refused(TableError, file=str(path), received=["a0"]):
        ProbabilityTable.read(write_records(tmp_path, records[:1]), classes=["World", "Sports"])


@pytest.mark.parametrize(
    ("bodies", "classes", "fields"),
    [
        ([chat(ANSWERED[0])], None, {"parameter": "classes", "fix": str}),
        ([chat({"good": 0.9})], ["good day", "good night"], {"parameter": "classes", "row": 0}),
        ([chat({"x": 0.9})], ["World", "Sports"], {"parameter": "classes"}),
        ([chat(ANSWERED[0]), {"choices": []}], ["World", "Sports"], {"row": 1, "fix": str}),
        ([{"choices": [{"logprobs": None}]}], ["World", "Sports"], {"row": 0, "fix": str}),
        ([completion({"World": 3.0})], ["World", "Sports"], {"row": 0}),
    ],
)
def test_answers_that_tell_no_classes_apart_are_refused(tmp_path, bodies, classes, fields):
    path = write_records(tmp_path, batch(bodies))
    with refused(TableError, file=str(path), **fields):
        ProbabilityTable.read(path, classes=classes)


# Published text format -------------------------------------------------------------------------


def test_published_text_is_kept_as_it_is(tmp_path):
    path = write_text(tmp_path, TEXT)
    table = ProbabilityTable.read(path, classes=["no", "yes"])
    assert table.to_numpy()[1].tolist() == [0.600001, 0.4]  # rounded by its writer, not by us
    assert table.metadata == {"normalised": False}
    assert table.labels.tolist() == ["yes", "no", "yes"]
    assert table.ids.tolist() == ["0", "1", "2"]
    assert ProbabilityTable.read(path).classes == ("0", "1")
    stars = ProbabilityTable.read(path, classes=["1", "2"])
    assert stars.labels.tolist() == ["2", "1", "2"]
    table.write(tmp_path / "again.txt")
    assert (tmp_path / "again.txt").read_text() == TEXT


def test_published_text_has_one_column_per_class_named(tmp_path):
    with refused(TableError, file=str, mentions=(2, 3)):
        ProbabilityTable.read(write_text(tmp_path, TEXT), classes=["a", "b", "c"])


def test_published_text_needs_labels(tmp_path):
    with refused(TableError, fix=str):
        ProbabilityTable([[0.5, 0.5]]).write(tmp_path / "t.txt")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (TEXT[:-10], {"mentions": ("row 2", 4, 5)}),
        (TEXT[:-8], {"mentions": ("row 2", 0.5)}),
        (TEXT + "3 1 1 0.2 0.3 0.5\n", {"mentions": ("row 3", 6, 5)}),
        ("0 1 1 1.0\n", {"mentions": ("row 0", 4, 5)}),
        (TEXT.replace("2 1 0", "2 2 0"), {"row": 2, "column": "label"}),
        (TEXT.replace("2 1 0", "2 -1 0"), {"row": 2, "column": "label"}),
        (TEXT.replace("0 1 1", "0 1 0"), {"row": 0, "column": "argmax"}),
        (TEXT.replace("2 1 0", "1 1 0"), {"row": 2, "column": "id", "received": "1"}),
        (TEXT.replace("0.750000", "nan"), {"row": 0, "column": "1"}),
        (TEXT.replace("0.250000", "-0.25000"), {"row": 0, "column": "0"}),
        (TEXT.replace("0.250000", "1/4"), {"row": 0, "column": "0"}),
        ("\n", {}),
    ],
)
def test_damaged_published_text_is_refused_by_row_and_column(tmp_path, content, fields):
    with refused(TableError, file=str, **fields):
        ProbabilityTable.read(write_text(tmp_path, content), format="text")


def test_rows_that_sum_to_something_else_are_kept(tmp_path):
    path = write_text(tmp_path, "0 1 1 0.2 0.3\n1 0 0 0.2 0.1")
    assert ProbabilityTable.read(path).to_numpy().tolist() == [[0.2, 0.3], [0.2, 0.1]]
    divided = ProbabilityTable.read(path, normalise=True)
    np.testing.assert_allclose(divided.to_numpy(), [[0.4, 0.6], [2 / 3, 1 / 3]])
    assert divided.metadata["normalised"] is True


@pytest.mark.parametrize(
    ("task", "n_opt", "accuracy", "gap"),
    [
        ("trec", 5452, 0.026, 0.346),
        ("sst5", 8544, 0.220, 0.426),
        ("agnews", 4600, 0.648, 0.358),
        ("rte", 2490, 0.498, 0.822),
        ("ddi", 3500, 0.830, 0.399),
        ("pubmedqa", 500, 0.356, 0.627),
    ],
)
def test_published_tables_reproduce_their_reference_scores(task, n_opt, accuracy, gap):
    """Accuracy and COBias of the uncorrected model, as measured when the tables were made."""
    folder = PUBLISHED / f"{task}_shot1_seed0"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: the published tables are not on this machine")
    opt, test = (ProbabilityTable.read(folder / f"{name}.txt") for name in ("opt", "test"))
    assert len(opt) == n_opt
    assert np.abs(opt.to_numpy().sum(axis=1) - 1).max() < 1e-5
    with pytest.warns(OverlapWarning, match="9 of the 500") if task == "trec" else nullcontext():
        check_disjoint(opt, test)  # two files that number their rows alike
    predicted = test.to_numpy().argmax(axis=1)
    assert np.mean(predicted == test.label_indices) == pytest.approx(accuracy, abs=6e-4)
    assert cobias(test.label_indices, predicted) == pytest.approx(gap, abs=6e-4)


# lm-evaluation-harness -------------------------------------------------------------------------


def harness_file(name):
    """Return one of the files that the harness wrote."""
    (path,) = HARNESS.glob(f"samples_toy_{name}_*.jsonl")
    return path


def harness_records(name="index"):
    """Return the lines of one of these files."""
    return [json.loads(line) for line in harness_file(name).read_text(encoding="utf-8").splitlines()]


def write_records(tmp_path, records):
    """Write lines of JSON and return the path."""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    return write_text(tmp_path, lines, "samples_toy.jsonl")


@pytest.mark.parametrize("name", ["index", "choice", "mutual"])
def test_harness_samples_of_one_task_stated_three_ways(name):
    """Target as a position, as a choice, and with the extra requests of mutual information."""
    table = ProbabilityTable.read(harness_file(name), text_field="text")
    records = harness_records(name)
    assert table.classes == ("World", "Sports", "Business", "Technology")
    assert table.labels.tolist() == ["World", "Sports", "Business", "Technology", "Sports"]
    assert table.texts.tolist() == [record["doc"]["text"] for record in records]
    assert table.metadata == {
        "format": "lm-eval",
        "normalised": True,
        "filter": "none",
        "task": f"toy_{name}",
    }
    # the accuracy that the harness itself gave each sample
    right = table.to_numpy().argmax(axis=1) == table.label_indices
    assert right.tolist() == [record["acc"] == 1.0 for record in records]


def test_harness_probabilities_are_the_softmax_over_choices():
    """By hand from the first line: exponentials of four log-likelihoods, and their sum."""
    table = ProbabilityTable.read(harness_file("index"))
    exponentials = [np.exp(float(pair[0][0])) for pair in harness_records()[0]["resps"]]
    np.testing.assert_allclose(table.to_numpy()[0], np.array(exponentials) / sum(exponentials), rtol=1e-12)
    assert table.label_mass[0] == pytest.approx(sum(exponentials), rel=1e-12)
    assert 0 < table.label_mass.max() < 1


def test_harness_targets_that_could_be_either_are_refused(tmp_path):
    """Choices "1" to "4": a target of 1 may be the first choice or the second position; a 0 tells."""
    table = ProbabilityTable.read(harness_file("stars"))
    right = table.to_numpy().argmax(axis=1) == table.label_indices
    assert right.tolist() == [record["acc"] == 1.0 for record in harness_records("stars")]
    path = write_records(tmp_path, harness_records("stars")[1:])
    with refused(TableError, file=str(path), row=0, parameter="targets", received="1", fix=str) as caught:
        ProbabilityTable.read(path)
    assert "--targets index" in caught.value.render({"targets": "--targets"})
    assert ProbabilityTable.read(path, targets="index").labels.tolist() == ["2", "3", "4", "2"]
    assert ProbabilityTable.read(path, targets="choice").labels.tolist() == ["1", "2", "3", "1"]
    with refused(TableError, row=0, received="0"):
        ProbabilityTable.read(harness_file("stars"), targets="choice")
    with refused(ParameterError, parameter="targets"):
        ProbabilityTable.read(path, targets="gold")


def test_harness_documents_are_recognised_in_another_file():
    first = ProbabilityTable.read(harness_file("index"))
    second = ProbabilityTable.read(harness_file("stars"))
    with refused(OverlapError, received=list(range(5))):
        check_disjoint(first, second)  # the same sentences, with other choices
    check_disjoint(first.take([0, 1]), second.take([2, 3, 4]))


def test_harness_files_of_earlier_versions(tmp_path):
    """Numbers in place of strings, pairs as one string, arguments as lists; no document."""
    records = harness_records()
    expected = ProbabilityTable.read(harness_file("index"))
    for record in records:
        record["resps"] = [[[float(pair[0][0]), False]] for pair in record["resps"]]
        record["arguments"] = [[a["arg_0"], a["arg_1"]] for a in record["arguments"].values()]
    numbers = ProbabilityTable.read(write_records(tmp_path, records))
    np.testing.assert_array_equal(numbers.to_numpy(), expected.to_numpy())
    assert numbers.classes == expected.classes
    for record in records:
        record["resps"] = [[f"({pair[0][0]!r}, False)"] for pair in record["resps"]]
        del record["arguments"], record["doc"]
    pairs = ProbabilityTable.read(write_records(tmp_path, records))
    np.testing.assert_array_equal(pairs.to_numpy(), expected.to_numpy())
    assert pairs.classes == ("0", "1", "2", "3")
    assert pairs.label_indices.tolist() == expected.label_indices.tolist()


def test_harness_choices_that_change_are_classes_by_position(tmp_path):
    records = harness_records("choice")
    for record in records[1:]:
        for arguments in record["arguments"].values():
            arguments["arg_1"] += "!"
        record["target"] += "!"
    table = ProbabilityTable.read(write_records(tmp_path, records))
    assert table.classes == ("0", "1", "2", "3")
    assert table.label_indices.tolist() == [0, 1, 2, 3, 1]
    named = ProbabilityTable.read(write_records(tmp_path, records), classes=list("ABCD"))
    assert named.labels.tolist() == ["A", "B", "C", "D", "B"]


def test_harness_filters_repeat_the_samples(tmp_path):
    records = harness_records()
    other = [record | {"filter": "other"} for record in records]
    path = write_records(tmp_path, records + other[:2])
    assert len(ProbabilityTable.read(path)) == 5
    assert len(ProbabilityTable.read(path, filter="other")) == 2
    with refused(TableError, file=str(path), parameter="filter", received="third", mentions="'other'"):
        ProbabilityTable.read(path, filter="third")


def test_harness_documents_that_repeat_have_ids_of_their_own(tmp_path):
    records = harness_records()
    ids = ProbabilityTable.read(write_records(tmp_path, [records[0], records[1], records[0]])).ids
    assert ids[2] == f"{ids[0]}#2"


def test_least_likely_choices_keep_their_ratio(tmp_path):
    """Log-likelihoods whose exponentials are all 0 in floating point: ratio e, by hand."""
    record = harness_records()[0] | {"resps": [[["-2000", "False"]], [["-2001", "False"]]], "arguments": None}
    table = ProbabilityTable.read(write_records(tmp_path, [record]))
    np.testing.assert_allclose(table.to_numpy()[0], [np.e / (1 + np.e), 1 / (1 + np.e)])
    assert table.label_mass[0] == 0


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"resps": [[["-1", "False"]]]}, {"received": [[["-1", "False"]]]}),
        ({"resps": [["a generated text"], ["another"]]}, {"mentions": "generates text"}),
        (
            {"resps": [["a generated text"]], "arguments": [["Q:", {"until": []}]]},
            {"mentions": "generates text"},
        ),
        ({"resps": [[["nan", "False"]], [["-1", "False"]]]}, {"mentions": ("choice 0", "nan")}),
        ({"resps": [[["inf", "False"]], [["-1", "False"]]]}, {"mentions": "choice 0"}),
        ({"resps": [[["-inf", "False"]], [["-inf", "False"]]]}, {"mentions": "-inf"}),
        ({"resps": [[["-1", "False"]], [["0.5", "False"]]]}, {"mentions": "choice 1", "received": 0.5}),
        ({"resps": [[[-(10**400), False]], [[-1, False]]]}, {"mentions": "choice 0"}),
        ({"resps": [[[None, False]], [[-1, False]]]}, {"mentions": "choice 0"}),
        ({"resps": [[["-1", "False"]]] * 3}, {"mentions": (3, 4)}),
        ({"target": "4"}, {"received": "4"}),
        ({"target": "9" * 4000}, {"received": str}),
        ({"target": "[0, 2]"}, {"received": "[0, 2]"}),
    ],
)
def test_harness_samples_that_are_no_classification_are_refused(tmp_path, change, fields):
    records = harness_records()
    records[1] |= change
    path = write_records(tmp_path, records)
    with refused(TableError, file=str(path), row=1, **fields) as caught:
        ProbabilityTable.read(path)
    assert len(str(caught.value)) < 600 + len(str(path))


def test_harness_file_cut_in_a_line_is_refused(tmp_path):
    content = harness_file("index").read_bytes()
    for size in (10, len(content) // 2, len(content) - 2):
        with refused(TableError, file=str, row=int):
            ProbabilityTable.read(write_text(tmp_path, content[:size], "samples_cut.jsonl"))


def test_other_json_lines_are_refused(tmp_path):
    with refused(TableError, file=str, row=0, mentions="'resps'"):
        ProbabilityTable.read(write_text(tmp_path, "[1]\n", "data.jsonl"), format="lm-eval")
    with refused(TableError, parameter="text_field", received="question", row=0, mentions="'name'"):
        ProbabilityTable.read(harness_file("index"), text_field="question")
    with refused(TableError, parameter="classes", received=["a", "b"]):
        ProbabilityTable.read(harness_file("index"), classes=["a", "b"])


@pytest.mark.parametrize("contexts", ["", " ", "\n"])
@pytest.mark.parametrize("space", ["", " "])
def test_harness_mutual_information_of_every_release(tmp_path, contexts, space):
    """The requests without a context come second; older releases left out the space before a choice."""
    records = harness_records("mutual")
    for record in records:
        pairs = list(record["arguments"].values())
        for pair in pairs[4:]:
            pair["arg_0"], pair["arg_1"] = contexts, space + pair["arg_1"].strip()
    path = write_records(tmp_path, records)
    table, expected = ProbabilityTable.read(path), ProbabilityTable.read(harness_file("mutual"))
    pd.testing.assert_frame_equal(table.probabilities, expected.probabilities, check_exact=True)
    assert table.labels.tolist() == expected.labels.tolist()
    for record in records:
        del record["arguments"]
    assert len(ProbabilityTable.read(write_records(tmp_path, records)).classes) == 4


@pytest.mark.parametrize("write", [str, lambda value: value])
def test_harness_targets_may_be_truth_values_or_floats(tmp_path, write):
    records = harness_records()
    for record in records:
        record["target"] = write(float(record["target"]))
    assert ProbabilityTable.read(write_records(tmp_path, records)).labels.tolist() == [
        "World", "Sports", "Business", "Technology", "Sports",
    ]  # fmt: skip
    for record in records:
        record["resps"] = record["resps"][:2]
        record["arguments"] = dict(list(record["arguments"].items())[:2])
        record["target"] = write(record["doc"]["name"] == "Sports")
    labels = ProbabilityTable.read(write_records(tmp_path, records)).labels.tolist()
    assert labels == ["Sports" if record["doc"]["name"] == "Sports" else "World" for record in records]


def test_harness_choice_without_any_likelihood_has_the_probability_0(tmp_path):
    records = harness_records()
    records[0]["resps"][2] = [["-inf", "False"]]
    values = ProbabilityTable.read(write_records(tmp_path, records)).to_numpy()
    assert values[0, 2] == 0
    assert values[0].sum() == pytest.approx(1)


def shuffled_records(name):
    """Return records whose choices stand in another order in each document."""
    records = harness_records(name)
    for shift, record in enumerate(records):
        order = np.roll(np.arange(4), shift)
        pairs = list(record["arguments"].values())
        record["arguments"] = {f"gen_args_{n}": pairs[old] for n, old in enumerate(order)}
        record["resps"] = [record["resps"][old] for old in order]
        if name == "index":
            record["target"] = str(order.tolist().index(int(record["target"])))
    return records


@pytest.mark.parametrize("name", ["index", "choice"])
def test_harness_choices_in_changing_order_are_matched_by_name(tmp_path, name):
    expected = ProbabilityTable.read(harness_file(name))
    path = write_records(tmp_path, shuffled_records(name))
    table = ProbabilityTable.read(path)
    pd.testing.assert_frame_equal(table.probabilities, expected.probabilities)
    assert table.labels.tolist() == expected.labels.tolist()
    turned = ProbabilityTable.read(path, classes=table.classes[::-1])
    pd.testing.assert_frame_equal(turned.probabilities[list(table.classes)], expected.probabilities)
    assert turned.labels.tolist() == expected.labels.tolist()
    with refused(TableError, parameter="classes", received=list("ABCD")):
        ProbabilityTable.read(path, classes=list("ABCD"))


def test_harness_choices_in_changing_order_beside_others_are_refused(tmp_path):
    records = shuffled_records("index")
    for arguments in records[4]["arguments"].values():
        arguments["arg_1"] += "!"
    with refused(TableError, file=str, fix=str):
        ProbabilityTable.read(write_records(tmp_path, records))


# Any format ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t.csv", "anything", "csv"),
        ("t.TSV", "anything", "csv"),
        ("t.txt", TEXT, "text"),
        ("t.txt", CSV, "csv"),
        ("t.dat", "\n" + TEXT, "text"),
        ("t", CSV, "csv"),
        ("t", '{"resps": []}', "lm-eval"),
        ("t", "PAR1...", "parquet"),
    ],
)
def test_format_is_told_by_suffix_or_content(tmp_path, name, content, expected):
    assert infer_format(write_text(tmp_path, content, name)) == expected


def test_unknown_formats_and_options_are_refused(tmp_path):
    path = write_text(tmp_path, "hello", "t.doc")
    with refused(TableError, file=str(path), fix=str):
        ProbabilityTable.read(path)
    with refused(ParameterError, parameter="format", received="xlsx", mentions="'lm-eval'"):
        ProbabilityTable.read(path, format="xlsx")
    with refused(ParameterError, parameter="delimiter", mentions=("'text'", "encoding")):
        ProbabilityTable.read(path, format="text", delimiter=";")
    table = ProbabilityTable([[0.5, 0.5]])
    for name in ("t.xlsx", "samples.jsonl"):
        with refused(ParameterError, parameter="format"):
            table.write(tmp_path / name)


@pytest.mark.parametrize("format", sorted(READERS))
def test_missing_and_empty_files_are_refused_in_every_format(tmp_path, format):
    with refused(TableError, file=str):
        ProbabilityTable.read(tmp_path / "nothing", format=format)
    with refused(TableError, file=str):
        ProbabilityTable.read(tmp_path, format=format)
    with refused(TableError, file=str):
        ProbabilityTable.read(write_text(tmp_path, ""), format=format)


@pytest.mark.filterwarnings("ignore::debias.errors.ExcludedRowsWarning")  # a column that contains row numbers
@pytest.mark.parametrize("format", sorted(READERS))
@given(content=st.binary(min_size=1, max_size=200))
@settings(max_examples=40, deadline=None)
def test_any_bytes_are_a_table_or_a_clear_error(tmp_path_factory, format, content):
    path = write_text(tmp_path_factory.mktemp("files"), content, "any")
    try:
        table = ProbabilityTable.read(path, format=format)
    except DebiasError as error:
        assert str(path) in str(error)
    else:
        assert len(table) >= 1


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.txt"
    ProbabilityTable([[0.5, 0.5]], [0]).write(path)
    before = path.read_bytes()
    with refused(TableError, fix=str):
        ProbabilityTable([[0.5, 0.5]]).write(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["table.txt"]


def test_places_that_cannot_be_written_are_refused(tmp_path):
    table = ProbabilityTable([[0.5, 0.5]])
    with refused(TableError, file=str, fix=str):
        table.write(tmp_path / "nowhere" / "t.parquet")
    (tmp_path / "folder.parquet").mkdir()
    with refused(TableError, file=str):
        table.write(tmp_path / "folder.parquet")
    assert os.listdir(tmp_path) == ["folder.parquet"]


@pytest.mark.parametrize("rows", [range(4), range(1, 5), [7, 3, 12, 0]])
def test_row_numbers_without_a_name_are_left_out_and_said(tmp_path, rows):
    path = tmp_path / "table.csv"
    frame = pd.DataFrame({"no": [0.2, 0.9, 0.4, 0.5], "yes": [0.8, 0.1, 0.6, 0.5]})
    for again in (
        frame.set_axis(list(rows)),
        frame.reset_index(names="Unnamed: 0"),
        frame.rename_axis("index"),
    ):
        again.to_csv(path)
        with pytest.warns(ExcludedRowsWarning, match="contains row numbers"):
            table = ProbabilityTable.read(path)
        assert table.probabilities.equals(frame)
    for others in (["a", "b", "c", "d"], [0.1, 0.2, 0.3, 0.4], [1, 1, 2, 3]):
        frame.set_axis(others).to_csv(path)
        with refused(TableError, file=str(path), mentions="has no name"):
            ProbabilityTable.read(path)
