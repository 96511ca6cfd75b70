"""Costs, guards and tolerances of the debiasers: by label whatever the columns, kept in the file, said."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from debias import EnsembleDebiaser, LogBiasDebiaser, Objective, WeightDebiaser, load
from debias.errors import CorrectionFileError, InfeasibleWarning, ParameterError
from debias.estimators.tuning.ensemble_cv import EnsembleDebiaserCV
from debias.search.constraints import Constrained
from tests.support.refusals import refused

COSTS = {"fog": {"sun": 10.0}, "sun": {"fog": 1.0, "rain": 1.0}, "rain": {"sun": 3.0}}


def frame(columns, n_each=60, seed=0):
    """Skewed rows of three classes, columns in some order, and their labels."""
    rng = np.random.default_rng(seed)
    names = ["fog", "rain", "sun"]
    y = np.repeat(np.arange(3), n_each)
    logits = rng.normal(size=(3 * n_each, 3)) + 1.5 * np.eye(3)[y] + [0, 0.5, 1.5]
    X = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(X, columns=names)[columns], np.array(names)[y]


def mean_cost(y, predicted):
    return np.mean([COSTS[t].get(p, 0.0) for t, p in zip(y, predicted, strict=True)])


def accuracies(y, predicted):
    return {name: (predicted[y == name] == name).mean() for name in np.unique(y)}


@pytest.mark.parametrize("columns", [["fog", "rain", "sun"], ["sun", "fog", "rain"]])
@pytest.mark.parametrize("kind", [WeightDebiaser, LogBiasDebiaser, EnsembleDebiaserCV])
def test_costs_are_those_of_the_labels(kind, columns, tmp_path):
    X, y = frame(columns)
    objective = Objective.least_cost(COSTS)
    if kind is EnsembleDebiaserCV:
        debiaser = kind(settings=[objective], n_weights=5, cv=2, n_starts=2)
    else:
        debiaser = kind(objective=objective, n_starts=4)
    debiaser.fit(X, y)
    assert debiaser.objective_value_ == pytest.approx(mean_cost(y, debiaser.predict(X)))
    assert debiaser.objective_value_ < mean_cost(y, X.idxmax(axis=1).to_numpy())
    assert debiaser.objective_.costs == ((0.0, 0.0, 10.0), (0.0, 0.0, 3.0), (1.0, 1.0, 0.0))
    debiaser.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json")
    assert again.objective_.get_params() == debiaser.objective_.get_params()
    if kind is WeightDebiaser:
        expected = debiaser.expect(X, y)
        assert expected.objective_before == pytest.approx(mean_cost(y, X.idxmax(axis=1).to_numpy()))
        picked = debiaser.pick(0)
        assert picked.objective_value_ == pytest.approx(mean_cost(y, picked.predict(X)))


def test_few_labels_know_costs_and_guards():
    X, y = frame(["sun", "fog", "rain"], n_each=12)
    goal = Constrained(no_class_worse_than="uncorrected", margin=0.3, objective=Objective(costs=COSTS))
    debiaser = WeightDebiaser(objective=goal).fit(X, y)
    assert debiaser.shrunk_
    assert debiaser.near_ties_ is None
    assert debiaser.feasible_


@pytest.mark.parametrize("columns", [["fog", "rain", "sun"], ["sun", "fog", "rain"]])
@pytest.mark.parametrize("kind", [WeightDebiaser, LogBiasDebiaser])
@pytest.mark.parametrize("than", ["uncorrected", "batch", {"sun": 0.7, "fog": 0.55, "rain": 0.3}])
def test_no_class_is_worse_than_asked(kind, than, columns, tmp_path):
    X, y = frame(columns)
    named = {
        "uncorrected": X.idxmax(axis=1).to_numpy(),
        "batch": (X / X.mean()).idxmax(axis=1).to_numpy(),
    }
    least = accuracies(y, named[than]) if isinstance(than, str) else than
    goal = Constrained(no_class_worse_than=than, margin=0.05)
    debiaser = kind(objective=goal).fit(X, y)
    assert debiaser.feasible_
    reached = accuracies(y, debiaser.predict(X))
    assert all(reached[name] >= least[name] - 0.05 - 1e-12 for name in least)
    assert "no class more than 5 points less accurate than" in debiaser.summary()
    debiaser.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json")
    assert again.summary() == debiaser.summary()
    assert again.objective_.references == pytest.approx([least[name] for name in sorted(least)])
    assert again.objective is not debiaser.objective
    assert goal.references is None


def test_a_guard_that_cannot_be_kept_is_said_like_other_bounds():
    X, y = frame(["rain", "sun", "fog"])
    goal = Constrained(no_class_worse_than=[0.99, 0.2, 0.99], margin=0.0)
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        debiaser = WeightDebiaser(objective=goal).fit(X, y)
    assert [one for one in met if issubclass(one.category, InfeasibleWarning)]
    assert not debiaser.feasible_
    assert "OUT OF BOUNDS: no class less accurate than the accuracies given" in debiaser.summary()
    worst = max(0.99 - accuracies(y, debiaser.predict(X))[name] for name in ("fog", "sun"))
    assert f"(one is by {round(100 * worst, 1):g})" in debiaser.summary()


@pytest.mark.parametrize("tolerance", [0.0, 0.05])
def test_near_ties_are_kept_said_and_saved(tolerance, tmp_path):
    X, y = frame(["sun", "fog", "rain"])
    debiaser = EnsembleDebiaser(tolerance=tolerance, objective=Objective(pmi=0.0)).fit(X, y)
    ties = debiaser.near_ties_
    assert ties["taken"].tolist() == [True] + [False] * (len(ties) - 1)
    assert ties.loc[0, "choice"] == tuple(debiaser.choice_)
    assert ties.loc[0, "objective"] == pytest.approx(debiaser.objective_value_)
    assert ties.loc[0, "accuracy"] == pytest.approx((debiaser.predict(X) == y).mean())
    balanced = np.mean(list(accuracies(y, debiaser.predict(X)).values()))
    assert ties.loc[0, "balanced_accuracy"] == pytest.approx(balanced)
    proved = EnsembleDebiaser(objective=Objective(pmi=0.0)).fit(X, y).objective_value_
    assert (ties["objective"] <= proved + (tolerance or 0.002) + 1e-9).all()
    if tolerance:
        assert balanced == ties["balanced_accuracy"].max()
        assert debiaser.certificate_.given_up == pytest.approx(debiaser.objective_value_ - proved)
        assert debiaser.certificate_.given_up > 0
        assert "of the proved optimum" in debiaser.summary()
        assert "is within" in debiaser.certificate_.proved
    debiaser.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json")
    pd.testing.assert_frame_equal(again.near_ties_, ties)
    assert again.certificate_ == debiaser.certificate_
    assert again.summary() == debiaser.summary()
    assert debiaser.pick(0).near_ties_ is None


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["near_ties"].update(rows=[]),
        lambda d: d["near_ties"]["rows"][0].update(choice=[17]),
        lambda d: d["near_ties"]["rows"][0].update(accuracy="high"),
        lambda d: d["near_ties"].pop("within"),
        lambda d: d["certificate"].update(given_up=-1.0),
        lambda d: d["objective"].update(costs=[[0, 1], [1, 0]]),
        lambda d: d["objective"].update(worst_class="much"),
    ],
)
def test_damaged_entries_are_refused(change, tmp_path):
    X, y = frame(["sun", "fog", "rain"])
    WeightDebiaser(n_starts=2).fit(X, y).save(tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text())
    change(document)
    document["checksum"] = None
    (tmp_path / "c.json").write_text(json.dumps(document))
    with pytest.raises(CorrectionFileError):
        load(tmp_path / "c.json")


def test_a_file_without_further_terms_is_as_it_was(tmp_path):
    X, y = frame(["sun", "fog", "rain"])
    WeightDebiaser(n_starts=2).fit(X, y).save(tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text())
    assert set(document["objective"]) == {"error", "cobias", "pmi", "smoothing"}
    assert "given_up" not in document["certificate"]


def test_what_contradicts_is_refused():
    X, y = frame(["sun", "fog", "rain"])
    with refused(ParameterError, parameter="tolerance"):
        WeightDebiaser(tolerance=-0.1).fit(X, y)
    with refused(ParameterError, parameter="tolerance"):
        WeightDebiaser(tolerance=0.1, search="annealing-3/6").fit(X, y)
    with refused(ParameterError, parameter="costs", received="snow"):
        WeightDebiaser(objective=Objective(costs={"snow": {"sun": 1}})).fit(X, y)
    with refused(ParameterError, parameter="no_class_worse_than"):
        WeightDebiaser(objective=Constrained(no_class_worse_than={"sun": 0.5})).fit(X, y)


@pytest.mark.parametrize(
    "costs", [pd.DataFrame(COSTS), pd.DataFrame(COSTS).T, pd.DataFrame(np.eye(3), columns=[2, 1, 0])]
)
def test_names_of_costs_in_a_frame_are_not_dropped(costs):
    X, y = frame(["sun", "fog", "rain"])
    costs = costs.fillna(0.0)
    with refused(ParameterError, parameter="costs", received=list):
        WeightDebiaser(objective=Objective.least_cost(costs)).fit(X, y)
    by_label = {true: dict(row) for true, row in COSTS.items()}
    named = pd.DataFrame(COSTS).T.fillna(0.0).to_dict("index")
    found = [
        WeightDebiaser(n_starts=2, objective=Objective.least_cost(one)).fit(X, y).objective_value_
        for one in (by_label, named, pd.DataFrame([[0.0, 0.0, 10.0], [0.0, 0.0, 3.0], [1.0, 1.0, 0.0]]))
    ]
    assert found[0] == found[1] == found[2]


def test_rows_of_the_frontier_are_picked_by_integers(tmp_path):
    X, y = frame(["sun", "fog", "rain"])
    debiaser = WeightDebiaser(n_weights=6, n_starts=2).fit(X, y)
    row = debiaser.frontier_["worst_class_accuracy"].to_numpy().argmax()
    picked = debiaser.pick(row)
    picked.save(tmp_path / "c.json")
    assert load(tmp_path / "c.json").picked_row_ == row == picked.picked_row_
    for wrong in (0.5, 1.0, True, "0", None, len(debiaser.frontier_)):
        with refused(ParameterError, parameter="row", received=wrong):
            debiaser.pick(wrong)
