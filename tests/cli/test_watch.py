"""``debias watch``: exit codes, JSON and HTML of the same judgement, and labels that come later."""

import json
from pathlib import Path

import numpy as np
import pytest

from debias.errors import ParameterError, TableError
from debias.estimators.tuning.methods import load
from debias.guarantees.watching.watcher import watch
from debias.tables.table import ProbabilityTable
from tests.support.commands import refusal, run, works
from tests.support.watched_rows import drawn_table


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    metadata = {"model": "demo"}
    drawn_table(0, 400, mass=0.8, metadata=metadata).write("opt.parquet")
    drawn_table(14, 400, labelled=False, mass=0.8, metadata=metadata).write("new.parquet")
    drawn_table(2, 800, mix=(0.8, 0.1, 0.1), labelled=False, mass=0.8).write("mix.parquet")
    drawn_table(3, 800, scale=0.3, labelled=False, mass=0.8).write("other.parquet")
    works("fit", "opt.parquet", "--method", "weight", "--n-starts", 2)
    return tmp_path


def flat(text):
    return " ".join(text.split())


def test_the_exit_code_is_the_verdict(folder):
    for name, verdict, code in (("new", "holds", 0), ("mix", "mix shifted", 4), ("other", "expired", 5)):
        result = run("watch", f"{name}.parquet", "--out", f"{name}.json", "--out", f"{name}.html")
        assert result.exit_code == code, result.output
        watched = watch(load("correction.json"), ProbabilityTable.read(f"{name}.parquet"))
        assert watched.verdict == verdict
        written = json.loads(Path(f"{name}.json").read_text())
        assert written == json.loads(json.dumps(watched.to_dict()))
        page = Path(f"{name}.html").read_text()
        for sentence in watched.sentences():
            assert flat(sentence) in flat(result.stdout)
        assert verdict in page and "http" not in page.replace("http-equiv", "")
        for check in watched.checks:
            assert check.name in page


def test_the_file_knows_model_and_label_mass(folder):
    reference = load("correction.json").fitted_.reference
    assert reference.label_mass is not None and dict(reference.origin) == {"model": "demo"}
    drawn_table(14, 400, labelled=False, mass=0.8, metadata={"model": "another"}).write("new.parquet")
    result = run("watch", "new.parquet")
    assert result.exit_code == 5 and "another" in result.stdout


def test_labels_of_some_rows_may_come_later(folder):
    table = drawn_table(14, 400)
    lines = [f'{{"id": "{row}", "label": "{table.labels[row]}"}}' for row in range(0, 400, 2)]
    Path("labels.jsonl").write_text("\n".join(lines))
    works("watch", "new.parquet", "--labels-from", "labels.jsonl", "--out", "watch.json")
    assert json.loads(Path("watch.json").read_text())["n_labelled"] == 200
    error, line = refusal("watch", "new.parquet", "--labels-from", "new.parquet")
    assert isinstance(error, TableError) and "label" in line


def test_a_name_that_is_markup_is_shown_as_it_is(folder):
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(2), size=200)
    names = ["<script>alert(1)</script>", "\u202eb"]
    table = ProbabilityTable(P, [names[k] for k in P.argmax(axis=1)], classes=names)
    table.write("odd.parquet")
    works("fit", "odd.parquet", "--method", "weight", "--n-starts", 1, "--out", "odd.json")
    P = rng.dirichlet([9, 1], size=400)
    ProbabilityTable(P, classes=names).write("odd-new.parquet")
    arguments = ["--correction", "odd.json", "--out", "odd.html", "--out", "odd-watch.json"]
    run("watch", "odd-new.parquet", *arguments)
    page = Path("odd.html").read_text()
    assert "<script>" not in page and "\u202e" not in page
    for file in ("odd.json", "odd-watch.json"):
        text = Path(file).read_text()
        assert "\u202e" not in text and "\\u202eb" in text
    assert json.loads(Path("odd-watch.json").read_text())["classes"][1]["class_name"] == names[1]


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        (["--confidence", "95"], "confidence"),
        (["--least-shift", "2"], "least_shift"),
        (["--out", "watch.pdf"], "out"),
        (["--out", "new.parquet"], "out"),
    ],
)
def test_what_it_refuses(folder, arguments, parameter):
    error, _ = refusal("watch", "new.parquet", *arguments)
    assert isinstance(error, ParameterError) and error.parameter == parameter
