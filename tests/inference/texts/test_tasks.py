"""Prompts byte for byte, tasks of one's own, and every refusal."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import debias
from debias.errors import TaskError
from debias.inference.texts.source_rows import Source
from debias.inference.texts.tasks import Task, load_task, task_folder, task_names

END = "\n\n====\n\n"
TREC = (
    "Please classify the questions based on whether their answer type is a Number, Location, Person,"
    " Description, Entity, or Abbreviation.\n\n"
)
DBPEDIA = (
    "Please classify the documents based on whether they are about a Company, School, Artist, Athlete,"
    " Politician, Transportation, Building, Nature, Village, Animal, Plant, Album, Film, or Book.\n\n"
)
DDI = (
    "Please choose a most suitable answer from Negative, Effect, Mechanism, Advice, or Interaction, for the"
    " drug-drug interaction relation between the @drug$ pair in the following description.\n\n"
)
AGNEWS = (
    "Please classify the news articles into the categories of World, Sports, Business, and Technology.\n\n"
)
PUBMEDQA = (
    "Please choose a most suitable answer from yes, no, or maybe,"
    " for the following question given a context.\n\n"
)
PROMPTS = {
    "sst5": ("great", f"Review: one\nSentiment: great{END}Review: two\nSentiment:"),
    "agnews": ("World", f"{AGNEWS}Article: one\nAnswer: World{END}Article: two\nAnswer:"),
    "trec": ("Abbreviation", f"{TREC}Question: one\nAnswer Type: Ab{END}Question: two\nAnswer Type:"),
    "rte": ("entailment", f"one\nanswer: True{END}two\nanswer:"),
    "dbpedia": ("Athlete", f"{DBPEDIA}Article: one\nAnswer: Ath{END}Article: two\nAnswer:"),
    "ddi": ("Mechanism", f"{DDI}Description: one\nAnswer: Mechanism{END}Description: two\nAnswer:"),
    "pubmedqa": ("maybe", f"{PUBMEDQA}one\nAnswer: maybe{END}two\nAnswer:"),
}
LABELS = {
    "sst5": "terrible bad okay good great",
    "agnews": "World Sports Business Technology",
    "trec": "Number Location Person Description Entity Ab",
    "rte": "False True",
    "dbpedia": "Company School Artist Ath Polit Transportation Building"
    " Nature Village Animal Plant Album Film Book",
    "ddi": "Negative Effect Mechanism Advice Interaction",
    "pubmedqa": "yes no maybe",
}


def test_all_seven_benchmarks_are_there():
    assert task_names() == sorted(PROMPTS)


@pytest.mark.parametrize("name", PROMPTS)
def test_prompts_are_the_published_ones(name):
    task = load_task(name)
    class_name, prompt = PROMPTS[name]
    assert task.prompt("two", [("one", class_name)]) == prompt
    assert task.labels == tuple(LABELS[name].split())
    assert task.continuations == tuple(f" {label}" for label in task.labels)
    assert task.notes


def test_without_demonstrations_only_the_instruction_stands_first():
    assert load_task("sst5").prompt("dull") == "Review: dull\nSentiment:"
    assert load_task("agnews").prompt("x") == AGNEWS + "Article: x\nAnswer:"


def test_an_answer_prefix_without_a_space_leaves_the_label_without_one():
    task = Task("t", labels=["a", "b"], answer_prefix="Answer:\n")
    assert task.prompt("x").endswith("Answer:\n") and task.continuations == ("a", "b")


def test_a_task_of_ones_own_in_toml(tmp_path):
    path = tmp_path / "mood.toml"
    path.write_text(
        'prefix = "How is the mood?"\nquestion_prefix = "Text: "\nanswer_prefix = "Mood: "\n'
        'labels = ["bad", "good"]\ntext_columns = ["said"]\nlabel_column = "mood"\n'
        '[sources.opt]\nfile = "opt.csv"\npart = [0, 0.5]\n'
    )
    task = load_task(path)
    assert task.name == "mood" and task.class_names == ("bad", "good")
    assert task.sources["opt"] == Source("file", str(tmp_path / "opt.csv"), part=(0.0, 0.5))
    assert load_task(str(path)) == task and load_task(task) is task


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"labels": ["a"]}, "at least two labels"),
        ({"labels": "ab"}, "labels is 'ab'; it must be a list of strings"),
        ({"labels": ["a", 1]}, "it must be a list of strings"),
        ({"labels": ["a", " "]}, "needs at least one letter"),
        ({"labels": ["a", "a"]}, "each may stand there once"),
        ({"labels": ["a", "b"], "class_names": ["A"]}, "1 class_names for 2 labels"),
        ({"labels": ["a", "b"], "class_names": ["A", "A"]}, "class_names is .* once"),
        ({"labels": ["a", "b"], "prefx": "x"}, "unknown field 'prefx'; known fields are name, labels"),
        ({"labels": ["a", "b"], "prefix": 3}, "prefix is 3; it must be a string"),
        ({"labels": ["a", "b"], "label_map": {"x": "c"}}, r"label_map leads to \['c'\]"),
        ({"labels": ["a", "b"], "label_map": ["c"]}, "it must be a mapping"),
        ({"labels": ["a", "b"], "text_columns": []}, "text_columns is empty"),
        ({"labels": ["a", "b"], "text_columns": ["x", "y"]}, "need a text_template"),
        ({"labels": ["a", "b"], "text_columns": ["x"], "text_template": "{x} {y}"}, "make them equal"),
        ({"labels": ["a", "b"], "text_columns": ["x"], "text_template": "{x.__class__}"}, "text_template"),
        ({"labels": ["a", "b"], "text_columns": ["x"], "text_template": "{x!r}"}, "only column names"),
        ({"labels": ["a", "b"], "text_columns": ["x"], "text_template": "{x"}, "is not valid"),
        ({"labels": ["a", "b"], "sources": {"opt": "opt.csv"}}, "must be a Source"),
    ],
)
def test_wrong_fields_are_named(settings, words):
    with pytest.raises(TaskError, match=words):
        Task("mine", **settings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("labels = [", "cannot be read as TOML"),
        ('prefix = "x"', "labels is missing"),
        ('labels = ["a", "b"]\nsources = 3', "sources is 3"),
        ('labels = ["a", "b"]\n[sources]\nopt = 3', "sources.opt is 3"),
        ('labels = ["a", "b"]\n[sources.opt]\npart = [0, 1]', "names no source"),
        ('labels = ["a", "b"]\n[sources.opt]\nfile = "x"\nstaicc = "y"', "name exactly one of"),
        ('labels = ["a", "b"]\n[sources.opt]\nfile = "x"\nparts = 2', "unknown keys"),
        ('labels = ["a", "b"]\n[sources.opt]\nfile = "x"\npart = [0.5, 0.5]', "part is"),
        ('labels = ["a", "b"]\n[sources.opt]\nfile = 3', "it must be a string"),
        ('labels = ["a", "b"]\n[sources.opt]\nfile = "x"\nrename = 3', "it must map"),
    ],
)
def test_wrong_files_are_named(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(TaskError, match=words):
        load_task(path)


def test_names_that_are_none():
    with pytest.raises(TaskError, match="choose one of agnews"):
        load_task("../tasks/trec")
    with pytest.raises(TaskError, match="does not exist"):
        load_task("nowhere.toml")
    with pytest.raises(TaskError, match="task name is ' '"):
        Task(" ", ["a", "b"])
    with pytest.raises(TaskError, match="no class is named 'Ab'; the classes are .*'Abbreviation'"):
        load_task("trec").prompt("x", [("y", "Ab")])


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("trec", "Who is it ?", ("Who is it", " ?")),
        ("trec", "Name it .", ("Name it .", "")),
        ("rte", "Premise?\nquestion: Yes. True or False?", ("Premise?", "\nquestion: Yes. True or False?")),
        (
            "pubmedqa",
            "Context: c\nQuestion: q?yes, no, or maybe?",
            ("Context: c", "\nQuestion: q?yes, no, or maybe?"),
        ),
    ],
)
def test_what_may_be_shortened(name, text, parts):
    assert load_task(name).split_text(text) == parts


def test_the_tasks_are_found_beside_an_installed_package(tmp_path):
    package = Path(debias.__file__).parent
    shutil.copytree(package, tmp_path / "debias", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(task_folder(), tmp_path / "debias" / "data" / "tasks", dirs_exist_ok=True)
    code = "from debias.inference.texts.tasks import *; print(task_folder()); print(load_task('rte').name)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == [str(tmp_path / "debias" / "data" / "tasks"), "rte"]
