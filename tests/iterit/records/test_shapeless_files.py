"""A file that is something else costs little: it is refused by its first rows, not read to its end."""

import json
import tracemalloc

import pytest

from debias.errors import RecordsError
from iterit.records.instruction_records import Records, read_records
from tests.support.refusals import refused

GOOD = {"question": "a", "answer": "b"}
MOST = 500


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr("iterit.records.record_columns._MOST_SHAPELESS", MOST)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("columns.json", json.dumps({"a": [1] * 10**6}), "unknown fields"),
        ("list.json", json.dumps([1] * 10**5), "not an object"),
        ("data.json", json.dumps({"data": [{}] * 10**5}), "unknown fields"),
        ("lines.jsonl", "[" * 10**5, None),
        ("lines.jsonl", "nonsense\n" * 10**5, "not JSON"),
        ("a.csv", "a\n" + "1\n" * 10**5, "unknown fields"),
        ("columns.jsonl", json.dumps({"a": [1] * 10**6}), None),
    ],
)
def test_what_is_no_file_of_records_is_refused_by_its_first_rows(tmp_path, name, text, reason):
    (tmp_path / name).write_text(text)
    counts = {reason: MOST} if reason else dict
    tracemalloc.start()
    with refused(RecordsError, file=str(tmp_path / name), received=counts, fix=str):
        read_records(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 16 * len(text) + 2**24
    tracemalloc.stop()


def test_rows_that_are_like_records_never_end_a_file(tmp_path):
    shapeless = [{"a": n} for n in range(2 * MOST)]
    assert len(Records.from_rows([GOOD, *shapeless])) == 1
    assert len(Records.from_rows([{"question": "a", "answer": ""}, *shapeless, GOOD])) == 1
    assert len(Records.from_rows([*shapeless[: MOST - 1], GOOD, *shapeless])) == 1
    with refused(RecordsError, received={"unknown fields": MOST}):
        Records.from_rows([*shapeless, GOOD])
