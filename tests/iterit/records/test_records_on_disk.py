"""Records held in a file: those in memory are the referee, whatever is asked of them."""

import json
import os
import resource

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import iterit.records.record_columns
from debias.errors import StorageError
from iterit.records.instruction_records import read_records
from tests.support.refusals import refused


def written(folder):
    """Write 20 rows to two files, some of them unusable, and return the files."""
    paths = [folder / "a.jsonl", folder / "b.jsonl"]
    for path in paths:
        with path.open("w") as file:
            for n in range(10):
                answer = " " if n == 4 else f"Antwort {n}, größer 水"
                row = {"question": f"{path.stem}{n}?", "answer": answer, "origin": "xyz"[n % 3], "id": n}
                file.write("nonsense\n" if n == 7 else json.dumps(row) + "\n")
    return paths


@pytest.fixture
def both(tmp_path, monkeypatch):
    """The same records in memory and in a folder, there in batches of three rows."""
    paths, folder = written(tmp_path), tmp_path / "work"
    folder.mkdir()
    monkeypatch.setattr(iterit.records.record_columns, "_BATCH_ROWS", 3)
    options = {"source_field": "origin"}
    in_file = read_records(paths, folder=folder, **options)
    assert os.listdir(folder) == []
    assert in_file._rows["text"].num_chunks > 1
    return in_file, read_records(paths, **options)


def test_everything_that_is_asked_is_answered_as_from_memory(both):
    found, expected = both
    assert len(found) == len(expected) == 16
    assert list(found) == list(expected)
    for name in ("responses", "sources", "digests", "refused_counts", "unread_counts", "format"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.refused.equals(expected.refused)
    assert list(found.each_response()) == expected.responses
    assert [found.original(row) for row in range(16)] == [expected.original(row) for row in range(16)]
    assert found[5] == expected[5]
    assert list(found[3:9:2]) == list(expected[3:9:2])


def test_what_is_written_is_written_as_from_memory(both, tmp_path):
    for ending in (".jsonl", ".json.gz", ".parquet"):
        for rows in (None, [15, 0, 7, 7, 3], []):
            for records, name in zip(both, ("found", "expected"), strict=True):
                records.write(tmp_path / f"{name}{ending}", rows)
            assert (tmp_path / f"found{ending}").read_bytes() == (tmp_path / f"expected{ending}").read_bytes()


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.integers(0, 15), max_size=30))
def test_any_rows_are_taken_in_their_order(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("taken")
    paths = written(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(iterit.records.record_columns, "_BATCH_ROWS", 3)
        found = read_records(paths, folder=folder).take(rows)
    expected = read_records(paths)
    assert list(found) == list(expected.take(rows))
    assert found.responses == [expected.responses[row] for row in rows]


def test_an_unknown_folder_is_refused(tmp_path):
    with refused(StorageError, parameter="folder", file=str(tmp_path / "none")):
        read_records(written(tmp_path), folder=tmp_path / "none")


def test_a_disk_without_room_is_an_error_and_nothing_is_left(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    paths = written(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with refused(StorageError, parameter="folder", file=str(folder)):
            read_records(paths, folder=folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(folder) == []
