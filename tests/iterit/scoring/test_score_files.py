"""Scores in a file belong to their records, in whatever order either is, and to no others."""

import json

import numpy as np
import pandas as pd
import pytest

from debias.errors import ParameterError, TableError
from iterit.records.instruction_records import Records
from iterit.scoring.score_files import read_scores, read_values, write_scores
from tests.support.refusals import refused

ROWS = [{"question": f"Question {n}?", "answer": f"Answer {n} has word{n} in it"} for n in range(10)]
IFD = [n / 10 for n in range(10)]


def scores_of(ifd):
    """Return scores as a scorer gives them."""
    frame = pd.DataFrame({"ifd": np.float32(ifd), "n_tokens": 3, "status": "ok"})
    return frame.rename_axis("row")


@pytest.fixture(params=[".parquet", ".csv", ".jsonl"])
def path(request, tmp_path):
    """Scores of all records but the last, which has none, in each format."""
    file = tmp_path / f"scores{request.param}"
    scores = scores_of(IFD)
    scores.loc[9, ["ifd", "status"]] = [np.nan, "empty"]
    write_scores(file, scores, Records.from_rows(ROWS))
    return file


@pytest.mark.parametrize("order", [range(10), range(9, -1, -1), [3, 1, 4], [2, 2, 9]])
def test_a_record_has_its_own_score_in_any_order(path, order):
    found = read_scores(path, Records.from_rows([ROWS[row] for row in order]))
    assert found.index.tolist() == list(range(len(order)))
    expected = [np.nan if row == 9 else np.float32(IFD[row]) for row in order]
    np.testing.assert_allclose(found["ifd"], expected, rtol=1e-6)
    assert found["status"].tolist() == ["empty" if row == 9 else "ok" for row in order]


def test_scores_of_other_records_are_refused(path):
    other = [*ROWS[:7], {"question": "Question 7?", "answer": "Another"}, *ROWS[8:]]
    with refused(TableError, file=str(path), received=1, fix=str, mentions=("1 of 10", "row 7")):
        read_scores(path, Records.from_rows(other))


def test_a_digest_that_looks_like_a_number_is_a_text(tmp_path):
    digests = ["00123", "12e45", "7"]
    records = type("Three", (), {"digests": digests, "sources": ["x"] * 3, "__len__": lambda self: 3})()
    for ending in (".parquet", ".csv", ".jsonl"):
        write_scores(tmp_path / f"s{ending}", scores_of(IFD[:3]), records)
        assert len(read_scores(tmp_path / f"s{ending}", records)) == 3


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("ifd", -0.5),
        ("ifd", np.inf),
        ("status", "good"),
        ("status", None),
        ("digest", None),
        ("ifd", "high"),
        ("n_tokens", -5),
        ("n_tokens", "x"),
        ("n_tokens", 2.5),
        ("n_tokens", np.inf),
    ],
)
def test_values_that_are_no_scores_are_refused(tmp_path, column, value):
    frame = scores_of(IFD).reset_index().assign(digest=Records.from_rows(ROWS).digests)
    frame[column] = frame[column].astype(object)
    frame.loc[4, column] = value
    for ending in (".csv", ".jsonl"):
        path = tmp_path / f"scores{ending}"
        if ending == ".csv":
            frame.to_csv(path, index=False)
        else:
            path.write_text("\n".join(json.dumps(row) for row in frame.to_dict("records")))
        with refused(TableError, file=str(path), row=4, column=column, allowed=str):
            read_scores(path, Records.from_rows(ROWS))


def test_an_empty_number_of_tokens_is_none(tmp_path):
    frame = scores_of(IFD).reset_index().assign(digest=Records.from_rows(ROWS).digests)
    for gap in (None, "", np.nan):
        frame["n_tokens"] = [gap, *[3] * 9]
        frame.to_csv(tmp_path / "scores.csv", index=False)
        found = read_scores(tmp_path / "scores.csv", Records.from_rows(ROWS))
        assert found["n_tokens"].tolist() == [0, *[3] * 9]


def test_two_scores_of_one_record_are_refused(tmp_path):
    frame = scores_of(IFD).reset_index().assign(digest=Records.from_rows(ROWS).digests)
    pd.concat([frame, frame.assign(ifd=0.5)]).to_parquet(tmp_path / "two.parquet")
    with refused(TableError, row=10, fix=str):
        read_scores(tmp_path / "two.parquet", Records.from_rows(ROWS))
    pd.concat([frame, frame]).to_parquet(tmp_path / "same.parquet")
    assert len(read_scores(tmp_path / "same.parquet", Records.from_rows(ROWS))) == 10


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01", b"\xff\xfe{", b"a,b\n1,2,3\n", b"[" * 100_000, b"[1, 2]", b'{"a"']
)
def test_files_that_are_no_scores_are_refused(tmp_path, content):
    for ending in (".parquet", ".csv", ".jsonl"):
        path = tmp_path / f"scores{ending}"
        path.write_bytes(content)
        with refused(TableError, file=str(path)):
            read_scores(path, Records.from_rows(ROWS))
    with refused(ParameterError, parameter="scores", allowed=str):
        read_scores(tmp_path / "scores.txt", Records.from_rows(ROWS))
    with pytest.raises(FileNotFoundError):
        read_scores(tmp_path / "none.csv", Records.from_rows(ROWS))


def test_values_by_row_are_refused_where_rows_of_the_files_are_no_records(tmp_path):
    records = Records.from_rows([{"question": "?", "answer": ""}, *ROWS])
    pd.DataFrame({"row": range(11), "value": 0.5}).to_csv(tmp_path / "v.csv", index=False)
    with refused(TableError, column="row", mentions=("10 usable", "11 rows")):
        read_values(tmp_path / "v.csv", records)
    pd.DataFrame({"digest": records.digests, "value": IFD}).to_csv(tmp_path / "v.csv", index=False)
    assert read_values(tmp_path / "v.csv", records).tolist() == IFD


@pytest.mark.parametrize("wrong", [-1, 1.5, "q3", len(ROWS)])
def test_a_value_of_no_row_is_refused(tmp_path, wrong):
    pd.DataFrame({"row": [0, wrong], "value": [0.5, 0.6]}).to_csv(tmp_path / "v.csv", index=False)
    with refused(TableError, row=1, column="row"):
        read_values(tmp_path / "v.csv", Records.from_rows(ROWS))
