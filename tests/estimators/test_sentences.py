"""What explanations and summaries claim, recomputed by a referee from probabilities and labels."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from debias.corrections.correction import Triangle, Weight
from debias.corrections.explanations import explain_class
from debias.corrections.families import Family, ensemble
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid
from debias.estimators.debiasers import EnsembleDebiaser, WeightDebiaser
from debias.estimators.fitted.fitted_correction import FittedCorrection
from debias.estimators.fitted.summary import describe_outcome
from debias.estimators.log_bias import LogBiasDebiaser
from debias.estimators.tuning.debiaser import Debiaser
from debias.search.objective import Objective
from debias.search.problem import build_problem
from debias.search.result import SearchResult
from debias.tables.class_columns import ClassColumns
from tests.support.published_tables import CLASSES, published
from tests.support.sentence_referee import Rows, check_class_sentence, check_summary
from tests.support.small_tables import skewed_rows

IDENTITY = Triangle(0, 1, 1)
OTHERS = [*ensemble(30), Gaussian(0.25, 0.125), Sigmoid(0.5, -32), Scaled(IDENTITY, 0.4)]


def told(P, y, corrections):
    """Check every sentence on some corrections; return the kinds of claims that were met."""
    n_classes = P.shape[1]
    names = np.array(list("ABCDEFG"[:n_classes]))
    family = Family([IDENTITY, *corrections])
    problem = build_problem(P, y, family, Objective())
    fitted = FittedCorrection.of(
        ClassColumns(names, np.arange(n_classes), y),
        P,
        problem,
        corrections,
        SearchResult(problem.candidate(problem.identity_choice), 1, 0.0),
        family,
        method="EnsembleDebiaser",
        search="none",
        n_labels=len(y),
    )
    rows = Rows(P, y, corrections, names)
    kinds = set()
    for k in range(n_classes):
        said = explain_class(str(names[k]), corrections[k], fitted.facts[k])
        kinds |= check_class_sentence(said, k, rows)
    return kinds | check_summary(describe_outcome(fitted), rows)


def drawn(rng):
    """Draw rows and corrections of many kinds: sharp or flat, few or many, all classes or not."""
    n_classes, size = int(rng.integers(2, 7)), int(rng.integers(6, 60))
    y = rng.choice(n_classes, size, p=rng.dirichlet(np.full(n_classes, 2.0)))
    y[:2] = 0, 1
    logits = rng.normal(size=(size, n_classes)) * rng.choice([0.3, 1, 4]) + rng.normal(size=n_classes)
    logits[np.arange(size), y] += rng.uniform(0, 3)
    P = np.exp(logits)
    kinds = [IDENTITY] * rng.integers(0, 25) + OTHERS
    corrections = [kinds[rng.integers(len(kinds))] for _ in range(n_classes)]
    return P / P.sum(axis=1, keepdims=True), y, corrections


def test_every_claim_is_true_of_the_rows_and_there_are_many_kinds():
    kinds = set()
    for seed in range(80):
        kinds |= told(*drawn(np.random.default_rng(seed)))
    P = np.tile([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]], (10, 1))
    y = np.arange(20) % 3
    kinds |= told(P, y, [IDENTITY] * 3)
    kinds |= told(P, y, [Weight(1, 2)] * 3)  # the same weight for all moves nothing
    kinds |= told(P, y, [IDENTITY, Weight(1, 30), Weight(1, 30)])  # one class only
    kinds |= told(np.array([[0.5, 0.3, 0.2]] * 9), np.arange(9) % 3, [Weight(1, 30), IDENTITY, IDENTITY])
    kinds |= told(P, y % 2, [Weight(1, 2), IDENTITY, IDENTITY])
    kinds |= told(np.tile([[0.5, 0.5], [0.8, 0.2]], (10, 1)), y % 2, [Triangle(0.5, 1, 1)] * 2)
    assert {
        "stays",
        "stays although corrected",
        "raised everywhere",
        "cut everywhere",
        "raised in some rows",
        "cut in some rows",
        "raised and cut",
        "some rows unmoved",
        "all rows moved",
        "identity",
        "corrected",
        "too rarely",
        "too often",
        "reason with probabilities",
        "reason of few rows",
        "no labelled row",
        "always predicted",
        "never predicted",
        "never before either",
        "no longer",
        "as often as before",
        "more often",
        "rarer",
        "same accuracy",
        "accuracy rises",
        "accuracy falls",
        "none right",
        "all right",
        "some right",
        "figures",
        "nothing changed",
        "one class only",
        "never predicted any more",
        "never predicted, as before",
    } <= kinds


def test_the_referee_sees_what_is_not_true():
    P = np.tile([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]], (20, 1))
    debiaser = EnsembleDebiaser(n_starts=1, search="descent").fit(P, np.tile([0, 1, 1], 20))
    rows = Rows(P, np.tile([0, 1, 1], 20), debiaser.fitted_.by_column, ["0", "1"])
    said = debiaser.explain()["sentence"].iloc[1]
    check_class_sentence(said, 1, rows)
    claims = [i for i, sign in enumerate(said) if sign.isdigit() and i > 2 and said[i - 1] == " "]
    assert len(claims) > 5
    for i in claims:
        other = said[:i] + str((int(said[i]) + 3) % 10) + said[i + 1 :]
        with pytest.raises((AssertionError, TypeError)):
            check_class_sentence(other, 1, rows)


@pytest.mark.parametrize("task", ["ddi", "agnews"])
def test_claims_on_published_rows_are_true(task):
    X, y = published(task, "opt")
    X, y, names = X[:1500], y[:1500], CLASSES[task]
    debiaser = EnsembleDebiaser(n_starts=2, search="descent").fit(
        pd.DataFrame(X, columns=names), np.array(names)[y]
    )
    rows = Rows(X, y, debiaser.fitted_.by_column, names)
    for k, said in enumerate(debiaser.explain()["sentence"]):
        check_class_sentence(said, k, rows)
    check_summary(debiaser.summary(), rows)


def test_a_summary_says_how_to_count_classes_that_are_never_predicted():
    rng = np.random.default_rng(0)
    y = np.repeat(range(5), [250, 15, 13, 12, 10])
    P = softmax(rng.normal(size=(300, 5)) + 0.3 * np.eye(5)[y] + [3, 0, 0, 0, 0], axis=1)
    advice = "give all classes the same weight: Objective(balanced_error=1), or --balanced-error 1."
    predicted = {}
    for objective in (Objective(), Objective(balanced_error=3)):
        debiaser = WeightDebiaser(objective=objective).fit(P, y)
        predicted[objective.balanced_error] = set(debiaser.predict(P).tolist())
        assert (advice in debiaser.summary()) is (objective.balanced_error == 0)
    assert predicted[0] < predicted[3] == set(range(5))
    even = WeightDebiaser().fit(P[230:], y[230:])
    assert set(even.predict(P[230:]).tolist()) == set(range(5)) and advice not in even.summary()


def test_what_learns_from_no_label_is_neither_cautioned_nor_compared_with_itself():
    X, y = skewed_rows(n_samples=60)
    assert "60 labels, expect" in LogBiasDebiaser().fit(X, y).summary()
    batch = Debiaser(method="batch").fit(X, y)
    assert "is batch calibration" in batch.summary()
    assert "expect" not in batch.summary() and "uses no labels" not in batch.summary()
    with pytest.raises(AttributeError, match="no correction"):
        _ = batch.frontier_
