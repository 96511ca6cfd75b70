"""Tasks asked by letters: the prompt byte for byte, labels that read the same, and what is refused."""

import pytest

from debias.errors import TaskError
from debias.inference.texts.task_labels import read_task_labels
from debias.inference.texts.tasks import Task, load_task, task_names
from tests.support.refusals import refused

END = "\n\n====\n\n"


def test_a_prompt_byte_for_byte():
    task = load_task("trec").with_letters()
    options = "A. Number\nB. Location\nC. Person\nD. Description\nE. Entity\nF. Abbreviation\n\n"
    prefix = load_task("trec").prefix
    shown = [("one", "Abbreviation")]
    expected = f"{prefix}\n{options}Question: one\nAnswer Type: F{END}Question: two\nAnswer Type:"
    assert task.prompt("two", shown) == expected
    assert task.continuations == (" A", " B", " C", " D", " E", " F")


def test_without_a_prefix_the_options_come_first():
    task = load_task("rte").with_letters(["False", "True"])
    assert task.prompt("text") == "A. False\nB. True\n\ntext\nanswer:"


@pytest.mark.parametrize("name", task_names())
def test_classes_rows_and_sources_stay(name):
    task = load_task(name)
    lettered = task.with_letters()
    assert (lettered.class_names, lettered.sources, lettered.label_map) == (
        task.class_names,
        task.sources,
        task.label_map,
    )
    values = list(task.class_names)
    assert read_task_labels(lettered, values) == read_task_labels(task, values)
    assert lettered.name != task.name  # so that their tables have different names


def test_words_are_one_per_class():
    task = Task("weather", labels=["sun", "rain"])
    for words in (["sun"], ["sun", "rain", "snow"], "ab"):
        with refused(TaskError, parameter="words", received=words):
            task.with_letters(words)


def test_there_are_26_letters():
    assert Task("many", labels=[f"class {k}" for k in range(26)]).with_letters().labels[-1] == "Z"
    with refused(TaskError, parameter="labels", received=27):
        Task("many", labels=[f"class {k}" for k in range(27)]).with_letters()
