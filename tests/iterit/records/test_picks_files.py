"""Files of picks of any tool: one reading for the whole file, or a refusal that names two."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from debias.errors import ParameterError, RecordsError
from iterit.records.instruction_records import Records
from iterit.records.picks.picks_files import read_picks
from tests.support.refusals import refused

ROWS = [{"id": 100 + n, "instruction": f"Say {n}.", "input": "", "output": f"It is {n}."} for n in range(12)]
POOL = Records.from_rows(ROWS)
CHOSEN = [7, 2, 11]


def written(folder, name, content):
    path = folder / name
    if name.endswith(".npy"):
        np.save(path, np.array(content))
    elif name.endswith(".parquet"):
        pd.DataFrame(content).to_parquet(path)
    elif name.endswith(".csv"):
        pd.DataFrame(content).to_csv(path, index=False)
    elif name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    elif name.endswith(".txt"):
        path.write_text("\n".join(map(str, content)))
    else:
        path.write_text(json.dumps(content))
    return path


RECORDS = [{key: ROWS[row][key] for key in ("instruction", "input", "output")} for row in CHOSEN]
CONVERSATIONS = [
    {
        "conversations": [
            {"from": "human", "value": f"Say  {row}.\n"},
            {"from": "gpt", "value": f"It is {row}."},
        ]
    }
    for row in CHOSEN
]


@pytest.mark.parametrize(
    ("name", "content", "reading"),
    [
        ("a.txt", CHOSEN, "rows"),
        ("a.json", CHOSEN, "rows"),
        ("a.npy", CHOSEN, "rows"),
        ("a.jsonl", CHOSEN, "rows"),
        ("a.json", [float(row) for row in CHOSEN], "rows"),
        ("a.txt", [", ".join(map(str, CHOSEN))], "rows"),
        ("a.txt", [CHOSEN], "rows"),
        ("a.csv", {"row": CHOSEN, "score": [0.9, 0.8, 0.7]}, "rows"),
        ("a.parquet", {"index": CHOSEN}, "rows"),
        ("a.parquet", {"row": [7.0, 2.0, 11.0]}, "rows"),
        ("a.jsonl", [{"id": 100 + row} for row in CHOSEN], "ids"),
        ("a.json", [107, 102, 111], "ids"),
        ("a.txt", ["107", "102", "111"], "ids"),
        ("a.jsonl", ["107", "102", "111"], "ids"),
        ("a.csv", {"digest": [POOL.digests[row] for row in CHOSEN], "row": [0, 1, 2]}, "digests"),
        ("a.json", RECORDS, "records"),
        ("a.jsonl", [{**row, "id": 5, "score": 1} for row in RECORDS], "records"),
        ("a.jsonl", CONVERSATIONS, "records"),
        ("a.csv", {"row": [3, *CHOSEN, 5], "selected": [0, 1, 1, 1, 0]}, "rows"),
        ("a.parquet", {"row": [3, *CHOSEN], "is_picked": [False, True, True, True]}, "rows"),
        ("a.jsonl", [{**row, "picked": 1} for row in RECORDS] + [{**ROWS[4], "picked": 0}], "records"),
    ],
)
def test_each_kind_of_file_names_the_same_rows(tmp_path, name, content, reading):
    found = read_picks(written(tmp_path, name, content), POOL)
    assert found.rows.tolist() == CHOSEN
    assert (found.reading, found.n_repeated, found.n_unknown) == (reading, 0, 0)


@pytest.mark.parametrize(
    ("name", "content", "reading"),
    [
        ("a.json", {"indices": CHOSEN}, "rows"),
        ("a.json", {"tool": "other", "seed": 3, "picked_ids": [100 + row for row in CHOSEN]}, "ids"),
        ("a.jsonl", [{"selected_index": row} for row in CHOSEN], "rows"),
        ("a.csv", {"which": [f"{100 + row}" for row in CHOSEN]}, "ids"),
    ],
)
def test_the_only_column_or_list_may_have_any_name(tmp_path, name, content, reading):
    picks = read_picks(written(tmp_path, name, content), POOL)
    assert (picks.rows.tolist(), picks.reading) == (CHOSEN, reading)


@pytest.mark.parametrize("content", [{"score": [3, 5, 3]}, {"a": [1, 2], "b": [2, 3, 4]}, {"stars": [4, 4]}])
def test_an_only_column_that_repeats_or_two_lists_name_no_rows(tmp_path, content):
    with refused(RecordsError):
        read_picks(written(tmp_path, "a.json", content), POOL)


@pytest.mark.parametrize("name", ["a.txt", "a.npy", "a.csv", "a.json"])
def test_a_packed_file_names_the_same_rows(tmp_path, name):
    content = {"row": CHOSEN} if name == "a.csv" else CHOSEN
    plain = written(tmp_path, name, content)
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_picks(packed, POOL).rows.tolist() == CHOSEN
    packed.write_bytes(packed.read_bytes()[:-9])
    with refused(RecordsError, file=str(packed)):
        read_picks(packed, POOL)


def test_a_list_in_utf_16_is_read(tmp_path):
    file = tmp_path / "picks.txt"
    file.write_text("7\n2\n11\n", encoding="utf-16")
    assert read_picks(file, POOL).rows.tolist() == CHOSEN


def test_the_picked_records_that_the_project_writes_are_found(tmp_path):
    for ending in (".jsonl", ".json", ".parquet", ".jsonl.gz"):
        POOL.write(tmp_path / f"a{ending}", CHOSEN)
        assert read_picks(tmp_path / f"a{ending}", POOL).rows.tolist() == CHOSEN


def test_repeated_and_unknown_picks_are_counted(tmp_path):
    found = read_picks(written(tmp_path, "a.json", [3, 3, 1, 3]), POOL)
    assert (found.rows.tolist(), found.n_repeated) == ([3, 1], 2)
    foreign = {"instruction": "Sing.", "input": "", "output": "La."}
    found = read_picks(written(tmp_path, "b.json", [RECORDS[0], foreign]), POOL)
    assert (found.rows.tolist(), found.n_unknown) == ([7], 1)


def test_equal_records_of_the_pool_are_named_one_after_the_other(tmp_path):
    twice = Records.from_rows([*ROWS[:3], ROWS[1]])
    path = written(tmp_path, "a.json", [RECORDS[1], ROWS[1], ROWS[1], ROWS[1]])
    assert read_picks(path, twice).rows.tolist() == [2, 1, 3]


def test_an_id_of_several_records_is_refused_unless_all_of_them_are_named(tmp_path):
    pool = Records.from_rows([{**row, "id": f"q{n // 2}"} for n, row in enumerate(ROWS)])
    path = written(tmp_path, "a.csv", {"id": ["q3", "q1", "q3"]})
    with refused(RecordsError, received="q1", file=str(path), fix=str):
        read_picks(path, pool)
    assert read_picks(written(tmp_path, "b.txt", ["q3", "q1", "q1", "q3"]), pool).rows.tolist() == [
        6,
        2,
        3,
        7,
    ]
    same = Records.from_rows([*ROWS, ROWS[4]])
    assert read_picks(written(tmp_path, "c.txt", ["104", "102"]), same).rows.tolist() == [4, 2]
    numbers = Records.from_rows([{**row, "id": n // 2} for n, row in enumerate(ROWS)])
    path = written(tmp_path, "d.txt", [3, 1])
    with refused(RecordsError, received=["rows", "ids"]):
        read_picks(path, numbers)
    assert read_picks(path, numbers, "rows").rows.tolist() == [3, 1]


def test_an_id_in_a_list_may_have_spaces(tmp_path):
    pool = Records.from_rows([{**row, "id": f"task {n}, part 1"} for n, row in enumerate(ROWS)])
    path = written(tmp_path, "a.txt", [f"task {row}, part 1" for row in CHOSEN])
    assert read_picks(path, pool).rows.tolist() == CHOSEN


def test_a_file_with_two_readings_is_refused_until_one_is_named(tmp_path):
    pool = Records.from_rows([{**row, "id": 11 - n} for n, row in enumerate(ROWS)])
    path = written(tmp_path, "a.json", [1, 2])
    with refused(RecordsError, received=["rows", "ids"], file=str(path)):
        read_picks(path, pool)
    assert read_picks(path, pool, "rows").rows.tolist() == [1, 2]
    assert read_picks(path, pool, "ids").rows.tolist() == [10, 9]
    same = Records.from_rows([{**row, "id": n} for n, row in enumerate(ROWS)])
    assert read_picks(path, same).rows.tolist() == [1, 2]  # both readings agree


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", [1, 12]),
        ("a.json", [-1]),
        ("a.json", []),
        ("a.json", [True, False]),
        ("a.json", [1.5]),
        ("a.json", ["x"]),
        ("a.jsonl", [{"text": "x"}]),
        ("a.json", [{"instruction": "Sing.", "input": "", "output": "La."}]),
        ("a.txt", []),
        ("a.jsonl", [{"row": 3}, {"row": "b"}]),
    ],
)
def test_what_names_no_records_of_the_pool_is_refused(tmp_path, name, content):
    path = written(tmp_path, name, content)
    with refused(RecordsError, file=str(path)):
        read_picks(path, POOL)


def test_what_cannot_be_read_is_refused(tmp_path):
    for name, content in (
        ("a.pkl", b"x"),
        ("a.npy", b"no array"),
        ("a.jsonl", b"{\n"),
        ("a.txt", b"\xff\xfe\xff"),
    ):
        (tmp_path / name).write_bytes(content)
        with refused(RecordsError, file=str(tmp_path / name)):
            read_picks(tmp_path / name, POOL)
    with refused(RecordsError, file=str(tmp_path / "none.txt")):
        read_picks(tmp_path / "none.txt", POOL)
    with refused(ParameterError, parameter="picks_as"):
        read_picks(tmp_path / "a.txt", POOL, "names")
    with refused(RecordsError, received="digests"):
        read_picks(written(tmp_path, "b.json", CHOSEN), POOL, "digests")
    objects = tmp_path / "c.npy"
    np.save(objects, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with refused(RecordsError, file=str(objects)):
        read_picks(objects, POOL)


def test_an_array_of_picks_has_one_column(tmp_path):
    for name, array in (("a", [[3], [5]]), ("b", [[3, 5]]), ("c", [3.0, 5.0])):
        np.save(tmp_path / f"{name}.npy", np.array(array))
        assert read_picks(tmp_path / f"{name}.npy", POOL).rows.tolist() == [3, 5]
    for name, array in (("d", [[3, 1], [5, 2]]), ("e", [[[3, 1]], [[5, 2]]])):
        np.save(tmp_path / f"{name}.npy", np.array(array))
        with refused(RecordsError, file=str(tmp_path / f"{name}.npy"), received=np.shape(array), fix=str):
            read_picks(tmp_path / f"{name}.npy", POOL)


@pytest.mark.parametrize("ending", [".npy", ".txt", ".json"])
def test_a_mask_is_no_list_of_rows(tmp_path, ending):
    mask = [int(n in (2, 5)) for n in range(len(POOL))]
    path = tmp_path / f"mask{ending}"
    if ending == ".npy":
        np.save(path, mask)
    else:
        path.write_text(str(mask) if ending == ".json" else " ".join(map(str, mask)))
    for picks_as in ("auto", "rows"):
        with refused(RecordsError, file=str(path), received="a mask", fix=str):
            read_picks(path, POOL, picks_as)
    np.save(tmp_path / "flags.npy", np.array(mask, dtype=bool))
    with refused(RecordsError, file=str(tmp_path / "flags.npy"), received="a mask", fix=str):
        read_picks(tmp_path / "flags.npy", POOL)
    np.save(tmp_path / "two.npy", [1, 0])
    assert read_picks(tmp_path / "two.npy", POOL, "rows").rows.tolist() == [1, 0]


def test_a_table_that_marks_no_row_as_picked_has_no_picks(tmp_path):
    with refused(RecordsError):
        read_picks(written(tmp_path, "a.csv", {"row": CHOSEN, "selected": [0, 0, 0]}), POOL)


def test_a_missing_id_names_no_record(tmp_path):
    pool = Records.from_rows([{**row, "id": None if n == 3 else row["id"]} for n, row in enumerate(ROWS)])
    found = read_picks(written(tmp_path, "a.jsonl", [{"id": None}, {"id": 102}]), pool)
    assert found.rows.tolist() == [2] and found.n_unknown == 1
    found = read_picks(written(tmp_path, "a.parquet", {"id": [107.0, None, 102.0]}), pool)
    assert found.rows.tolist() == [7, 2] and found.n_unknown == 1


def test_a_negative_row_number_is_refused_in_a_column_of_fractions_too(tmp_path):
    for numbers in ([-1, 2], [-1.0, 2.0]):
        with refused(RecordsError, file=str(tmp_path / "a.npy")):
            read_picks(written(tmp_path, "a.npy", numbers), POOL)


@pytest.mark.parametrize("name", ["a.txt", "a.npy", "a.json", "a.jsonl"])
def test_a_file_without_picks_says_so(tmp_path, name):
    with refused(RecordsError, file=str(tmp_path / name), mentions="it has no picks"):
        read_picks(written(tmp_path, name, []), POOL)


def test_row_numbers_of_a_pool_with_excluded_rows_are_read_only_if_that_is_said(tmp_path):
    pool = Records.from_rows([{**ROWS[0], "output": ""}, *ROWS])
    path = written(tmp_path, "a.json", CHOSEN)
    with refused(RecordsError, received="rows", mentions="picks_as"):
        read_picks(path, pool)
    assert read_picks(path, pool, "rows").rows.tolist() == CHOSEN
    ids = written(tmp_path, "b.jsonl", [{"id": 100 + row} for row in CHOSEN])
    assert read_picks(ids, pool).rows.tolist() == CHOSEN
