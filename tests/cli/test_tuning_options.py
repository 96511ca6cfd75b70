"""``debias fit --choose-settings`` run end to end, and its refusals."""

import json

import pytest

from debias import EnsembleDebiaserCV, Objective, load
from debias.cli.options.fit_options import FamilyMethod, FitSearchOptions, Method, make_debiaser
from debias.errors import ParameterError
from debias.estimators.tuning.tuning_settings import published_objectives
from debias.tables.table import ProbabilityTable
from tests.support.commands import refusal, works


def test_settings_are_chosen_shown_and_saved(folder):
    words = ["--choose-settings", "--method", "weight", "--n-weights", 8, "--folds", 3, "--n-starts", 2]
    result = works("fit", "opt.parquet", *words)
    shown = result.stdout
    for value in ("76 settings", "accuracy-minus-cobias", "3 folds", "200"):
        assert value in " ".join(shown.split())
    rows = ProbabilityTable.read("opt.parquet")
    expected = EnsembleDebiaserCV(families="weights", n_weights=8, cv=3, n_starts=2)
    expected.fit(rows.probabilities, rows.labels)
    document = json.loads((folder / "correction.json").read_text())
    assert document["objective"] == expected.best_setting_.objective.used_params()
    assert document["n_weights"] == 8
    assert load("correction.json").choice_.tolist() == expected.choice_.tolist()


def test_the_published_protocol(folder):
    words = ["--method", "fuzzy", "--folds", "holdout", "--rule", "accuracy-cobias"]
    shown = works("fit", "opt.parquet", "--choose-settings", *words).stdout
    assert "by the rule accuracy-cobias" in shown
    assert "deviation" not in shown
    assert len(published_objectives()) == 76


@pytest.mark.parametrize(
    ("words", "parameter", "mentions"),
    [
        (
            ["--choose-settings", "--cobias", 2, "--max-cobias", 0.1],
            "choose_settings",
            "--cobias, --max-cobias",
        ),
        (["--choose-settings", "--polish"], "polish", "--polish"),
        (["--choose-settings", "--folds", "many"], "cv", "--folds"),
        (["--choose-settings", "--folds", "0"], None, "0"),
        (["--choose-settings", "--rule", "best"], None, "best"),
        (["--rule", "accuracy-cobias"], "rule", "--choose-settings"),
        (["--folds", "3"], "cv", "--folds"),
    ],
)
def test_what_is_refused(folder, words, parameter, mentions):
    error, line = refusal("fit", "opt.parquet", *words)
    assert isinstance(error, ParameterError)
    assert parameter in (None, error.parameter)
    assert mentions in line


@pytest.mark.parametrize(("method", "own"), [(Method.calibrated, None), (FamilyMethod.ensemble, 32)])
def test_a_method_has_its_own_number_of_starts_unless_one_is_given(method, own):
    for n_starts, expected in ((None, own), (32, 32), (3, 3)):
        debiaser = make_debiaser(method, Objective(), FitSearchOptions(n_starts=n_starts))
        assert debiaser.get_params()["n_starts"] == expected
