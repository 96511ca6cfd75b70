"""Explanations: the words for every kind of correction, and the numbers in them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from debias import EnsembleDebiaser
from debias.corrections.correction import Function, Triangle, Weight
from debias.corrections.decision_rule import correct
from debias.corrections.explanations import ClassFacts, count_moves, explain_class
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid
from debias.metrics.scores import cobias
from tests.support.published_tables import CLASSES, published

FACTS = ClassFacts(1250, 1, 410, 12, 900, (0.12, 0.18, 0.254), raised=4000, cut=1000)


@pytest.mark.parametrize(
    ("correction", "words"),
    [
        (Triangle(0, 1, 1), "in 20 % (itself unchanged)"),
        (Weight(8, 30), "in 20 % (weight 8/30)"),
        (Triangle(0, 0.25, 0.5), "in 20 % (triangle (0, 0.25, 0.5))"),
        (Function("root", np.sqrt), "in 20 % (root)"),
        (Gaussian(0.25, 0.125), "in 20 % (Gaussian (mean 0.25, deviation 0.125))"),
        (Sigmoid(0.25, 16), "in 20 % (sigmoid (center 0.25, slope 16))"),
        (Scaled(Triangle(0, 1, 1), 0.2345), "in 20 % (factor 0.234)"),
        (Scaled(Triangle(0, 1, 1), 1.0), "in 20 % (itself unchanged)"),
    ],
)
def test_every_correction_is_named_after_its_effect(correction, words):
    said = explain_class("Entity", correction, FACTS)
    assert said.startswith("Entity is raised in 80 % of 5,000 rows and cut") and words in said


def test_the_whole_sentence():
    assert explain_class("Entity", Weight(3, 30), FACTS) == (
        "Entity is raised in 80 % of 5,000 rows and cut in 20 % (weight 3/30), because it was predicted too "
        "rarely: for 12 rows, while 1,250 belong to it, the middle half of them with probabilities of 12 to "
        "25 %; now it is predicted for 900, and 33 % of its rows are classified correctly (0.1 % before)."
    )


def test_no_reason_is_given_where_it_does_not_hold():
    cut = replace(FACTS, raised=1000, cut=4000)  # predicted more often, but because others were cut more
    more = replace(FACTS, predicted_before=2000, predicted_after=2500)
    fewer = replace(FACTS, predicted_after=5)
    for facts in (cut, more, fewer, replace(FACTS, raised=0, cut=0)):
        said = explain_class("Entity", Weight(3, 30), facts)
        assert "because" not in said and f"({facts.predicted_before:,} before; 1,250 belong to it)" in said


def test_unchanged_singular_and_unknown():
    facts = ClassFacts(1, 1, 1, 1, 1, (0.5, 0.5, 0.5), unmoved=3)
    assert explain_class("A", Triangle(0, 1, 1), facts) == (
        "A stays as it is in all 3 rows; it is predicted for 1 row (as before; 1 belongs to it), and 100 % "
        "of its rows are classified correctly, as before."
    )
    assert explain_class("A", Weight(1, 2), ClassFacts(0, 0, 0, 3, 2, (0, 0, 0), cut=9)) == (
        "A is cut in all 9 rows (weight 1/2); no labelled row belongs to it, so nothing is known about it, "
        "and it is predicted for 2 rows (3 before)."
    )
    assert np.isnan(ClassFacts(0, 0, 0, 3, 2, (0, 0, 0)).accuracy_after)


def test_rows_that_were_not_counted_are_not_told():
    facts = ClassFacts(1250, 1, 410, 12, 900, (0.12, 0.18, 0.254))
    assert explain_class("Entity", Weight(3, 30), facts) == (
        "Entity has the correction weight 3/30; it is predicted for 900 rows (12 before; 1,250 belong to "
        "it), and 33 % of its rows are classified correctly (0.1 % before)."
    )


def test_only_ratios_between_classes_raise_or_cut():
    P = np.random.default_rng(0).dirichlet(np.ones(3), 200)
    alike = count_moves(P, correct(P, [Weight(1, 3)] * 3), P)
    assert alike.unmoved.tolist() == [200] * 3
    raised = count_moves(P, correct(P, [Weight(9, 10), Weight(1, 2), Weight(1, 2)]), P)
    assert raised.raised.tolist() == [200, 0, 0] and raised.cut.tolist() == [0, 200, 200]
    nothing_left = count_moves(P, np.zeros_like(P), P)
    assert nothing_left.unmoved.tolist() == [200] * 3


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
        assert row["sentence"].startswith(f"{name} is ")


def test_a_few_rows_of_very_many_are_not_told_as_no_change():
    sentence = explain_class("yes", Weight(8, 30), ClassFacts(100_000, 99_990, 99_995, 1, 1, (0.1, 0.2, 0.3)))
    assert "99,995 of its 100,000 rows are classified correctly (99,990 before)" in sentence
    sentence = explain_class("yes", Weight(8, 30), ClassFacts(1000, 997, 1000, 1, 1, (0.1, 0.2, 0.3)))
    assert "100 % of its rows are classified correctly (99.7 % before)" in sentence
