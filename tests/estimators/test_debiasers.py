"""The debiasers: scikit-learn's conventions, what is learned, and that it is what it says."""

import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.ensemble import StackingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from debias import EnsembleDebiaser, FuzzyDebiaser, Objective, WeightDebiaser
from debias.corrections import Function, memberships
from debias.errors import DebiasError, FewRowsWarning, ParameterError, TableError
from tests.support.published_tables import CLASSES, published
from tests.support.refusals import refused
from tests.support.scikit_learn_checks import expected_failures

DEBIASERS = [WeightDebiaser, FuzzyDebiaser, EnsembleDebiaser]


@parametrize_with_checks(
    [kind() for kind in DEBIASERS], expected_failed_checks=expected_failures, xfail_strict=True
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def biased():
    """Rows whose class probabilities favour the last classes: (DataFrame, labels)."""
    rng = np.random.default_rng(0)
    names = ["sun", "rain", "fog", "snow"]
    y = np.repeat(np.arange(4), 60)
    logits = rng.normal(size=(240, 4)) + 2.0 * np.eye(4)[y] + np.array([0.0, 0.5, 1.0, 2.0])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(probabilities, columns=names), np.array(names)[y]


# What the checks that cannot run on class probabilities meant to check, on class probabilities.


@pytest.mark.parametrize("kind", DEBIASERS)
def test_fit_returns_self_leaves_parameters_and_input_alone_and_is_idempotent(kind, biased):
    X, y = biased
    before, labels = X.copy(), y.copy()
    debiaser = kind(n_starts=3)
    parameters = debiaser.get_params()
    assert debiaser.fit(X, y) is debiaser
    first = debiaser.choice_.copy()
    debiaser.predict(X), debiaser.transform(X), debiaser.predict_proba(X), debiaser.explain()
    pd.testing.assert_frame_equal(X, before)
    np.testing.assert_array_equal(y, labels)
    assert debiaser.get_params() == parameters
    attributes = set(vars(debiaser))
    np.testing.assert_array_equal(debiaser.fit(X, y).choice_, first)
    assert set(vars(debiaser)) == attributes
    assert all(name.endswith("_") for name in attributes - set(parameters))


@pytest.mark.parametrize("kind", DEBIASERS)
def test_learned_attributes(kind, biased):
    X, y = biased
    debiaser = kind(n_starts=3).fit(X, y)
    assert debiaser.classes_.tolist() == ["fog", "rain", "snow", "sun"]
    assert debiaser.feature_names_in_.tolist() == list(X.columns)
    assert debiaser.n_features_in_ == 4
    assert debiaser.n_labels_ == 240
    assert debiaser.choice_.shape == (4,)
    assert [c.id for c in debiaser.corrections_] == debiaser.choice_.tolist()
    assert debiaser.objective_value_ < debiaser.baseline_objective_value_
    assert debiaser.improved_
    assert debiaser.n_evaluations_ > 1000


@pytest.mark.parametrize("kind", DEBIASERS)
def test_objective_value_is_that_of_the_predictions(kind, biased):
    X, y = biased
    objective = Objective(1.0, 2.0, 0.5, 10.0)
    debiaser = kind(n_starts=3, objective=objective).fit(X, y)
    predicted = debiaser.predict(X)
    counts = [
        [((predicted == name) & (y == name)).sum(), (predicted == name).sum(), (y == name).sum()]
        for name in X.columns
    ]
    assert objective(*np.transpose(counts)) == pytest.approx(debiaser.objective_value_, abs=1e-12)


def test_the_order_of_the_columns_does_not_matter_when_they_are_named(biased):
    X, y = biased
    debiaser = EnsembleDebiaser(n_starts=3).fit(X, y)
    shuffled = X[["snow", "sun", "fog", "rain"]]
    again = EnsembleDebiaser(n_starts=3).fit(shuffled, y)
    assert again.objective_value_ == pytest.approx(debiaser.objective_value_, abs=1e-9)
    assert (again.predict(shuffled) == debiaser.predict(X)).mean() > 0.99
    with pytest.raises(ValueError, match="feature names"):
        debiaser.predict(shuffled)


@pytest.mark.parametrize("kind", DEBIASERS)
def test_arrays_integers_and_names_agree(kind, biased):
    X, y = biased
    names = list(X.columns)
    integers = np.array([names.index(label) for label in y])
    by_name = kind(n_starts=3).fit(X, y)
    by_position = kind(n_starts=3).fit(X.to_numpy(), integers)
    by_classes = kind(n_starts=3, classes=names).fit(X.to_numpy(), y)
    as_lists = kind(n_starts=3).fit(X.to_numpy().tolist(), integers.tolist())
    np.testing.assert_array_equal(as_lists.choice_, by_position.choice_)
    np.testing.assert_array_equal(by_classes.predict(X.to_numpy()), by_name.predict(X))
    np.testing.assert_array_equal(np.array(names)[by_position.predict(X.to_numpy())], by_name.predict(X))
    assert by_position.classes_.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", DEBIASERS)
def test_rows_are_independent_of_each_other(kind, biased):
    X, y = biased
    debiaser = kind(n_starts=3).fit(X, y)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_array_equal(debiaser.predict(X.iloc[order]), debiaser.predict(X)[order])
    np.testing.assert_array_equal(debiaser.predict(X.iloc[:1]), debiaser.predict(X)[:1])


@pytest.mark.parametrize("kind", DEBIASERS)
def test_predict_transform_and_probabilities_agree(kind, biased):
    X, y = biased
    debiaser = kind(n_starts=3).fit(X, y)
    values = debiaser.transform(X)
    probabilities = debiaser.predict_proba(X)
    assert values.shape == probabilities.shape == X.shape
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    largest = values.max(axis=1, keepdims=True)
    clear = ((values >= largest - 1e-12).sum(axis=1) == 1) & (largest[:, 0] > 0)
    assert clear.any()
    np.testing.assert_array_equal(np.array(X.columns)[values[clear].argmax(1)], debiaser.predict(X)[clear])
    np.testing.assert_array_equal(
        debiaser.classes_[probabilities[clear].argmax(1)], debiaser.predict(X)[clear]
    )


def test_the_order_of_the_samples_does_not_change_the_objective(biased):
    X, y = biased
    order = np.random.default_rng(1).permutation(len(X))
    one, two = (EnsembleDebiaser(n_starts=3).fit(X.iloc[o], y[o]) for o in (np.arange(len(X)), order))
    assert one.objective_value_ == pytest.approx(two.objective_value_, abs=1e-12)
    np.testing.assert_array_equal(one.choice_, two.choice_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, object])
def test_dtypes_and_memory_layouts(dtype, biased):
    X, y = biased
    integers = np.unique(y, return_inverse=True)[1]
    values = X[sorted(X.columns)].to_numpy()
    reference = WeightDebiaser(n_starts=2).fit(values.astype(np.float32).astype(float), integers)
    for layout in (np.ascontiguousarray, np.asfortranarray):
        data = layout(values.astype(np.float32).astype(dtype))
        data.flags.writeable = False
        np.testing.assert_array_equal(
            WeightDebiaser(n_starts=2).fit(data, integers).choice_, reference.choice_
        )


def test_a_column_of_labels_is_flattened_with_a_warning(biased):
    X, y = biased
    with pytest.warns(Warning, match="column-vector"):
        debiaser = WeightDebiaser(n_starts=1).fit(X, y[:, None])
    assert debiaser.predict(X).ndim == 1


# Conventions.


def test_clone_pipeline_and_grid_search(biased):
    X, y = biased
    pipeline = make_pipeline(FunctionTransformer(), clone(EnsembleDebiaser(n_starts=2)))
    search = GridSearchCV(
        pipeline,
        {
            "ensembledebiaser__n_weights": [10, 30],
            "ensembledebiaser__objective": [Objective(), Objective(cobias=3)],
        },
        cv=3,
    ).fit(X, y)
    assert search.best_score_ > 0.6
    assert set(search.predict(X)) <= set(y)
    nested = GridSearchCV(
        WeightDebiaser(objective=Objective(), n_starts=1), {"objective__cobias": [0.5, 2.7]}, cv=2
    ).fit(X, y)
    assert nested.best_estimator_.objective_.cobias in (0.5, 2.7)


def test_it_travels_to_other_processes(biased):
    X, y = biased
    debiaser = EnsembleDebiaser(n_starts=2).fit(X, y)
    again = pickle.loads(pickle.dumps(debiaser))
    np.testing.assert_array_equal(again.predict(X), debiaser.predict(X))


def test_scorers_that_need_sorted_classes(biased):
    X, y = biased
    assert np.isfinite(cross_val_score(WeightDebiaser(n_starts=1), X, y, scoring="neg_log_loss", cv=3)).all()
    assert (cross_val_score(WeightDebiaser(n_starts=1), X, y, scoring="roc_auc_ovr", cv=3) > 0.8).all()


def test_after_another_classifier(biased):
    """Its input may be any classifier's probabilities, named after the classes."""
    X, y = biased
    base = GaussianNB().fit(X, y)
    probabilities = pd.DataFrame(base.predict_proba(X), columns=base.classes_)
    assert EnsembleDebiaser(n_starts=2).fit(probabilities, y).score(probabilities, y) > 0.7
    stack = StackingClassifier([("debiased", WeightDebiaser(n_starts=1))], LogisticRegression(), cv=2)
    integers = np.unique(y, return_inverse=True)[1]
    assert (
        stack.fit(X[sorted(X.columns)].to_numpy(), integers).score(X[sorted(X.columns)].to_numpy(), integers)
        > 0.7
    )


def test_set_output_gives_class_columns(biased):
    X, y = biased
    debiaser = EnsembleDebiaser(n_starts=2).fit(X, y).set_output(transform="pandas")
    frame = debiaser.transform(X.set_index(pd.Index(range(100, 340))))
    assert list(frame.columns) == list(X.columns)
    assert frame.index[0] == 100
    np.testing.assert_array_equal(frame.to_numpy(), debiaser.set_output(transform="default").transform(X))


def test_not_fitted(biased):
    X, _ = biased
    for call in ("predict", "transform", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(EnsembleDebiaser(), call)(X)
    for call in ("explain", "summary", "get_feature_names_out"):
        with pytest.raises(NotFittedError):
            getattr(EnsembleDebiaser(), call)()


# Input that is refused.


@pytest.mark.parametrize(
    ("spoil", "mentions"),
    [
        (lambda X: X.assign(fog=np.nan), ("row 0", "'fog'", "nan")),
        (lambda X: X.assign(fog=np.inf), ("row 0", "'fog'", "inf")),
        (lambda X: X.assign(fog=-0.1), ("row 0", "'fog'", "-0.1")),
        (lambda X: X * 0.5, ("row 0", "0.5", "240", "normalise")),
        (lambda X: X * 0.0, ("row 0", "0")),
        (lambda X: X[["fog"]] * 0 + 1, "1"),
    ],
)
def test_values_that_are_no_probabilities(spoil, mentions, biased):
    X, y = biased
    with refused(TableError, mentions=mentions):
        EnsembleDebiaser().fit(spoil(X), y)


def test_labels_without_a_column(biased):
    X, y = biased
    with refused(TableError, mentions=("row 1", "'hail'")):
        EnsembleDebiaser().fit(X, ["sun", "hail", *y[2:]])
    with refused(TableError, mentions="classes="):
        EnsembleDebiaser().fit(X[y != "fog"].to_numpy(), y[y != "fog"])
    with refused(TableError, mentions=("4", "7")):
        EnsembleDebiaser().fit(X.to_numpy(), np.full(240, 7))
    with refused(TableError, mentions="0"):
        EnsembleDebiaser().fit(X, np.zeros(240, dtype=int))
    with refused(TableError):
        EnsembleDebiaser().fit(X, np.full(240, "fog"))
    with refused(TableError, mentions="'a', 'a'"):
        EnsembleDebiaser(classes=["a", "a", "b", "c"]).fit(X.to_numpy(), np.full(240, "a"))


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"search": "magic"}, {"parameter": "search", "received": "magic"}),
        ({"n_starts": 0}, {"parameter": "n_starts", "received": 0}),
        ({"n_weights": 0}, {"parameter": "n_weights", "received": 0}),
        ({"objective": Objective(error=-1)}, {"parameter": "error"}),
        ({"classes": ["a", "b"]}, {"parameter": "classes"}),
        ({"objective": "cobias"}, {"parameter": "objective", "received": "cobias"}),
        ({"n_jobs": 0}, {"parameter": "n_jobs", "received": 0}),
    ],
)
def test_parameters_that_are_not_allowed(parameters, fields, biased):
    X, y = biased
    with refused(ParameterError, **fields) as caught:
        EnsembleDebiaser(**parameters).fit(X, y)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, DebiasError)


def test_a_class_without_rows_is_named_and_left_out(biased):
    X, y = biased
    with pytest.warns(UserWarning, match="no labelled row of fog"):
        debiaser = EnsembleDebiaser(n_starts=2).fit(X[y != "fog"], y[y != "fog"])
    assert "fog" in debiaser.classes_
    assert np.isnan(debiaser.explain().loc["fog", "accuracy_before"])
    assert "no labelled row" in debiaser.explain().loc["fog", "sentence"]


def test_labels_of_one_class_against_the_rest_are_pointed_at():
    rng = np.random.default_rng(0)  # weak probabilities: nothing in them contradicts such labels
    with pytest.warns(UserWarning, match="OneVsRestClassifier"):
        OneVsRestClassifier(WeightDebiaser(n_starts=1)).fit(
            rng.dirichlet(np.ones(3), 60), rng.integers(3, size=60)
        )


def test_integer_column_names_in_another_order_are_refused(biased):
    X, y = biased
    frame = pd.DataFrame(X.to_numpy())
    integers = np.array([list(X.columns).index(label) for label in y])
    debiaser = WeightDebiaser(n_starts=1).fit(frame, integers)
    np.testing.assert_array_equal(debiaser.predict(frame), debiaser.predict(X.to_numpy()))
    with refused(TableError, parameter="the columns", received=[2, 0, 1, 3]):
        debiaser.predict(frame[[2, 0, 1, 3]])


def test_classes_in_another_order_than_the_columns_are_refused(biased):
    X, y = biased
    with refused(ParameterError):
        WeightDebiaser(classes=list(X.columns)[::-1]).fit(X, y)


def test_labels_of_any_integer_kind(biased):
    X, y = biased
    values = X.to_numpy()
    integers = np.array([list(X.columns).index(label) for label in y])
    expected = WeightDebiaser(n_starts=1).fit(values, integers)
    for labels in (pd.Series(integers, dtype="Int64"), integers.astype(float), integers.astype(object)):
        again = WeightDebiaser(n_starts=1).fit(values, labels)
        assert again.classes_.tolist() == [0, 1, 2, 3]
        np.testing.assert_array_equal(again.choice_, expected.choice_)


@pytest.mark.parametrize("dtype", [bool, "boolean"])
def test_truth_values_stay_truth_values(dtype, biased):
    X, y = biased
    two = X[["sun", "snow"]].to_numpy()
    two = two / two.sum(axis=1, keepdims=True)
    debiaser = WeightDebiaser(n_starts=1).fit(two, pd.Series(y == "snow", dtype=dtype))
    assert debiaser.classes_.tolist() == [False, True]
    assert debiaser.predict(two).dtype == bool


def test_saving_where_there_is_no_folder_says_so(biased, tmp_path):
    X, y = biased
    with pytest.raises(FileNotFoundError) as caught:
        WeightDebiaser(n_starts=1).fit(X, y).save(tmp_path / "none" / "c.json")
    assert "none" in str(caught.value.filename)


def test_a_class_called_interrupted_interrupts_nothing():
    X = pd.DataFrame({"interrupted": [0.9] * 3 + [0.6] * 17, "done": [0.1] * 3 + [0.4] * 17})
    with pytest.warns(FewRowsWarning, match="interrupted"):
        debiaser = WeightDebiaser(search="descent", shrink=False).fit(X, ["interrupted"] * 3 + ["done"] * 17)
    assert not debiaser.interrupted_


def test_learned_attributes_are_parts_of_one_frozen_object(biased):
    debiaser = WeightDebiaser(n_starts=1, search="descent").fit(*biased)
    assert debiaser.corrections_ is debiaser.fitted_.corrections
    with pytest.raises(AttributeError):
        debiaser.certificate_ = None
    with pytest.raises(FrozenInstanceError):
        debiaser.fitted_.certificate = None


# What it does.


def test_nothing_to_improve_is_said():
    X = pd.DataFrame({"a": [0.9] * 5 + [0.1] * 5, "b": [0.1] * 5 + [0.9] * 5})
    debiaser = EnsembleDebiaser().fit(X, ["a"] * 5 + ["b"] * 5)
    assert not debiaser.improved_
    assert debiaser.choice_.tolist() == [17, 17]
    assert debiaser.summary().startswith("Nothing was changed")
    assert debiaser.explain()["kind"].tolist() == ["identity", "identity"]


def test_the_published_schedules_by_name(biased):
    X, y = biased
    short = EnsembleDebiaser(search="annealing-3/6").fit(X, y)
    assert 405 <= short.n_evaluations_ - 1 <= 810
    assert EnsembleDebiaser(n_starts=3).fit(X, y).objective_value_ <= short.objective_value_


def test_a_family_of_ones_own(biased):
    X, y = biased
    family = memberships() | [Function("square", np.square), Function("root", np.sqrt)]
    debiaser = EnsembleDebiaser(family=family, n_starts=4).fit(X, y)
    assert debiaser.objective_value_ <= FuzzyDebiaser(n_starts=4).fit(X, y).objective_value_ + 1e-12
    assert clone(debiaser).get_params()["family"] == family


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000))
def test_the_ensemble_is_never_worse_than_its_parts_and_none_than_nothing(seed):
    rng = np.random.default_rng(seed)
    X = rng.dirichlet(np.ones(3), 60)
    y = np.argmax(X * rng.dirichlet(np.ones(3)), axis=1)
    y[:3] = [0, 1, 2]
    weight, fuzzy, both = (kind(n_starts=8, shrink=False).fit(X, y) for kind in DEBIASERS)
    assert both.objective_value_ <= min(weight.objective_value_, fuzzy.objective_value_) + 1e-12
    for debiaser in (weight, fuzzy, both):
        assert debiaser.objective_value_ <= debiaser.baseline_objective_value_ + 1e-12


def test_any_number_of_threads(biased):
    X, y = biased
    choices = [EnsembleDebiaser(n_starts=5, n_jobs=n).fit(X, y).choice_.tolist() for n in (None, 2, -1)]
    assert choices[0] == choices[1] == choices[2]


def test_a_progress_bar(biased, capsys):
    X, y = biased
    EnsembleDebiaser(n_starts=2, verbose=1).fit(X, y)
    assert "descents" in capsys.readouterr().err


def test_on_real_texts_weak_classes_rise_on_held_out_rows():
    columns = CLASSES["agnews"]
    (X, y), (X_test, y_test) = (published("agnews", split) for split in ("opt", "test"))
    debiaser = EnsembleDebiaser().fit(pd.DataFrame(X, columns=columns), np.array(columns)[y])
    predicted = debiaser.predict(pd.DataFrame(X_test, columns=columns))
    recalls = [(predicted[y_test == k] == name).mean() for k, name in enumerate(columns)]
    before = [(X_test[y_test == k].argmax(1) == k).mean() for k in range(4)]
    assert min(before) < 0.35 < 0.55 < min(recalls)
    assert max(recalls) - min(recalls) < 0.12
    assert (predicted == np.array(columns)[y_test]).mean() > 0.63


@pytest.mark.parametrize("kind", DEBIASERS)
@pytest.mark.parametrize(
    "use", [lambda one: one.pick(0), lambda one: one.frontier_, lambda one: one.plot_frontier(),
            lambda one: one.certificate_, lambda one: one.explain()]
)  # fmt: skip
def test_what_needs_a_fit_says_so_before_it(kind, use):
    with pytest.raises(NotFittedError, match=f"{kind.__name__} instance is not fitted yet"):
        use(kind())
    assert not hasattr(kind(), "frontier_") and not hasattr(kind(), "fitted_")
