"""Streams of texts: the same file as from lists, checked row by row, in bounded memory."""

import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from debias.errors import OverlapError, ParameterError, ResumeError, TaskError
from debias.inference.collection.collection import collect, collect_stream
from debias.tables.table import ProbabilityTable
from tests.support.paths import ROOT
from tests.support.plain_engine import LABELS, TASK, TEXTS, PlainEngine
from tests.support.refusals import refused

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def run(engine, **options):
    return collect(engine, TASK, TEXTS, LABELS, **{"progress": False, "chunk_size": 6, **options})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Bytes of the table that the lists make."""
    out = tmp_path_factory.mktemp("whole") / "mood.parquet"
    run(PlainEngine(), out=out)
    return out.read_bytes()


def test_a_stream_makes_the_same_file(tmp_path, whole):
    for number, rows in enumerate(
        [
            zip(TEXTS, LABELS, strict=True),
            ((str(n), text, label) for n, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))),
            ({"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)),
            [[text, TASK.class_names.index(label)] for text, label in zip(TEXTS, LABELS, strict=True)],
        ]
    ):
        (tmp_path / str(number)).mkdir()
        out = tmp_path / str(number) / "mood.parquet"
        done = collect_stream(PlainEngine(), TASK, rows, out=out, chunk_size=6, progress=False)
        assert out.read_bytes() == whole
        assert done.n_rows == 60 and done.path == out
        assert done.metadata == done.read().metadata


def test_a_stream_goes_on_and_reads_back(tmp_path, whole):
    out = tmp_path / "mood.parquet"
    rows = list(zip(TEXTS, LABELS, strict=True))

    def stream(engine, rows=rows):
        return collect_stream(engine, TASK, iter(rows), out=out, chunk_size=6, progress=False)

    first, second = PlainEngine(fail_after=20, error=KeyboardInterrupt()), PlainEngine()
    with pytest.raises(KeyboardInterrupt):
        stream(first)
    stream(second)
    assert out.read_bytes() == whole and len(first.asked + second.asked) == 60
    third = PlainEngine()
    assert stream(third).n_rows == 60 and third.asked == []
    with refused(ResumeError, file=str(out), mentions=("data.rows", 60, 59)):
        stream(third, rows[1:])
    assert run(third, out=out).equals(ProbabilityTable.read(out)) and third.asked == []


def test_blocks_of_a_large_table_are_those_of_one_in_memory(tmp_path):
    texts = [f"text {number}" for number in range(20_000)]
    done = collect_stream(PlainEngine(), TASK, texts, out=tmp_path / "a.parquet", progress=False)
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 3
    listed = collect(
        PlainEngine(), TASK, texts, out=tmp_path / "b.parquet", chunk_size=1024, reuse=(), progress=False
    )
    assert (tmp_path / "a.parquet").read_bytes() != b"" and listed.metadata["reused_rows"] == 20_000
    np.testing.assert_array_equal(listed.to_numpy(), done.read().to_numpy())


@pytest.mark.parametrize(
    ("rows", "error", "fields"),
    [
        ([], ParameterError, {"parameter": "rows"}),
        ("abc", ParameterError, {"parameter": "rows", "received": "abc"}),
        ([("a", "bad"), ("b", "awful")], TaskError, {"row": 1, "column": "label", "received": "awful"}),
        ([("a", "bad"), "b"], ParameterError, {"parameter": "rows", "row": 1, "column": "label"}),
        ([("1", "a", "bad"), ("b", "bad")], ParameterError, {"row": 1, "column": "id"}),
        ([("1", "a", 0), ("2", "b", 1), ("1", "c", 2)], ParameterError, {"row": 2, "received": "1"}),
        (["a", " "], TaskError, {"row": 1, "column": "text", "received": " "}),
        (["a", 3], ParameterError, {"parameter": "rows", "row": 1, "received": 3}),
        ([{"text": "a"}, {"words": "b"}], TaskError, {"row": 1, "column": "text", "mentions": "words"}),
        (["a", "A  Demonstration"], OverlapError, {"row": 1, "column": "text"}),
    ],
)
def test_rows_of_a_stream_are_checked_as_they_come(tmp_path, rows, error, fields):
    shown = [("a demonstration", "bad")]
    with refused(error, **fields):
        collect_stream(
            PlainEngine(), TASK, rows, out=tmp_path / "m.parquet", demonstrations=shown, progress=False
        )
    assert list(tmp_path.iterdir()) == []


MEMORY = """
import resource, sys
from tests.support.plain_engine import *
from debias.inference.collection.collection import collect_stream

class Quick(PlainEngine):
    def label_scores(self, prompts, labels, on_answer=None):
        return LabelScores(np.log(np.full((len(prompts), len(labels)), 0.2)))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

def stream(n_rows, name):
    texts = (f"text number {n} with some words of its own " * 5 for n in range(n_rows))
    out = f"{sys.argv[1]}/{name}.parquet"
    return collect_stream(Quick(name=name), TASK, texts, out=out, chunk_size=4096, progress=False)

stream(20_000, "small")
before = peak()
assert stream(120_000, "large").n_rows == 120_000
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_stream(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)],
        env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    grown = int(done.stdout)
    texts = 100_000 * len("text number 50000 with some words of its own " * 5) / 2**20
    assert texts > 20
    assert grown < 16, f"{grown} MiB more for 100,000 rows more, whose texts alone are {texts:.0f} MiB"
