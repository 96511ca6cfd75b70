"""``debias fit`` with costs, weights of classes, guards and near-ties."""

import json
from pathlib import Path

import numpy as np
import pytest

from debias.estimators.tuning.methods import load
from debias.tables.table import ProbabilityTable
from tests.support.commands import refused, run, works

PLAIN = ("--n-starts", 2, "--error", 0, "--cobias", 0, "--pmi", 0)


def predictions(path="opt.parquet"):
    table = ProbabilityTable.read(path)
    labels = np.asarray(table.labels)
    before = table.probabilities.idxmax(axis=1).to_numpy()
    return labels, before, load("correction.json").predict(table.probabilities)


def least(labels, predicted):
    return min((predicted[labels == name] == name).mean() for name in np.unique(labels))


def test_costs_from_a_file(folder):
    labels = ProbabilityTable.read("opt.parquet").classes
    costs = {str(labels[0]): {str(labels[1]): 0.5}, str(labels[1]): {str(labels[0]): 7.0}}
    Path("costs.json").write_text(json.dumps(costs), encoding="utf-8")
    works("fit", "opt.parquet", *PLAIN, "--costs", "costs.json")
    truth, before, after = predictions()
    assert load("correction.json").objective_value_ == pytest.approx(
        np.mean([costs[str(t)].get(str(p), 0.0) for t, p in zip(truth, after, strict=True)])
    )
    assert load("correction.json").objective_value_ < load("correction.json").baseline_objective_value_
    works("report", "test.parquet", "--n-resamples", 10)


@pytest.mark.parametrize("content", ["[1, 2]", "{", '{"no": {"maybe": 1}}', '{"no": {"yes": -1}}'])
def test_costs_that_are_none_are_refused(folder, content):
    Path("costs.json").write_text(content, encoding="utf-8")
    assert "costs" in refused("fit", "opt.parquet", "--costs", "costs.json")


def test_the_worst_class(folder):
    works("fit", "opt.parquet", *PLAIN, "--worst-class", 1)
    labels, before, after = predictions()
    assert load("correction.json").objective_value_ == pytest.approx(1 - least(labels, after))
    assert least(labels, after) > least(labels, before)


def test_no_class_worse_than_the_uncorrected_model(folder):
    out = works("fit", "opt.parquet", "--no-class-worse-than", "uncorrected", "--margin", 0.02).stdout
    labels, before, after = predictions()
    for name in np.unique(labels):
        own = labels == name
        assert (after[own] == name).mean() >= (before[own] == name).mean() - 0.02
    assert "no class more than 2 points less accurate than the uncorrected model" in " ".join(out.split())


def test_a_guard_that_cannot_be_kept_has_the_exit_code_of_other_bounds(folder):
    options = ("--no-class-worse-than", "uncorrected", "--min-class-accuracy", 0.99)
    result = run("fit", "opt.parquet", "--n-starts", 2, *options)
    assert result.exit_code == 3
    assert "no choice of corrections" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--no-class-worse-than", "better"), "--no-class-worse-than"),
        (("--margin", 0.1), "--no-class-worse-than"),
        (("--no-class-worse-than", "batch", "--margin", 3), "--margin"),
        (("--tolerance", -1), "--tolerance"),
        (("--choose-settings", "--macro-f1", 1), "--macro-f1"),
    ],
)
def test_what_is_not_allowed_is_refused(folder, options, message):
    assert message in refused("fit", "opt.parquet", *options)


def test_near_ties_are_printed_and_reported(folder):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 50)
    logits = rng.normal(size=(150, 3)) + np.eye(3)[labels] + [0, 0.5, 1.5]
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ProbabilityTable(values, labels).write("hard.parquet")
    weights = ("--error", 0, "--pmi", 0, "--tolerance", 0.2)
    out = " ".join(works("fit", "hard.parquet", *weights).stdout.split())
    debiaser = load("correction.json")
    near = debiaser.fitted_.near_ties
    assert near.differ
    assert " ".join(near.describe().split()) in out
    assert "of the proved optimum" in out
    assert near.rows[0].balanced_accuracy == max(row.balanced_accuracy for row in near.rows)
    works("report", "hard.parquet", "--n-resamples", 10, "--out", "report.md")
    assert "Near-ties: among" in Path("report.md").read_text(encoding="utf-8")
