"""Errors on rows of a file name the line of the file, as an editor counts it."""

import json

import pytest

from debias.errors import TableError, TaskError
from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import Task
from debias.tables.formats.cells.plain_text import line_of_row
from debias.tables.table import ProbabilityTable
from tests.support.refusals import refused

TASK = Task("moods", labels=["good", "bad"])


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.csv", "t,l\nx,good\ny,bad\n", [2, 3, None]),
        ("a.csv", "t,l\r\nx,good\r\n\r\ny,bad\r\n", [2, 4]),
        ("a.csv", 't;l\n"a,b\nc,d\ne";good\ny;bad\n', [2, 5]),
        ("a.csv", "\ufeffsep=;\nt;l\nx;good\ny;bad\n", [3, 4]),
        ("a.tsv", "t\tl\nx\tgood\n\ny\tbad", [2, 4]),
        ("a.jsonl", '{"t": 1}\n\n{"t": 2}\n', [1, 3, None]),
        ("a.jsonl", '[{"t": 1},\n{"t": 2}]\n', [None, None]),
        ("a.jsonl", '{"a":\n {"t": 1}}', [None]),
        ("a.json", '[{"t": 1}]', [None]),
    ],
)
def test_lines_are_those_of_an_editor(tmp_path, name, text, lines):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert [line_of_row(tmp_path / name, row) for row in range(len(lines))] == lines


def test_a_label_of_a_text_that_is_no_class_names_its_line(tmp_path):
    path = tmp_path / "moods.csv"
    path.write_text('text,label\n"two\nlines",good\nlast,fine\n')
    with refused(TaskError, row=1, line=4, received="fine", mentions="line 4"):
        load_split(TASK, "opt", data=path)
    path = tmp_path / "moods.jsonl"
    path.write_text("\n".join(json.dumps({"text": text, "label": "bad"}) for text in ("a", "b", "")))
    with refused(TaskError, row=2, line=3, mentions="line 3"):
        load_split(TASK, "opt", data=path)


def test_a_bad_row_of_a_table_names_its_line(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('text,label,good,bad\n"two\nlines",good,0.5,0.5\nb,bad,1.9,0.9\n')
    with refused(TableError, row=1, line=4, mentions="line 4"):
        ProbabilityTable.read(path)
    path.write_text("label,good,bad\ngood,0.5,0.5\nbad,x,0.9\n")
    with refused(TableError, line=3, mentions="line 3"):
        ProbabilityTable.read(path)
