"""Text sources: the wheel, local files and the hub; splits that share no text; every refusal."""

import importlib.util
import io
import json
import pickle
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from debias.errors import (
    DebiasWarning,
    MissingDependencyError,
    ParameterError,
    SecondLabelWarning,
    TaskError,
)
from debias.inference.texts.source_rows import Source, render
from debias.inference.texts.sources import load_split
from debias.inference.texts.staicc import DIGESTS, RefusingUnpickler, read_staicc, wheel_folder
from debias.inference.texts.tasks import Task, load_task
from debias.tables.splitting import plain_text
from tests.support.paths import SHARED
from tests.support.refusals import refused

needs_wheel = pytest.mark.skipif(importlib.util.find_spec("StaICC") is None, reason="StaICC is not installed")
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not beside this checkout")
MOOD = Task("mood", labels=["bad", "good"])


@needs_wheel
@pytest.mark.parametrize(("name", "n_rows"), [("trec", 5952), ("sst5", 8544), ("agnews", 127600)])
def test_splits_of_the_wheel_share_no_text_and_lose_none(name, n_rows):
    opt, test = load_split(name, "opt"), load_split(name, "test")
    texts = [set(map(plain_text, split.texts)) for split in (opt, test)]
    assert not texts[0] & texts[1] and not set(opt.ids) & set(test.ids)
    assert sum(len(s.texts) + s.n_duplicates for s in (opt, test)) == n_rows
    assert 0.73 < len(opt.texts) / (len(opt.texts) + len(test.texts)) < 0.77
    for split in (opt, test):
        assert len(split.texts) == len(set(split.texts)) == len(split.labels) == len(set(split.ids))
        assert set(split.labels) == set(load_task(name).class_names)


@needs_wheel
def test_a_limit_takes_some_of_the_split_by_its_seed():
    whole = load_split("trec", "opt")
    rows = dict(zip(whole.ids, zip(whole.texts, whole.labels, strict=True), strict=True))
    first, again, other = (load_split("trec", "opt", limit=50, seed=seed) for seed in (1, 1, 2))
    assert first == again and first.ids != other.ids
    assert all(rows[i] == (t, c) for i, t, c in zip(first.ids, first.texts, first.labels, strict=True))
    assert [i for i in whole.ids if i in set(first.ids)] == first.ids
    assert load_split("trec", "opt", limit=10**6) == whole
    with refused(ParameterError, parameter="limit", received=0):
        load_split("trec", "opt", limit=0)


@needs_wheel
@needs_shared
def test_the_labels_of_the_wheel_are_those_of_the_published_texts():
    published = {
        "trec": {
            line.split(" ", 1)[1]: line.split(":")[0]
            for split in ("train", "test")
            for line in (SHARED / "trec" / f"{split}.txt").read_text(encoding="latin-1").splitlines()
        },
        "sst5": {
            row["TEXT"]: row["LBL"]
            for row in map(json.loads, (SHARED / "sst5" / "train.jsonl").read_text().splitlines())
        },
    }
    frame = pd.read_csv(SHARED / "agnews" / "test.csv")
    keys = frame["Title"].str.split().str.join(" ") + " " + frame["Description"].str.split().str.join(" ")
    published["agnews"] = dict(zip(keys, frame["Class Index"] - 1, strict=True))
    trec = {"NUM": 0, "LOC": 1, "HUM": 2, "DESC": 3, "ENTY": 4, "ABBR": 5}
    for name, labels in published.items():
        task, found = load_task(name), []
        for split in ("opt", "test"):
            texts, names, _, _ = load_split(name, split)
            for text, class_name in zip(texts, names, strict=True):
                key = " ".join(text.split()) if name == "agnews" else text
                if key in labels:
                    value = labels[key]
                    found.append(task.class_index(class_name) == (trec[value] if name == "trec" else value))
        # A few texts stand in the published files more than once, with different labels.
        assert len(found) > 4000 and sum(found) / len(found) > 0.995


def test_every_global_is_refused():
    class Harmful:
        def __reduce__(self):
            return (print, ("run",))

    for harmful, name in (
        (Harmful(), "print"),
        (print, "print"),
        (Path("x"), "Path"),
        (Counter(), "Counter"),
    ):
        with refused(TaskError, received=str, mentions=name):
            RefusingUnpickler(io.BytesIO(pickle.dumps([harmful]))).load()


@needs_wheel
def test_a_changed_file_is_refused_before_it_is_unpickled(tmp_path):
    source = wheel_folder("StaICC") / "cached_dataset" / "trec.dataset"
    shutil.copy(source, tmp_path)
    assert len(read_staicc("trec", tmp_path)) == 5952
    (tmp_path / "trec.dataset").write_bytes(source.read_bytes() + b".")
    with refused(TaskError, file=str(tmp_path / "trec.dataset"), received=str, mentions=DIGESTS["trec"]):
        read_staicc("trec", tmp_path)
    (tmp_path / "trec.dataset").unlink()
    with refused(TaskError, file=str(tmp_path / "trec.dataset"), fix=str):
        read_staicc("trec", tmp_path)
    with refused(TaskError, parameter="staicc", received="sst2", mentions=("agnews", "sst5", "trec")):
        read_staicc("sst2")
    assert all(len(digest) == 64 for digest in DIGESTS.values())


def test_a_missing_wheel_says_how_to_install_it():
    with refused(MissingDependencyError, fix=str, mentions=("surely_not_installed", "--no-deps")):
        wheel_folder("surely_not_installed")


ROWS = [{"text": "fine day", "label": "good", "n": 1}, {"text": "dull day", "label": "bad", "n": 2}]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_local_files(tmp_path, ending):
    path, frame = tmp_path / f"rows.{ending}", pd.DataFrame(ROWS)
    if ending == "parquet":
        frame.to_parquet(path)
    elif ending in ("csv", "tsv"):
        frame.to_csv(path, index=False, sep="," if ending == "csv" else "\t")
    else:
        path.write_text(frame.to_json(orient="records", lines=ending == "jsonl"))
    texts, labels, ids, _ = load_split(MOOD, "opt", data=path)
    assert (texts, labels) == (["fine day", "dull day"], ["good", "bad"])
    assert len(set(ids)) == 2 and ids == load_split(MOOD, "opt", data=str(path)).ids


def test_a_task_file_finds_its_data_and_parts_share_no_text(tmp_path):
    texts = [f"Text {n}" for n in range(300)] + ["text  7", "text 8"]
    pd.DataFrame({"text": texts, "label": [n % 2 for n in range(302)]}).to_csv(
        tmp_path / "all.csv", index=False
    )
    (tmp_path / "mood.toml").write_text(
        'labels = ["bad", "good"]\n[sources.opt]\nfile = "all.csv"\npart = [0, 0.5]\n'
        '[sources.test]\nfile = "all.csv"\npart = [0.5, 1]\n'
    )
    opt, test = (load_split(tmp_path / "mood.toml", split) for split in ("opt", "test"))
    assert len(opt.texts) + len(test.texts) == 302 and min(len(opt.texts), len(test.texts)) > 100
    assert not set(map(plain_text, opt.texts)) & set(map(plain_text, test.texts))


@pytest.mark.parametrize("value", [1, 1.0, "1", "good", "+"])
def test_what_a_label_may_be(tmp_path, value):
    task = Task("mood", labels=["bad", "good"], label_map={"+": "good"})
    first = "0" if value == "1" else "bad" if value in ("good", "+") else 0
    rows = [{"text": "dull", "label": first}, {"text": "fine", "label": value}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert load_split(task, "opt", data=tmp_path / "rows.jsonl").labels == ["bad", "good"]


def test_unlabelled_rows_on_request(tmp_path):
    (tmp_path / "rows.csv").write_text("text\nfine\n")
    split = load_split(MOOD, "opt", data=tmp_path / "rows.csv", require_labels=False)
    assert split.labels is None and split.texts == ["fine"]


def test_ids_of_the_data_are_kept(tmp_path):
    task = Task("mood", labels=["bad", "good"], id_column="key")
    (tmp_path / "rows.csv").write_text("key,text,label\n007,fine,good\n8,dull,bad\n")
    assert load_split(task, "opt", data=tmp_path / "rows.csv").ids == ["007", "8"]
    (tmp_path / "rows.csv").write_text("key,text,label\n8,fine,good\n8,dull,bad\n")
    with refused(TaskError, file=str(tmp_path / "rows.csv"), received="8"):
        load_split(task, "opt", data=tmp_path / "rows.csv")


@pytest.mark.parametrize(
    ("name", "content", "fields"),
    [
        ("rows.csv", "text,label\n ,good\n", {"row": 0}),
        ("rows.csv", "text,label\nfine,great\n", {"row": 0, "received": "great"}),
        ("rows.csv", "text,label\nfine,2\n", {"row": 0, "received": "2"}),
        ("rows.csv", "words,label\nfine,good\n", {"column": "text", "mentions": "'words', 'label'"}),
        ("rows.csv", "text,mood\nfine,good\n", {"column": "label"}),
        ("rows.csv", "text,label\n", {"mentions": "no rows"}),
        ("rows.csv", "", {"mentions": "csv"}),
        ("rows.jsonl", "{", {"mentions": "jsonl"}),
        ("rows.parquet", "no", {"mentions": "parquet"}),
        ("rows.txt", "no", {"parameter": "data", "mentions": (".csv", "'.txt'")}),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, content, fields):
    (tmp_path / name).write_text(content)
    with refused(TaskError, file=str(tmp_path / name), **fields):
        load_split(MOOD, "opt", data=tmp_path / name)


def test_sources_that_are_not_there(tmp_path):
    with refused(TaskError, parameter="data", file=str(tmp_path / "none.csv")):
        load_split(MOOD, "opt", data=tmp_path / "none.csv")
    with refused(TaskError, parameter="split", received="dev", mentions=("'opt'", "'test'")):
        load_split("trec", "dev")
    with refused(TaskError, parameter="split", received="opt", mentions=("TEXT1", "LBL")):
        load_split("ddi", "opt")


def test_a_hub_source_without_its_package_names_the_extra():
    if importlib.util.find_spec("datasets") is not None:
        pytest.skip("datasets is installed")
    with refused(MissingDependencyError, fix=str, mentions="debias-iterit[datasets]"):
        load_split("dbpedia", "opt")


def test_a_hub_source_in_a_local_folder(tmp_path):
    pytest.importorskip("datasets", reason="datasets is not installed")
    rows = [{"question": "q?", "context": {"contexts": ["a", "b"]}, "final_decision": "maybe"}]
    pd.DataFrame(rows).to_parquet(tmp_path / "train.parquet")
    rename = {"question": "QUESTION", "context.contexts": "CONTEXTS"}
    source = Source("huggingface", str(tmp_path), split="train", rename=rename)
    texts, labels, _, _ = load_split("pubmedqa", "opt", data=source)
    assert texts == ["Context: a===b\nQuestion: q?yes, no, or maybe?"] and labels == ["maybe"]
    with refused(TaskError, received=str(tmp_path / "none"), fix=str):
        load_split("pubmedqa", "opt", data=Source("huggingface", str(tmp_path / "none")))


def test_a_hub_source_that_datasets_cannot_read_is_named(tmp_path):
    pytest.importorskip("datasets", reason="datasets is not installed")
    script, damaged = tmp_path / "script", tmp_path / "damaged"
    for folder in (script, damaged):
        folder.mkdir()
    (script / "script.py").write_text("import datasets\n", encoding="utf-8")
    (damaged / "train.jsonl").write_text('{"text": "a", "label"\n{]\n', encoding="utf-8")
    for folder in (script, damaged):
        with refused(TaskError, received=str(folder), fix=str):
            load_split(MOOD, "opt", data=Source("huggingface", str(folder)))


@needs_shared
def test_the_published_files_are_read_as_they_are():
    texts, labels, ids, _ = load_split("rte", "opt", data=SHARED / "rte" / "train.jsonl")
    assert texts[0] == (
        "No Weapons of Mass Destruction Found in Iraq Yet.\n"
        "question: Weapons of Mass Destruction Found in Iraq. True or False?"
    )
    assert labels[:2] == ["not_entailment", "entailment"]
    texts, labels, ids, _ = load_split("pubmedqa", "opt", data=SHARED / "pubmedqa" / "ori_pqal.json")
    assert Counter(labels) == {"yes": 552, "no": 338, "maybe": 110}
    assert texts[0].startswith("Context: Programmed cell death (PCD) is") and "===" in texts[0]
    assert texts[0].endswith("leaves during programmed cell death?yes, no, or maybe?")
    with pytest.warns(SecondLabelWarning, match="1 text has two labels"):
        texts, labels, ids, _ = load_split("ddi", "opt", data=SHARED / "ddi" / "test.jsonl")
    assert (
        ids[0] == "DDI-DrugBank.d765.s0.p0"
        and labels[0] == "Mechanism"
        and Counter(labels)["Negative"] > 3000
    )
    rename = {"TEXT": "text", "LBL": "label"}
    source = Source("file", str(SHARED / "sst5" / "test.jsonl"), rename=rename)
    assert load_split("sst5", "test", data=source).labels is not None
    with refused(TaskError, column="BODY", file=str(source.path)):
        load_split("sst5", "test", data=Source("file", source.path, rename={"BODY": "text"}))


def test_a_field_that_a_row_does_not_have_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"meta": {"text": "a"}, "label": 1}\n{"meta": {"words": "b"}, "label": 0}')
    source = Source("file", str(path), rename={"meta.text": "text"})
    with refused(TaskError, file=str(path), row=1, column="meta", mentions="'text'"):
        load_split(MOOD, "opt", data=source)


def test_columns_become_one_text():
    row = {"a": ["x", "y"], "b": None, "c": 3}
    assert render(row, ["a", "b", "c"], "{a}|{b}|{c}|{{}}", "===") == "x===y||3|{}"


@pytest.mark.parametrize("names", [["x" * 50_000], [f"column {number}" for number in range(5000)]])
def test_a_column_that_is_not_there_is_said_in_a_line(tmp_path, names):
    path = tmp_path / "rows.csv"
    path.write_text(",".join([*names, "txet"]) + "\n" + ",".join("a" * (len(names) + 1)) + "\n")
    with refused(TaskError, column="text", parameter="text_columns", fix=str, mentions="'txet'") as caught:
        load_split(MOOD, "opt", data=path)
    assert len(str(caught.value)) < 1000


PAIR = Task("pair", labels=["no", "yes"], text_columns=["a", "b"], text_template="{a} / {b}")


@pytest.mark.parametrize(
    "text", [{"en": "fine"}, [{"role": "user", "content": "fine"}], [["fine"]], {"base64": "/w=="}]
)
def test_a_text_that_is_an_object_is_refused(tmp_path, text):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        json.dumps({"text": "dull", "label": 0}) + "\n\n" + json.dumps({"text": text, "label": 1})
    )
    with refused(TaskError, file=str(path), row=1, line=3, column="text", received=text, fix=str):
        load_split(MOOD, "opt", data=path)


def test_a_gap_in_a_list_is_no_text(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": ["fine", null, "day"], "label": 1}')
    assert load_split(MOOD, "opt", data=tmp_path / "rows.jsonl").texts == ["fine day"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", "a,b,label\nx,y,no\nx,,yes\nz, ,yes\n"),
        (
            "rows.jsonl",
            '{"a": 1, "b": 2, "label": "no"}\n{"a": "x", "label": "yes"}\n{"a": 2, "b": NaN, "label": "yes"}',
        ),
    ],
)
def test_rows_that_lack_one_of_several_texts_are_said(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.warns(DebiasWarning, match="2 rows have nothing in the column 'b', such as row 1"):
        assert len(load_split(PAIR, "opt", data=tmp_path / name).texts) == 3


def test_ids_that_the_task_names_are_there(tmp_path):
    task = Task("mood", labels=["bad", "good"], id_column="uid")
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "fine", "label": 1, "uid": 7}\n{"text": "dull", "label": 0}')
    with refused(TaskError, file=str(path), row=1, line=2, column="uid"):
        load_split(task, "opt", data=path)
    path.write_text('{"text": "fine", "label": 1}')
    with pytest.warns(DebiasWarning, match="no column 'uid'"):
        assert load_split(task, "opt", data=path).texts == ["fine"]


@pytest.mark.parametrize("given", ["", "*.csv"])
def test_an_error_in_one_of_several_files_names_it(tmp_path, given):
    (tmp_path / "a.csv").write_text("text,label\nx,good\ny,bad\n")
    for content, column in (('text,label\n"z\nw",good\n ,bad\n', None), ("text,label\nz,\n", "label")):
        (tmp_path / "b.csv").write_text(content)
        lines = content.count("\n")
        with refused(
            TaskError, file=str(tmp_path / "b.csv"), row=1 if column is None else 0, line=lines, column=column
        ):
            load_split(MOOD, "opt", data=tmp_path / given)


def test_a_name_is_given_to_one_column_only():
    with refused(TaskError, parameter="rename", received="text", fix=str):
        Source("file", "rows.csv", rename={"title": "text", "body": "text"})
