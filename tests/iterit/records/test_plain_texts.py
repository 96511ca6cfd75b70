"""General text: paragraphs, rows with a text, and what is neither."""

import json

import pytest

from debias.errors import RecordsError
from iterit.records.plain_texts import read_texts
from tests.support.refusals import refused


@pytest.mark.parametrize("name", ["some.txt", "some.jsonl", "some.csv"])
def test_the_same_texts_come_out_of_every_kind_of_file(name, tmp_path):
    written = {
        "some.txt": "Ice floats.\n  \n\nIron sinks.\n",
        "some.jsonl": "\n".join(json.dumps({"text": text}) for text in ("Ice floats.", " ", "Iron sinks.")),
        "some.csv": "text,n\nIce floats.,1\nIron sinks.,2\n",
    }[name]
    (tmp_path / name).write_text(written)
    assert read_texts(tmp_path / name) == ["Ice floats.", "Iron sinks."]


def test_files_without_text_are_refused(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n{"words": "b"}\n')
    with refused(RecordsError, column="text", line=2, file=str(tmp_path / "rows.jsonl")):
        read_texts(tmp_path / "rows.jsonl")
    (tmp_path / "empty.txt").write_text(" \n\n ")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xff")
    for name in ("empty.txt", "bytes.txt", "none.txt", "none.csv"):
        with refused(RecordsError, file=str(tmp_path / name)):
            read_texts(tmp_path / name)
