"""``debias fit --choose-settings`` run end to end, and its refusals."""

import json

import pytest

from debias import EnsembleDebiaserCV, load
from debias.estimators.tuning.tuning_settings import published_objectives
from debias.tables.table import ProbabilityTable
from tests.support.commands import refused, works


def test_settings_are_chosen_shown_and_saved(folder):
    words = ["--choose-settings", "--method", "weight", "--n-weights", 8, "--folds", 3, "--n-starts", 2]
    result = works("fit", "opt.parquet", *words)
    shown = result.stdout
    assert "best of 76 settings by the rule accuracy-minus-cobias" in shown
    assert "mean and deviation of 3 folds" in " ".join(shown.split())
    assert "Labels used: 200, those of the held-out rows among them." in " ".join(shown.split())
    rows = ProbabilityTable.read("opt.parquet")
    expected = EnsembleDebiaserCV(families="weights", n_weights=8, cv=3, n_starts=2)
    expected.fit(rows.probabilities, rows.labels)
    document = json.loads((folder / "correction.json").read_text())
    assert document["objective"] == expected.best_setting_.objective.get_params()
    assert document["n_weights"] == 8
    assert load("correction.json").choice_.tolist() == expected.choice_.tolist()


def test_the_published_protocol(folder):
    words = ["--method", "fuzzy", "--folds", "holdout", "--rule", "accuracy-cobias"]
    shown = works("fit", "opt.parquet", "--choose-settings", *words).stdout
    assert "by the rule accuracy-cobias" in shown
    assert "deviation" not in shown
    assert len(published_objectives()) == 76


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--choose-settings", "--cobias", 2, "--max-cobias", 0.1], "leave out --cobias, --max-cobias"),
        (["--choose-settings", "--folds", "many"], "--folds must be a number or 'holdout'; got 'many'"),
        (["--choose-settings", "--folds", "0"], "cv must be from 2"),
        (["--choose-settings", "--rule", "best"], "rule must be one of"),
        (["--rule", "accuracy-cobias"], "--rule accuracy-cobias is for --choose-settings"),
        (["--folds", "3"], "--folds 3 is for --choose-settings"),
    ],
)
def test_what_is_refused(folder, words, message):
    assert message in refused("fit", "opt.parquet", *words)
