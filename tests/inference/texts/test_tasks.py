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
from tests.support.refusals import refused

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
    ("settings", "fields"),
    [
        ({"labels": ["a"]}, {"parameter": "labels", "received": ["a"]}),
        ({"labels": "ab"}, {"parameter": "labels", "received": "ab"}),
        ({"labels": ["a", 1]}, {"parameter": "labels", "received": ["a", 1]}),
        ({"labels": ["a", " "]}, {"parameter": "labels", "received": ["a", " "]}),
        ({"labels": ["a", "a"]}, {"parameter": "labels", "received": ["a", "a"]}),
        ({"labels": ["a", "b"], "class_names": ["A"]}, {"parameter": "class_names", "received": ["A"]}),
        ({"labels": ["a", "b"], "class_names": ["A", "A"]}, {"parameter": "class_names"}),
        ({"labels": ["a", "b"], "prefx": "x"}, {"parameter": "prefx", "fix": "did you mean 'prefix'?"}),
        ({"labels": ["a", "b"], "prefix": 3}, {"parameter": "prefix", "received": 3}),
        ({"labels": ["a", "b"], "label_map": {"x": "c"}}, {"parameter": "label_map", "received": ["c"]}),
        ({"labels": ["a", "b"], "label_map": ["c"]}, {"parameter": "label_map", "received": ["c"]}),
        ({"labels": ["a", "b"], "label_map": {"x": ["a"]}}, {"parameter": "label_map", "received": ["a"]}),
        ({"labels": ["a", "b"], "label_map": {"x": 1}}, {"parameter": "label_map", "received": 1}),
        ({"labels": ["a", "b"], "self": 1}, {"parameter": "self"}),
        ({"labels": ["a", "b"], "text_columns": []}, {"parameter": "text_columns"}),
        ({"labels": ["a", "b"], "text_columns": ["x", "y"]}, {"parameter": "text_template"}),
        ({"labels": ["a", "b"], "label_column": "text"}, {"parameter": "label_column", "received": "text"}),
        (
            {"labels": ["a", "b"], "text_columns": ["x"], "text_template": "{x} {y}"},
            {"parameter": "text_template", "mentions": ("['x', 'y']", "['x']")},
        ),
        *(
            (
                {"labels": ["a", "b"], "text_columns": ["x"], "text_template": template},
                {"parameter": "text_template", "received": template},
            )
            for template in ("{x.__class__}", "{x!r}", "{x")
        ),
        ({"labels": ["a", "b"], "sources": {"opt": "opt.csv"}}, {"received": "opt.csv"}),
    ],
)
def test_wrong_fields_are_named(settings, fields):
    with refused(TaskError, **fields):
        Task("mine", **settings)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("labels = [", {"file": str, "mentions": "TOML"}),
        ("labels = " + "[" * 3000 + "]" * 3000, {"file": str}),
        ("labels = " + "{a = " * 3000 + "1" + "}" * 3000, {"file": str}),
        ("labels" + ".a" * 3000 + " = 1", {"file": str, "parameter": "labels"}),
        ("notes = " + "9" * 5000, {"file": str}),
        ('notes = """' + "x" * 200_000 + '"""', {"file": str}),
        (f'labels = ["a", "{"b" * 5000}", 3]', {"file": str, "parameter": "labels"}),
        ('labels = ["a", "b"]\nself = 1', {"file": str, "parameter": "self"}),
        ('labels = ["a", "b"]\nname = ["t"]', {"file": str, "parameter": "name"}),
        ('labels = ["a", "b"]\n[label_map]\nx = ["a"]', {"file": str, "parameter": "label_map"}),
        ('labels = ["a", "b"]\n[[label_map]]\nx = "a"', {"file": str, "parameter": "label_map"}),
        ('labels = ["a", "b"]\n[[sources.opt]]\nfile = "a"', {"file": str}),
        ('labels = ["a", "b"]\n[sources.opt]\nfile = ["a"]', {"file": str, "parameter": "path"}),
        (
            'labels = ["a", "b"]\n[sources.opt]\nfile = "a"\npart = [nan, 1]',
            {"file": str, "parameter": "part"},
        ),
        ('labels = ["a", "b"]\n[sources.opt]\nfile = "a"\nrename = {a = {b = 1}}', {"parameter": "rename"}),
        ("labels = 2020-01-01", {"file": str, "parameter": "labels"}),
        ('prefix = "x"', {"parameter": "labels", "file": str}),
        ('labels = ["a", "b"]\nsources = 3', {"parameter": "sources", "received": 3}),
        ('labels = ["a", "b"]\n[sources]\nopt = 3', {"received": 3, "mentions": "sources.opt"}),
        ('labels = ["a", "b"]\n[sources.opt]\npart = [0, 1]', {"received": []}),
        (
            'labels = ["a", "b"]\n[sources.opt]\nfile = "x"\nstaicc = "y"',
            {"received": ["staicc", "file"]},
        ),
        ('labels = ["a", "b"]\n[sources.opt]\nfile = "x"\nparts = 2', {"received": ["parts"]}),
        (
            'labels = ["a", "b"]\n[sources.opt]\nfile = "x"\npart = [0.5, 0.5]',
            {"parameter": "part", "received": [0.5, 0.5]},
        ),
        ('labels = ["a", "b"]\n[sources.opt]\nfile = 3', {"parameter": "path", "received": 3}),
        (
            'labels = ["a", "b"]\n[sources.opt]\nfile = "x"\nrename = 3',
            {"parameter": "rename", "received": 3},
        ),
    ],
)
def test_wrong_files_are_named(tmp_path, text, fields):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with refused(TaskError, **fields):
        load_task(path)


def test_names_that_are_none():
    with refused(TaskError, parameter="task", received="../tasks/trec", mentions="agnews"):
        load_task("../tasks/trec")
    with refused(TaskError, file="nowhere.toml"):
        load_task("nowhere.toml")
    with refused(TaskError, parameter="name", received=" "):
        Task(" ", ["a", "b"])
    with refused(TaskError, received="Ab", mentions="'Abbreviation'"):
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
