"""Metrics against hand-solved cases, a literal evaluation of the formulas, scikit-learn and scipy."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, f1_score, recall_score
from sklearn.model_selection import GridSearchCV, cross_val_score

from debias.errors import DebiasError, ParameterError
from debias.metrics.confusion import cobias_of_accuracies, confusion, overall_metrics
from debias.metrics.paired_bootstrap import paired_intervals
from debias.metrics.scores import (
    accuracy_minus_cobias,
    accuracy_minus_cobias_scorer,
    bootstrap_interval,
    class_accuracy,
    cobias,
    cobias_from_accuracies,
    cobias_scorer,
    intervals,
    worst_class_accuracy,
    worst_class_accuracy_scorer,
)
from tests.support.refusals import refused

# Two classes of two, one of four: accuracies 1/2, 1, 1/4.
Y_TRUE = ["a", "a", "b", "b", "c", "c", "c", "c"]
Y_PRED = ["a", "b", "b", "b", "c", "a", "a", "b"]


def literal_cobias(accuracies):
    """2 / (N (N-1)) times the sum over all pairs, as the papers write it."""
    n = len(accuracies)
    gaps = [abs(accuracies[i] - accuracies[j]) for i in range(n) for j in range(i + 1, n)]
    return 2 / (n * (n - 1)) * sum(gaps)


def literal_accuracies(y_true, y_pred):
    """Recall of each class, counted one by one."""
    recalls = []
    for name in sorted(set(y_true)):
        predictions = [p for t, p in zip(y_true, y_pred, strict=True) if t == name]
        recalls.append(sum(p == name for p in predictions) / len(predictions))
    return recalls


def labels_and_predictions(min_classes=2):
    """Random samples of up to six classes, with predictions that may be of a seventh."""
    pairs = st.tuples(st.integers(0, 5), st.integers(0, 6))
    samples = st.lists(pairs, min_size=min_classes, max_size=60)
    return samples.filter(lambda rows: len({t for t, _ in rows}) >= min_classes).map(
        lambda rows: ([t for t, _ in rows], [p for _, p in rows])
    )


def test_hand_solved_case():
    assert class_accuracy(Y_TRUE, Y_PRED).to_dict() == {"a": 0.5, "b": 1.0, "c": 0.25}
    assert cobias(Y_TRUE, Y_PRED) == pytest.approx((0.5 + 0.25 + 0.75) / 3)
    assert worst_class_accuracy(Y_TRUE, Y_PRED) == 0.25
    assert accuracy_minus_cobias(Y_TRUE, Y_PRED) == pytest.approx(4 / 8 - 0.5)


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([0.3, 0.3, 0.3], 0.0),
        ([0.0, 1.0], 1.0),
        ([1.0, 0.0, 0.0, 0.0], 0.5),  # three gaps of 1 among six pairs
        ([0.2, 0.5, 0.9], (0.3 + 0.7 + 0.4) / 3),
    ],
)
def test_cobias_of_accuracies_by_hand(accuracies, expected):
    assert cobias_from_accuracies(accuracies) == pytest.approx(expected)


def test_published_majority_case_ddi():
    """83 % Negative: the majority answer has ACC .83 and COBias .40 on five classes."""
    y_true = ["Negative"] * 83 + ["Effect"] * 5 + ["Mechanism"] * 5 + ["Advice"] * 4 + ["Interaction"] * 3
    assert cobias(y_true, ["Negative"] * 100) == pytest.approx(0.4)
    assert accuracy_minus_cobias(y_true, ["Negative"] * 100) == pytest.approx(0.43)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=14))
def test_sorted_formula_equals_the_pairwise_one(accuracies):
    assert cobias_from_accuracies(accuracies) == pytest.approx(literal_cobias(accuracies), abs=1e-12)
    assert -1e-12 <= cobias_from_accuracies(accuracies) <= 1


@given(labels_and_predictions())
def test_metrics_equal_literal_evaluation_and_scikit_learn(rows):
    y_true, y_pred = rows
    present = sorted(set(y_true))
    accuracies = literal_accuracies(y_true, y_pred)
    recalls = recall_score(y_true, y_pred, labels=present, average=None, zero_division=0)
    np.testing.assert_allclose(class_accuracy(y_true, y_pred), accuracies)
    np.testing.assert_allclose(class_accuracy(y_true, y_pred), recalls)
    assert cobias(y_true, y_pred) == pytest.approx(literal_cobias(accuracies), abs=1e-12)
    assert worst_class_accuracy(y_true, y_pred) == min(accuracies)


@given(labels_and_predictions())
def test_overall_metrics_equal_scikit_learn_even_with_absent_classes(rows):
    y_true, y_pred = rows
    present = sorted(set(y_true))
    metrics = overall_metrics(confusion(y_true, y_pred, labels=range(7)).to_numpy())
    expected_f1 = f1_score(y_true, y_pred, labels=present, average="macro", zero_division=0)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(y_true, y_pred))
    assert metrics["macro_f1"] == pytest.approx(expected_f1)
    assert metrics["cobias"] == pytest.approx(literal_cobias(literal_accuracies(y_true, y_pred)), abs=1e-12)


@given(labels_and_predictions(), st.permutations(range(7)))
def test_names_and_order_of_classes_do_not_matter(rows, names):
    y_true, y_pred = rows
    renamed = cobias([names[t] for t in y_true], [names[p] for p in y_pred])
    assert renamed == pytest.approx(cobias(y_true, y_pred), abs=1e-12)


def test_class_without_samples_has_no_accuracy_and_is_left_out_with_a_warning():
    labels = ["a", "b", "c", "nothing"]
    accuracies = class_accuracy(Y_TRUE, Y_PRED, labels)
    assert np.isnan(accuracies["nothing"])
    assert list(accuracies.index) == labels
    with pytest.warns(UserWarning, match="1 of 4 classes have no samples"):
        assert cobias(Y_TRUE, Y_PRED, labels) == pytest.approx(cobias(Y_TRUE, Y_PRED))
    with pytest.warns(UserWarning, match="no samples"):
        assert worst_class_accuracy(Y_TRUE, Y_PRED, labels) == 0.25
    with pytest.warns(UserWarning, match="no samples"):
        assert cobias_from_accuracies([0.25, float("nan"), 1.0]) == 0.75


def test_no_two_classes_have_no_gap():
    with pytest.warns(UserWarning, match="fewer than two classes"):
        assert cobias(["a", "a"], ["a", "b"]) == 0.0
    with pytest.warns(UserWarning, match="fewer than two classes"):
        assert cobias_from_accuracies([float("nan"), 0.5]) == 0.0
    assert cobias_of_accuracies(np.ones((3, 1))).tolist() == [0, 0, 0]


def test_prediction_that_is_no_class_is_wrong_not_lost():
    counts = confusion(["a", "b"], ["other", "b"])
    assert counts.loc["a"].tolist() == [0, 0, 1]
    assert class_accuracy(["a", "b"], ["other", "b"])["a"] == 0


@pytest.mark.parametrize(
    ("y_true", "y_pred", "labels", "fields"),
    [
        (["a", "b"], ["a"], None, {"parameter": "y_pred"}),
        ([], [], None, {"parameter": "y_true"}),
        (["a", "b"], [0, 1], None, {"parameter": "y_pred"}),
        (["a", "z"], ["a", "a"], ["a", "b"], {"parameter": "y_true", "received": "z"}),
        (["a"], ["a"], ["a", "a"], {"parameter": "labels", "received": ["a", "a"]}),
    ],
)
def test_refused_input(y_true, y_pred, labels, fields):
    with refused(ParameterError, **fields):
        class_accuracy(y_true, y_pred, labels)
    assert issubclass(ParameterError, DebiasError)
    assert issubclass(ParameterError, ValueError)


def test_accuracies_must_be_one_per_class():
    with refused(ParameterError, parameter="accuracies", received=(1, 2)):
        cobias_from_accuracies([[0.5, 1.0]])


def test_series_with_any_index_are_matched_by_position():
    y_true = pd.Series(Y_TRUE, index=range(8, 0, -1))
    y_pred = pd.Series(Y_PRED, index=range(100, 108))
    assert cobias(y_true, y_pred) == cobias(Y_TRUE, Y_PRED)


def test_scorers_serve_cross_validation_and_grid_search():
    X, y = np.zeros((60, 1)), np.array(["a"] * 40 + ["b"] * 20)
    majority = DummyClassifier(strategy="most_frequent")
    # the majority answer: class accuracies 1 and 0, accuracy 2/3
    assert cross_val_score(majority, X, y, scoring=cobias_scorer, cv=2).tolist() == [-1, -1]
    assert cross_val_score(majority, X, y, scoring=worst_class_accuracy_scorer, cv=2).tolist() == [0, 0]
    # the class b costs accuracy but no choice between constants changes COBias, so a wins
    grid = {"strategy": ["constant"], "constant": ["b", "a"]}
    search = GridSearchCV(DummyClassifier(), grid, scoring=accuracy_minus_cobias_scorer, cv=2).fit(X, y)
    assert search.best_params_["constant"] == "a"
    assert search.best_score_ == pytest.approx(2 / 3 - 1, abs=0.05)


def test_intervals_hold_the_metrics_themselves():
    frame = intervals(Y_TRUE, Y_PRED, n_resamples=200)
    assert frame.loc[("accuracy", ""), "value"] == 0.5
    assert frame.loc[("cobias", ""), "value"] == pytest.approx(cobias(Y_TRUE, Y_PRED))
    assert frame.loc[("worst_class_accuracy", ""), "value"] == 0.25
    assert frame.loc[("macro_f1", ""), "value"] == pytest.approx(f1_score(Y_TRUE, Y_PRED, average="macro"))
    by_class = frame.loc["class_accuracy"]
    assert by_class["value"].to_dict() == {"a": 0.5, "b": 1.0, "c": 0.25}
    assert by_class["n_samples"].tolist() == [2, 2, 4]
    assert (frame["low"] <= frame["high"]).all()
    assert frame[["low", "high"]].stack().between(0, 1).all()


def test_intervals_keep_the_order_of_labels_and_classes_without_samples():
    with pytest.warns(UserWarning, match="no samples"):
        frame = intervals(Y_TRUE, Y_PRED, labels=["c", "accuracy", "b", "a"])
    assert frame.loc["class_accuracy"].index.tolist() == ["c", "accuracy", "b", "a"]
    assert frame.loc[("class_accuracy", "accuracy"), ["value", "low", "high"]].isna().all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = intervals(Y_TRUE, Y_PRED)
    pd.testing.assert_series_equal(frame["value"].iloc[:4], plain["value"].iloc[:4])


def test_class_accuracy_interval_is_wilsons_and_never_a_point():
    """9 of 9 right, as a rare class may be: score interval solved by hand, z = 1.96."""
    frame = intervals(["rare"] * 9 + ["b"] * 4, ["rare"] * 9 + ["b", "b", "rare", "rare"])
    z2 = stats.norm.ppf(0.975) ** 2
    low, high = frame.loc[("class_accuracy", "rare"), ["low", "high"]]
    assert low == pytest.approx(9 / (9 + z2))
    assert high == 1


def test_same_seed_same_interval_other_seed_other():
    first, again = (intervals(Y_TRUE * 5, Y_PRED * 5, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(intervals(Y_TRUE * 5, Y_PRED * 5, seed=4))


def sample_predictions(seed=0, sizes=(9, 40, 25)):
    """Samples of three classes, right with probability .8, .5 and .3."""
    rng = np.random.default_rng(seed)
    y_true = np.repeat([0, 1, 2], sizes)
    right = rng.random(len(y_true)) < np.array([0.8, 0.5, 0.3])[y_true]
    return y_true, np.where(right, y_true, (y_true + rng.integers(1, 3, len(y_true))) % 3)


def test_counts_drawn_at_once_agree_with_scipys_bootstrap():
    """The multinomial draw and scipy's resampling of rows within classes are the same distribution."""
    y_true, y_pred = sample_predictions()
    frame = intervals(y_true, y_pred, n_resamples=20_000)
    metrics = {
        "accuracy": accuracy_score,
        "cobias": cobias,
        "worst_class_accuracy": worst_class_accuracy,
        "macro_f1": lambda t, p: f1_score(t, p, average="macro", zero_division=0),
    }
    for name, metric in metrics.items():
        low, high = bootstrap_interval(metric, y_true, y_pred, n_resamples=1500, seed=1)
        row = frame.loc[(name, "")]
        if name != "cobias":  # two of the classes are about equal, which widens these two ends
            np.testing.assert_allclose(row["low"], low, atol=0.03)
        if name != "worst_class_accuracy":
            np.testing.assert_allclose(row["high"], high, atol=0.03)
        assert row["low"] <= low + 0.03
        assert row["high"] >= high - 0.03


def test_interval_of_one_class_accuracy_solved_by_the_binomial():
    """Within a class of 40 with 20 right the resampled count is Binomial(40, 1/2)."""
    y_true = [0] * 40 + [1] * 3
    y_pred = [0] * 20 + [1] * 20 + [1] * 3
    low, high = bootstrap_interval(
        lambda t, p: class_accuracy(t, p)[0], y_true, y_pred, n_resamples=4000, level=0.9
    )
    expected = stats.binom.ppf([0.05, 0.95], 40, 0.5) / 40
    np.testing.assert_allclose([low, high], expected, atol=0.026)


def test_bootstrap_keeps_a_class_of_one_sample():
    seen = []

    def supports(y_true, y_pred):
        """Record how many samples of each class a resample has."""
        seen.append(tuple(np.bincount(y_true)))
        return float(np.mean(y_true == y_pred))

    bootstrap_interval(supports, [0, 1, 1, 1], [0, 1, 0, 1], n_resamples=50)
    assert set(seen) == {(1, 3)}


@settings(max_examples=15, deadline=None)
@given(labels_and_predictions(min_classes=3))
def test_wider_level_gives_a_wider_interval(rows):
    narrow, wide = (intervals(*rows, level=level, n_resamples=100) for level in (0.5, 0.95))
    assert (wide["low"] <= narrow["low"] + 1e-12).all()
    assert (wide["high"] >= narrow["high"] - 1e-12).all()


@pytest.mark.parametrize("options", [{"level": 0.0}, {"level": 1.0}, {"level": 95}, {"n_resamples": 0}])
def test_interval_settings_are_refused(options):
    ((parameter, received),) = options.items()
    with refused(ParameterError, parameter=parameter, received=received):
        intervals(Y_TRUE, Y_PRED, **options)
    with refused(ParameterError, parameter=parameter, received=received):
        bootstrap_interval(cobias, Y_TRUE, Y_PRED, **options)


def test_bootstrap_coverage_of_accuracy():
    """Over 200 fresh data sets, nine in ten 90 % intervals hold the true accuracy."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 100)
    rates = np.array([0.7, 0.4])
    hits = 0
    for _ in range(200):
        predicted = np.where(rng.random(200) < rates[truth], truth, 1 - truth)
        row = intervals(truth, predicted, level=0.9, n_resamples=300).loc[("accuracy", "")]
        hits += row["low"] <= 0.55 <= row["high"]
    assert 168 <= hits <= 194  # binomial(200, .9) lies there with probability .997


def test_pairs_are_counted_once():
    """Each pair of three classes has the same weight, whatever their support."""
    accuracies = [0.1, 0.6, 0.8]
    gaps = [abs(a - b) for a, b in itertools.combinations(accuracies, 2)]
    assert cobias_from_accuracies(accuracies) == pytest.approx(np.mean(gaps))


@given(st.integers(2, 60), st.floats(0, 1))
def test_equal_accuracies_have_a_cobias_of_exactly_0(n_classes, accuracy):
    assert cobias_from_accuracies([accuracy] * n_classes) == 0.0


@given(st.integers(0, 10**6))
@example(7646)  # equal classes, whose COBias was -2e-17
@settings(max_examples=25, deadline=None)
def test_every_interval_contains_its_estimate(seed):
    rng = np.random.default_rng(seed)
    n_classes, n = int(rng.integers(2, 15)), int(rng.integers(1, 60))
    truth = np.repeat(np.arange(n_classes), n)
    right = rng.random(len(truth)) < rng.choice([0.5, 0.9, 1.0])
    predicted = np.where(right, truth, (truth + 1) % n_classes)
    frame = intervals(truth, predicted, n_resamples=100, seed=seed)
    assert ((frame["low"] <= frame["value"]) & (frame["value"] <= frame["high"])).all()
    assert frame["low"].min() >= 0 and frame["high"].max() <= 1
    low, high = bootstrap_interval(cobias, truth, predicted, n_resamples=20, seed=seed)
    assert low <= cobias(truth, predicted) <= high


def test_nearly_even_classes_have_an_interval_that_begins_at_their_cobias_or_below():
    truth = np.repeat(np.arange(6), 100)
    wrong = np.tile(np.arange(100) < 30, 6)  # every class is right 70 times
    wrong[30] = True
    predicted = np.where(wrong, (truth + 1) % 6, truth)
    estimate, low, high = intervals(truth, predicted).loc["cobias", ["value", "low", "high"]].to_numpy()[0]
    assert low <= estimate < 0.01
    assert 0.02 < high < 0.12


@pytest.mark.parametrize(
    "accuracies", [[0.7] * 14, [0.2] + [0.8] * 13, [0.6, 0.65, 0.7, 0.75], [0.2, 0.9, 0.8, 0.5]]
)
def test_intervals_hold_the_truth_among_equal_classes_and_among_others(accuracies):
    """Of 60 samples with a known COBias and worst class, at most the share that the level allows is off."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(len(accuracies)), 50)
    true_cobias = cobias_from_accuracies(accuracies)
    missed = np.zeros(2)
    for sample in range(60):
        right = rng.random(len(truth)) < np.repeat(accuracies, 50)
        frame = intervals(truth, np.where(right, truth, -1), n_resamples=200, seed=sample)
        for metric, value in enumerate((true_cobias, min(accuracies))):
            row = frame.loc[(("cobias", "worst_class_accuracy")[metric], "")]
            missed[metric] += not row["low"] - 1e-9 <= value <= row["high"] + 1e-9
            assert row["low"] <= row["value"] <= row["high"]
    assert (missed <= 8).all()  # 3 are expected, and more than 8 in 2 of 1,000 such tests


@pytest.mark.parametrize(
    "others", [[1, 0, 0, 1], [1.0, 0.0, 0.0, 1.0], np.array([1, 0, 0, 1], dtype=np.int8)]
)
def test_truth_values_and_the_numbers_0_and_1_are_the_same(others):
    truths = [True, False, True, True]
    expected = [1.0, 2 / 3]
    for y_true, y_pred in ((truths, others), ([int(one) for one in truths], np.array(others) == 1)):
        assert class_accuracy(y_true, y_pred).tolist() == pytest.approx(expected)
        assert cobias(y_true, y_pred) == pytest.approx(1 / 3)
        frame = paired_intervals(y_true, y_pred, y_true, n_resamples=9)
        assert frame.loc[("accuracy", ""), ["before", "after"]].tolist() == [0.75, 1.0]
    assert class_accuracy(truths, [2, 0, 2, 1]).tolist() == pytest.approx([1.0, 1 / 3])


@pytest.mark.parametrize(
    ("y_true", "y_pred"),
    [
        (["a", None], ["a", "a"]),
        (["a", "b"], ["a", None]),
        (np.array([b"a", b"b"]), np.array([b"a", b"b"])),
        (pd.Series(["a", pd.NA], dtype="string"), ["a", "b"]),
        ([[1], [0]], [1, 0]),
        (5, [1, 0]),
    ],
)
def test_labels_that_are_none_are_refused_in_the_projects_words(y_true, y_pred):
    with refused(ParameterError, parameter="y_pred"):
        confusion(y_true, y_pred)


@pytest.mark.parametrize(
    "options", [{"level": "0.9"}, {"n_resamples": 10.5}, {"n_resamples": True}, {"seed": -1}, {"seed": None}]
)
def test_settings_of_intervals_that_are_none_are_refused(options):
    ((parameter, received),) = options.items()
    with refused(ParameterError, parameter=parameter, received=received):
        intervals(["a", "b"], ["a", "a"], **options)


def test_rows_that_are_all_right_or_all_wrong_do_not_make_an_interval_a_point():
    truth, other = ["a"] * 5 + ["b"] * 25, ["b"] * 5 + ["a"] * 25
    z = stats.norm.ppf(0.975) ** 2  # Wilson's interval of n of n ends at n / (n + z)
    right, wrong = (intervals(truth, y, n_resamples=50) for y in (truth, other))
    assert right.loc[("accuracy", ""), ["low", "high"]].tolist() == pytest.approx([30 / (30 + z), 1])
    assert right.loc[("worst_class_accuracy", ""), "low"] == pytest.approx(5 / (5 + z))
    assert wrong.loc[("accuracy", ""), ["low", "high"]].tolist() == pytest.approx([0, z / (30 + z)])
    assert wrong.loc[("worst_class_accuracy", ""), "high"] == pytest.approx(z / (25 + z))
