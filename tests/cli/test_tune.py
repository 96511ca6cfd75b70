"""``debias tune`` as people type it: a report over training and correcting, kills, refusals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from debias.cli.model_commands.tune import TuneRows, divide
from debias.errors import OverlapError, ParameterError, ResumeError
from debias.inference.texts.tasks import load_task
from debias.inference.zeroth_order.run_log import read_run
from debias.reports.tuned.tuned_report import TunedReport
from debias.tables.table import ProbabilityTable
from tests.support.commands import refusal, works
from tests.support.refusals import refused
from tests.support.tiny_models import byte_tokenizer, tiny_model

TASK = 'labels = ["good", "bad"]\nquestion_prefix = "Review: "\nanswer_prefix = "Verdict: "\n'


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny_model("llama").save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def reviews(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("task.toml").write_text(TASK, encoding="utf-8")
    texts = [f"it is very {'good' if number % 2 else 'bad'} {number}" for number in range(60)]
    pd.DataFrame({"text": texts, "label": ["bad", "good"] * 30}).to_csv("rows.csv", index=False)
    return tmp_path


def words(model, *more):
    return (
        "tune", "task.toml", "--data", "rows.csv", "--model", model, "--device", "cpu", "--method", "weight",
        "--batch-size", 4, *more,
    )  # fmt: skip


def test_one_report_over_training_and_correcting_and_a_run_that_goes_on(reviews, model):
    works(*words(model, "--steps", 3, "--save-model"))
    out = Path("tuned")
    first = read_run(out / "steps.run")
    assert len(first.steps) == 3 and first.header.sparsity == 0.75
    table = ProbabilityTable.read(out / "tuned-test.parquet")
    assert len(table) == 18
    said = (out / "report.md").read_text(encoding="utf-8")
    for way in ("zero-shot", "correction alone", "tuned", "tuned + correction"):
        assert f"| {way} |" in said
    assert "not touched" in said
    assert "<!doctype html>" in (out / "report.html").read_text(encoding="utf-8")
    # the written model is the trained one
    from debias.inference.transformers.transformers_engine import TransformersEngine

    engine = TransformersEngine(str(out / "model"), dtype="float32")
    prompt = f"Review: {table.texts[0]}\nVerdict:"
    found = engine.label_logprobs([prompt], [" good", " bad"])[0]
    np.testing.assert_allclose(np.exp(found) / np.exp(found).sum(), table.to_numpy()[0], atol=1e-5)
    works(*words(model, "--steps", 5))
    longer = read_run(out / "steps.run")
    assert longer.steps[:3] == first.steps and len(longer.steps) == 5


def test_an_adapter_and_a_balanced_loss(reviews, model):
    pytest.importorskip("peft")
    works(*words(model, "--steps", 1, "--lora-rank", 2, "--balanced", "--optimizer", "mezo"))
    run = read_run("tuned/steps.run")
    assert run.header.sparsity == 0 and run.header.facts["n_weights"] < 10_000


def test_what_cannot_be_done_is_refused(reviews, model):
    works(*words(model, "--steps", 1, "--out", "run"))
    error, line = refusal(*words(model, "--steps", 1, "--out", "run", "--sparsity", 0.5))
    assert isinstance(error, ResumeError) and error.parameter == "sparsity" and "run" in line
    error, _ = refusal(*words(model, "--steps", 1, "--test-data", "rows.csv"))
    assert isinstance(error, OverlapError)
    error, _ = refusal(*words(model, "--limit", 2))
    assert isinstance(error, ParameterError) and error.parameter == "limit"
    error, _ = refusal(*words(model, "--sparsity", 1))
    assert isinstance(error, ParameterError) and error.parameter == "sparsity"


def test_a_report_counts_what_a_reader_would_count():
    trail = pd.DataFrame(columns=["seed", "projected", "rate"])
    ways = {"zero-shot": list("aaaa"), "tuned": list("abba")}
    report = TunedReport(list("aabb"), ways, ["a", "b"], trail)
    assert report.table.loc["zero-shot"].tolist() == [0.5, 1.0, 0.0]
    assert report.table.loc["tuned"].tolist() == [0.5, 0.0, 0.5]
    assert report.by_class.loc["b"].tolist() == [0.0, 0.5]
    with refused(ParameterError, parameter="predictions['tuned']", received=1):
        TunedReport(list("aabb"), {"tuned": ["a"]}, ["a", "b"], trail)
    with refused(ParameterError, parameter="path"):
        report.write("report.pdf")


def divided(labels, texts, **options):
    """Divide rows of a file as the command does."""
    pd.DataFrame({"text": texts, "label": labels}).to_csv("some.csv", index=False)
    task = load_task("task.toml")
    return divide(task, TuneRows(data=Path("some.csv"), **options), 0.3, 0)


@pytest.mark.parametrize("limit", [None, 10])
def test_no_part_has_a_text_of_another(reviews, limit):
    texts = [f"Review {number % 20}" if number < 40 else f"review  {number % 20}" for number in range(60)]
    found = divided(["bad", "good"] * 30, texts, test_limit=limit)
    labelled = found.labelled.texts
    parts = [{text.split()[1] for text in found.test.texts}]
    parts += [{labelled[row].split()[1] for row in rows} for rows in (found.training, found.correcting)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 20
    assert len(found.test.texts) == (12 if limit is None else 10)  # exact copies are read once
    assert len(found.test.texts) + len(found.training) + len(found.correcting) == len(labelled) == 40


def test_a_correction_of_one_class_is_refused_before_the_steps(reviews):
    texts = [f"review {number}" for number in range(60)]
    with refused(ParameterError, parameter="correction_share", received=0.3, mentions="bad"):
        divided(["bad"] * 59 + ["good"], texts)
