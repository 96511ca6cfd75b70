"""Labels of a task's data: one reading for a file, and texts that have two labels are said."""

import json

import pytest

from debias.errors import SecondLabelWarning, TaskError
from debias.inference.collection.collected_rows import listed_rows, streamed_rows
from debias.inference.texts.sources import load_split
from debias.inference.texts.task_labels import read_task_labels
from debias.inference.texts.tasks import Task
from tests.support.refusals import refused

STARS = Task("stars", labels=["1", "2", "3", "4", "5"])
MOOD = Task("mood", labels=["bad", "good"])


def written(tmp_path, labels, name="rows.csv"):
    """Write a file of texts with these labels."""
    rows = [{"text": f"text {row}", "label": label} for row, label in enumerate(labels)]
    path = tmp_path / name
    if name.endswith(".csv"):
        path.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows))
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 4], ["1", "2", "5"]),
        ([1, 5], ["1", "5"]),
        (["0.0", "4.0"], ["1", "5"]),
        ([2.0, 5.0], ["2", "5"]),
    ],
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_numbers_are_names_or_positions_in_all_rows(tmp_path, labels, expected, name):
    assert load_split(STARS, "opt", data=written(tmp_path, labels, name)).labels == expected


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_numbers_that_could_be_both_need_a_word(tmp_path, name):
    path = written(tmp_path, [1, 4], name)
    with refused(TaskError, parameter="labels", file=str(path), mentions=("name", "position")):
        load_split(STARS, "opt", data=path)
    assert load_split(STARS, "opt", data=path, labels="name").labels == ["1", "4"]
    assert load_split(STARS, "opt", data=path, labels="position").labels == ["2", "5"]


@pytest.mark.parametrize("labels", [["0", "01"], ["0", "5"], ["0", "bad"], ["1", "x"], ["0", ""]])
def test_no_label_is_read_in_a_way_of_its_own(tmp_path, labels):
    with refused(TaskError, row=int, column="label"):
        load_split(STARS, "opt", data=written(tmp_path, labels))


def test_a_label_map_decides():
    task = Task("mood", labels=["bad", "good"], label_map={"1": "bad", "2": "good"})
    assert read_task_labels(task, [1, 1], of_file=True) == ["bad", "bad"]
    assert read_task_labels(task, [2, "bad"], of_file=True) == ["good", "bad"]
    with refused(TaskError, row=1):
        read_task_labels(task, [1, 0], of_file=True)


def test_a_word_that_is_the_label_of_another_class_is_refused():
    task = Task("turned", labels=["good", "bad"], class_names=["bad", "good"])
    with refused(TaskError, mentions="label_map"):
        read_task_labels(task, ["good"])


def test_labels_given_in_python():
    assert [row.label for row in listed_rows(STARS, ["a", "b"], [0, 4], None, [])] == ["1", "5"]
    assert [row.label for row in listed_rows(STARS, ["a", "b"], ["1", "4"], None, [])] == ["1", "4"]
    with refused(TaskError, parameter="labels"):
        listed_rows(STARS, ["a", "b"], [1, 4], None, [])
    for missing in (None, float("nan")):
        with refused(TaskError, row=1):
            listed_rows(MOOD, ["a", "b"], ["bad", missing], None, [])


def test_labels_of_a_stream_keep_the_reading_of_its_first_rows():
    read = [row.label for row in streamed_rows(STARS, [("a", 0), ("b", 1), ("c", 4)], [])]
    assert read == ["1", "2", "5"]
    with refused(TaskError, row=0, mentions=("'1'", "'2'")):
        list(streamed_rows(STARS, [("a", 1), ("b", 0)], []))
    with refused(TaskError, row=1):
        list(streamed_rows(STARS, [("a", 0), ("b", "5")], []))
    mappings = [{"text": "a", "label": "5"}, {"text": "b", "label": "1"}]
    assert [row.label for row in streamed_rows(STARS, mappings, [])] == ["5", "1"]


def test_a_text_with_two_labels_is_said(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nfine,good\ndull,bad\nfine,bad\nfine,good\n")
    with pytest.warns(SecondLabelWarning, match="1 text has two labels, such as line 4: 'fine' is 'bad'"):
        assert load_split(MOOD, "opt", data=path).labels == ["good", "bad"]


@pytest.mark.parametrize("labels", [[1, 2, 1], ["1", "2"], [2.0, 1.0], [1, 1]])
def test_a_stream_of_numbers_that_never_are_0_is_refused_at_its_end(labels):
    rows = [{"text": f"text {n}", "label": label} for n, label in enumerate(labels)]
    task = Task("news", labels=["World", "Sports", "Business"])
    seen = []
    with refused(TaskError, parameter="labels", column="label", mentions=("from 0", "from 1")):
        for row in streamed_rows(task, rows, []):
            seen.append(row.label)
    assert len(seen) == len(rows)
    for whole in ([*rows, {"text": "last", "label": 0}], rows[:1]):
        read = [row.label for row in streamed_rows(task, whole, [])]
        assert read == [task.class_names[int(float(row["label"]))] for row in whole]
    named = [("1", "2", "3"), ("0", "1", "2")]
    for names in named:
        list(streamed_rows(Task("stars", labels=list(names)), [("a", "1"), ("b", "2")], []))


def test_a_label_map_that_reads_one_label_in_two_ways_is_refused():
    with refused(TaskError, parameter="label_map", received="1.0", fix=str):
        read_task_labels(MOOD, ["1"], label_map={"1": "good", "1.0": "bad"})
    assert read_task_labels(MOOD, ["1"], label_map={"1": "good", "1.0": "good"}) == ["good"]
