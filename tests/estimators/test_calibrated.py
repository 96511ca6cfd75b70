"""The learnt base under the search, and the method that chooses itself: conventions, counts, files."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_info

from debias import (
    CalibratedDebiaser,
    Constrained,
    Debiaser,
    EnsembleDebiaser,
    Family,
    LogBiasDebiaser,
    Objective,
    load,
)
from debias.corrections.bases.linear_maps import batch_calibration
from debias.corrections.correction import Weight
from debias.corrections.decision_rule import decide
from debias.corrections.families import wide
from debias.errors import CorrectionFileError, ParameterError, TableError
from debias.estimators.bases.cross_fitting import BASES
from debias.estimators.tuning.methods import METHODS
from tests.support.published_tables import published
from tests.support.refusals import refused
from tests.support.scikit_learn_checks import expected_failures
from tests.support.small_tables import skewed_rows

NAMES = ["sun", "rain", "fog"]
WEIGHTS_OF_CLASSES = {
    CalibratedDebiaser: {"check_class_weight_classifiers": "class_weight takes None or 'balanced'"},
    Debiaser: {},
}


@parametrize_with_checks(
    [CalibratedDebiaser(n_starts=2), Debiaser(method="batch")],
    expected_failed_checks=lambda estimator: (
        expected_failures(estimator) | WEIGHTS_OF_CLASSES[type(estimator)]
    ),
    xfail_strict=True,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def confused():
    """Rows of a model that takes one class for another, and favours the last: (DataFrame, labels)."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 80)
    evidence = rng.normal(size=(240, 3)) + 2 * np.eye(3)[y]
    logits = evidence @ [[1, 0, 0], [0, 1, 1], [0, 0, 1]] + [0, 0, 1]
    return pd.DataFrame(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), columns=NAMES), np.array(
        NAMES
    )[y]


def test_a_map_does_what_no_function_per_class_can(confused):
    X, y = confused
    held_out = cross_val_score(CalibratedDebiaser(n_starts=4), X, y, cv=4).mean()
    assert held_out > cross_val_score(EnsembleDebiaser(search="descent"), X, y, cv=4).mean()
    assert held_out > (X.to_numpy().argmax(axis=1) == np.searchsorted(sorted(NAMES), y)).mean()


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("family", ["log-bias", "weights", "none", Family([Weight(1, 2), Weight(2, 2)])])
def test_predictions_are_the_base_then_the_corrections(confused, tmp_path, base, family):
    X, y = confused
    debiaser = CalibratedDebiaser(base=base, family=family, n_starts=2, search="descent").fit(X, y)
    posteriors = debiaser.base_.posteriors(X.to_numpy())
    values = np.column_stack(
        [
            debiaser.corrections_[list(debiaser.classes_).index(name)](posteriors[:, k])
            for k, name in enumerate(NAMES)
        ]
    )
    np.testing.assert_allclose(debiaser.transform(X), values)
    assert (debiaser.predict(X) == np.array(NAMES)[decide(values, posteriors)]).all()
    before = X.to_numpy().argmax(axis=1)
    facts = dict(zip(debiaser.classes_, debiaser.facts_, strict=True))
    for k, name in enumerate(NAMES):  # the counts without correction are of the model, not of the base
        assert facts[name].predicted_before == (before == k).sum()
    debiaser.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json", family=family if isinstance(family, Family) else None)
    assert isinstance(again, CalibratedDebiaser)
    np.testing.assert_array_equal(again.predict_proba(X), debiaser.predict_proba(X))
    assert again.summary() == debiaser.summary()
    assert clone(again).set_params(n_starts=2).fit(X, y).choice_.tolist() == debiaser.choice_.tolist()


def test_the_identity_base_is_the_plain_search(confused):
    X, y = confused
    plain = LogBiasDebiaser(n_starts=3).fit(X, y)
    based = CalibratedDebiaser(base="identity", n_starts=3).fit(X, y)
    assert based.objective_value_ == pytest.approx(plain.objective_value_, abs=0.01)
    assert based.baseline_objective_value_ == plain.baseline_objective_value_
    assert based.fitted_.data_fingerprint == plain.fitted_.data_fingerprint


def test_the_batch_base_alone_uses_no_labels(confused):
    X, y = confused
    debiaser = CalibratedDebiaser(base="batch", family="none").fit(X, y)
    shuffled = CalibratedDebiaser(base="batch", family="none").fit(X, np.random.default_rng(0).permutation(y))
    np.testing.assert_array_equal(debiaser.predict(X), shuffled.predict(X))
    assert (debiaser.predict(X) == np.array(NAMES)[(X / X.mean()).to_numpy().argmax(axis=1)]).all()
    assert debiaser.certificate_ is None


def test_unlabelled_rows_join_batch_calibration(confused):
    X, y = confused
    rest = X.iloc[:200] ** 2
    rest = rest.div(rest.sum(axis=1), axis=0)
    debiaser = CalibratedDebiaser(base="batch", family="none").fit(X, y, X_unlabelled=rest)
    expected = batch_calibration(pd.concat([X, rest]).to_numpy())
    np.testing.assert_allclose(debiaser.base_.bias, expected.bias)
    with refused(TableError):
        CalibratedDebiaser().fit(X, y, X_unlabelled=rest * 2)


@pytest.mark.parametrize("method", ["calibrated", "auto"])
def test_the_order_of_columns_and_the_kind_of_labels_change_nothing(confused, method):
    X, y = confused
    kept = Debiaser(method=method, n_starts=2).fit(X, y)
    turned = Debiaser(method=method, n_starts=2).fit(X[["fog", "sun", "rain"]], y)
    scores = kept.score(X, y), turned.score(X[["fog", "sun", "rain"]], y)
    assert scores[0] == pytest.approx(scores[1], abs=0.06)  # rows are dealt to other folds
    numbers = np.array([NAMES.index(name) for name in y])
    plain = Debiaser(method=method, n_starts=2).fit(X.to_numpy(), numbers)
    assert (np.array(NAMES)[plain.predict(X.to_numpy())] == kept.predict(X)).all()


def test_weights_count_as_repeated_rows(confused):
    X, y = confused
    weights = np.random.default_rng(0).integers(1, 4, len(y))
    weighted = CalibratedDebiaser(base="batch", family="weights", search="descent")
    weighted.fit(X, y, sample_weight=weights)
    assert weighted.n_labels_ == len(y)
    counts = weighted.fitted_.counts(corrected=False)
    assert counts.support.sum() == weights.sum()
    assert Debiaser(n_starts=2).fit(X, y, sample_weight=weights).selection_.to_frame()["chosen"].sum() == 1


def test_bounds_on_the_model_are_on_the_model_before_the_base(confused):
    X, y = confused
    accuracy = (X.columns.to_numpy()[X.to_numpy().argmax(axis=1)] == y).mean()
    goal = Constrained(min_accuracy="uncorrected")
    debiaser = CalibratedDebiaser(objective=goal, n_starts=2).fit(X, y)
    assert debiaser.objective_.min_accuracy == pytest.approx(accuracy)
    guard = Constrained(no_class_worse_than="uncorrected", margin=0.05)
    guarded = CalibratedDebiaser(objective=guard, n_starts=2).fit(X, y)
    assert guarded.objective_.no_class_worse_than == "uncorrected"
    accuracies = dict(zip(guarded.classes_, guarded.facts_, strict=True))
    if guarded.feasible_:
        assert all(one.accuracy_after >= one.accuracy_before - 0.05 - 1e-9 for one in accuracies.values())


def test_costs_are_by_label_behind_a_base(confused):
    X, y = confused
    costs = {"sun": {"rain": 1, "fog": 1}, "rain": {"sun": 30, "fog": 30}, "fog": {"sun": 1, "rain": 1}}
    goal = Objective.least_cost(costs)
    for columns in (NAMES, ["fog", "rain", "sun"]):
        debiaser = CalibratedDebiaser(objective=goal, n_starts=2).fit(X[columns], y)
        facts = dict(zip(debiaser.classes_, debiaser.facts_, strict=True))
        assert facts["rain"].accuracy_after > 0.9  # the dear mistakes are not made
        chosen = Debiaser(objective=goal, n_starts=2).fit(X[columns], y)
        assert chosen.selection_.of(chosen.method_).objective < 5


@pytest.mark.parametrize("kind", [CalibratedDebiaser, Debiaser])
def test_a_grid_search_tunes_it(confused, kind):
    X, y = confused
    name, values = (
        ("base", ["batch", "affine"]) if kind is CalibratedDebiaser else ("method", ["batch", "weight"])
    )
    search = GridSearchCV(kind(n_starts=1), {name: values}, cv=3, scoring="balanced_accuracy").fit(X, y)
    assert search.best_params_[name] in values


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"base": "magic"}, "base"),
        ({"family": "magic"}, "family"),
        ({"class_weight": "even"}, "class_weight"),
        ({"n_starts": 0}, "n_starts"),
    ],
)
def test_bad_parameters_are_refused(confused, parameters, name):
    with refused(ParameterError, parameter=name):
        CalibratedDebiaser(**parameters).fit(*confused)


def test_an_unknown_method_is_refused(confused):
    with refused(ParameterError, parameter="method", received="magic", mentions=METHODS):
        Debiaser(method="magic").fit(*confused)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_by_its_name(confused, tmp_path, method):
    X, y = confused
    debiaser = Debiaser(method=method, n_starts=2, search="descent").fit(X, y)
    assert debiaser.method_ == method
    assert debiaser.selection_ is None
    debiaser.save(tmp_path / "c.json")
    np.testing.assert_array_equal(load(tmp_path / "c.json").predict(X), debiaser.predict(X))


def test_the_default_chooses_and_says_what_it_gave_up(confused, tmp_path):
    X, y = confused
    debiaser = Debiaser(n_starts=2).fit(X, y)
    selection = debiaser.selection_
    frame = selection.to_frame()
    allowed = frame["objective"] - frame["objective"].min() <= frame["standard_error"]
    assert allowed[debiaser.method_]
    simpler = frame.index[: list(frame.index).index(debiaser.method_)]
    assert not allowed[[name for name in simpler if name != "uncorrected"]].any()
    assert repr(debiaser.method_) in debiaser.summary()
    assert repr(selection.best) in debiaser.summary()
    debiaser.save(tmp_path / "c.json")
    assert load(tmp_path / "c.json").fitted_.selection == selection
    document = json.loads((tmp_path / "c.json").read_text())
    document["selection"]["chosen"], document["checksum"] = "magic", None
    (tmp_path / "c.json").write_text(json.dumps(document))
    with refused(CorrectionFileError, parameter="chosen"):
        load(tmp_path / "c.json")


def test_threads_change_nothing(confused):
    X, y = confused
    one, two = (Debiaser(n_starts=2, n_jobs=n).fit(X, y) for n in (1, 2))
    assert one.selection_ == two.selection_
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


def test_fits_in_threads_leave_the_threads_of_others_alone(confused):
    def blas_threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = blas_threads()
    Debiaser(n_starts=2, n_jobs=2).fit(*confused)
    assert blas_threads() == before


def test_the_wide_family_has_all_memberships_if_asked(tmp_path):
    X, y = skewed_rows(n_samples=60, n_classes=2)
    sizes = []
    for monotone in (True, False):
        debiaser = Debiaser(method="wide", monotone=monotone, n_starts=2).fit(X, y)
        debiaser.save(tmp_path / "wide.json")
        np.testing.assert_array_equal(load(tmp_path / "wide.json").predict(X), debiaser.predict(X))
        sizes.append(debiaser.fitted_.family_size)
    assert sizes == [93, 108]
    few = Debiaser(method="wide", monotone=False, n_weights=5, n_starts=2).fit(X, y)
    assert few.fitted_.family_size == len(wide(5, monotone=False))


def test_methods_that_are_not_monotone_join_if_asked(confused):
    X, y = confused
    names = [Debiaser(monotone=m, n_starts=2).fit(X, y).selection_.to_frame().index for m in (True, False)]
    assert set(names[1]) - set(names[0]) == {"fuzzy", "ensemble"}


def test_new_rows_are_expected_behind_a_base(confused):
    X, y = confused
    for debiaser in (CalibratedDebiaser(n_starts=2), Debiaser(method="batch")):
        expectation = debiaser.fit(X, y).expect(X, y)
        assert expectation.accuracy.before == pytest.approx(
            (X.columns.to_numpy()[X.to_numpy().argmax(axis=1)] == y).mean(), abs=0.03
        )
        assert expectation.accuracy.low < expectation.accuracy.difference < expectation.accuracy.high


def test_few_rows_of_many_classes_are_fitted():
    P, y = skewed_rows(0, 12, 4)
    debiaser = Debiaser(n_starts=2).fit(P, y)
    assert len(debiaser.predict(P)) == 12


def test_a_class_of_one_row_leaves_folds_of_one_class():
    P, _ = skewed_rows(0, 10, 3)
    y = [0] * 9 + [1]
    debiaser = Debiaser(n_starts=2, classes=[0, 1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert len(debiaser.fit(P, y).predict(P)) == 10
        for method in METHODS:
            Debiaser(method=method, n_starts=2, classes=[0, 1, 2]).fit(P, y).predict(P)


def test_on_a_real_table_it_beats_the_corrections_of_a_class():
    opt, test = published("agnews", "opt"), published("agnews", "test")
    objective = {}
    for debiaser in (CalibratedDebiaser(n_starts=2), EnsembleDebiaser(search="descent")):
        debiaser.fit(opt[0], opt[1])
        goal = Objective()
        classes = np.arange(opt[0].shape[1])
        counts = goal.counts(np.asarray(test[1]), debiaser.predict(test[0]), len(classes))
        objective[type(debiaser).__name__] = goal(*counts)
    assert objective["CalibratedDebiaser"] < objective["EnsembleDebiaser"]


def mostly_alike(n_other, seed=0, n_rows=300):
    """Rows of three classes, all but some of them the same, and labels that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    P = np.tile([0.4, 0.3, 0.3], (n_rows, 1))
    P[n_rows - n_other :] = rng.dirichlet([2, 2, 2], size=n_other)
    return P, rng.integers(3, size=n_rows)


@pytest.mark.filterwarnings("ignore:.* rows are the same:UserWarning")
@pytest.mark.parametrize("base", ["affine", "vector", "trees"])
@pytest.mark.parametrize("n_other", [1, 5, 60])
def test_rows_that_are_the_same_do_not_look_even_by_falling_into_several_folds(n_other, base):
    P, y = mostly_alike(n_other)
    debiaser = CalibratedDebiaser(base=base).fit(P, y)
    said = debiaser.explain()["predicted_after"].to_numpy()
    assert said.max() >= 300 - n_other
    assert abs(np.sort(said) - np.sort(np.bincount(debiaser.predict(P), minlength=3))).max() <= 2 * n_other


@pytest.mark.filterwarnings("ignore:.* rows are the same:UserWarning")
@pytest.mark.parametrize("seed", range(4))
def test_the_default_promises_nothing_where_there_is_next_to_no_information(seed):
    P, y = mostly_alike(5, seed)
    debiaser = Debiaser().fit(P, y)
    assert debiaser.explain()["predicted_after"].max() >= 295 <= np.bincount(debiaser.predict(P)).max()


def test_the_label_free_answer_divides_by_rows_without_labels_too():
    X, y = skewed_rows(n_samples=30)
    rest, of_class = skewed_rows(n_samples=300, seed=1)
    rest = rest[of_class == 0]
    fitted = CalibratedDebiaser().fit(X, y, X_unlabelled=rest).fitted_
    batch = CalibratedDebiaser(base="batch", family="none").fit(X, y, X_unlabelled=rest)
    assert fitted.label_free.accuracy == batch.score(X, y)
    alone = CalibratedDebiaser(base="batch", family="none").fit(X, y)
    assert CalibratedDebiaser().fit(X, y).fitted_.label_free.accuracy == alone.score(X, y)
    assert alone.score(X, y) != batch.score(X, y)


@pytest.mark.parametrize(
    ("parameter", "value"), [("search", "best"), ("time_limit", -1.0), ("n_jobs", 0), ("family", "narrow")]
)
def test_settings_that_a_log_bias_does_not_use_are_checked_too(parameter, value):
    X, y = skewed_rows(n_samples=30)
    with refused(ParameterError, parameter=parameter, received=value) as caught:
        CalibratedDebiaser(**{parameter: value}).fit(X, y)
    if parameter == "family":
        assert all(name in caught.value.allowed for name in ("log-bias", "none", "wide"))


def test_a_method_that_keeps_no_bounds_is_not_said_to_keep_them():
    X, y = skewed_rows(n_samples=60)
    seen = 0
    for share in (0.8, 0.9, 0.95, 0.99):
        goal = Constrained(min_class_accuracy=share, max_cobias=0.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            debiaser = Debiaser(objective=goal).fit(X, y)
        if debiaser.selection_.for_bounds and not debiaser.feasible_:
            assert "as the closest to the bounds" in debiaser.summary()
            assert "do not satisfy them" not in debiaser.summary()
            seen += 1
    assert seen
