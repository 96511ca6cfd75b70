"""Explanations: the words for every kind of correction, and the numbers in them."""

import numpy as np
import pandas as pd
import pytest

from debias import EnsembleDebiaser
from debias.corrections.correction import Function, Triangle, Weight
from debias.corrections.explanations import ClassFacts, explain_class
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid, Trapezoid
from debias.metrics.scores import cobias
from tests.support.published_tables import CLASSES, published

FACTS = ClassFacts(1250, 1, 410, 12, 900, (0.12, 0.18, 0.254))


@pytest.mark.parametrize(
    ("correction", "words"),
    [
        (Triangle(0, 1, 1), "The probability of Entity is unchanged"),
        (Weight(8, 30), "The probability of Entity is multiplied by 0.27 (weight 8/30)"),
        (Weight(2, 30), "is multiplied by 0.07 (weight 2/30)"),
        (Triangle(0.125, 0.25, 0.375), "becomes 1 at 25 % and 0 outside 12.5 to 37.5 %"),
        (Triangle(0, 0.25, 0.5), "is raised up to 40 %, becomes 1 at 25 % and 0 above 50 %"),
        (Triangle(0.75, 1, 1), "is lowered everywhere, becomes 1 at 100 % and 0 below 75 %"),
        (Triangle(0, 0, 1), "is raised up to 50 %, becomes 1 at 0 % (triangle (0, 0, 1))"),
        (Triangle(0.25, 0.5, 0.75), "is raised from 33 to 60 %"),
        (Function("root", np.sqrt), "is raised up to 100 % (root)"),
        (Function("late", lambda p: np.where(p > 0.8, 1.0, 0.0)), "is raised from 80 % upward (late)"),
        (Function("square", np.square), "is lowered everywhere (square)"),
        (
            Trapezoid(0.0625, 0.125, 0.25, 0.5),
            "is raised from 7 to 40 %, becomes 1 from 12.5 to 25 % and 0 outside 6.25 to 50 % (trapezoid "
            "(0.0625, 0.125, 0.25, 0.5))",
        ),
        (Trapezoid(0, 0, 0.25, 0.5), "becomes 1 up to 25 % and 0 above 50 %"),
        (Trapezoid(0.25, 0.5, 1, 1), "from 33 % upward, becomes 1 from 50 % upward and 0 below 25 %"),
        (Trapezoid(0.25, 0.5, 0.5, 1), "becomes 1 at 50 % and 0 below 25 % (trapezoid"),
        (Trapezoid(0, 1, 1, 1), "The probability of Entity is unchanged"),
        (
            Gaussian(0.25, 0.125),
            "becomes 1 at 25 %, one half at 10 % and 40 % and less farther away (Gaussian (mean 0.25, "
            "deviation 0.125))",
        ),
        (Gaussian(1, 2), "becomes 1 at 100 % and less farther away (Gaussian"),
        (
            Sigmoid(0.25, 16),
            "becomes one half at 25 %, nearly 1 above 39 %, nearly 0 below 11 % (sigmoid (center 0.25, "
            "slope 16))",
        ),
        (Sigmoid(0.5, -32), "becomes one half at 50 %, nearly 1 below 43 %"),
        (Scaled(Triangle(0, 1, 1), 0.2345), "is multiplied by 0.23 (factor 0.234)"),
        (Scaled(Triangle(0, 1, 1), 1e-7), "is multiplied by 1e-07 (factor 1e-07)"),
        (Scaled(Triangle(0, 1, 1), 0.0003), "is multiplied by 0.0003 (factor 0.0003)"),
        (Scaled(Weight(8, 30), 0.5), "is multiplied by 0.13 (weight 8/30 times 0.5)"),
        (
            Scaled(Triangle(0, 0.25, 0.5), 0.874),
            "becomes 1 at 25 % and 0 above 50 %, then multiplied by 0.87 (triangle (0, 0.25, 0.5) times "
            "0.874)",
        ),
        (Scaled(Gaussian(1, 2), 0.5), "farther away, then multiplied by 0.50 (Gaussian"),
        (Scaled(Triangle(0, 1, 1), 1.0), "The probability of Entity is unchanged"),
    ],
)
def test_what_was_done(correction, words):
    assert words in explain_class("Entity", correction, FACTS)


def test_the_whole_sentence():
    assert explain_class("Entity", Weight(3, 30), FACTS) == (
        "The probability of Entity is multiplied by 0.10 (weight 3/30), because 12 rows were predicted as "
        "Entity and 1,250 belong to it, mostly with probabilities of 12 to 25 %; 33 % of its rows are now "
        "classified correctly (0.1 % before)."
    )


def test_unchanged_singular_and_unknown():
    facts = ClassFacts(1, 1, 1, 1, 1, (0.5, 0.5, 0.5))
    assert explain_class("A", Triangle(0, 1, 1), facts) == (
        "The probability of A is unchanged, since 1 row was predicted as A and 1 belongs to it; "
        "100 % of its rows are classified correctly, as before."
    )
    assert "no labelled row" in explain_class("A", Weight(1, 2), ClassFacts(0, 0, 0, 3, 2, (0, 0, 0)))
    assert np.isnan(ClassFacts(0, 0, 0, 3, 2, (0, 0, 0)).accuracy_after)


def test_the_numbers_are_those_of_the_predictions():
    columns = CLASSES["agnews"]
    X, y = published("agnews", "opt")
    X, labels = pd.DataFrame(X, columns=columns), np.array(columns)[y]
    debiaser = EnsembleDebiaser(n_starts=4).fit(X, labels)
    table = debiaser.explain()
    assert list(table.index) == columns
    before, after = np.array(columns)[X.to_numpy().argmax(axis=1)], debiaser.predict(X)
    accuracy = [f"{100 * (predicted == labels).mean():.1f}" for predicted in (before, after)]
    gap = [f"{100 * cobias(labels, predicted):.1f}" for predicted in (before, after)]
    assert f"accuracy goes from {accuracy[0]} to {accuracy[1]} %" in debiaser.summary()
    assert f"COBias from {gap[0]} to {gap[1]} points" in debiaser.summary()
    for name, row in table.iterrows():
        assert row["support"] == (labels == name).sum()
        assert row["predicted_before"] == (before == name).sum()
        assert row["predicted_after"] == (after == name).sum()
        assert row["accuracy_before"] == pytest.approx((before[labels == name] == name).mean())
        assert row["accuracy_after"] == pytest.approx((after[labels == name] == name).mean())
        assert f"{row['support']:,}" in row["sentence"]
        assert row["sentence"].startswith(f"The probability of {name} ")


def test_a_few_rows_of_very_many_are_not_told_as_no_change():
    sentence = explain_class("yes", Weight(8, 30), ClassFacts(100_000, 99_990, 99_995, 1, 1, (0.1, 0.2, 0.3)))
    assert "99,995 of 100,000 rows are now classified correctly (99,990 before)" in sentence
    sentence = explain_class("yes", Weight(8, 30), ClassFacts(1000, 997, 1000, 1, 1, (0.1, 0.2, 0.3)))
    assert "100 % of its rows are now classified correctly (99.7 % before)" in sentence
