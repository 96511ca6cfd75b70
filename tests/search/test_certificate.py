"""Certificates in words, in files and in reports: said as far as proved, refused where impossible."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias import Constrained, EnsembleDebiaser, WeightDebiaser, load
from debias.errors import CorrectionFileError, InfeasibleWarning
from debias.reports.correction_report import Report
from debias.reports.provenance import describe_provenance
from debias.search.certificate import Certificate
from debias.search.constraints import INFEASIBLE
from debias.search.objective import Objective
from debias.tables.table import ProbabilityTable
from tests.support.refusals import refused

RADIUS_OF = {"optimal": 6, "radius": 2, "heuristic": 0}


@pytest.fixture(scope="module")
def table():
    """Six classes with few rows: the optimum is quickly bounded, but not by a search told not to."""
    rng = np.random.default_rng(3)
    y = np.repeat(np.arange(6), 12)
    logits = rng.normal(size=(72, 6)) + np.eye(6)[y] + np.arange(6) / 2
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return ProbabilityTable(values, y, classes=[*"abcdef"], texts=[f"text {row}" for row in range(72)])


def fitted(table, **settings):
    return EnsembleDebiaser(shrink=False, **settings).fit(table.probabilities, table.labels)


@pytest.fixture(scope="module")
def document(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "correction.json"
    fitted(table, search="descent", n_starts=2).save(path)
    return json.loads(path.read_text(encoding="utf-8"))


@given(
    status=st.sampled_from([*RADIUS_OF]),
    out=st.sampled_from([0.0, 0.25]),
    known=st.booleans(),
    interrupted=st.booleans(),
)
def test_the_placeholder_of_what_is_out_of_bounds_is_never_said(status, out, known, interrupted):
    objective = INFEASIBLE + out if out else 0.75
    lower = objective if status == "optimal" else INFEASIBLE if known and out else 0.5
    said = str(Certificate(status, RADIUS_OF[status], objective, lower, 10, 0.1, interrupted))
    assert said.startswith("proved: ")
    assert "1000" not in said
    assert ("no choice satisfies the bounds" in said) == bool(out and (known or status == "optimal"))
    assert ("gap of 0.250000" in said) == (not out and status != "optimal")
    assert ("up to 2 classes" in said) == (status == "radius")


@pytest.mark.parametrize("search", ["auto", "descent", "annealing-3/6"])
@pytest.mark.parametrize("goal", [None, Constrained(max_cobias=0.3), Constrained(0.0, 0.99)])
@pytest.mark.filterwarnings("ignore::debias.errors.InfeasibleWarning")
def test_the_same_certificate_comes_back_from_the_file(table, goal, search, tmp_path):
    some = ProbabilityTable(table.to_numpy()[:, :3], table.label_indices % 3, normalise=True)
    debiaser = fitted(some, search=search, n_starts=2, objective=goal)
    debiaser.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json")
    assert again.certificate_ == debiaser.certificate_
    assert (again.certificate_ is None) == (search == "annealing-3/6")
    assert again.summary() == debiaser.summary()
    assert again.picked_row_ is None


@pytest.mark.parametrize("search", ["auto", "descent"])
def test_large_costs_are_no_bounds(table, search, tmp_path):
    """The numbers of 1000 and more that stand for what is out of bounds are those of Constrained alone."""
    some = ProbabilityTable(table.to_numpy()[:, :3], table.label_indices % 3, normalise=True)
    costs = 20_000 * (1 - np.eye(3))
    debiaser = fitted(some, objective=Objective.least_cost(costs), search=search)
    debiaser.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json")
    assert debiaser.objective_value_ > INFEASIBLE
    assert again.certificate_ == debiaser.certificate_
    for one in (debiaser, again):
        assert not one.certificate_.none_in_bounds
        assert "bounds" not in one.certificate_.proved + one.certificate_._repr_html_()
        assert f"{debiaser.objective_value_:.6f}" in one.certificate_.proved
        expected = "; proved optimal" if search == "auto" else "; not proved to be the best"
        assert expected in one.summary()


def test_summaries_say_in_a_clause_what_is_proved(table):
    some = ProbabilityTable(table.to_numpy()[:, :2], table.label_indices % 2, normalise=True)
    assert "choices evaluated; proved optimal)" in fitted(some).summary()
    assert "choices evaluated; not proved to be the best)" in fitted(some, search="descent").summary()
    assert "choices evaluated)" in fitted(some, search="annealing-3/6").summary()
    proved = fitted(table, search="auto", time_limit=1e-9, n_starts=2)
    radius = proved.certificate_.radius
    classes = "one class" if radius == 1 else f"up to {radius} classes"
    assert f"choices evaluated; none that differs in {classes} is better)" in proved.summary()


def test_nothing_better_and_no_bound_that_can_be_kept_are_said_as_proved():
    P, y = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8]]), [0, 0, 1, 1]
    assert "); proved optimal." in WeightDebiaser().fit(P, y).summary()
    with pytest.warns(InfeasibleWarning):
        debiaser = WeightDebiaser(objective=Constrained(min_accuracy=0.9)).fit(P[[0, 0, 1]], [0, 1, 1])
    assert debiaser.certificate_.none_in_bounds and "proved that no choice" in debiaser.summary()
    with pytest.warns(InfeasibleWarning):
        WeightDebiaser(objective=Constrained(min_accuracy=0.9), search="descent").fit(P[[0, 0, 1]], [0, 1, 1])


def test_reports_hold_a_line_on_what_is_proved(table):
    for search, said in (("auto", "no "), ("descent", "only that the best possible objective")):
        debiaser = fitted(table, search=search, n_starts=2)
        settings = describe_provenance(debiaser, table)["Correction"]
        assert settings["proved"] == debiaser.certificate_.proved
        assert settings["proved"].startswith(said)
        report = Report.from_debiaser(debiaser, table, n_resamples=10)
        assert f"| proved | {settings['proved']} |" in report.to_markdown()
        assert settings["proved"] in report.to_html()
    debiaser = fitted(table, search="annealing-3/6")
    assert "proved" not in describe_provenance(debiaser, table)["Correction"]


def test_a_polish_comes_after_what_is_proved(table, tmp_path):
    debiaser = fitted(table, polish=True, search="descent", n_starts=2)
    assert debiaser.objective_value_ < debiaser.certificate_.objective
    debiaser.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json")
    assert again.certificate_ == debiaser.certificate_
    assert describe_provenance(again, table)["Correction"]["proved before the polish"].startswith("only that")
    proved = WeightDebiaser(polish=True, n_weights=1)
    proved.fit(np.array([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3]]), [1, 0, 0])
    assert "; proved optimal, before the polish)" in proved.summary()


def test_files_of_before_there_were_certificates_load(document, tmp_path):
    old = {name: value for name, value in document.items() if name not in ("certificate", "picked_row")}
    (tmp_path / "c.json").write_text(json.dumps(old | {"checksum": None}))
    again = load(tmp_path / "c.json")
    assert again.certificate_ is None
    assert again.picked_row_ is None
    assert "proved" not in again.summary()


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ("x", None),
        ([], None),
        ({"status": "perfect"}, "status"),
        ({"status": ["optimal"]}, "status"),
        ({"status": "optimal"}, "certificate"),
        ({"status": "optimal", "radius": 6}, "certificate"),
        ({"status": "radius", "radius": 6}, "certificate"),
        ({"radius": 1}, "certificate"),
        ({"radius": -1}, "radius"),
        ({"radius": 10**400}, None),
        ({"lower_bound": 1e9}, "certificate"),
        ({"lower_bound": float("nan")}, "lower_bound"),
        ({"lower_bound": -10 * 10**400}, None),
        ({"objective": -1.0, "lower_bound": -2.0}, "certificate"),
        ({"objective": "0"}, "objective"),
        ({"interrupted": 1}, "interrupted"),
        ({"n_evaluations": 0.5}, "n_evaluations"),
    ],
)
def test_certificates_that_cannot_be_are_refused(changes, parameter, document, tmp_path):
    hostile = copy.deepcopy(document) | {"checksum": None}
    hostile["certificate"] = changes if not isinstance(changes, dict) else hostile["certificate"] | changes
    path = tmp_path / "c.json"
    path.write_text(json.dumps(hostile))
    fields = {} if parameter is None else {"parameter": parameter}
    with refused(CorrectionFileError, file=str(path), **fields):
        load(path)


@pytest.mark.parametrize("name", ["status", "radius", "objective", "lower_bound"])
def test_a_certificate_with_a_field_missing_is_refused(name, document, tmp_path):
    less = copy.deepcopy(document) | {"checksum": None}
    del less["certificate"][name]
    (tmp_path / "c.json").write_text(json.dumps(less))
    with refused(CorrectionFileError, file=str(tmp_path / "c.json"), mentions=name):
        load(tmp_path / "c.json")


@pytest.mark.parametrize("row", [-1, 1.5, "3", True])
def test_picked_rows_that_are_none_are_refused(row, document, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(document | {"picked_row": row, "checksum": None}))
    with refused(CorrectionFileError, parameter="picked_row", received=row):
        load(tmp_path / "c.json")


def test_a_picked_row_comes_back_and_says_so(table, tmp_path):
    debiaser = fitted(table, search="descent", n_starts=4)
    last = len(debiaser.frontier_) - 1
    for row in (0, -1):
        picked = debiaser.pick(row)
        picked.save(tmp_path / "picked.json")
        again = load(tmp_path / "picked.json")
        assert again.picked_row_ == row % (last + 1)
        assert again.certificate_ is None
        assert again.summary() == picked.summary()
        assert again.summary().startswith(f"Picked from the frontier by hand (row {row % (last + 1)}). ")
        accuracy = (again.predict(table.probabilities) == table.labels).mean()
        assert accuracy == pytest.approx(debiaser.frontier_["accuracy"].iloc[row], abs=1e-12)
    assert debiaser.picked_row_ is None
    assert debiaser.fit(table.probabilities, table.labels).picked_row_ is None


def test_the_uncorrected_model_may_be_picked():
    P, y = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8]]), [0, 0, 1, 1]
    picked = WeightDebiaser().fit(P, y).pick(0)
    assert picked.summary() == (
        "Picked from the frontier by hand (row 0). Nothing is changed: this row is the uncorrected model. "
        "Batch calibration, which uses no labels, has accuracy 100.0 % and COBias 0.0 points on the same "
        "rows. 0 has 2 labelled rows, 1 has 2: their class accuracies cannot be known."
    )
